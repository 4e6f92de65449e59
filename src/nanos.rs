//! Points in time as whole nanoseconds, and how long one tick of a clock is.

use core::fmt;
use core::time::Duration;

/// A point in time: nanoseconds since the arbitrary origin of the clock that gave it.
///
/// Any origin will do, Unix time included; only differences between readings of one clock matter.
///
/// ```
/// use sluicegate::Nanos;
///
/// const NOON: Nanos = Nanos::from_nanos(43_200_000_000_000);
/// assert_eq!(NOON.as_nanos(), 43_200_000_000_000);
/// assert!(NOON > Nanos::default());
/// assert_ne!(NOON, Nanos::from_nanos(1)); // a nanosecond after the origin is not noon
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nanos(u64);

impl Nanos {
    /// The point `nanos` nanoseconds after the origin.
    #[must_use]
    #[inline]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the origin.
    #[must_use]
    #[inline]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }
}

impl fmt::Debug for Nanos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", Duration::from_nanos(self.0))
    }
}

/// How long one tick of a [`Clock`](crate::Clock) is: more than an eighth of a nanosecond, at most one.
///
/// A clock whose hardware counts anything but nanoseconds hands its raw count to the limiter, which then converts
/// once instead of twice. See [`Clock::ticks`](crate::Clock::ticks).
///
/// ```
/// use sluicegate::TickLength;
///
/// // A counter of 4 GHz: a tick is a quarter of a nanosecond.
/// let tick = TickLength::new(1_000_000_000, 4_000_000_000).expect("0.25 ns is in range");
/// assert_eq!(tick.nanos(9), 2);
/// assert_eq!(tick.nanos_rounded_up(9), 3);
/// assert_eq!(TickLength::NANOSECOND.nanos(9), 9);
/// assert!(TickLength::new(1, 8).is_none()); // 8 GHz: too short
/// assert!(TickLength::new(2, 1).is_none()); // too long: such a clock counts in nanoseconds
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TickLength(
    /// Nanoseconds a tick in units of 2^-63: `1 << 63` is one nanosecond.
    u64,
);

impl TickLength {
    /// One nanosecond.
    pub const NANOSECOND: Self = Self(1 << 63);

    /// A tick that lasts `nanos / ticks` nanoseconds; `None` outside of (1/8, 1].
    #[must_use]
    pub const fn new(nanos: u64, ticks: u64) -> Option<Self> {
        if nanos > ticks || nanos as u128 * 8 <= ticks as u128 {
            return None;
        }
        // nanos <= ticks, so the quotient is at most 2^63.
        Some(Self((((nanos as u128) << 63) / ticks as u128) as u64))
    }

    /// The nanoseconds in `ticks`, rounded down.
    #[must_use]
    #[inline]
    pub const fn nanos(self, ticks: u64) -> u64 {
        ((ticks as u128 * self.0 as u128) >> 63) as u64
    }

    /// The nanoseconds in `ticks`, rounded up.
    #[must_use]
    #[inline]
    pub const fn nanos_rounded_up(self, ticks: u64) -> u64 {
        ((ticks as u128 * self.0 as u128 + ((1 << 63) - 1)) >> 63) as u64
    }

    /// The least ticks that last `time`; `u64::MAX` where there is no such number.
    pub(crate) fn ticks(self, time: Duration) -> u64 {
        // Below 2^94 as a number of nanoseconds, but what matters fits in 64 bits.
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        u64::try_from((u128::from(nanos) << 63).div_ceil(u128::from(self.0))).unwrap_or(u64::MAX)
    }

    /// The length in units of 2^-63 ns.
    #[inline]
    pub(crate) const fn in_2_63rds(self) -> u64 {
        self.0
    }
}

impl fmt::Debug for TickLength {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ns", self.0 as f64 / (1_u64 << 63) as f64)
    }
}

impl Default for TickLength {
    fn default() -> Self {
        Self::NANOSECOND
    }
}
