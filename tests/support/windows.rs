//! The window counters under one name, the limits and windows that they take, and the most permits in any interval of a
//! recorded trace.

use std::collections::HashMap;
use std::time::Duration;

use proptest::prelude::*;
use sluicegate::{Clock, ConfigError, FixedWindowCounter, RateLimitExceeded, RateLimiterStats, SlidingWindowCounter};

use super::intervals::Call;
use super::quotas::{SECOND, magnitude};

/// How the window before counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Law {
    Fixed,
    Interpolated,
    Strict,
}

pub const LAWS: [Law; 3] = [Law::Fixed, Law::Interpolated, Law::Strict];

pub const SHORTEST: Duration = Duration::from_micros(1);
/// Ten years of 366 days.
pub const LONGEST: Duration = Duration::from_secs(3_660 * 86_400);

#[derive(Debug)]
pub enum WindowCounter<C: Clock> {
    Fixed(FixedWindowCounter<C>),
    Sliding(SlidingWindowCounter<C>),
}

/// The same call on either.
macro_rules! either {
    ($self:ident, $counter:ident => $call:expr) => {
        match $self {
            Self::Fixed($counter) => $call,
            Self::Sliding($counter) => $call,
        }
    };
}

impl<C: Clock> WindowCounter<C> {
    pub fn new(law: Law, limit: u64, window: Duration, clock: C) -> Result<Self, ConfigError> {
        Self::build(law, limit, window, clock, false)
    }

    /// One that counts its calls.
    pub fn counting(law: Law, limit: u64, window: Duration, clock: C) -> Result<Self, ConfigError> {
        Self::build(law, limit, window, clock, true)
    }

    fn build(law: Law, limit: u64, window: Duration, clock: C, stats: bool) -> Result<Self, ConfigError> {
        Ok(match law {
            Law::Fixed => {
                let builder = FixedWindowCounter::builder(limit, window).clock(clock);
                Self::Fixed(if stats { builder.stats() } else { builder }.build()?)
            }
            Law::Interpolated | Law::Strict => {
                let builder = SlidingWindowCounter::builder(limit, window).clock(clock);
                let builder = if law == Law::Strict { builder.strict() } else { builder };
                Self::Sliding(if stats { builder.stats() } else { builder }.build()?)
            }
        })
    }

    pub fn try_acquire(&self) -> Result<(), RateLimitExceeded> {
        either!(self, counter => counter.try_acquire())
    }

    pub fn try_acquire_n(&self, n: u64) -> Result<(), RateLimitExceeded> {
        either!(self, counter => counter.try_acquire_n(n))
    }

    pub fn refund(&self, n: u64) {
        either!(self, counter => counter.refund(n));
    }

    pub fn available(&self) -> u64 {
        either!(self, counter => counter.available())
    }

    pub fn time_to_available(&self, n: u64) -> Result<Duration, RateLimitExceeded> {
        either!(self, counter => counter.time_to_available(n))
    }

    pub fn limit(&self) -> u64 {
        either!(self, counter => counter.limit())
    }

    pub fn window(&self) -> Duration {
        either!(self, counter => counter.window())
    }

    pub fn stats(&self) -> Option<RateLimiterStats> {
        either!(self, counter => counter.stats())
    }
}

/// The largest limit that fits in a window: of the bits of the next power of two, the strict law has four fewer.
pub fn largest(law: Law, window: Duration) -> u64 {
    let bits = window.as_nanos().next_power_of_two().ilog2();
    (1 << (bits - if law == Law::Strict { 5 } else { 1 })) - 1
}

/// Windows of every magnitude, the round and the awkward ones more often.
pub fn any_window() -> impl Strategy<Value = Duration> {
    let round = vec![1_000, 10_000, 1_000_000, SECOND, 10 * SECOND, 86_400 * SECOND, LONGEST.as_nanos() as u64];
    let odd =
        vec![1_001, 1_023, 1_025, 16_001, 1_000_003, 999_999_937, 86_399_999_999_999, LONGEST.as_nanos() as u64 - 1];
    let nanos = prop_oneof![
        3 => prop::sample::select(round),
        3 => prop::sample::select(odd),
        2 => (10_u32..=58).prop_map(|bit| 1 << bit),
        2 => magnitude(58).prop_map(|nanos| nanos.max(1_000)),
    ];
    nanos.prop_map(Duration::from_nanos)
}

/// A limit and a window that fit: small limits, of every magnitude, and the largest.
pub fn any_shape(law: Law) -> impl Strategy<Value = (u64, Duration)> {
    let limit = prop_oneof![3 => magnitude(5), 2 => magnitude(58), 1 => Just(u64::MAX)];
    (limit, any_window()).prop_map(move |(limit, window)| (limit.min(largest(law, window)), window))
}

/// The most permits that were granted in any interval `[a, a + window)` by calls that lie wholly inside it, less what
/// calls that overlap it gave back. A call's `end` is the first moment after it.
pub fn most_in_any_interval(calls: &[Call], given_back: &[Call], window: u64) -> i128 {
    // A call counts for a run of intervals: those that start from the one moment to the other.
    let mut changes = Vec::new();
    let mut counts = |from: i128, to: i128, permits: i128| {
        if from <= to {
            changes.extend([(from, permits), (to + 1, -permits)]);
        }
    };
    let window = i128::from(window);
    for call in calls {
        counts(i128::from(call.end) - window, call.start.into(), call.permits.into());
    }
    for call in given_back {
        counts(i128::from(call.start) - window + 1, i128::from(call.end) - 1, -i128::from(call.permits));
    }
    changes.sort_unstable();
    let (mut sum, mut most) = (0, 0);
    for same in changes.chunk_by(|one, other| one.0 == other.0) {
        sum += same.iter().map(|change| change.1).sum::<i128>();
        most = most.max(sum);
    }
    most
}

/// The same of the intervals that start at a multiple of their length.
pub fn most_in_any_window(calls: &[Call], given_back: &[Call], window: u64) -> i128 {
    let windows = |call: &Call| call.start / window..=(call.end - 1) / window;
    let mut net = HashMap::new();
    for call in calls {
        let of = windows(call);
        if of.start() == of.end() {
            *net.entry(*of.start()).or_insert(0) += i128::from(call.permits);
        }
    }
    for call in given_back {
        for window in windows(call) {
            net.entry(window).and_modify(|granted| *granted -= i128::from(call.permits));
        }
    }
    net.into_values().max().unwrap_or(0).max(0)
}
