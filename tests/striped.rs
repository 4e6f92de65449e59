//! The striped bucket, verb by verb: what it takes from where, what it tells, and what a change of quota leaves.
//!
//! "Kills" names a change of the library that the test was seen to fail on.

mod support;

use std::sync::LazyLock;
use std::time::Duration;

use proptest::prelude::*;
use sluicegate::RateLimitExceeded::{Denied, ExceedsCapacity};
use sluicegate::{ManualClock, Nanos, Quota, StripedTokenBucket, StripedTokenBucketBuilder, TokenBucket};
use support::quotas::{SECOND, UNIX_NOW, cases, magnitude, modest_quota, permits};
use support::workers::{batch, elsewhere, least_divided, stripes};

const NANO: Duration = Duration::from_nanos(1);

type Bucket = StripedTokenBucket<ManualClock>;

/// Of which every stripe holds 20, and the word the rest.
fn burst() -> u64 {
    16 * stripes() * 20
}

fn striped() -> u64 {
    stripes() * 20
}

/// Full, at as many a second as the burst has.
fn full() -> (Bucket, ManualClock) {
    let clock = ManualClock::new();
    (StripedTokenBucket::with_clock(Quota::per_second(burst()), clock.clone()).unwrap(), clock)
}

/// The word is empty, and all stripes are full.
fn only_stripes() -> (Bucket, ManualClock) {
    let (bucket, clock) = full();
    assert_eq!(bucket.try_acquire_n(bucket.capacity()), Ok(()));
    // What was taken came from the own stripe, too, and that was filled again from the word; or not.
    assert_eq!(bucket.available(), striped());
    (bucket, clock)
}

/// All that is needed for this wait, one permit a nanosecond of it.
fn due(permits: u64) -> Duration {
    Duration::from_nanos((permits * SECOND).div_ceil(burst()))
}

// --- Taking

/// Kills: a call for nothing that takes something.
#[test]
fn nothing_is_always_granted() {
    let (bucket, _) = full();
    assert_eq!(bucket.try_acquire_up_to(u64::MAX), burst());
    assert_eq!((bucket.try_acquire_n(0), bucket.try_acquire_up_to(0)), (Ok(()), 0));
    assert_eq!(bucket.time_to_available(0), Ok(Duration::ZERO));
    assert_eq!(bucket.available(), 0);
}

/// Kills: a call that is denied while another stripe has a permit; one that finds only its own stripe.
#[test]
fn one_by_one_everything_is_granted() {
    let (bucket, clock) = full();
    for left in (0..burst()).rev() {
        assert_eq!(bucket.try_acquire(), Ok(()), "{left} should be left");
        assert_eq!(bucket.available(), left);
    }
    assert_eq!(bucket.try_acquire(), Err(Denied { retry_after: due(1) }));
    clock.advance(due(1));
    assert_eq!(bucket.try_acquire(), Ok(()));
}

/// More than any stripe has, out of all of them and the word; and what is not there leaves all where it was.
///
/// Kills: gathered stock that is not put back; a stripe that gets back what another had; a gathering that leaves what it used.
#[test]
fn what_no_single_place_has_is_gathered() {
    for n in [2, 20, 21, 41, striped() - 1, striped()] {
        let (bucket, _) = only_stripes();
        assert_eq!(bucket.try_acquire_n(n), Ok(()), "{n}");
        assert_eq!(bucket.available(), striped() - n);
        assert_eq!(bucket.try_acquire_up_to(u64::MAX), striped() - n);
    }
    for from_word in [1, 7, 300] {
        let (bucket, clock) = only_stripes();
        clock.advance(due(from_word));
        let n = striped() + from_word;
        let wait = bucket.try_acquire_n(n + 1).unwrap_err().retry_after().unwrap();
        assert!(wait.abs_diff(due(1)) <= 2 * NANO, "{wait:?}");
        assert_eq!(bucket.available(), n, "a denial charged something");
        assert_eq!(bucket.try_acquire_n(n), Ok(()));
        assert_eq!(bucket.available(), 0);
    }
}

/// Kills: gathered stock that is not put back.
#[test]
fn a_denial_charges_nothing() {
    let (bucket, _) = only_stripes();
    for n in [striped() + 1, striped() + 2, bucket.capacity()] {
        for _ in 0..3 {
            assert!(matches!(bucket.try_acquire_n(n), Err(Denied { .. })));
            assert!(matches!(elsewhere(|| bucket.try_acquire_n(n)), Err(Denied { .. })));
            assert_eq!(bucket.available(), striped());
        }
    }
    let capacity = bucket.capacity();
    for n in [capacity + 1, burst(), burst() + 1, u64::MAX] {
        let exceeds = ExceedsCapacity { requested: n, capacity };
        assert_eq!(bucket.try_acquire_n(n), Err(exceeds));
        assert_eq!(bucket.time_to_available(n), Err(exceeds));
    }
    assert_eq!(bucket.available(), striped());
    // Nor is it a stripe's stock that moves: each of them still has its own.
    assert_eq!(bucket.try_acquire_up_to(20), 20);
    assert_eq!(bucket.try_acquire_n(striped() - 20), Ok(()));
}

/// Kills: a call for as many as there are that leaves the word, or the stripes of others, alone.
#[test]
fn up_to_takes_from_everywhere() {
    let (bucket, _) = full();
    assert_eq!(bucket.try_acquire_up_to(1), 1);
    assert_eq!(bucket.try_acquire_up_to(burst() / 2), burst() / 2);
    assert_eq!(bucket.available(), burst() - 1 - burst() / 2);
    assert_eq!(elsewhere(|| bucket.try_acquire_up_to(burst())), burst() - 1 - burst() / 2);
    assert_eq!(bucket.try_acquire_up_to(1), 0);

    let (bucket, _) = only_stripes();
    assert_eq!(bucket.try_acquire_up_to(striped() - 1), striped() - 1);
    assert_eq!((bucket.available(), bucket.try_acquire_up_to(2)), (1, 1));
}

// --- Giving back

/// Kills: a refund of which the word's part is given to the stripe as well; one that is lost where the word is full; one that fills a
/// stripe above its batch.
#[test]
fn a_refund_goes_to_the_word_and_then_to_the_stripes() {
    let (bucket, _) = full();
    assert_eq!(bucket.try_acquire_up_to(u64::MAX), burst());
    let word = bucket.capacity();
    bucket.refund(word - 1);
    assert_eq!(bucket.available(), word - 1);
    bucket.refund(4);
    assert_eq!(bucket.available(), word + 3, "one to the word and three to the stripe");
    bucket.refund(10);
    assert_eq!(bucket.available(), word + 13);
    bucket.refund(u64::MAX);
    assert_eq!(bucket.available(), burst(), "and then to the others, none of which holds more than its batch");
    bucket.refund(u64::MAX);
    bucket.refund(0);
    assert_eq!(bucket.available(), burst());
    assert_eq!(bucket.try_acquire_n(word), Ok(()), "the word was filled first");
}

/// Kills: a refund above the burst.
#[test]
fn a_full_bucket_takes_nothing_back() {
    let (bucket, _) = full();
    bucket.refund(u64::MAX);
    elsewhere(|| bucket.refund(17));
    assert_eq!(bucket.available(), burst());
    assert_eq!(bucket.try_acquire_up_to(u64::MAX), burst());
}

// --- When

/// One nanosecond earlier the same call is denied, at it it is granted.
fn check(bucket: &Bucket, clock: &ManualClock, now: u64, n: u64) -> Result<(), TestCaseError> {
    let wait = bucket.time_to_available(n).unwrap();
    if wait == Duration::ZERO {
        prop_assert_eq!(bucket.try_acquire_n(n), Ok(()));
        return Ok(());
    }
    let there = bucket.available();
    prop_assert!(there < n);
    prop_assert_eq!(bucket.try_acquire_n(n), Err(Denied { retry_after: wait }));
    clock.set(Nanos::from_nanos(now + wait.as_nanos() as u64 - 1));
    prop_assert_eq!(bucket.time_to_available(n), Ok(NANO));
    prop_assert_eq!(bucket.try_acquire_n(n), Err(Denied { retry_after: NANO }));
    prop_assert!(bucket.available() < n);
    clock.set(Nanos::from_nanos(now + wait.as_nanos() as u64));
    prop_assert_eq!(bucket.time_to_available(n), Ok(Duration::ZERO));
    prop_assert_eq!(bucket.try_acquire_n(n), Ok(()));
    Ok(())
}

proptest! {
    #![proptest_config(cases(1_000))]

    /// After any history, with stock in some stripes: what they hold counts.
    ///
    /// Kills: an estimate, or a denial, that leaves out what stripes hold.
    #[test]
    fn the_time_to_retry_after_is_exact(
        quota in modest_quota(), size in 4_u64..100, origin in prop_oneof![Just(0), Just(UNIX_NOW)],
        history in prop::collection::vec((magnitude(34), 0_u8..6, permits()), 0..12),
        wanted in prop::collection::vec(permits(), 1..4),
    ) {
        let (clock, mut now) = (ManualClock::new(), origin);
        clock.set(Nanos::from_nanos(now));
        let bucket = StripedTokenBucket::with_clock(quota.burst(16 * stripes() * size), clock.clone()).unwrap();
        for (ahead, verb, permits) in history {
            now += ahead;
            clock.set(Nanos::from_nanos(now));
            let n = permits.of(bucket.quota().capacity());
            match verb {
                0 | 1 => _ = bucket.try_acquire_n(n),
                2 => _ = bucket.try_acquire_up_to(n),
                3 => _ = elsewhere(|| bucket.try_acquire_n(n)),
                4 => _ = bucket.try_acquire_up_to(u64::MAX),
                _ => bucket.refund(n),
            }
        }
        for permits in wanted {
            check(&bucket, &clock, now, permits.of(bucket.capacity()).min(bucket.capacity()))?;
            now = now.max(sluicegate::Clock::now(&clock).as_nanos());
        }
    }
}

// --- Quotas

/// Kills: a stripe that is not emptied by a change; stock of before that is given to the word above the new burst.
#[test]
fn a_shrink_leaves_the_new_burst_wherever_it_was() {
    for (next, there) in [
        (Quota::per_second(16), 16),
        (Quota::per_hour(1), 1),
        (Quota::per_second(700).burst(least_divided() - 1), least_divided() - 1),
    ] {
        let (bucket, _) = full();
        bucket.set_quota(next).unwrap();
        assert_eq!((bucket.available(), bucket.quota()), (there, next));
        let all = elsewhere(|| bucket.try_acquire_up_to(3)) + bucket.try_acquire_up_to(u64::MAX);
        assert_eq!(all, there, "{next:?}");
        assert_eq!(elsewhere(|| bucket.try_acquire_up_to(u64::MAX)), 0);
        assert_eq!(bucket.try_acquire_up_to(u64::MAX), 0);
    }
}

/// What the word has no room for any more goes to the stripes, which have room for the rest of the burst.
///
/// Kills: a word that is cut to what it holds with full stripes, while they are empty.
#[test]
fn a_shrink_of_a_full_word_leaves_the_new_burst() {
    for next in [burst() / 2, burst() / 2 + 3, least_divided()] {
        let (bucket, clock) = full();
        bucket.set_quota(Quota::per_second(burst() * 2)).unwrap();
        bucket.set_quota(Quota::per_second(next)).unwrap();
        assert_eq!(bucket.available(), next);
        assert_eq!(bucket.try_acquire_up_to(u64::MAX), next);

        // Nor where time has filled it again: the word alone.
        bucket.set_quota(Quota::per_second(burst())).unwrap();
        clock.advance(Duration::from_secs(2));
        assert!(bucket.available() > next);
        bucket.set_quota(Quota::per_second(next)).unwrap();
        assert_eq!(bucket.available(), next);
    }
}

/// What is there stays the same number, wherever it was; a larger burst does not arrive filled.
///
/// Kills: stock of before that is dropped; stock that counts twice; stripes that are full after a change.
#[test]
fn a_change_keeps_the_level() {
    for next in [burst() * 2, burst() * 64, burst() * 2 + 3] {
        let (bucket, clock) = full();
        bucket.set_quota(Quota::per_second(next)).unwrap();
        assert_eq!(bucket.available(), burst());
        assert_eq!(bucket.capacity(), next - stripes() * batch(next));
        clock.advance(Duration::from_secs(2));
        assert_eq!(bucket.available(), bucket.capacity());
        assert_eq!(elsewhere(|| bucket.try_acquire()), Ok(()));
        clock.advance(Duration::from_secs(2));
        assert_eq!(bucket.available(), bucket.capacity() + batch(next));
    }
    let (bucket, _) = only_stripes();
    bucket.set_quota(Quota::per_hour(burst())).unwrap();
    assert_eq!(bucket.available(), striped());
    assert_eq!(bucket.try_acquire_n(striped()), Ok(()));
}

/// A full bucket is as full after a change of the rate alone.
///
/// Kills: a word that is cut to what it holds with full stripes, while they are empty.
#[test]
fn a_change_of_the_rate_takes_nothing_from_a_full_bucket() {
    let (bucket, _) = full();
    bucket.set_quota(Quota::per_second(2 * burst()).burst(burst())).unwrap();
    assert_eq!(bucket.available(), burst());
    bucket.set_quota(Quota::per_second(burst())).unwrap();
    assert_eq!(bucket.available(), burst());
}

/// Time that has passed counts at the old rate. Kills: an estimate under the old rate.
#[test]
fn time_counts_at_the_rate_it_passed_under() {
    let (bucket, clock) = full();
    assert_eq!(bucket.try_acquire_up_to(u64::MAX), burst());
    clock.advance(Duration::from_millis(500));
    bucket.set_quota(Quota::per_second(16)).unwrap();
    assert_eq!(bucket.try_acquire_up_to(u64::MAX), 16);
    clock.advance(Duration::from_millis(500));
    bucket.set_quota(Quota::per_second(burst())).unwrap();
    assert_eq!(bucket.try_acquire_up_to(u64::MAX), 8);
    assert_eq!(bucket.time_to_available(3), Ok(due(3)));
}

/// Kills: an error that leaves the stripes empty; one that leaves them unfilled for ever.
#[test]
fn a_quota_that_nobody_can_keep_changes_nothing() {
    let (bucket, clock) = full();
    for bad in
        [Quota::per_second(0), Quota::per_second(1).burst(0), Quota::from_rate(f64::NAN), Quota::per_second(u64::MAX)]
    {
        assert!(bucket.set_quota(bad).is_err());
        assert_eq!((bucket.available(), bucket.quota()), (burst(), Quota::per_second(burst())));
    }
    assert_eq!(bucket.try_acquire_up_to(u64::MAX), burst());
    clock.advance(Duration::from_secs(1));
    assert_eq!(bucket.try_acquire(), Ok(()));
    clock.advance(Duration::from_secs(1));
    assert_eq!(bucket.available(), bucket.capacity() + 20, "stripes are still filled");
}

// --- Making

/// Kills: an initial level that is the word's alone; one that is there twice; time that counts only from the first call.
#[test]
fn initial_permits_are_there_and_no_more() {
    for initial in [0, 1, 19, striped(), burst() - striped(), burst() - striped() + 1, burst() - 1, burst()] {
        let clock = ManualClock::new();
        let builder = StripedTokenBucket::builder(Quota::per_second(burst())).clock(clock.clone()).initial(initial);
        let bucket = builder.build().unwrap();
        assert_eq!(bucket.available(), initial);
        assert_eq!(bucket.try_acquire_up_to(u64::MAX), initial);
        clock.advance(due(5));
        assert_eq!(bucket.available(), 5);

        let builder = StripedTokenBucketBuilder::new(Quota::per_second(burst()), clock.clone()).initial(initial);
        let bucket = builder.build().unwrap();
        clock.advance(due(5));
        let later = if initial < bucket.capacity() { (initial + 5).min(bucket.capacity()) } else { initial };
        assert_eq!(bucket.available(), later, "from `build` on");
    }
    let error = StripedTokenBucket::builder(Quota::per_second(7)).initial(8).build().unwrap_err();
    assert_eq!((error.field(), error.largest()), ("initial", Some(7)));
    for bad in [Quota::per_second(0), Quota::per_second(1).burst(0)] {
        let (ours, plain) = (StripedTokenBucket::new(bad).unwrap_err(), TokenBucket::new(bad).unwrap_err());
        assert_eq!(ours, plain);
    }
}

/// Kills: a call that is counted twice, by the stripe and by the word; one that only a stripe has seen; one for as many as there
/// are that is counted as allowed when there are none.
#[test]
fn every_call_is_counted_once() {
    let (clock, quota) = (ManualClock::new(), Quota::per_second(burst()));
    let bucket = StripedTokenBucket::builder(quota).clock(clock).stats().build().unwrap();
    assert_eq!(bucket.try_acquire(), Ok(())); // of the stripe
    assert_eq!(bucket.try_acquire_n(30), Ok(())); // with a batch
    assert_eq!(bucket.try_acquire_up_to(u64::MAX), burst() - 31);
    assert_eq!([bucket.try_acquire_up_to(1), bucket.try_acquire_up_to(2)], [0, 0]);
    assert!(bucket.try_acquire().is_err() && bucket.try_acquire_n(u64::MAX).is_err());
    assert_eq!(bucket.try_acquire_n(0), Ok(()));
    let mut local = bucket.local();
    assert!(local.try_acquire().is_err() && elsewhere(|| bucket.try_acquire()).is_err());
    let stats = bucket.stats().unwrap();
    assert_eq!((stats.total_requests, stats.allowed_requests, stats.rejected_requests), (9, 3, 6));
    assert!(StripedTokenBucket::new(quota).unwrap().stats().is_none());
}

#[test]
fn it_says_what_it_is() {
    let bucket =
        StripedTokenBucket::builder(Quota::per_second(1_000)).clock(ManualClock::new()).stats().build().unwrap();
    let text = format!("{bucket:?} {:?}", StripedTokenBucket::builder(Quota::per_second(1_000)).initial(5));
    for part in ["StripedTokenBucket {", "quota", "available: 1000", "stripes", "stats", "Builder", "initial: Some(5)"]
    {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn it_is_shared_between_threads_and_stands_in_a_static() {
    fn is_shared<T: Send + Sync + 'static>() {}
    is_shared::<StripedTokenBucket>();
    is_shared::<StripedTokenBucket<ManualClock>>();

    static LIMIT: LazyLock<StripedTokenBucket> =
        LazyLock::new(|| StripedTokenBucket::new(Quota::per_day(10_000)).expect("a valid quota"));
    let granted: u64 =
        (0..4).map(|_| elsewhere(|| (0..4_000).filter(|_| LIMIT.try_acquire().is_ok()).count() as u64)).sum();
    assert_eq!(granted, 10_000);
}
