//! The window counters against their model, in which what will be there is searched for.

use std::time::Duration;

use arbitrary::Arbitrary;
use sluicegate::{ManualClock, RateLimitExceeded};

use crate::quotas::UNIX_NOW;
use crate::window_oracle::WindowOracle;
use crate::windows::{LONGEST, Law, SHORTEST, WindowCounter, largest};
use crate::{Amount, Beside, Magnitude, Step, Time, denied};

#[derive(Debug, Arbitrary)]
pub struct WindowCase {
    limit: Magnitude<58>,
    window: Magnitude<58>,
    origin: Origin,
    ops: Vec<Op>,
}

#[derive(Debug, Arbitrary)]
enum Origin {
    Zero,
    Now,
    Somewhere(Magnitude<62>),
    /// So many sixteenths of a window before the last one.
    Last(u8),
}

#[derive(Debug, Arbitrary)]
enum Op {
    Move(Step),
    /// To the edge of a sixteenth of a window, so many on.
    Edge(u8, Beside),
    /// To when so many are there.
    Due(Amount, Beside),
    Take(Amount),
    /// Takes, if need be when they are there.
    Wait(Amount),
    Refund(Amount),
    Anywhere(u64),
}

struct Pair {
    time: Time,
    counter: WindowCounter<ManualClock>,
    oracle: WindowOracle,
    window: u64,
}

/// Every answer of the counter is the model's.
pub fn follow_window(law: Law, case: WindowCase) {
    let window = Duration::from_nanos(case.window.0).clamp(SHORTEST, LONGEST);
    let limit = case.limit.0.min(largest(law, window));
    let time = Time::from(0);
    let counter = WindowCounter::new(law, limit, window, time.clock.clone()).expect("they fit");
    let oracle = WindowOracle::new(law, limit, window);
    let mut pair = Pair { time, counter, oracle, window: window.as_nanos() as u64 };
    // The model has no nanosecond after it, at which the next sixteenth could begin.
    if pair.oracle.may_be_early(pair.oracle.last()) {
        return;
    }
    pair.go(match case.origin {
        Origin::Zero => 0,
        Origin::Now => UNIX_NOW,
        Origin::Somewhere(origin) => origin.0,
        Origin::Last(parts) => pair.oracle.last().saturating_sub(pair.window / 16 * u64::from(parts)),
    });
    for op in case.ops {
        pair.run(op, limit);
        pair.compare(limit);
    }
}

impl Pair {
    /// Steps around the nanoseconds at which the model does not know which of two sixteenths it is.
    fn go(&mut self, to: u64) {
        self.time.go(to + u64::from(self.oracle.may_be_early(to)));
    }

    fn run(&mut self, op: Op, limit: u64) {
        let now = self.time.now;
        match op {
            Op::Move(step) => {
                self.time.step(step);
                self.go(self.time.now);
            }
            Op::Edge(parts, by) => {
                let (now, window) = (u128::from(now), u128::from(self.window));
                let edge = ((16 * now / window + 1 + u128::from(parts)) * window).div_ceil(16);
                self.go(u64::try_from(edge).unwrap_or(u64::MAX).saturating_add_signed(by.0));
            }
            Op::Due(n, by) => {
                let wait = self.oracle.time_to_available(n.of(limit).min(limit), now).expect("at most the limit");
                self.go(self.time.after(wait).unwrap_or(now).saturating_add_signed(by.0));
            }
            Op::Take(n) => _ = self.take(n.of(limit)),
            Op::Wait(n) => {
                let n = n.of(limit);
                if let Some(due) = self.take(n) {
                    self.go(due);
                    assert_eq!((self.take(n), self.time.now), (None, due.max(self.time.now)));
                }
            }
            Op::Refund(n) => {
                self.counter.refund(n.of(limit));
                self.oracle.refund(n.of(limit), now);
            }
            Op::Anywhere(reading) => self.time.at(reading, || assert!(self.counter.available() <= limit)),
        }
    }

    /// Takes them; or tells when they will be there.
    fn take(&mut self, n: u64) -> Option<u64> {
        let now = self.time.now;
        let (real, exact) = (self.counter.try_acquire_n(n), self.oracle.try_acquire_n(n, now));
        let (Err(RateLimitExceeded::Denied { retry_after: real }), Err(RateLimitExceeded::Denied { retry_after })) =
            (real, exact)
        else {
            assert_eq!(real, exact, "{n} at {now}");
            return None;
        };
        self.same_wait(real, retry_after);
        if let Some(due) = self.time.after(real) {
            self.time.at(due - 1, || assert_eq!(self.counter.try_acquire_n(n), Err(denied(1)), "{n} before {due}"));
            self.time.at(due, || assert!(self.counter.available() >= n, "{n} at {due}"));
        }
        self.time.after(retry_after)
    }

    /// The real wait ends when the exact one does, or where the end is a nanosecond early.
    fn same_wait(&self, real: Duration, exact: Duration) {
        let is_early = real.checked_add(Duration::from_nanos(1)) == Some(exact);
        let may_be = || self.time.after(real).is_some_and(|due| self.oracle.may_be_early(due));
        assert!(real == exact || is_early && may_be(), "{real:?} from {}, but {exact:?} is exact", self.time.now);
    }

    fn compare(&self, limit: u64) {
        assert_eq!(self.counter.available(), self.oracle.available(self.time.now), "at {}", self.time.now);
        for n in [0, 1, limit] {
            let exact = self.oracle.time_to_available(n, self.time.now).expect("at most the limit");
            self.same_wait(self.counter.time_to_available(n).expect("at most the limit"), exact);
        }
    }
}
