//! The striped bucket, called from several threads in turn: what is seen to be there is granted, and no more; over every
//! interval it keeps the bound, with a clock that goes anywhere; and nothing is lost but what has no room in the word.
//!
//! Kills: what the word has no room for lost at a change; stock that is used and left.
#![no_main]

use std::time::Duration;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use sluicegate::{Quota, RateLimitExceeded, StripedTokenBucket};
use sluicegate_fuzz::workers::Worker;
use sluicegate_fuzz::{Amount, Exact, Magnitude, ModestQuota, Step, Time, assert_bound, assert_honest};

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

/// The permits that come in so many nanoseconds, rounded up.
fn due(quota: &Quota, nanos: u64) -> u64 {
    let permits = (u128::from(quota.permits()) * u128::from(nanos)).div_ceil(quota.period().as_nanos());
    u64::try_from(permits).unwrap_or(u64::MAX / 4)
}

struct Checked<'a> {
    bucket: &'a StripedTokenBucket<sluicegate::ManualClock>,
    workers: [Worker<'a>; 2],
    time: Time,
    /// A full bucket has so much more than it is sure to get again.
    exact: Exact,
    /// After a change under a clock that is behind, how much the word owes is not seen.
    owes: bool,
    /// Since the last change: readings, and what was granted less what was given back.
    history: Vec<(u64, i128)>,
}

impl<'a> Checked<'a> {
    fn on<T: Send + 'a>(&self, caller: Caller, call: impl FnOnce() -> T + Send + 'a) -> T {
        match caller {
            Caller::Main => call(),
            Caller::First => self.workers[0].call(call),
            Caller::Second => self.workers[1].call(call),
        }
    }

    fn took(&mut self, n: u64) {
        self.history.push((self.time.now, i128::from(n)));
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
                // Under a clock that is behind it may fill what is owed, which is not seen: what comes until it has caught up, a
                // part of a permit too, and a burst after such a change.
                let is_late = self.time.now < self.time.latest;
                let owed =
                    due(&bucket.quota(), self.time.latest - self.time.now) + if self.owes { capacity } else { 0 };
                let given_back = if is_late { n.min(capacity + owed) } else { given_back };
                self.history.push((self.time.now, -i128::from(given_back)));
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
                assert_bound(&bucket.quota(), &std::mem::take(&mut self.history));
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
                    self.owes = self.time.now < self.time.latest;
                }
            }
        }
        if !self.owes && self.time.now == self.time.latest {
            let least = *self.exact.available(self.time.now).start();
            assert!(bucket.available() >= least, "{} of at least {least}", bucket.available());
        }
    }
}

fuzz_target!(|case: Case| {
    let (quota, time) = (Quota::from(case.quota).burst(case.burst.0), Time::from(0));
    let Ok(bucket) = StripedTokenBucket::with_clock(quota, time.clock.clone()) else { return };
    assert_eq!(bucket.available(), quota.capacity());
    let exact = Exact::at_least(quota, bucket.capacity(), u64::MAX, 0);
    std::thread::scope(|scope| {
        let workers = [Worker::start(scope), Worker::start(scope)];
        let mut checked = Checked { bucket: &bucket, workers, time, exact, owes: false, history: Vec::new() };
        case.ops.into_iter().for_each(|op| checked.run(op));
        assert_bound(&bucket.quota(), &checked.history);
    });
});
