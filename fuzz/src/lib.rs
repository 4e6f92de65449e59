//! What the targets share: inputs of every magnitude made of bytes, a clock that is moved about, and the exact models of
//! `tests/`.

mod bucket;
#[path = "../../tests/support/intervals.rs"]
mod intervals;
#[path = "../../tests/support/oracle.rs"]
pub mod oracle;
#[path = "../../tests/support/quotas.rs"]
pub mod quotas;
mod window;
#[path = "../../tests/support/window_oracle.rs"]
pub mod window_oracle;
#[path = "../../tests/support/windows.rs"]
pub mod windows;
#[path = "../../tests/support/workers.rs"]
pub mod workers;

use std::time::Duration;

use arbitrary::{Arbitrary, Error, Result, Unstructured};
use sluicegate::{Limiter, ManualClock, Nanos, Quota, RateLimitExceeded};

pub use self::bucket::Exact;
pub use self::window::{WindowCase, follow_window};
use crate::quotas::{Permits, fitted, tolerance_after};

/// From 1 to `2^BITS`, as many from each power of two.
#[derive(Clone, Copy, Debug)]
pub struct Magnitude<const BITS: u32>(pub u64);

impl<'a, const BITS: u32> Arbitrary<'a> for Magnitude<BITS> {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let bit = 1 << u.int_in_range(0..=BITS)?;
        Ok(Self((bit | u.int_in_range(0..=bit - 1)?).min(1 << BITS)))
    }
}

/// A number of permits, mostly what may be there; at times 0, or any number.
#[derive(Clone, Copy, Debug)]
pub struct Amount(Permits);

impl Amount {
    pub fn of(self, capacity: u64) -> u64 {
        self.0.of(capacity)
    }
}

impl<'a> Arbitrary<'a> for Amount {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(Self(match u.int_in_range(0..=15)? {
            0..=3 => Permits::Exactly(1),
            4..=5 => Permits::Exactly(u.int_in_range(2..=4)?),
            6 => Permits::Exactly(Magnitude::<41>::arbitrary(u)?.0),
            7 => Permits::Exactly(if u.arbitrary()? { 0 } else { u.arbitrary()? }),
            8..=11 => Permits::Share(u.int_in_range(1..=1 << 16)?),
            12..=13 => Permits::Share(Magnitude::<16>::arbitrary(u)?.0 as u32),
            _ => Permits::Share(1 << 16),
        }))
    }
}

/// Every quota that a bucket takes.
#[derive(Clone, Copy, Debug)]
pub struct AnyQuota(Quota);

impl<'a> Arbitrary<'a> for AnyQuota {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let burst = Magnitude::<40>::arbitrary(u)?.0;
        let quota = if u.arbitrary()? {
            let permits = Magnitude::<31>::arbitrary(u)?.0;
            u.choose(&[Quota::per_second, Quota::per_minute, Quota::per_hour, Quota::per_day])?(permits)
        } else {
            // The exponents of 1 permit a year and of 4e9 a second.
            let rate = (-17.26 + f64::from(u.arbitrary::<u16>()?) / 65_535.0 * 39.37).exp();
            let period = Magnitude::<54>::arbitrary(u)?.0;
            Quota::per((rate * period as f64 / 1e9).round().max(1.0) as u64, Duration::from_nanos(period))
        };
        fitted(quota.burst(burst)).map(Self).ok_or(Error::IncorrectFormat)
    }
}

/// At most a permit in a microsecond, at which a nanosecond of rounding is far below one.
#[derive(Clone, Copy, Debug)]
pub struct ModestQuota(Quota);

impl<'a> Arbitrary<'a> for ModestQuota {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let (permits, burst) = (Magnitude::<19>::arbitrary(u)?.0, Magnitude::<10>::arbitrary(u)?.0);
        let quota = match u.int_in_range(0..=3)? {
            0 => Quota::per_second(permits),
            1 => Quota::per_minute(permits),
            2 => Quota::per_hour(permits),
            _ => {
                let emission = Magnitude::<38>::arbitrary(u)?.0 + 999;
                Quota::per(permits, Duration::from_nanos(permits * emission + u.int_in_range(0..=permits - 1)?))
            }
        };
        fitted(quota.burst(burst)).map(Self).ok_or(Error::IncorrectFormat)
    }
}

impl From<AnyQuota> for Quota {
    fn from(quota: AnyQuota) -> Self {
        quota.0
    }
}

impl From<ModestQuota> for Quota {
    fn from(quota: ModestQuota) -> Self {
        quota.0
    }
}

/// How the clock goes on.
#[derive(Clone, Copy, Debug, Arbitrary)]
pub enum Step {
    Forward(Magnitude<32>),
    Leap(Magnitude<56>),
    Back(Magnitude<33>),
}

/// So many nanoseconds beside some moment.
#[derive(Clone, Copy, Debug)]
pub struct Beside(pub i64);

impl<'a> Arbitrary<'a> for Beside {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(Self(u.int_in_range(-3..=3)?))
    }
}

/// A clock, and what it has shown.
pub struct Time {
    pub clock: ManualClock,
    pub now: u64,
    pub first: u64,
    pub latest: u64,
}

impl Time {
    pub fn from(origin: u64) -> Self {
        let clock = ManualClock::new();
        clock.set(Nanos::from_nanos(origin));
        Self { clock, now: origin, first: origin, latest: origin }
    }

    pub fn go(&mut self, to: u64) {
        (self.now, self.latest) = (to, self.latest.max(to));
        self.clock.set(Nanos::from_nanos(to));
    }

    pub fn step(&mut self, step: Step) {
        self.go(match step {
            Step::Forward(by) => self.now.saturating_add(by.0),
            Step::Leap(by) => self.now.saturating_add(by.0),
            Step::Back(by) => self.now.saturating_sub(by.0),
        });
    }

    /// Shows another reading meanwhile.
    pub fn at<T>(&self, reading: u64, look: impl FnOnce() -> T) -> T {
        self.clock.set(Nanos::from_nanos(reading));
        let seen = look();
        self.clock.set(Nanos::from_nanos(self.now));
        seen
    }

    /// The reading when a wait from now is over; `None` if never.
    pub fn after(&self, wait: Duration) -> Option<u64> {
        self.now.checked_add(u64::try_from(wait.as_nanos()).ok()?)
    }
}

/// Over every stretch of a history of readings and of what was granted then, less what was given back: at most one burst, and what
/// comes while the clock goes from the least of its readings to the latest. By the order of the calls, since a clock that goes back
/// can show an earlier reading to who takes what was given back.
pub fn assert_bound(quota: &Quota, history: &[(u64, i128)]) {
    let (permits, period) = (i128::from(quota.permits()), quota.period().as_nanos() as i128);
    for first in 0..history.len() {
        let (mut low, mut high, mut net) = (u64::MAX, 0, 0);
        for &(reading, more) in &history[first..] {
            (low, high, net) = (low.min(reading), high.max(reading), net + more);
            let time = i128::from(high - low) + i128::from(tolerance_after(quota, high - low));
            assert!(
                net * period <= i128::from(quota.capacity()) * period + permits * time,
                "{quota:?}: {net} in {time} ns"
            );
        }
    }
}

pub fn denied(nanos: u64) -> RateLimitExceeded {
    RateLimitExceeded::Denied { retry_after: Duration::from_nanos(nanos) }
}

/// A call for `n` permits that was denied for `wait` is denied a nanosecond before that time is over, and would then be
/// granted. Leaves the limiter as it is, if a look at another time does.
pub fn assert_honest(limiter: &impl Limiter, time: &Time, n: u64, wait: Duration) {
    assert!(wait > Duration::ZERO && limiter.available() < n);
    assert_eq!(limiter.time_to_available(n), Ok(wait));
    let Some(due) = time.after(wait) else { return };
    time.at(due - 1, || {
        assert_eq!(limiter.try_acquire_n(n), Err(denied(1)), "{n} permits, 1 ns before {wait:?}");
        assert!(limiter.available() < n);
    });
    time.at(due, || {
        assert_eq!(limiter.time_to_available(n), Ok(Duration::ZERO), "{n} permits after {wait:?}");
        assert!(limiter.available() >= n);
    });
}
