//! G11, the other side: stock taken in batches wastes nothing. Under saturation, at rates from 1,000 a second on, a striped
//! bucket grants 98 % of its rate at least, and workers with stocks of their own 95 %; on a clock moved by hand, in an
//! order that is the same at every run.
//!
//! "Kills" names a change of the library that the test was seen to fail on.

mod support;

use std::thread;
use std::time::Duration;

use sluicegate::{LocalTokenBucket, ManualClock, Quota, StripedTokenBucket};
use support::threads::Random;
use support::workers::{Worker, stripes};

const RATES: [u64; 4] = [1_000, 10_000, 100_000, 1_000_000];

/// So long is the bucket saturated, and so far does the clock go between two turns.
const TIME: Duration = Duration::from_millis(400);

/// A burst of a second, and one of a tenth.
fn quotas() -> impl Iterator<Item = Quota> {
    RATES.into_iter().flat_map(|rate| [Quota::per_second(rate), Quota::per_second(rate).burst(rate / 10)])
}

fn bucket(quota: Quota) -> (StripedTokenBucket<ManualClock>, ManualClock) {
    let clock = ManualClock::new();
    (StripedTokenBucket::with_clock(quota, clock.clone()).unwrap(), clock)
}

/// Takes one after the other until nothing is there, and tells how many.
fn greedy(mut take: impl FnMut() -> bool) -> u64 {
    (0..).take_while(|_| take()).count() as u64
}

/// `granted` of what comes in [`TIME`], with what is there at the end.
fn share(granted: u64, quota: &Quota) -> f64 {
    granted as f64 / (quota.rate() * TIME.as_secs_f64())
}

/// Every moment somebody else asks, of more threads than there are stripes, until it is denied.
///
/// Kills: a batch that is lost; a thread that is denied while other stripes hold what it drew; a rate that is cut by what is
/// lent.
#[test]
fn a_striped_bucket_grants_its_rate() {
    for quota in quotas() {
        let (bucket, clock) = bucket(quota);
        let bucket = &bucket;
        let granted = thread::scope(|scope| {
            let (workers, mut random) = (Worker::start_many(scope, 2 * stripes() as usize), Random::new(7));
            assert_eq!(greedy(|| bucket.try_acquire().is_ok()), quota.capacity());
            let (mut granted, steps) = (0, 100);
            for _ in 0..steps {
                clock.advance(TIME / steps);
                let worker = &workers[random.next() as usize % workers.len()];
                granted += worker.call(|| greedy(|| bucket.try_acquire().is_ok()));
            }
            granted
        });
        let share = share(granted, &quota);
        assert!((0.98..=1.000_001).contains(&share), "{quota:?}: {share}");
    }
}

/// The same where each call is another thread's, one a turn, so that stock lies about in all stripes; a turn is half as
/// long as a permit takes.
#[test]
fn a_striped_bucket_grants_its_rate_one_by_one() {
    for quota in [Quota::per_second(1_000), Quota::per_second(1_000_000)] {
        let (bucket, clock) = bucket(quota);
        let bucket = &bucket;
        let (turns, granted) = thread::scope(|scope| {
            let (workers, mut random) = (Worker::start_many(scope, 2 * stripes() as usize), Random::new(11));
            assert_eq!(greedy(|| bucket.try_acquire().is_ok()), quota.capacity());
            let (turns, mut granted) = (4_000, 0);
            for _ in 0..turns {
                clock.advance(quota.period() / quota.permits() as u32 / 2);
                let worker = &workers[random.next() as usize % workers.len()];
                granted += u64::from(worker.call(|| bucket.try_acquire().is_ok()));
            }
            (turns, granted)
        });
        assert!((turns * 49 / 100..=turns / 2).contains(&granted), "{quota:?}: {granted} of {}", turns / 2);
    }
}

/// Workers that take turns, each until it is denied; what they have in stock at the end was not granted.
///
/// Kills: a stock that is lost at a denial; a loan that takes from the rate.
#[test]
fn locals_grant_the_rate() {
    for workers in [1, 2, 8, 64] {
        for quota in quotas() {
            let (bucket, clock) = bucket(quota);
            let mut locals: Vec<LocalTokenBucket<'_, _>> = (0..workers).map(|_| bucket.local()).collect();
            for local in &mut locals {
                greedy(|| local.try_acquire().is_ok());
            }
            let (mut random, mut granted, steps) = (Random::new(3), 0, 200);
            for _ in 0..steps {
                clock.advance(TIME / steps);
                let local = &mut locals[random.next() as usize % workers];
                granted += greedy(|| local.try_acquire().is_ok());
            }
            let share = share(granted, &quota);
            assert!((0.95..=1.000_001).contains(&share), "{workers}, {quota:?}: {share}");
        }
    }
}

/// The same where nobody asks until it is denied: each asks once, in turns.
#[test]
fn locals_that_take_turns_grant_the_rate() {
    for workers in [2, 8] {
        for quota in [Quota::per_second(1_000), Quota::per_second(10_000), Quota::per_second(1_000_000)] {
            let (bucket, clock) = bucket(quota);
            let mut locals: Vec<LocalTokenBucket<'_, _>> = (0..workers).map(|_| bucket.local()).collect();
            for local in &mut locals {
                greedy(|| local.try_acquire().is_ok());
            }
            let (mut random, mut granted, turns) = (Random::new(5), 0, 20_000);
            for _ in 0..turns {
                clock.advance(quota.period() / quota.permits() as u32 / 2);
                granted += u64::from(locals[random.next() as usize % workers].try_acquire().is_ok());
            }
            assert!((turns * 95 / 200..=turns / 2).contains(&granted), "{workers}, {quota:?}: {granted}");
        }
    }
}
