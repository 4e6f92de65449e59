//! A change of the rate: what is told of it, and where the last one is kept.

use core::fmt;

use crate::algorithm::law::ChangeReason;
use crate::sync::{AtomicU64, Ordering};

/// A change of an adaptive limiter's rate: given to `on_change`, and kept as the last one in
/// [`AdaptiveStats`](crate::AdaptiveStats).
///
/// ```
/// use sluicegate::{AdaptiveRateLimiter, ChangeReason, ManualClock};
/// use std::time::Duration;
///
/// let clock = ManualClock::new();
/// let limiter = AdaptiveRateLimiter::builder().base_rate(100.0).clock(clock.clone()).build()?;
/// assert_eq!(limiter.stats().last_change, None);
///
/// (0..8).for_each(|_| limiter.record_success());
/// (0..2).for_each(|_| limiter.record_error());
/// clock.advance(Duration::from_secs(10));
/// let change = limiter.stats().last_change.expect("a fifth failed, a tenth is the threshold");
/// assert_eq!((change.old_rate, change.new_rate), (100.0, 50.0));
/// assert_eq!((change.samples, change.errors), (10, 2));
/// assert_eq!(change.reason, ChangeReason::Errors);
/// # Ok::<(), sluicegate::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct RateChange {
    /// Permits a second until then.
    pub old_rate: f64,
    /// Permits a second from then on.
    pub new_rate: f64,
    /// Why.
    pub reason: ChangeReason,
    /// The outcomes of the window that it was decided on.
    pub samples: u64,
    /// Those of them that were errors or throttled.
    pub errors: u64,
}

impl fmt::Display for RateChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { old_rate, new_rate, reason, samples, errors } = self;
        let reason = match reason {
            ChangeReason::Errors => "too many errors",
            ChangeReason::Recovery => "recovery",
            ChangeReason::LowDemand => "low demand",
        };
        write!(f, "{old_rate} to {new_rate} permits a second: {reason} ({errors} errors in {samples} calls)")
    }
}

/// The last change, for observers, who wait for nobody: two places, of which the count names the one that stands.
#[derive(Debug)]
pub(super) struct LastChange {
    /// How many there were.
    count: AtomicU64,
    places: [[AtomicU64; 5]; 2],
}

impl LastChange {
    pub(super) fn new() -> Self {
        let place = || [(); 5].map(|()| AtomicU64::new(0));
        Self { count: AtomicU64::new(0), places: [place(), place()] }
    }

    fn place(&self, count: u64) -> &[AtomicU64; 5] {
        &self.places[(count & 1) as usize]
    }

    /// One writer at a time.
    pub(super) fn set(&self, change: &RateChange) {
        // Ordering: Relaxed; whoever lets one writer follow the other orders them.
        let count = self.count.load(Ordering::Relaxed) + 1;
        for (field, word) in self.place(count).iter().zip(to_words(change)) {
            // Ordering: Release pairs with the load in `get`: who sees a field of this change sees that the place had
            // been left.
            field.store(word, Ordering::Release);
        }
        // Ordering: Release pairs with the first load in `get`: a count is seen with its place.
        self.count.store(count, Ordering::Release);
    }

    pub(super) fn get(&self) -> Option<RateChange> {
        loop {
            // Ordering: Acquire pairs with the store of the count: with it all of its place is seen.
            let count = self.count.load(Ordering::Acquire);
            if count == 0 {
                return None;
            }
            // Ordering: Acquire pairs with the stores of the fields: that of a later change is seen with its predecessor's
            // count, which named the other place.
            let words = self.place(count).each_ref().map(|field| field.load(Ordering::Acquire));
            // Ordering: Relaxed; it cannot move before the loads of the fields.
            if self.count.load(Ordering::Relaxed) == count {
                return Some(from_words(words));
            }
        }
    }
}

const fn to_words(change: &RateChange) -> [u64; 5] {
    let reason = match change.reason {
        ChangeReason::Errors => 0,
        ChangeReason::Recovery => 1,
        ChangeReason::LowDemand => 2,
    };
    [change.old_rate.to_bits(), change.new_rate.to_bits(), reason, change.samples, change.errors]
}

const fn from_words([old_rate, new_rate, reason, samples, errors]: [u64; 5]) -> RateChange {
    let reason = match reason {
        0 => ChangeReason::Errors,
        1 => ChangeReason::Recovery,
        _ => ChangeReason::LowDemand,
    };
    let (old_rate, new_rate) = (f64::from_bits(old_rate), f64::from_bits(new_rate));
    RateChange { old_rate, new_rate, reason, samples, errors }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    /// Kills: a reason that is kept, or said, as another one.
    #[test]
    fn it_is_kept_and_said_as_it_was() {
        let said = [
            (ChangeReason::Errors, "too many errors"),
            (ChangeReason::Recovery, "recovery"),
            (ChangeReason::LowDemand, "low demand"),
        ];
        for (reason, text) in said {
            let change = RateChange { old_rate: 2.5, new_rate: 1.25, reason, samples: 9, errors: 3 };
            assert_eq!(from_words(to_words(&change)), change);
            let said = change.to_string();
            assert!(said.contains(text) && said.contains("2.5") && said.contains("1.25"), "{said}");
        }
    }
}
