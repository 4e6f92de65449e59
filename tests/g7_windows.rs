//! G7: the window counters decide as their laws say, exactly. Proved by comparing every answer on more than a million
//! decisions with a model in plain words, at every limit, window and time, and by going to the end of each wait.

mod support;

use std::cell::Cell;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use sluicegate::{ManualClock, Nanos, RateLimitExceeded};
use support::quotas::{Permits, SECOND, UNIX_NOW, YEAR, cases, magnitude, offset_by, permits};
use support::window_oracle::WindowOracle;
use support::windows::{LAWS, Law, WindowCounter, any_shape};

#[derive(Clone, Copy, Debug)]
enum Move {
    Forward(u64),
    Back(u64),
    /// To a few nanoseconds before or after the next edge of a sixteenth, and so many of them on.
    Edge(u64, i64),
    /// To a few nanoseconds before or after so many permits are there.
    Due(Permits, i64),
}

#[derive(Clone, Copy, Debug)]
enum Verb {
    Take,
    /// Takes, if need be when they are there.
    Wait,
    Refund,
}

fn moves() -> impl Strategy<Value = Move> {
    prop_oneof![
        4 => Just(Move::Forward(0)),
        2 => Just(Move::Forward(1)),
        3 => magnitude(40).prop_map(Move::Forward),
        1 => (1..60 * YEAR).prop_map(Move::Forward),
        1 => magnitude(36).prop_map(Move::Back),
        1 => magnitude(60).prop_map(Move::Back),
        8 => (prop_oneof![3 => 0_u64..18, 1 => 0_u64..60], -2_i64..3).prop_map(|(parts, by)| Move::Edge(parts, by)),
        4 => (0_u64..4, -2_i64..3).prop_map(|(windows, by)| Move::Edge(16 * windows, by)),
        6 => (permits(), -2_i64..3).prop_map(|(permits, by)| Move::Due(permits, by)),
    ]
}

fn calls() -> impl Strategy<Value = (Verb, Permits)> {
    let verb = prop_oneof![8 => Just(Verb::Take), 3 => Just(Verb::Wait), 2 => Just(Verb::Refund)];
    (verb, prop_oneof![20 => permits(), 1 => Just(Permits::Exactly(0))])
}

/// Where the clock starts: near zero, at Unix time, and where time stops, less so many sixteenths of a window.
fn origins() -> impl Strategy<Value = Result<u64, u64>> {
    prop_oneof![
        2 => Just(Ok(0)),
        2 => magnitude(45).prop_map(Ok),
        2 => Just(Ok(1_700_000_000 * SECOND)),
        2 => Just(Ok(UNIX_NOW)),
        1 => magnitude(62).prop_map(Ok),
        2 => (0_u64..100).prop_map(Err),
    ]
}

/// The real counter and its model, under one clock.
struct Pair {
    clock: ManualClock,
    counter: WindowCounter<ManualClock>,
    oracle: WindowOracle,
    window: u64,
    now: u64,
    decisions: u64,
    waits: u64,
}

impl Pair {
    fn new(law: Law, limit: u64, window: Duration, origin: Result<u64, u64>) -> Self {
        let clock = ManualClock::new();
        let counter = WindowCounter::new(law, limit, window, clock.clone()).unwrap();
        let oracle = WindowOracle::new(law, limit, window);
        let window = window.as_nanos() as u64;
        let mut pair = Self { clock, counter, oracle, window, now: 0, decisions: 0, waits: 0 };
        pair.go_to(origin.unwrap_or_else(|parts| pair.oracle.last().saturating_sub(window / 16 * parts)));
        pair
    }

    /// Steps around the nanoseconds at which the model does not know which of two sixteenths it is.
    fn go_to(&mut self, time: u64) {
        self.now = time + u64::from(self.oracle.may_be_early(time));
        self.show(self.now);
    }

    fn show(&self, time: u64) {
        self.clock.set(Nanos::from_nanos(time));
    }

    fn step(&mut self, step: Move) {
        let to = match step {
            Move::Forward(by) => self.now.saturating_add(by),
            Move::Back(by) => self.now.saturating_sub(by),
            Move::Edge(parts, by) => {
                let (now, window) = (u128::from(self.now), u128::from(self.window));
                let edge = ((16 * now / window + 1 + u128::from(parts)) * window).div_ceil(16);
                offset_by(u64::try_from(edge).unwrap_or(u64::MAX), by)
            }
            Move::Due(permits, by) => {
                let n = permits.of(self.counter.limit()).min(self.counter.limit());
                let wait = self.oracle.time_to_available(n, self.now).unwrap();
                if wait == Duration::MAX { self.now } else { offset_by(self.now + wait.as_nanos() as u64, by) }
            }
        };
        self.go_to(to);
    }

    fn call(&mut self, verb: Verb, n: u64) -> Result<(), TestCaseError> {
        if let Verb::Refund = verb {
            self.counter.refund(n);
            self.oracle.refund(n, self.now);
            return self.compare();
        }
        self.decisions += 1;
        match (self.counter.try_acquire_n(n), self.oracle.try_acquire_n(n, self.now)) {
            (
                Err(RateLimitExceeded::Denied { retry_after: real }),
                Err(RateLimitExceeded::Denied { retry_after: exact }),
            ) => {
                self.same_wait(real, exact)?;
                self.go_to_the_end(n, real)?;
                if let Verb::Wait = verb
                    && real < Duration::MAX
                {
                    // It may have come early.
                    prop_assert_eq!(self.counter.try_acquire_n(n), Ok(()));
                    self.go_to(self.now + exact.as_nanos() as u64);
                    prop_assert_eq!(self.oracle.try_acquire_n(n, self.now), Ok(()));
                    self.decisions += 1;
                }
            }
            (real, exact) => prop_assert_eq!(real, exact, "{} at {}", n, self.now),
        }
        self.show(self.now);
        self.compare()
    }

    /// The real wait ends when the exact one does, or where the end is a nanosecond early.
    fn same_wait(&self, real: Duration, exact: Duration) -> Result<(), TestCaseError> {
        let nanosecond = Duration::from_nanos(1);
        let early =
            real < exact && real + nanosecond == exact && self.oracle.may_be_early(self.now + real.as_nanos() as u64);
        prop_assert!(real == exact || early, "{:?} from {}, but {:?} is exact", real, self.now, exact);
        Ok(())
    }

    /// `n` permits are not there a nanosecond before the end of the wait for them, and they are at its end, where the
    /// clock is left.
    fn go_to_the_end(&mut self, n: u64, wait: Duration) -> Result<(), TestCaseError> {
        self.decisions += 1;
        self.waits += 1;
        let denied = |nanos| Err(RateLimitExceeded::Denied { retry_after: Duration::from_nanos(nanos) });
        if wait == Duration::MAX {
            self.show(u64::MAX);
            prop_assert_eq!(self.counter.try_acquire_n(n), Err(RateLimitExceeded::Denied { retry_after: wait }));
            return Ok(());
        }
        let due = self.now + wait.as_nanos() as u64;
        self.show(due - 1);
        prop_assert_eq!(self.counter.try_acquire_n(n), denied(1), "{} at {}", n, due - 1);
        prop_assert!(self.counter.available() < n);
        self.show(due);
        prop_assert_eq!(self.counter.time_to_available(n), Ok(Duration::ZERO), "{} at {}", n, due);
        prop_assert!(self.counter.available() >= n);
        Ok(())
    }

    /// What can be seen without taking anything.
    fn compare(&self) -> Result<(), TestCaseError> {
        prop_assert_eq!(self.counter.available(), self.oracle.available(self.now), "at {}", self.now);
        for n in [0, 1, self.counter.limit()] {
            let (real, exact) = (self.counter.time_to_available(n), self.oracle.time_to_available(n, self.now));
            self.same_wait(real.unwrap(), exact.unwrap())?;
        }
        Ok(())
    }
}

/// Random callers, who make more than a third of a million decisions.
fn follow(law: Law) {
    let (decisions, waits) = (Cell::new(0), Cell::new(0));
    let traces = (any_shape(law), origins(), prop::collection::vec((moves(), calls()), 1..120));
    let run = TestRunner::new(cases(6_000)).run(&traces, |((limit, window), origin, trace)| {
        let mut pair = Pair::new(law, limit, window, origin);
        // The model has no nanosecond after it, at which the next sixteenth could begin.
        prop_assume!(!pair.oracle.may_be_early(pair.oracle.last()));
        for (step, (verb, permits)) in trace {
            pair.step(step);
            pair.call(verb, permits.of(limit))?;
        }
        decisions.set(decisions.get() + pair.decisions);
        waits.set(waits.get() + pair.waits);
        Ok(())
    });
    run.unwrap_or_else(|error| panic!("{law:?}: {error}"));
    println!("{law:?}: {} decisions as in the model, {} waits to their end", decisions.get(), waits.get());
    assert!(decisions.get() > 350_000 && waits.get() > 70_000);
}

/// Kills `a fixed window counts the one before`, and `a refund in a later window`: given back to the word of the last
/// grant, whatever the time is.
#[test]
fn a_fixed_window_decides_as_the_model_does() {
    follow(Law::Fixed);
}

/// Kills `the share is rounded down`, and `an old reading is inside the window`: its place in its own window taken for
/// one in the window of the last grant.
#[test]
fn an_interpolated_window_decides_as_the_model_does() {
    follow(Law::Interpolated);
}

/// Kills `first_of rounds down`, and `nothing is closed`: `closed` is never raised.
#[test]
fn a_strict_window_decides_as_the_model_does() {
    follow(Law::Strict);
}

fn counter(law: Law, limit: u64, window: Duration) -> (WindowCounter<ManualClock>, ManualClock) {
    let clock = ManualClock::new();
    (WindowCounter::new(law, limit, window, clock.clone()).unwrap(), clock)
}

/// 100 each 10 s, all of them used in the last window, and 3 s of this one are over: 70 % of the last one still counts.
#[test]
fn the_textbook_case_is_exact_to_the_nanosecond() {
    for origin in [0, 170_000_000 * 10 * SECOND] {
        let (counter, clock) = counter(Law::Interpolated, 100, Duration::from_secs(10));
        clock.set(Nanos::from_nanos(origin + 4 * SECOND));
        assert_eq!(counter.try_acquire_n(100), Ok(()));
        clock.set(Nanos::from_nanos(origin + 13 * SECOND - 1));
        assert_eq!(counter.available(), 29);
        clock.set(Nanos::from_nanos(origin + 13 * SECOND));
        assert_eq!(counter.available(), 30);
        for permit in 0..30 {
            assert_eq!(counter.try_acquire(), Ok(()), "permit {permit}");
        }
        let denied = RateLimitExceeded::Denied { retry_after: Duration::from_millis(100) };
        assert_eq!(counter.try_acquire(), Err(denied), "one more when 1 % more is over");
    }
}

/// After an idle decade all is forgotten, and the edge of the window is where it should be.
#[test]
fn idle_decades_leave_nothing_behind() {
    for law in LAWS {
        for window in [Duration::from_micros(1), Duration::from_nanos(1_000_003), Duration::from_secs(86_400)] {
            let (counter, clock) = counter(law, 10, window);
            let nanos = window.as_nanos() as u64;
            for decade in 0..25 {
                let start = decade * 10 * YEAR / nanos * nanos;
                clock.set(Nanos::from_nanos(start));
                assert_eq!(counter.available(), 10, "{law:?}, decade {decade}");
                clock.set(Nanos::from_nanos(start + nanos - 1));
                assert_eq!(counter.try_acquire_n(10), Ok(()));
                let edge = if law == Law::Strict { start + 2 * nanos } else { start + nanos };
                let wait = counter.time_to_available(1).unwrap().as_nanos() as u64;
                // Interpolated, a tenth of the next window must be over.
                let expected = if law == Law::Interpolated { edge + nanos.div_ceil(10) } else { edge };
                assert_eq!(start + nanos - 1 + wait, expected, "{law:?}, decade {decade}");
            }
        }
    }
}

/// A clock that steps back grants nothing extra, however often, and the wait counts from its own reading.
#[test]
fn a_clock_that_steps_back_grants_nothing_extra() {
    const W: u64 = SECOND;
    for law in LAWS {
        let (counter, clock) = counter(law, 10, Duration::from_nanos(W));
        clock.set(Nanos::from_nanos(7 * W + W / 2));
        assert_eq!(counter.try_acquire_n(4), Ok(()));
        let mut granted = 4;
        for back in [7 * W + W / 2 - 1, 7 * W, 7 * W - 1, 6 * W, 3, 0, 7 * W] {
            clock.set(Nanos::from_nanos(back));
            granted += u64::from(counter.try_acquire_n(2).is_ok()) * 2;
        }
        assert_eq!((granted, counter.available()), (10, 0), "{law:?}");
        // The window ends at 8 s; interpolated, 10 % of the next one must be over; strictly, the last grant was in
        // sixteenth 8, and sixteenth 8 + 17 begins at 8 s + 9/16 s.
        let due = match law {
            Law::Fixed => 8 * W,
            Law::Interpolated => 8 * W + W / 10,
            Law::Strict => 8 * W + W / 16 * 9,
        };
        for back in [0, 1, 5 * W, 7 * W, 8 * W - 1] {
            clock.set(Nanos::from_nanos(back));
            let denied = RateLimitExceeded::Denied { retry_after: Duration::from_nanos(due - back) };
            assert_eq!(counter.try_acquire(), Err(denied), "{law:?}, at {back}");
        }
    }
}

/// From the last nanosecond on the last window stays open: what is left in it can be had, and then nothing, ever.
#[test]
fn the_end_of_time_fails_closed() {
    for law in LAWS {
        for window in [Duration::from_micros(1), Duration::from_secs(1), Duration::from_secs(3_660 * 86_400)] {
            let (counter, clock) = counter(law, 10, window);
            let last = WindowOracle::new(law, 10, window).last();
            assert!(last >= 255 * 31_557_600 * SECOND);
            let mut granted = 0;
            for reading in [last, last + 1, 1 << 63, u64::MAX - 1, u64::MAX] {
                clock.set(Nanos::from_nanos(reading));
                granted += u64::from(counter.try_acquire_n(4).is_ok()) * 4;
            }
            assert_eq!((granted, counter.available()), (8, 2), "{law:?}");
            let never = RateLimitExceeded::Denied { retry_after: Duration::MAX };
            for reading in [0, last, u64::MAX] {
                clock.set(Nanos::from_nanos(reading));
                assert_eq!(counter.try_acquire_n(3), Err(never), "{law:?} at {reading}");
                assert_eq!(counter.time_to_available(10), Ok(Duration::MAX));
            }
            counter.refund(1);
            assert_eq!(counter.try_acquire_n(3), Ok(()));
        }
    }
}
