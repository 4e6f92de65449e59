//! G13 of striped buckets and locals: no input panics, overflows or wraps. Proved with arbitrary numbers, quotas and clocks
//! under overflow checks; what is refused is refused by a typed error, and charges nothing.

mod support;

use std::time::Duration;

use proptest::prelude::*;
use sluicegate::{LocalTokenBucket, ManualClock, Nanos, Quota, RateLimitExceeded, StripedTokenBucket, TokenBucket};
use support::quotas::{any_quota, cases, duration, fitted, number};

fn quota() -> impl Strategy<Value = Quota> {
    prop_oneof![
        3 => (number(), duration(), number()).prop_map(|(permits, period, burst)| Quota::per(permits, period).burst(burst)),
        1 => number().prop_map(Quota::per_second),
        1 => any::<f64>().prop_map(Quota::from_rate),
        6 => any_quota(),
    ]
}

#[derive(Clone, Copy, Debug)]
enum Op {
    Set(u64),
    Advance(Duration),
    Acquire(u64),
    UpTo(u64),
    Refund(u64),
    Wait(u64),
    Local(usize, u64),
    /// Drops one, and makes another.
    Renew(usize),
    Change(Quota),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        2 => number().prop_map(Op::Set),
        2 => duration().prop_map(Op::Advance),
        3 => number().prop_map(Op::Acquire),
        2 => number().prop_map(Op::UpTo),
        2 => number().prop_map(Op::Refund),
        1 => number().prop_map(Op::Wait),
        3 => (0_usize..4, number()).prop_map(|(local, n)| Op::Local(local, n)),
        1 => (0_usize..4).prop_map(Op::Renew),
        2 => quota().prop_map(Op::Change),
    ]
}

proptest! {
    #![proptest_config(cases(3_000))]

    #[test]
    fn nothing_panics_and_every_answer_makes_sense(
        first in any_quota(), start in number(), ops in prop::collection::vec(op(), 1..40),
    ) {
        let clock = ManualClock::new();
        clock.set(Nanos::from_nanos(start));
        let bucket = StripedTokenBucket::builder(first).clock(clock.clone()).stats().build().unwrap();
        let mut locals: Vec<LocalTokenBucket<'_, _>> = Vec::new();
        for op in ops {
            let (capacity, before) = (bucket.capacity(), bucket.available());
            prop_assert!(capacity >= bucket.quota().capacity() / 4 * 3 && before <= bucket.quota().capacity());
            match op {
                Op::Set(to) => clock.set(Nanos::from_nanos(to)),
                Op::Advance(by) => clock.advance(by),
                Op::Acquire(n) => match bucket.try_acquire_n(n) {
                    Ok(()) => prop_assert_eq!(bucket.available(), before - n),
                    Err(error) => {
                        match error {
                            RateLimitExceeded::ExceedsCapacity { requested, capacity: told } => {
                                prop_assert!(n > capacity && (requested, told) == (n, capacity));
                            }
                            error => prop_assert!(
                                n <= capacity && n > before && error.retry_after() > Some(Duration::ZERO)
                            ),
                        }
                        prop_assert_eq!(bucket.available(), before, "something was charged on {}", error);
                    }
                },
                Op::UpTo(n) => prop_assert_eq!(bucket.try_acquire_up_to(n), n.min(before)),
                Op::Refund(n) => {
                    bucket.refund(n);
                    prop_assert!((before..=before.saturating_add(n)).contains(&bucket.available()));
                }
                Op::Wait(n) => match bucket.time_to_available(n) {
                    Ok(wait) => prop_assert_eq!(wait == Duration::ZERO, n <= before),
                    Err(error) => {
                        prop_assert_eq!(error, RateLimitExceeded::ExceedsCapacity { requested: n, capacity });
                    }
                },
                Op::Local(at, n) => {
                    while locals.len() <= at {
                        locals.push(bucket.local());
                    }
                    let outcome = locals[at].try_acquire_n(n);
                    prop_assert!(outcome.is_err() || n <= bucket.quota().capacity());
                }
                Op::Renew(at) => {
                    if at < locals.len() {
                        drop(locals.swap_remove(at));
                    }
                    locals.push(bucket.local());
                }
                Op::Change(quota) => {
                    let old = bucket.quota();
                    match bucket.set_quota(quota) {
                        Ok(()) => prop_assert_eq!(bucket.quota(), quota),
                        Err(_) => prop_assert!(bucket.quota() == old && bucket.available() == before),
                    }
                }
            }
        }
        drop(locals);
        prop_assert!(bucket.available() <= bucket.quota().capacity());
    }

    /// Whatever a plain bucket keeps a striped one keeps, and refuses the rest with the same words.
    #[test]
    fn it_takes_the_quotas_that_a_plain_bucket_takes(quota in quota()) {
        let plain = TokenBucket::with_clock(quota, ManualClock::new());
        let striped = StripedTokenBucket::with_clock(quota, ManualClock::new());
        prop_assert_eq!(striped.map(drop), plain.map(drop));
    }

    /// The largest burst that fits, and all the time there is.
    #[test]
    fn the_largest_burst_is_granted_once(permits in number(), period in duration()) {
        if let Some(quota) = fitted(Quota::per(permits, period).burst(u64::MAX)) {
            let clock = ManualClock::new();
            let bucket = StripedTokenBucket::with_clock(quota, clock.clone()).unwrap();
            let mut local = bucket.local();
            prop_assert_eq!(bucket.try_acquire_n(bucket.capacity()), Ok(()));
            let _ = local.try_acquire();
            clock.set(Nanos::from_nanos(u64::MAX));
            prop_assert!(bucket.try_acquire_up_to(u64::MAX) <= quota.capacity());
            bucket.refund(u64::MAX);
            drop(local);
            prop_assert!(bucket.available() <= quota.capacity());
        }
    }
}
