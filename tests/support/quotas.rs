//! Quotas and numbers for property tests, spread evenly over the orders of magnitude.

use std::time::Duration;

use proptest::prelude::*;
use sluicegate::{ManualClock, Quota, TokenBucket};

pub const SECOND: u64 = 1_000_000_000;
pub const YEAR: u64 = 366 * 86_400 * SECOND;
/// What a new bucket has before it: 36 years of 365.25 days.
pub const LIFETIME: u64 = 36 * 31_557_600 * SECOND;
/// Unix time in nanoseconds, in 2027.
pub const UNIX_NOW: u64 = 1_800_000_000 * SECOND;

/// So many cases. A failure is to become a named test with its own numbers, not a seed in a file.
pub fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// From 1 to `2^bits`, as many from each power of two.
pub fn magnitude(bits: u32) -> impl Strategy<Value = u64> {
    (0..=bits, any::<u64>()).prop_map(move |(bit, low)| ((1 << bit) | low & ((1 << bit) - 1)).min(1 << bits))
}

/// Any number, the ends and the powers of two more often.
pub fn number() -> impl Strategy<Value = u64> {
    prop_oneof![
        2 => any::<u64>(),
        2 => magnitude(63),
        1 => (0_u32..64, -1_i64..2).prop_map(|(bit, by)| (1_u64 << bit).wrapping_add_signed(by)),
        1 => prop_oneof![Just(0), Just(1), Just(u64::MAX), Just(u64::MAX - 1)],
    ]
}

/// Any duration likewise.
pub fn duration() -> impl Strategy<Value = Duration> {
    prop_oneof![
        3 => number().prop_map(Duration::from_nanos),
        2 => (number(), 0_u32..1_000_000_000).prop_map(|(secs, nanos)| Duration::new(secs, nanos)),
        1 => prop_oneof![Just(Duration::ZERO), Just(Duration::MAX), Just(Duration::from_secs(u64::MAX))],
    ]
}

/// A number of permits: as it is, or as a share of the burst that it is asked of.
#[derive(Clone, Copy, Debug)]
pub enum Permits {
    Exactly(u64),
    /// In parts of 2^16.
    Share(u32),
}

impl Permits {
    pub fn of(self, capacity: u64) -> u64 {
        match self {
            Self::Exactly(permits) => permits,
            Self::Share(parts) => ((u128::from(capacity) * u128::from(parts)) >> 16).max(1) as u64,
        }
    }
}

/// Mostly what may be there: at least 1, at times more than a burst.
pub fn permits() -> impl Strategy<Value = Permits> {
    prop_oneof![
        4 => Just(Permits::Exactly(1)),
        2 => (2_u64..5).prop_map(Permits::Exactly),
        1 => magnitude(41).prop_map(Permits::Exactly),
        5 => (1_u32..=1 << 16).prop_map(Permits::Share),
        2 => magnitude(16).prop_map(|parts| Permits::Share(parts as u32)),
        2 => Just(Permits::Share(1 << 16)),
    ]
}

/// The same quota with the largest burst that fits, if its own does not. `None` if its rate is out of range.
pub fn fitted(quota: Quota) -> Option<Quota> {
    match TokenBucket::with_clock(quota, ManualClock::new()) {
        Ok(_) => Some(quota),
        Err(error) => error.largest().map(|largest| quota.burst(largest)),
    }
}

/// Every quota that a bucket takes: from one permit a year to 4e9 a second.
pub fn any_quota() -> impl Strategy<Value = Quota> {
    // The exponents of 1 permit/year and of 4e9/s.
    let rate = (-17.26_f64..=22.11).prop_map(f64::exp);
    let odd = (rate, magnitude(54), magnitude(40)).prop_filter_map("rate out of range", |(rate, period, burst)| {
        let permits = (rate * period as f64 / 1e9).round().max(1.0) as u64;
        fitted(Quota::per(permits, Duration::from_nanos(period)).burst(burst))
    });
    let round = (magnitude(31), 0..4, magnitude(40)).prop_filter_map("rate out of range", |(permits, unit, burst)| {
        let quota = [Quota::per_second, Quota::per_minute, Quota::per_hour, Quota::per_day][unit as usize](permits);
        fitted(quota.burst(burst))
    });
    prop_oneof![2 => odd, 1 => round]
}

/// Moderate ones, at most one permit in a microsecond, at which a nanosecond of rounding is far below a permit; with
/// bursts that tests can drain.
pub fn modest_quota() -> impl Strategy<Value = Quota> {
    let odd = (magnitude(20), magnitude(38), any::<u64>()).prop_map(|(permits, emission, rest)| {
        Quota::per(permits, Duration::from_nanos(permits * (emission + 999) + rest % permits))
    });
    let round = prop_oneof![
        magnitude(20).prop_map(|permits| Quota::per_second(permits.min(1_000_000))),
        magnitude(20).prop_map(Quota::per_minute),
        magnitude(20).prop_map(Quota::per_hour),
    ];
    (prop_oneof![2 => odd, 1 => round], magnitude(10)).prop_map(|(quota, burst)| quota.burst(burst))
}

/// How far a decision may lie from that of exact arithmetic, in nanoseconds: one, or two where the burst takes more
/// than 18 years to fill, so that a unit of time is no longer finer than a nanosecond.
pub fn tolerance(quota: &Quota) -> u64 {
    let fills = quota.capacity() as f64 / quota.rate();
    if fills > 18.0 * 31_557_600.0 { 2 } else { 1 }
}

/// The same for moments so far apart, which matters only where a burst takes months to fill: there the multiplier,
/// which is rounded up in its 61st bit, adds up to half a unit in a lifetime.
pub fn tolerance_after(quota: &Quota, nanos: u64) -> u64 {
    let fills = quota.capacity() as f64 / quota.rate();
    tolerance(quota) + u64::from(nanos > YEAR && fills > 0.25 * 31_557_600.0)
}

/// A point in time before, at, or after `at`.
pub fn offset_by(at: u64, nanos: i64) -> u64 {
    at.saturating_add_signed(nanos)
}
