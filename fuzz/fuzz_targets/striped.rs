//! The striped bucket, called from several threads in turn: what is seen to be there is granted, and no more; over every
//! interval it keeps the bound, with a clock that goes anywhere; and nothing is lost but what has no room in the word.
//!
//! Kills: what the word has no room for lost at a change; stock that is used and left.
#![no_main]

use std::time::Duration;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use sluicegate::{Quota, RateLimitExceeded, StripedTokenBucket};
use sluicegate_fuzz::intervals::{Call, worst_excess_net};
use sluicegate_fuzz::workers::Worker;
use sluicegate_fuzz::{Amount, Exact, Magnitude, ModestQuota, Step, Time, assert_honest};

#[derive(Debug, Arbitrary)]
struct Case {
    quota: ModestQuota,
    burst: Magnitude<20>,
    ops: Vec<Op>,
}

#[derive(Debug, Arbitrary)]
enum Op {
    Move(Step),
    Take(Caller, Amount),
    UpTo(Caller, Amount),
    Refund(Caller, Amount),
    /// Takes, if need be when they are there.
    Wait(Caller, Amount),
    Change(ModestQuota, Magnitude<20>),
}

/// Who calls: each has a stripe of its own.
#[derive(Clone, Copy, Debug, PartialEq, Arbitrary)]
enum Caller {
    Main,
    First,
    Second,
}

struct Checked<'a> {
    bucket: &'a StripedTokenBucket<sluicegate::ManualClock>,
    workers: [Worker<'a>; 2],
    time: Time,
    /// A full bucket has so much more than it is sure to get again.
    exact: Exact,
    grants: Vec<Call>,
    given_back: Vec<Call>,
}

impl<'a> Checked<'a> {
    fn on<T: Send + 'a>(&self, caller: Caller, call: impl FnOnce() -> T + Send + 'a) -> T {
        match caller {
            Caller::Main => call(),
            Caller::First => self.workers[0].call(call),
            Caller::Second => self.workers[1].call(call),
        }
    }

    fn call(&self, permits: u64) -> Call {
        Call { start: self.time.now, end: self.time.now + 1, permits }
    }

    fn took(&mut self, n: u64) {
        self.grants.push(self.call(n));
        // What time would bring again after a clock that goes back fills no stripe.
        self.exact.take_at(n, self.time.now, self.time.latest);
    }

    /// Takes them; or tells how long they take.
    fn take(&mut self, caller: Caller, n: u64) -> Option<Duration> {
        let (bucket, before) = (self.bucket, self.bucket.available());
        match self.on(caller, move || bucket.try_acquire_n(n)) {
            Ok(()) => {
                assert_eq!(bucket.available() + n, before);
                self.took(n);
                None
            }
            Err(RateLimitExceeded::Denied { retry_after }) => {
                assert_eq!(bucket.available(), before, "something was charged");
                assert_honest(bucket, &self.time, n, retry_after);
                Some(retry_after)
            }
            Err(error) => {
                let capacity = bucket.capacity();
                assert!(n > capacity);
                assert_eq!(error, RateLimitExceeded::ExceedsCapacity { requested: n, capacity });
                None
            }
        }
    }

    fn run(&mut self, op: Op) {
        let (bucket, before) = (self.bucket, self.bucket.available());
        let capacity = bucket.quota().capacity();
        match op {
            Op::Move(step) => {
                self.time.step(step);
                self.time.go(self.time.now.min(self.exact.end()));
            }
            Op::Take(caller, n) => _ = self.take(caller, n.of(capacity)),
            Op::UpTo(caller, n) => {
                let n = n.of(capacity);
                let taken = self.on(caller, move || bucket.try_acquire_up_to(n));
                assert_eq!((taken, bucket.available()), (n.min(before), before - taken));
                self.took(taken);
            }
            Op::Refund(caller, n) => {
                let n = n.of(capacity);
                self.on(caller, move || bucket.refund(n));
                let given_back = bucket.available() - before;
                assert!(given_back <= n && bucket.available() <= capacity);
                // Under a clock that is behind it may fill what is owed, which is not seen.
                let is_late = self.time.now < self.time.latest;
                self.given_back.push(self.call(if is_late { n.min(capacity) } else { given_back }));
                if !is_late {
                    self.exact.refund(n, self.time.now);
                }
            }
            Op::Wait(caller, n) => {
                if let Some(due) = self.take(caller, n.of(capacity)).and_then(|wait| self.time.after(wait)) {
                    self.time.go(due);
                    assert_eq!(self.take(caller, n.of(capacity)), None);
                }
            }
            Op::Change(quota, burst) => {
                self.check_intervals();
                let quota = Quota::from(quota).burst(burst.0);
                if bucket.set_quota(quota).is_ok() {
                    let (left, most) = (bucket.available(), before.min(burst.0));
                    // Under a clock that is behind the word may owe what stripes have.
                    assert!(
                        left == most || left < most && self.time.now < self.time.latest,
                        "{left} of {most} are left"
                    );
                    assert_eq!(bucket.quota(), quota);
                    self.exact = Exact::at_least(quota, bucket.capacity(), left, self.time.now);
                }
            }
        }
        if self.time.now == self.time.latest {
            let least = *self.exact.available(self.time.now).start();
            assert!(bucket.available() >= least, "{} of at least {least}", bucket.available());
        }
    }

    /// Forgets them.
    fn check_intervals(&mut self) {
        let quota = self.bucket.quota();
        let period = quota.period().as_nanos() as u64;
        let excess = worst_excess_net(&self.grants, &self.given_back, quota.permits(), period);
        assert!(excess <= quota.capacity() as f64 * (1.0 + 1e-12), "{quota:?}: {excess} over rate * (T + 1 ns)");
        (self.grants, self.given_back) = Default::default();
    }
}

fuzz_target!(|case: Case| {
    let (quota, time) = (Quota::from(case.quota).burst(case.burst.0), Time::from(0));
    let Ok(bucket) = StripedTokenBucket::with_clock(quota, time.clock.clone()) else { return };
    assert_eq!(bucket.available(), quota.capacity());
    let exact = Exact::at_least(quota, bucket.capacity(), u64::MAX, 0);
    std::thread::scope(|scope| {
        let workers = [Worker::start(scope), Worker::start(scope)];
        let mut checked = Checked { bucket: &bucket, workers, time, exact, grants: Vec::new(), given_back: Vec::new() };
        case.ops.into_iter().for_each(|op| checked.run(op));
        checked.check_intervals();
    });
});
