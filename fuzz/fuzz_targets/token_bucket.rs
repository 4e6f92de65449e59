//! The token bucket against exact arithmetic: every verb, any quota, a clock that goes anywhere.
//!
//! Kills: a refund that raises the level above the burst; a larger burst that arrives filled; debt without a limit.
#![no_main]

use std::sync::Arc;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use sluicegate::{ManualClock, Quota, TokenBucket};
use sluicegate_fuzz::{Amount, AnyQuota, Beside, Exact, Magnitude, ModestQuota, Step, Time, assert_honest};

#[derive(Debug, Arbitrary)]
enum Input {
    /// At all rates, but no clock that goes back: what was rounded then is worth years at the slowest rate.
    Any(Case<AnyQuota>),
    Modest(Case<ModestQuota>),
}

#[derive(Debug, Arbitrary)]
struct Case<Q> {
    quota: Q,
    origin: Magnitude<62>,
    ops: Vec<Op<Q>>,
}

#[derive(Debug, Arbitrary)]
enum Op<Q> {
    Move(Step),
    /// To when so many are there.
    Due(Amount, Beside),
    Take(Amount),
    UpTo(Amount),
    Refund(Amount),
    Charge(Amount),
    Wait(Amount),
    /// So many, then what they cost.
    Reserve(Amount, Amount),
    Cancel(Amount),
    Change(Q),
    /// What no bucket may keep.
    Refuse(u64, u64, u64),
    /// Looks from there.
    Anywhere(u64),
}

struct Pair {
    time: Time,
    bucket: Arc<TokenBucket<ManualClock>>,
    exact: Exact,
    goes_back: bool,
}

impl Pair {
    fn go(&mut self, to: u64) {
        let least = if self.goes_back { 0 } else { self.time.now };
        self.time.go(to.clamp(least, self.exact.end().max(least)));
    }

    fn took(&mut self, result: Result<(), sluicegate::RateLimitExceeded>, n: u64) -> bool {
        let now = self.time.now;
        match result {
            Ok(()) => {
                assert!(self.exact.may_grant(n, now), "{n} of {:?} granted at {now}", self.exact.available(now));
                self.exact.take(n, now);
            }
            Err(error) => {
                self.exact.assert_denied(error, n, now);
                if let Some(wait) = error.retry_after() {
                    assert_honest(&*self.bucket, &self.time, n, wait);
                }
            }
        }
        result.is_ok()
    }

    fn charged(&mut self, charged: u64, n: u64) {
        let range = self.exact.charged(n, self.time.now);
        assert!(range.contains(&charged), "{charged} of {range:?} charged");
        self.exact.take(charged, self.time.now);
    }

    fn run<Q: Into<Quota>>(&mut self, op: Op<Q>) {
        let (bucket, now, capacity) = (Arc::clone(&self.bucket), self.time.now, self.exact.quota().capacity());
        match op {
            Op::Move(Step::Forward(by)) => self.go(now.saturating_add(by.0)),
            Op::Move(Step::Leap(by)) => self.go(now.saturating_add(by.0)),
            Op::Move(Step::Back(by)) => self.go(now.saturating_sub(by.0)),
            Op::Due(n, by) => {
                let wait = bucket.time_to_available(n.of(capacity).min(capacity)).expect("at most a burst");
                self.go(self.time.after(wait).unwrap_or(now).saturating_add_signed(by.0));
            }
            Op::Take(n) => _ = self.took(bucket.try_acquire_n(n.of(capacity)), n.of(capacity)),
            Op::UpTo(n) => {
                let (taken, range) = (bucket.try_acquire_up_to(n.of(capacity)), self.exact.up_to(n.of(capacity), now));
                assert!(range.contains(&taken), "{taken} of {range:?} taken");
                self.exact.take(taken, now);
            }
            Op::Refund(n) => {
                bucket.refund(n.of(capacity));
                self.exact.refund(n.of(capacity), now);
            }
            Op::Charge(n) => self.charged(bucket.charge(n.of(capacity)), n.of(capacity)),
            Op::Wait(n) => match bucket.time_to_available(n.of(capacity)) {
                Ok(wait) => self.exact.assert_wait(wait, n.of(capacity), now),
                Err(error) => self.exact.assert_denied(error, n.of(capacity), now),
            },
            Op::Reserve(n, actual) => {
                let (n, actual) = (n.of(capacity), actual.of(capacity));
                let reserved = Arc::clone(&bucket).try_reserve_owned(n);
                if self.took(reserved.as_ref().map(drop).map_err(|&error| error), n) {
                    let settled = reserved.expect("granted").commit(actual);
                    match actual.checked_sub(n) {
                        Some(more) => self.charged(settled - n, more),
                        None => self.exact.refund(n - actual, now),
                    }
                }
            }
            Op::Cancel(n) => {
                let reserved = bucket.try_reserve(n.of(capacity));
                if self.took(reserved.as_ref().map(drop).map_err(|&error| error), n.of(capacity)) {
                    drop(reserved);
                    self.exact.refund(n.of(capacity), now);
                }
            }
            Op::Change(quota) => {
                let (quota, before) = (quota.into(), bucket.available());
                bucket.set_quota(quota).expect("a valid quota");
                // What is there in whole permits is kept to the last one, and not one is added.
                assert_eq!((bucket.quota(), bucket.available()), (quota, before.min(quota.capacity())));
                self.exact.change(quota, now);
            }
            Op::Refuse(permits, nanos, burst) => {
                let quota = Quota::per(permits, std::time::Duration::from_nanos(nanos)).burst(burst);
                if let Err(error) = TokenBucket::with_clock(quota, ManualClock::new()) {
                    assert_eq!(bucket.set_quota(quota), Err(error));
                }
            }
            Op::Anywhere(reading) => self.time.at(reading, || {
                assert!(bucket.available() <= capacity && bucket.time_to_available(1).is_ok());
            }),
        }
        let (there, available) = (self.exact.available(self.time.now), bucket.available());
        assert!(there.contains(&available), "{available} in {there:?} at {}", self.time.now);
    }
}

fn run<Q: Into<Quota>>(case: Case<Q>, goes_back: bool) {
    let (quota, time) = (case.quota.into(), Time::from(case.origin.0));
    let bucket = Arc::new(TokenBucket::with_clock(quota, time.clock.clone()).expect("a valid quota"));
    // Time counts from the first call.
    assert_eq!(bucket.available(), quota.capacity());
    let mut pair = Pair { exact: Exact::new(quota, time.now), time, bucket, goes_back };
    case.ops.into_iter().for_each(|op| pair.run(op));
}

fuzz_target!(|input: Input| match input {
    Input::Any(case) => run(case, false),
    Input::Modest(case) => run(case, true),
});
