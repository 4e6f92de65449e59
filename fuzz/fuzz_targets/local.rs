//! Workers' stocks beside their striped bucket: over every interval all of them together keep its bound, a denial means that
//! nothing was left in the bucket, and when they are gone what they had left is there again.
//!
//! Kills: a stock of an older quota that comes back; one that does not come back.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use sluicegate::{LocalTokenBucket, ManualClock, Quota, RateLimitExceeded, StripedTokenBucket};
use sluicegate_fuzz::{Amount, Magnitude, ModestQuota, Step, Time, assert_bound};

#[derive(Debug, Arbitrary)]
struct Case {
    quota: ModestQuota,
    burst: Magnitude<20>,
    ops: Vec<Op>,
}

#[derive(Debug, Arbitrary)]
enum Op {
    Move(Step),
    /// By one worker, whose stock is made if there is none.
    Take(u8, Amount),
    Drop(u8),
    Shared(Amount),
    Refund(Amount),
    Change(ModestQuota, Magnitude<20>),
}

fuzz_target!(|case: Case| {
    let (mut quota, mut time) = (Quota::from(case.quota).burst(case.burst.0), Time::from(0));
    let Ok(bucket) = StripedTokenBucket::with_clock(quota, time.clock.clone()) else { return };
    assert_eq!(bucket.available(), quota.capacity());
    let mut locals: [Option<LocalTokenBucket<'_, ManualClock>>; 3] = [const { None }; 3];
    let mut history = Vec::new();
    // What there must be when all stocks have come back, even if no time had passed.
    let mut total = quota.capacity();
    for op in case.ops {
        let (before, capacity) = (bucket.available(), quota.capacity());
        match op {
            Op::Move(step) => time.step(step),
            Op::Take(worker, n) => {
                let (n, worker) = (n.of(capacity), usize::from(worker) % locals.len());
                match locals[worker].get_or_insert_with(|| bucket.local()).try_acquire_n(n) {
                    Ok(()) => {
                        history.push((time.now, i128::from(n)));
                        total = total.saturating_sub(n);
                    }
                    Err(RateLimitExceeded::Denied { retry_after }) => {
                        assert!(bucket.available() < n && !retry_after.is_zero(), "denied {n} of {before}");
                    }
                    Err(_) => assert!(n > capacity / 4 * 3),
                }
            }
            Op::Drop(worker) => locals[usize::from(worker) % locals.len()] = None,
            Op::Shared(n) => {
                let taken = bucket.try_acquire_up_to(n.of(capacity));
                assert_eq!((taken, bucket.available()), (n.of(capacity).min(before), before - taken));
                history.push((time.now, i128::from(taken)));
                total = total.saturating_sub(taken);
            }
            Op::Refund(n) => {
                bucket.refund(n.of(capacity));
                let seen = bucket.available() - before;
                // Under a clock that is behind it may fill what is owed, and there is no room for it later.
                let is_late = time.now < time.latest;
                let given_back = if is_late { n.of(capacity).min(capacity) } else { seen };
                history.push((time.now, -i128::from(given_back)));
                total += if is_late { 0 } else { seen };
            }
            Op::Change(next, burst) => {
                let next = Quota::from(next).burst(burst.0);
                if bucket.set_quota(next).is_ok() {
                    assert_bound(&quota, &std::mem::take(&mut history));
                    quota = next;
                    total = bucket.available();
                    // Under a clock that is behind the word may owe what stripes have.
                    let stays = total == before.min(burst.0) || time.now < time.latest;
                    assert!(stays && total <= before.min(burst.0), "{total} of {before} are left");
                }
            }
        }
    }
    assert_bound(&quota, &history);
    drop(locals);
    time.go(time.latest);
    let left = bucket.available();
    // Each stock that is made or dropped may round by what 2 ns bring.
    assert!(left + 1 >= total && left <= quota.capacity(), "{left} of {total} left");
});
