//! A thread that reads the clock, sleeps over one edge of a window or several, and then acts: it neither spoils the
//! newer window nor is denied while there is room in it. Seen by stopping one call after its reading, and compared with
//! the exact model.

mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use sluicegate::Nanos;
use support::clocks::Stopped;
use support::quotas::{SECOND, YEAR};
use support::window_oracle::WindowOracle;
use support::windows::{LAWS, Law, WindowCounter};

const W: u64 = SECOND;
const LIMIT: u64 = 10;
/// When the sleeper reads the clock: in the last nanosecond of the window that starts at `5 * W`.
const READING: u64 = 6 * W - 1;
/// When it wakes.
const WAKES: [u64; 9] =
    [6 * W, 6 * W + 1, 6 * W + W / 16, 6 * W + W / 2, 7 * W - 1, 7 * W, 7 * W + W / 2, 12 * W, 40 * YEAR];

type Shared = Arc<WindowCounter<Arc<Stopped<'static>>>>;

/// A counter, its clock, and the model of both, at the reading; `early` permits were granted where the window starts.
fn scene(law: Law, early: u64) -> (Shared, Arc<Stopped<'static>>, WindowOracle) {
    let clock = Arc::new(Stopped::default());
    let window = Duration::from_nanos(W);
    let counter = Arc::new(WindowCounter::new(law, LIMIT, window, Arc::clone(&clock)).unwrap());
    let mut oracle = WindowOracle::new(law, LIMIT, window);
    clock.time.set(Nanos::from_nanos(5 * W));
    assert_eq!(counter.try_acquire_n(early), Ok(()));
    assert_eq!(oracle.try_acquire_n(early, 5 * W), Ok(()));
    clock.time.set(Nanos::from_nanos(READING));
    (counter, clock, oracle)
}

/// Runs `call`, stopped after its reading until `wakes`, when another one asks for `n`: did that one take any?
fn overslept(counter: &Shared, clock: &Stopped<'static>, wakes: u64, n: u64, call: impl FnOnce()) -> bool {
    let took = Arc::new(Mutex::new(false));
    let (other, time, told) = (Arc::clone(counter), clock.time.clone(), Arc::clone(&took));
    clock.after_reading(1, move || {
        time.set(Nanos::from_nanos(wakes));
        *told.lock().unwrap() = other.try_acquire_n(n).is_ok() && n > 0;
    });
    call();
    assert!(clock.was_stopped());
    *took.lock().unwrap()
}

/// What is left from `now` on is as in the model.
fn same_from(counter: &Shared, clock: &Stopped<'_>, oracle: &WindowOracle, now: u64, what: &str) {
    for time in (0..50).map(|step| now + W / 16 * step) {
        clock.time.set(Nanos::from_nanos(time));
        assert_eq!(counter.available(), oracle.available(time), "{what}, {time} ns");
    }
}

/// If the other one took something, the sleeper's exchange fails, and it finds what is there when it wakes. If not, it
/// is as if it had not slept.
#[test]
fn who_slept_over_an_edge_finds_what_is_there_when_he_wakes() {
    let (mut calls, mut overtaken, mut granted) = (0, 0, 0);
    let numbers = || [0, 4, 6, 10].into_iter().flat_map(|early| [0, 1, 4, 8, 10].map(|taken| (early, taken)));
    for (law, n) in LAWS.into_iter().flat_map(|law| [1, 2, 5, 10].map(|n| (law, n))) {
        for (early, taken) in numbers() {
            for wakes in WAKES {
                let (counter, clock, mut oracle) = scene(law, early);
                let what = format!("{law:?}: {n} at {READING}, woken at {wakes}; {early} before, {taken} meanwhile");
                let mut answer = Ok(());
                let took = overslept(&counter, &clock, wakes, taken, || answer = counter.try_acquire_n(n));
                let mut newer = oracle.clone();
                assert_eq!(newer.try_acquire_n(taken, wakes).is_ok() && taken > 0, took, "{what}");
                // What its own reading finds: with no time in between, or with nobody else to be in its way.
                let mut expected = oracle.try_acquire_n(n, READING);
                if took && expected.is_ok() {
                    expected = newer.try_acquire_n(n, wakes);
                    overtaken += 1;
                }
                assert_eq!(answer, expected, "{what}");
                same_from(&counter, &clock, if took { &newer } else { &oracle }, wakes, &what);
                calls += 1;
                granted += u64::from(answer.is_ok());
            }
        }
    }
    println!("{calls} sleepers, {overtaken} of them overtaken, {granted} granted");
    assert!(overtaken > 500 && granted > 500);
}

/// 5 in the old window, all of which count for its reading; half a window later only half of them do.
///
/// Kills `an old reading decides`: no second look where the reading is older than the words.
#[test]
fn who_slept_is_not_denied_by_his_old_reading() {
    let (counter, clock, _) = scene(Law::Interpolated, 5);
    let mut answer = Ok(());
    assert!(overslept(&counter, &clock, 6 * W + W / 2, 3, || answer = counter.try_acquire_n(4)));
    assert_eq!(answer, Ok(()), "5 / 2 + 3 + 4 are within 10, 5 + 3 + 4 are not");
    // Strictly, nothing of the old window counts any more when the other one has taken something.
    let (counter, clock, _) = scene(Law::Strict, 5);
    assert!(overslept(&counter, &clock, 6 * W + W / 2, 6, || answer = counter.try_acquire_n(4)));
    assert_eq!((answer, counter.available()), (Ok(()), 0));
}

/// The same within a window: 5 are there at the reading, 9 when another one takes 3 of them, and never fewer than 5.
///
/// Kills `an old reading decides`, too.
#[test]
fn who_slept_within_a_window_is_not_denied_by_his_old_reading() {
    let (counter, clock, _) = scene(Law::Interpolated, 10);
    clock.time.set(Nanos::from_nanos(6 * W + W / 2));
    let mut answer = Ok(());
    assert!(overslept(&counter, &clock, 6 * W + W / 10 * 9, 3, || answer = counter.try_acquire_n(5)));
    assert_eq!((answer, counter.available()), (Ok(()), 1));
}

/// What was taken in the newer window is not given back by a call that began in the older one.
#[test]
fn who_slept_gives_nothing_back_to_the_newer_window() {
    for law in LAWS {
        for wakes in [READING].into_iter().chain(WAKES) {
            for taken in [0, 1, 3, 5] {
                let (counter, clock, mut oracle) = scene(law, 4);
                let what = format!("{law:?}: woken at {wakes}; {taken} meanwhile");
                let took = overslept(&counter, &clock, wakes, taken, || counter.refund(3));
                if took && wakes == READING {
                    assert_eq!(oracle.try_acquire_n(taken, wakes), Ok(()));
                    oracle.refund(3, READING);
                } else if took {
                    assert_eq!(oracle.try_acquire_n(taken, wakes), Ok(()));
                } else {
                    oracle.refund(3, READING);
                }
                same_from(&counter, &clock, &oracle, wakes, &what);
            }
        }
    }
}

/// Who only looks, and slept meanwhile, tells what was there and writes nothing.
#[test]
fn who_slept_while_he_looked_changes_nothing() {
    for law in LAWS {
        for wakes in WAKES {
            let (counter, clock, mut oracle) = scene(law, 4);
            let mut looked = (0, Ok(Duration::MAX));
            let took = overslept(&counter, &clock, wakes, 5, || looked.0 = counter.available());
            assert_eq!(looked.0, oracle.available(READING), "{law:?}");
            assert!(took && oracle.try_acquire_n(5, wakes).is_ok());
            same_from(&counter, &clock, &oracle, wakes, "available");

            let (counter, clock, mut oracle) = scene(law, 4);
            overslept(&counter, &clock, wakes, 5, || looked.1 = counter.time_to_available(7));
            assert_eq!(looked.1, oracle.time_to_available(7, READING), "{law:?}");
            assert_eq!(oracle.try_acquire_n(5, wakes), Ok(()));
            same_from(&counter, &clock, &oracle, wakes, "time_to_available");
        }
    }
}
