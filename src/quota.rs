//! What a limiter allows: a rate and a burst.

#[cfg(feature = "serde")]
mod serde;
mod text;

use core::time::Duration;

#[cfg(feature = "serde")]
pub(crate) use self::serde::{optional_period, period};

/// So many permits a period, and at most so many at once.
///
/// A **permit** is what a call takes: one request, one byte, whatever is to be limited.
/// The **rate** is `permits / period`, kept as that exact fraction: nothing is rounded to whole nanoseconds. The
/// **burst** is the most permits ever available at once; until [`burst`](Quota::burst) says otherwise it is
/// `permits`. `per_second(10)` means ten a second, always.
///
/// A quota is checked when a limiter is built from it, not before: `permits`, `period` and `burst` must not be zero,
/// the rate must lie between one permit a year and 4e9 permits a second, and the burst must be at most 2^40 permits
/// and fill within a lifetime (55 years fit at any rate).
///
/// It has a [text](#impl-FromStr-for-Quota), for settings and logs: `100/s`, `5000/h burst 200`; with the feature `serde`
/// it is written and read as that.
///
/// ```
/// use sluicegate::{Quota, TokenBucket};
///
/// const UPLOADS: Quota = Quota::per_minute(90).burst(10);
/// assert_eq!(UPLOADS.rate(), 1.5);
/// assert_eq!(UPLOADS.capacity(), 10);
/// assert!(TokenBucket::new(UPLOADS).is_ok());
///
/// // A fraction of a permit a second is written as a rate; a rate of nothing makes no limiter.
/// assert_eq!(Quota::from_rate(0.1), Quota::per(1, std::time::Duration::from_secs(10)));
/// assert_eq!(TokenBucket::new(Quota::from_rate(f64::NAN)).unwrap_err().field(), "rate");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub struct Quota {
    permits: u64,
    period: Duration,
    burst: u64,
}

impl Quota {
    /// `permits` every second, and a burst of as many.
    ///
    /// ```
    /// use sluicegate::{Quota, TokenBucket};
    ///
    /// assert_eq!(Quota::per_second(10), Quota::per(10, std::time::Duration::from_secs(1)));
    /// assert_eq!(Quota::per_second(10).capacity(), 10);
    /// assert_eq!(Quota::per_hour(7_200).rate(), Quota::per_day(172_800).rate());
    /// assert!(TokenBucket::new(Quota::per_second(0)).is_err());
    /// ```
    pub const fn per_second(permits: u64) -> Self {
        Self::per(permits, Duration::from_secs(1))
    }

    /// `permits` every minute, and a burst of as many.
    pub const fn per_minute(permits: u64) -> Self {
        Self::per(permits, Duration::from_secs(60))
    }

    /// `permits` every hour, and a burst of as many.
    pub const fn per_hour(permits: u64) -> Self {
        Self::per(permits, Duration::from_secs(3_600))
    }

    /// `permits` every day of 24 hours, and a burst of as many.
    pub const fn per_day(permits: u64) -> Self {
        Self::per(permits, Duration::from_secs(86_400))
    }

    /// `permits` every `period`, and a burst of as many.
    pub const fn per(permits: u64, period: Duration) -> Self {
        Self { permits, period, burst: permits }
    }

    /// A rate in permits a second, which may be a fraction; the burst is its whole part, and at least 1.
    ///
    /// The quota holds the simplest fraction that is this very `f64`: 0.1 becomes one permit in ten seconds. What is
    /// not a positive number makes a quota that no limiter accepts.
    ///
    /// ```
    /// use sluicegate::Quota;
    ///
    /// let quota = Quota::from_rate(2.5);
    /// assert_eq!((quota.permits(), quota.period().as_secs(), quota.capacity()), (5, 2, 2));
    /// assert_eq!(quota.rate(), 2.5);
    /// ```
    pub const fn from_rate(permits_per_second: f64) -> Self {
        if permits_per_second.is_nan() || permits_per_second <= 0.0 {
            return Self { permits: 0, period: Duration::ZERO, burst: 0 };
        }
        // Casts of floats saturate.
        let floor = permits_per_second as u64;
        let burst = if floor == 0 { 1 } else { floor };
        let (permits, period) = if permits_per_second >= MAX_EXACT {
            (floor, Duration::from_secs(1))
        } else if permits_per_second < 1e-9 {
            // Far below a permit a year, so that the check refuses it.
            (1, Duration::MAX)
        } else {
            let (permits, seconds) = simplest_fraction(permits_per_second);
            (permits, Duration::from_secs(seconds))
        };
        Self { permits, period, burst }
    }

    /// This rate with another burst: the most permits ever available at once.
    ///
    /// ```
    /// use sluicegate::{ManualClock, Quota, TokenBucket};
    ///
    /// let bucket = TokenBucket::with_clock(Quota::per_second(100).burst(5), ManualClock::new())?;
    /// assert!(bucket.try_acquire_n(5).is_ok());
    /// assert!(bucket.try_acquire().is_err()); // the next one comes in 10 ms
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    pub const fn burst(self, permits: u64) -> Self {
        Self { burst: permits, ..self }
    }

    /// The permits that one [`period`](Quota::period) brings.
    #[must_use]
    pub const fn permits(&self) -> u64 {
        self.permits
    }

    /// The time in which [`permits`](Quota::permits) become available.
    #[must_use]
    pub const fn period(&self) -> Duration {
        self.period
    }

    /// The burst: the most permits ever available at once.
    #[must_use]
    pub const fn capacity(&self) -> u64 {
        self.burst
    }

    /// Permits a second; 0.0 for a quota without a period, which no limiter accepts.
    #[must_use]
    pub const fn rate(&self) -> f64 {
        if self.period.is_zero() {
            return 0.0;
        }
        self.permits as f64 / self.period.as_secs_f64()
    }
}

/// Above this, neighbouring `f64` are whole numbers.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

/// The fraction with the smallest denominator that is nearer to `value` than to any other `f64`, so that dividing gives
/// `value` back. `value` must lie in 1e-9..2^53.
///
/// Continued fractions: the simplest fraction in an open interval is the least whole number in it, if there is one,
/// else the whole part and the reciprocal of the simplest fraction in the reciprocal interval (Knuth, The Art of
/// Computer Programming, volume 2, section 4.5.3, exercise 39).
const fn simplest_fraction(value: f64) -> (u64, u64) {
    let bits = value.to_bits();
    let exponent = ((bits >> 52) & 0x7ff) as i64 - 1075;
    let mantissa = (bits & ((1 << 52) - 1) | (1 << 52)) as u128;
    // value = mantissa * 2^exponent; exponent is from -82 to 0 in the range allowed, so nothing below reaches 2^90.
    let scale = 1_u128 << (2 - exponent);
    // The interval low/low_by .. high/high_by: half-way to the neighbours. Below a power of two they lie denser.
    let (mut low, mut low_by) = (4 * mantissa - if mantissa == 1 << 52 { 1 } else { 2 }, scale);
    let (mut high, mut high_by) = (4 * mantissa + 2, scale);
    // The last two convergents, p/q.
    let (mut p0, mut q0, mut p, mut q) = (0_u128, 1_u128, 1_u128, 0_u128);
    loop {
        let whole = low / low_by;
        if (whole + 1) * high_by < high {
            // Both fit: a convergent p/q is closer to `value` than 1/q'q, q' being the denominator before it, so the
            // search ends below q = 2^54 for every value allowed, and p < 2^54 likewise.
            return (((whole + 1) * p + p0) as u64, ((whole + 1) * q + q0) as u64);
        }
        (p0, q0, p, q) = (p, q, whole * p + p0, whole * q + q0);
        (low, low_by, high, high_by) = (high_by, high - whole * high_by, low_by, low - whole * low_by);
    }
}
