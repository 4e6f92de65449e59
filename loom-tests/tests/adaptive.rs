//! Model checks of the adaptive limiter: reports, the ends of windows, changes of the rate and pauses race.
//!
//! Each model names the mutation of the sources that it was seen to kill; docs/DESIGN.md lists them all.

#![allow(missing_docs)]

mod support;

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc as StdArc, Mutex as StdMutex};
use std::task::{Context, Waker};
use std::time::Duration;

use loom::sync::Arc;
use loom::thread;
use sluicegate_loom::{AdaptiveRateLimiter, AdaptiveRateLimiterBuilder, Clock, Outcome, RateChange, RateLimitExceeded};
use support::waiting::{HandClock, block_on};
use support::{ModelClock, Shared, model, race, race_in_order};

const SECOND: u64 = 1_000_000_000;

/// A limiter, and all the changes that it told of.
struct Watched<C: Clock = ModelClock> {
    limiter: AdaptiveRateLimiter<C>,
    changes: StdArc<StdMutex<Vec<RateChange>>>,
}

impl<C: Clock> std::ops::Deref for Watched<C> {
    type Target = AdaptiveRateLimiter<C>;

    fn deref(&self) -> &AdaptiveRateLimiter<C> {
        &self.limiter
    }
}

impl<C: Clock> Watched<C> {
    /// Windows of a second, of which a single error halves the rate and nothing raises it by much.
    fn new(base_rate: f64, min_rate: f64, clock: C) -> Self {
        let changes = StdArc::new(StdMutex::new(Vec::new()));
        let told = changes.clone();
        let limiter = AdaptiveRateLimiterBuilder::new(clock)
            .base_rate(base_rate)
            .min_rate(min_rate)
            .max_rate(base_rate)
            .window(Duration::from_nanos(SECOND))
            .min_samples(1)
            .on_change(move |change| told.lock().unwrap().push(*change))
            .build()
            .expect("valid");
        Self { limiter, changes }
    }

    fn changes(&self) -> Vec<RateChange> {
        self.changes.lock().unwrap().clone()
    }

    /// Every change goes on from the one before, and the last one holds.
    fn assert_is_a_chain(&self, base_rate: f64) {
        // What is due comes now, not between two looks.
        let _ = self.current_rate();
        let mut rate = base_rate;
        for change in self.changes() {
            assert_eq!((change.old_rate, change.new_rate), (rate, rate / 2.0));
            rate = change.new_rate;
        }
        assert_eq!(self.quota().rate(), rate);
        assert_eq!(self.stats().last_change.map(|change| change.new_rate), self.changes().last().map(|_| rate));
    }
}

/// Permits at 8 a second, and its clock.
fn limiter() -> Shared<Watched> {
    let clock = ModelClock::at(0);
    (Arc::new(Watched::new(8.0, 1.0, clock.clone())), clock)
}

/// Its first window is due, and has an error.
fn due() -> Shared<Watched> {
    let (limiter, clock) = limiter();
    limiter.record_error();
    clock.advance(SECOND);
    (limiter, clock)
}

/// Every report is in one window, and in one only. Kills `reports-are-stored` and `reports-are-summed-again`.
#[test]
fn report_roll_report() {
    model("report_roll_report", 3, || {
        let (limiter, _clock) = due();
        let [other, another] = [limiter.clone(), limiter.clone()];
        let error = thread::spawn(move || other.record_error());
        let both = thread::spawn(move || {
            another.record_success();
            another.record_error();
        });
        assert!(limiter.try_acquire().is_ok());
        error.join().unwrap();
        both.join().unwrap();

        let [change] = limiter.changes()[..] else { panic!("one change") };
        let running = limiter.stats();
        assert_eq!(change.samples + running.window_samples, 4);
        assert_eq!(change.errors + running.window_errors, 3);
    });
}

/// Who looks sees what is counted and what that is counted from, never less than nothing. Kills `base-load-is-relaxed`
/// and `base-store-is-relaxed`.
#[test]
fn report_roll_look() {
    race(
        "report_roll_look",
        3,
        due,
        |limiter, _| {
            let stats = limiter.stats();
            assert!(stats.window_samples <= 2 && stats.window_errors <= 2, "{stats:?}");
        },
        |limiter, _| {
            limiter.record_error();
            let _ = limiter.current_rate();
        },
        |_, _, (), ()| {},
    );
}

/// What is reported at the edge, by those who bring it about: one cut. Kills `due-is-not-looked-at-again` and
/// `turns-do-not-exclude`.
#[test]
fn two_racers_one_window() {
    let racer = |limiter: &Watched, _: &ModelClock| {
        limiter.record_error();
        let _ = limiter.current_rate();
    };
    race("two_racers_one_window", 3, due, racer, racer, |limiter, _, (), ()| {
        assert_eq!(limiter.changes().len(), 1);
        limiter.assert_is_a_chain(8.0);
    });
}

/// Two edges: no change is overwritten by one that was decided on before it. Kills `turns-do-not-exclude`.
#[test]
fn two_racers_two_windows() {
    let racer = |limiter: &Watched, clock: &ModelClock| {
        limiter.record_error();
        clock.advance(SECOND);
        let _ = limiter.current_rate();
    };
    race("two_racers_two_windows", 3, limiter, racer, racer, |limiter, _, (), ()| {
        limiter.assert_is_a_chain(8.0);
        assert!(limiter.changes().len() <= 2);
        let told: u64 = limiter.changes().iter().map(|change| change.errors).sum();
        assert_eq!(told + limiter.stats().window_errors, 2);
    });
}

/// One that is stopped while it ends a window until the next one would be over: reports of the old rate have a whole
/// window after the change. Kills `end-follows-the-first-reading`.
#[test]
fn a_late_change_has_its_window() {
    race(
        "a_late_change_has_its_window",
        2,
        due,
        |limiter, _| limiter.current_rate(),
        |limiter, clock| {
            limiter.record_error();
            clock.advance(SECOND);
            // Whether the change had not come yet when a second window's time was over.
            limiter.quota().rate() == 8.0
        },
        |limiter, _, _, was_late| {
            let _ = limiter.current_rate();
            assert!(limiter.changes().len() == 1 || !was_late, "{:?}", limiter.changes());
            limiter.assert_is_a_chain(8.0);
        },
    );
}

/// Who looks at the last change sees one that was made, while two more are. Kills `last-change-is-not-checked`,
/// `last-change-fields-are-relaxed`, `last-change-stores-are-relaxed` and `last-change-count-is-relaxed`.
#[test]
fn look_at_changes() {
    let changed = || {
        let (limiter, clock) = due();
        assert_eq!(limiter.current_rate(), 4.0);
        (limiter, clock)
    };
    // Swapped, it takes a million executions to find the same.
    race_in_order(
        "look_at_changes",
        2,
        changed,
        |limiter, _| {
            let change = limiter.stats().last_change.expect("one was made before");
            assert_eq!((change.old_rate, change.errors), (2.0 * change.new_rate, change.samples));
            // The first is of one error, the next of two, the last of three.
            assert_eq!((change.samples as f64).exp2() * change.new_rate, 8.0, "{change:?}");
        },
        |limiter, clock| {
            for errors in [2, 3] {
                (0..errors).for_each(|_| limiter.record_error());
                clock.advance(SECOND);
                let _ = limiter.current_rate();
            }
        },
        |_, _, (), ()| {},
    );
}

/// A change while permits are taken: none is won, none is lost. Kills `change-fills-the-bucket`.
#[test]
fn acquire_change() {
    let drained = || {
        let clock = ModelClock::at(0);
        let limiter = Watched::new(2.0, 1.0, clock.clone());
        assert!(limiter.try_acquire_n(4).is_ok());
        limiter.record_error();
        (Arc::new(limiter), clock)
    };
    race(
        "acquire_change",
        2,
        drained,
        |limiter, _| u64::from(limiter.try_acquire().is_ok()),
        |limiter, clock| {
            clock.advance(SECOND);
            let _ = limiter.current_rate();
        },
        |limiter, clock, granted, ()| {
            assert_eq!(limiter.changes().len(), 1);
            assert_eq!(granted + limiter.available(), 2, "a second at the old rate");
            clock.advance(SECOND / 2);
            assert_eq!(granted + limiter.available(), 2, "half a permit at the new rate, or no room for it");
        },
    );
}

/// Two servers ask for a pause: the later end counts. Kills `pause-is-stored` and `usual-way-ignores-the-pause`.
#[test]
fn pause_pause() {
    race(
        "pause_pause",
        3,
        limiter,
        |limiter, _| {
            limiter.record(Outcome::Throttled(Some(Duration::from_secs(1))));
            assert!(limiter.try_acquire().is_err());
        },
        |limiter, _| limiter.record(Outcome::Throttled(Some(Duration::from_secs(2)))),
        |limiter, _, (), ()| assert_eq!(limiter.time_to_available(1), Ok(Duration::from_secs(2))),
    );
}

/// One who waits for what a cut puts out of reach is woken, and told. Kills `change-wakes-nobody`.
#[test]
fn cut_below_a_waiter() {
    model("cut_below_a_waiter", 1, || {
        let clock = HandClock::new();
        let limiter = Arc::new(Watched::new(2.0, 1.0, clock.clone()));
        assert!(limiter.try_acquire().is_ok());
        limiter.record_error();
        let other = limiter.clone();
        let waiter = thread::spawn(move || block_on(other.acquire_n(4)));
        clock.advance_in_silence(SECOND);
        // The permit is back by now, so that the waiter may also be served at the last moment of the old rate.
        assert_eq!(limiter.current_rate(), 1.0);
        let outcome = waiter.join().unwrap();
        let too_much = Err(RateLimitExceeded::ExceedsCapacity { requested: 4, capacity: 2 });
        assert!(outcome == too_much || outcome == Ok(()), "{outcome:?}");
        assert_eq!(limiter.available(), if outcome.is_ok() { 0 } else { 2 });
    });
}

/// While it is closed nobody in line is served, whatever comes back; then the head is. Kills `line-ignores-the-pause`.
#[test]
fn head_pause_refund() {
    model("head_pause_refund", 2, || {
        let clock = HandClock::new();
        let limiter = Arc::new(Watched::new(0.5, 0.5, clock.clone()));
        assert!(limiter.try_acquire().is_ok());
        limiter.record(Outcome::Throttled(Some(Duration::from_nanos(SECOND / 2))));
        let (other, its_clock) = (limiter.clone(), clock.clone());
        let waiter = thread::spawn(move || {
            let mut wait = other.acquire();
            // Joined at the latest when the permit is back.
            if Pin::new(&mut wait).poll(&mut Context::from_waker(Waker::noop())).is_pending() {
                assert_eq!(block_on(wait), Ok(()));
            }
            its_clock.now().as_nanos()
        });
        limiter.refund(1);
        clock.advance(SECOND / 2);
        assert!(waiter.join().unwrap() >= SECOND / 2, "served while it was closed");
        assert_eq!(limiter.available(), 0);
    });
}
