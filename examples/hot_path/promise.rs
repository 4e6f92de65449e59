//! What a limiter promises, and how near the grants of a run came to it.

use core::fmt;
use core::time::Duration;

use indicatif::HumanCount;
use sluicegate::Quota;

use crate::intervals::{self, Call};
use crate::table::short;
use crate::windows;

/// What a limiter allows.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Promise {
    /// In every interval of length `T`: `burst + rate * (T + 1 ns)`.
    Bucket(Quota),
    /// In each aligned window: its limit.
    EachWindow(Window),
    /// In each aligned window: its limit; and in any interval of a window's length: so many times the limit.
    AnyWindow(Window, u64),
}

/// So many permits in so much time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub(crate) limit: u64,
    /// Not zero.
    nanos: u64,
}

impl Window {
    /// The burst of the quota, in the time that brings as much: the same rate in the long run.
    pub(crate) fn of(quota: Quota) -> Self {
        let nanos = (u128::from(quota.capacity()) * quota.period().as_nanos()).div_ceil(u128::from(quota.permits()));
        Self { limit: quota.capacity(), nanos: u64::try_from(nanos).unwrap_or(u64::MAX) }
    }

    pub(crate) fn length(self) -> Duration {
        Duration::from_nanos(self.nanos)
    }
}

impl Promise {
    /// The most that [`worst`](Self::worst) may be.
    pub(crate) fn allowed(self) -> f64 {
        match self {
            Self::Bucket(quota) => quota.capacity() as f64,
            Self::EachWindow(window) => window.limit as f64,
            Self::AnyWindow(window, times) => (times * window.limit) as f64,
        }
    }

    /// The most that was granted in a window, of all windows; for a bucket the most above `rate * (T + 1 ns)`, of all
    /// intervals. Counted are the calls that lie wholly inside.
    pub(crate) fn worst(self, calls: &[Call]) -> f64 {
        match self {
            Self::Bucket(quota) => intervals::worst_excess(calls, quota.permits(), quota.period().as_nanos() as u64),
            Self::EachWindow(window) => windows::most_in_aligned(calls, window.nanos) as f64,
            Self::AnyWindow(window, _) => windows::most_in_any(calls, window.nanos) as f64,
        }
    }

    /// The most that may be granted from one time to another, in nanoseconds.
    pub(crate) fn most_between(self, start: u64, end: u64) -> f64 {
        match self {
            Self::Bucket(quota) => quota.capacity() as f64 + quota.rate() * (end - start + 1) as f64 * 1e-9,
            // It meets so many aligned windows, and each call counts in one of them.
            Self::EachWindow(window) | Self::AnyWindow(window, _) => {
                (end / window.nanos - start / window.nanos + 1) as f64 * window.limit as f64
            }
        }
    }
}

/// In words; `T` in seconds.
impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match *self {
            Self::Bucket(quota) => format!("{} + {} * T", HumanCount(quota.capacity()), HumanCount(quota.permits())),
            Self::EachWindow(window) => format!("{} in each {}", HumanCount(window.limit), short(window.length())),
            Self::AnyWindow(window, times) => {
                format!("{} in any {}", HumanCount(times * window.limit), short(window.length()))
            }
        };
        f.pad(&text)
    }
}
