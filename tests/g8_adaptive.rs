//! G8: at most one change of the rate a window, however many threads report; none is lost, none hands out permits, no
//! report is lost, and what was denied is none. Window by window on a clock moved by hand, against a sequential model,
//! and with threads on both clocks.
//!
//! "Kills" names a change of the library that the test was seen to fail on.

#![allow(missing_docs)]

#[path = "g8_adaptive/model.rs"]
mod model;
mod support;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Barrier, Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use sluicegate::{
    AdaptiveRateLimiter, AdaptiveRateLimiterBuilder, ChangeReason, Clock, Law, ManualClock, Outcome, Quota, RateChange,
};
use support::clocks::Stopped;
use support::threads::Random;
use support::waiting::eventually;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const NANO: Duration = Duration::from_nanos(1);
const LAWS: [Law; 2] = [Law::ErrorRate, Law::Cubic];

type Limiter = AdaptiveRateLimiter<ManualClock>;
type Log = Arc<Mutex<Vec<RateChange>>>;

/// A limiter with the defaults and a window of a second but for what `settings` says, its clock, and its changes.
fn logged(
    base_rate: f64,
    settings: impl FnOnce(AdaptiveRateLimiterBuilder<ManualClock>) -> AdaptiveRateLimiterBuilder<ManualClock>,
) -> (Limiter, ManualClock, Log) {
    let (clock, log) = (ManualClock::new(), Log::default());
    let writer = Arc::clone(&log);
    let builder = AdaptiveRateLimiter::builder().base_rate(base_rate).window(SECOND).clock(clock.clone());
    let limiter = settings(builder.on_change(move |change| writer.lock().unwrap().push(*change))).build().unwrap();
    (limiter, clock, log)
}

fn report<C: Clock>(limiter: &AdaptiveRateLimiter<C>, successes: u64, errors: u64) {
    (0..successes).for_each(|_| limiter.record_success());
    (0..errors).for_each(|_| limiter.record_error());
}

/// A window's reports, and its end.
fn pass(limiter: &Limiter, clock: &ManualClock, successes: u64, errors: u64) -> f64 {
    report(limiter, successes, errors);
    clock.advance(SECOND);
    limiter.current_rate()
}

/// All there is, one by one.
fn drain(limiter: &Limiter) -> u64 {
    (0..).take_while(|_| limiter.try_acquire().is_ok()).count() as u64
}

// --- One change a window

/// Kills: a turn that excludes nobody; outcomes that stay for the next window; denied calls as successes.
#[test]
fn ten_threads_across_one_edge_cause_one_cut() {
    const THREADS: usize = 10;
    const ROUNDS: usize = 400;
    const CALLS: usize = 40;
    let rounds: Vec<_> = (0..ROUNDS).map(|_| logged(100.0, |builder| builder.min_samples(1))).collect();
    let barrier = Barrier::new(THREADS);
    thread::scope(|scope| {
        for index in 0..THREADS {
            let (rounds, barrier) = (&rounds, &barrier);
            scope.spawn(move || {
                for (limiter, clock, _) in rounds {
                    barrier.wait();
                    let call = || {
                        limiter.record_error();
                        let _ = limiter.try_acquire();
                    };
                    (0..CALLS / 2).for_each(|_| call());
                    // All come to the edge at once.
                    if index == 0 {
                        clock.advance(SECOND);
                    }
                    while clock.now().as_nanos() == 0 {
                        thread::yield_now();
                    }
                    (0..CALLS / 2).for_each(|_| call());
                }
            });
        }
    });
    for (limiter, _, log) in rounds {
        assert_eq!(limiter.current_rate(), 50.0);
        let (changes, stats) = (log.lock().unwrap(), limiter.stats());
        assert_eq!(changes.len(), 1, "{changes:?}");
        assert_eq!((changes[0].old_rate, changes[0].new_rate), (100.0, 50.0));
        assert_eq!(changes[0].samples + stats.window_samples, (THREADS * CALLS) as u64, "a report is lost");
        assert_eq!(changes[0].errors + stats.window_errors, (THREADS * CALLS) as u64);
        assert_eq!(stats.total_requests, (THREADS * CALLS) as u64);
    }
}

/// Edge after edge under threads that never pause: a change for each, and every report in one of their windows.
#[test]
fn threads_across_many_edges_lose_no_change_and_no_report() {
    const THREADS: u64 = 4;
    const EDGES: u64 = 500;
    let (limiter, clock, log) = logged(1e9, |builder| builder.min_rate(1.0).reduction_factor(0.97).min_samples(1));
    let reported: u64 = thread::scope(|scope| {
        let moving = scope.spawn(|| {
            for edge in 1..=EDGES {
                limiter.record_error();
                clock.advance(SECOND);
                eventually("a change", || limiter.current_rate() < 1e9 && log.lock().unwrap().len() as u64 == edge);
            }
            EDGES
        });
        let reporting = (1..THREADS).map(|_| {
            scope.spawn(|| {
                let mut reports = 0;
                while (log.lock().unwrap().len() as u64) < EDGES {
                    for _ in 0..50 {
                        let _ = limiter.try_acquire();
                        limiter.record_error();
                        reports += 1;
                    }
                }
                reports
            })
        });
        let reporting: Vec<_> = reporting.collect();
        moving.join().unwrap() + reporting.into_iter().map(|thread| thread.join().unwrap()).sum::<u64>()
    });
    let changes = log.lock().unwrap();
    assert_eq!(changes.len() as u64, EDGES);
    assert!(changes.windows(2).all(|pair| pair[0].new_rate == pair[1].old_rate), "a change is overwritten");
    let samples: u64 = changes.iter().map(|change| change.samples).sum();
    assert_eq!(samples + limiter.stats().window_samples, reported);
}

/// Kills: an end that moves by one window from the last one.
#[test]
fn skipped_windows_count_once() {
    let (limiter, clock, log) = logged(100.0, |builder| builder);
    report(&limiter, 0, 20);
    clock.advance(5 * SECOND + 300 * MS);
    assert_eq!(limiter.try_acquire(), Ok(()));
    // And the next one is a whole one, from then on.
    report(&limiter, 0, 20);
    assert_eq!((limiter.current_rate(), log.lock().unwrap().len()), (50.0, 1));
    clock.advance(SECOND - NANO);
    assert_eq!(limiter.current_rate(), 50.0);
    clock.advance(NANO);
    assert_eq!(limiter.current_rate(), 25.0);
}

/// Every look ends a window that is due, a denied call too; nothing does before, and a report or n = 0 never.
#[test]
fn every_look_ends_a_window() {
    let looks: [fn(&Limiter); 8] = [
        |limiter| assert!(limiter.try_acquire().is_ok()),
        |limiter| assert!(limiter.try_acquire_n(1 << 40).is_err()),
        |limiter| assert!(limiter.call(|| Ok::<_, ()>(())).is_ok()),
        |limiter| assert_eq!(limiter.current_rate(), 50.0),
        |limiter| assert_eq!(limiter.stats().current_rate, 50.0),
        |limiter| assert_eq!(limiter.quota(), Quota::from_rate(50.0).burst(100)),
        |limiter| assert_eq!(limiter.available(), 100),
        |limiter| assert!(limiter.time_to_available(101).is_err()),
    ];
    for look in looks {
        let (limiter, clock, log) = logged(100.0, |builder| builder);
        report(&limiter, 0, 10);
        clock.advance(SECOND - NANO);
        assert_eq!(limiter.try_acquire_n(200), Ok(()));
        limiter.refund(200);
        clock.advance(NANO);
        report(&limiter, 0, 1);
        limiter.refund(1);
        assert_eq!(limiter.try_acquire_n(0), Ok(()));
        assert!(log.lock().unwrap().is_empty());
        look(&limiter);
        assert_eq!(log.lock().unwrap()[0].samples, 11);
    }
}

/// Stopped between two steps of a change, for five windows: what was reported meanwhile, of calls at the old rate, has
/// a whole window at the new rate behind it. Kills: an end counted from the reading that found the window due.
#[test]
fn a_stalled_change_has_its_window_from_its_end() {
    // Readings: of who looks, under the turn, of the change of quota; the one after it is the window's beginning.
    for reading in 1..=3 {
        let clock = Arc::new(Stopped::default());
        let limiter = AdaptiveRateLimiter::builder().base_rate(100.0).window(SECOND).clock(Arc::clone(&clock));
        let limiter = Arc::new(limiter.build().unwrap());
        report(&*limiter, 0, 20);
        clock.time.advance(SECOND);
        let (stalled, slow) = (Arc::clone(&limiter), Arc::clone(&clock));
        clock.after_reading(reading, move || {
            slow.time.advance(5 * SECOND);
            report(&*stalled, 0, 20);
            // Others go on meanwhile.
            assert!(stalled.try_acquire().is_ok());
        });
        assert_eq!(limiter.current_rate(), 50.0, "reading {reading}");
        assert!(clock.was_stopped());
        report(&*limiter, 0, 20);
        clock.time.advance(SECOND - NANO);
        assert_eq!(limiter.current_rate(), 50.0, "reading {reading}: the stall is part of the window");
        clock.time.advance(NANO);
        assert_eq!(limiter.current_rate(), 25.0);
    }
}

// --- No permit is won, none is forgotten

/// What is granted, when, at which rate and burst: for every interval of a history.
#[derive(Default)]
struct History {
    /// Seconds, rate from then on, burst at that moment, granted.
    steps: Vec<(f64, f64, u64, u64)>,
}

impl History {
    fn drain(&mut self, limiter: &Limiter, clock: &ManualClock) -> u64 {
        let granted = drain(limiter);
        self.steps.push((
            clock.now().as_nanos() as f64 / 1e9,
            limiter.current_rate(),
            limiter.quota().capacity(),
            granted,
        ));
        granted
    }

    /// In no interval more than the burst at its start and what the rates gave since.
    fn check(&self) {
        for (first, &(_, _, burst, _)) in self.steps.iter().enumerate() {
            let (mut given, mut granted, mut last) = (burst as f64, 0.0, None);
            for &(time, rate, _, more) in &self.steps[first..] {
                if let Some((before, rate)) = last.replace((time, rate)) {
                    given += (time - before) * rate;
                }
                granted += more as f64;
                assert!(granted <= given + 1e-6, "{granted} from {:?} to {time}, of {given}", self.steps[first]);
            }
        }
    }
}

/// Kills: a full bucket at the change.
#[test]
fn draining_before_a_change_wins_no_permit() {
    for error in [true, false] {
        let (limiter, clock, _) = logged(100.0, |builder| builder.recovery_factor(2.0).max_rate(1_000.0));
        let mut history = History::default();
        assert_eq!(history.drain(&limiter, &clock), 200);
        clock.advance(SECOND - NANO);
        // Right before the change, and right after it.
        let before = history.drain(&limiter, &clock);
        report(&limiter, 10 * u64::from(!error), 10 * u64::from(error));
        clock.advance(NANO);
        let after = history.drain(&limiter, &clock);
        assert_eq!((before + after, limiter.available()), (100, 0), "the second before, at the rate before");
        assert_eq!(limiter.current_rate(), if error { 50.0 } else { 200.0 });
        clock.advance(500 * MS);
        assert_eq!(history.drain(&limiter, &clock), if error { 25 } else { 100 });
        history.check();
    }
}

#[test]
fn a_full_bucket_gets_no_fresh_burst() {
    let (limiter, clock, _) = logged(100.0, |builder| builder.recovery_factor(2.0).max_rate(400.0));
    clock.advance(500 * MS);
    assert_eq!(limiter.available(), 200);
    clock.advance(500 * MS);
    report(&limiter, 10, 0);
    assert_eq!((limiter.available(), limiter.quota().capacity()), (200, 400), "the burst before");
    clock.advance(250 * MS);
    assert_eq!(limiter.available(), 250, "fills at the new rate");
    // A cut leaves no more than a burst of the new rate, and what it cut off does not come back.
    clock.advance(750 * MS);
    report(&limiter, 0, 10);
    assert_eq!((limiter.available(), limiter.current_rate()), (200, 100.0));
    clock.advance(SECOND);
    report(&limiter, 10, 0);
    assert_eq!((limiter.available(), limiter.quota().capacity()), (200, 400));
}

/// Thousands of changes up and down, drained at odd times around them: never more than the rates gave, and, since it
/// never overflows, all of it.
#[test]
fn draining_around_thousands_of_changes_wins_and_loses_nothing() {
    for seed in 1..4 {
        let (limiter, clock, log) =
            logged(100.0, |builder| builder.recovery_factor(1.7).min_rate(10.0).max_rate(900.0));
        let (mut random, mut history, mut given) = (Random::new(seed), History::default(), 200.0);
        let mut granted = history.drain(&limiter, &clock);
        for _ in 0..1_200 {
            // Not so late that a cut leaves less room than there is.
            let before = 100_000_000 + random.next() % 800_000_000;
            for nanos in [before, 1_000_000_000 - before] {
                given += limiter.current_rate() * nanos as f64 / 1e9;
                if nanos != before {
                    let is_bad = random.next() % 5 < 2;
                    report(&limiter, 10 * u64::from(!is_bad), 10 * u64::from(is_bad));
                }
                clock.advance(Duration::from_nanos(nanos));
                granted += history.drain(&limiter, &clock);
            }
        }
        assert!(log.lock().unwrap().len() > 800);
        assert!(granted as f64 <= given + 1e-6 && granted as f64 > given - 1.001, "{granted} of {given}");
        history.steps.truncate(600);
        history.check();
    }
}

// --- What is a sample

/// Kills: denied calls counted as successes.
#[test]
fn denied_calls_are_no_samples() {
    let (limiter, clock, log) = logged(10.0, |builder| builder);
    assert_eq!(drain(&limiter), 20);
    let deny = || {
        for _ in 0..100 {
            assert!(limiter.try_acquire().is_err() && limiter.try_acquire_n(1_000).is_err());
            assert!(limiter.call(|| Ok::<_, ()>(())).is_err());
            #[cfg(feature = "async")]
            assert!(limiter.blocking_acquire_timeout(1, Duration::ZERO).is_err());
        }
    };
    deny();
    assert_eq!(limiter.stats().window_samples, 0);
    // 3 of 20, too much; of 320 and more it would not be.
    report(&limiter, 17, 3);
    deny();
    assert_eq!((limiter.stats().window_samples, limiter.stats().error_rate), (20, 0.15));
    clock.advance(SECOND);
    assert_eq!(limiter.current_rate(), 5.0);
    let change = log.lock().unwrap()[0];
    assert_eq!((change.samples, change.errors), (20, 3));
    // Nor do denied calls alone bring a window to ten outcomes.
    drain(&limiter);
    deny();
    clock.advance(4 * SECOND);
    assert_eq!((limiter.current_rate(), log.lock().unwrap().len()), (5.0, 1));
}

/// Kills: `<=` for `<`; outcomes that stay for the next window.
#[test]
fn a_window_with_too_few_outcomes_changes_nothing() {
    let (limiter, clock, log) = logged(100.0, |builder| builder);
    for _ in 0..5 {
        assert_eq!(pass(&limiter, &clock, 0, 9), 100.0);
        assert_eq!(pass(&limiter, &clock, 9, 0), 100.0);
        assert_eq!(limiter.stats().window_samples, 0, "dropped with it");
    }
    (0..50).for_each(|_| limiter.record(Outcome::Ignored));
    assert_eq!(pass(&limiter, &clock, 0, 0), 100.0);
    assert!(log.lock().unwrap().is_empty());
    assert_eq!(pass(&limiter, &clock, 0, 10), 50.0);
    let (always, clock, _) = logged(100.0, |builder| builder.min_samples(0));
    assert_eq!(pass(&always, &clock, 0, 0), 100.0 * 1.1, "silence counts as health");
}

/// Kills: no such exception for low rates.
#[test]
fn a_low_rate_recovers_by_a_longer_window() {
    let clock = ManualClock::new();
    let limiter = AdaptiveRateLimiter::builder().base_rate(2.0).clock(clock.clone()).build().unwrap();
    let drive = |seconds: u64, is_healthy: bool| {
        for _ in 0..seconds * 5 {
            clock.advance(200 * MS);
            let _ = limiter.call(|| if is_healthy { Ok(()) } else { Err(()) });
        }
    };
    drive(600, false);
    assert_eq!(limiter.current_rate(), 0.2, "the floor");
    // Two calls in ten seconds: ten in fifty, and a bit for the phase of the outage.
    let mut rates = vec![0.2];
    for _ in 0..90 {
        drive(10, true);
        let rate = limiter.current_rate();
        if rate != rates[rates.len() - 1] {
            let change = limiter.stats().last_change.unwrap();
            assert!(change.samples >= 10, "{change}");
            rates.push(rate);
        }
    }
    assert!(rates.is_sorted() && rates[1] <= 0.2 * 1.1 + 1e-12, "{rates:?}");
    // 10 / rate seconds each, 1.1 times the rate: 550 s in all, and up to ten more for each of 25.
    assert!(rates[rates.len() - 1] >= 2.0, "{rates:?}");
}

/// With 9 of 10 outcomes at 0.2/s it goes on for 2 * 10 / 0.2 = 100 s; then they are dropped.
#[test]
fn a_longer_window_ends_after_twice_the_time() {
    let clock = ManualClock::new();
    let limiter = AdaptiveRateLimiter::builder().base_rate(0.2).min_rate(0.1).clock(clock.clone()).build().unwrap();
    for _ in 0..3 {
        report(&limiter, 0, 9);
        for _ in 0..9 {
            clock.advance(10 * SECOND);
            assert_eq!((limiter.current_rate(), limiter.stats().window_samples), (0.2, 9));
        }
        clock.advance(10 * SECOND);
        assert_eq!((limiter.current_rate(), limiter.stats().window_samples), (0.2, 0));
    }
    report(&limiter, 0, 9);
    clock.advance(90 * SECOND);
    assert_eq!(limiter.current_rate(), 0.2);
    report(&limiter, 0, 1);
    clock.advance(10 * SECOND);
    assert_eq!(limiter.current_rate(), 0.1);
}

// --- The law's edges

#[test]
fn floor_and_ceiling() {
    for law in LAWS {
        let settings = |builder: AdaptiveRateLimiterBuilder<_>| builder.law(law).min_rate(30.0).max_rate(170.0);
        let (limiter, clock, log) = logged(100.0, settings);
        for is_good in [false, true, false] {
            for _ in 0..60 {
                drain(&limiter);
                let rate = pass(&limiter, &clock, 20 * u64::from(is_good), 20 * u64::from(!is_good));
                assert!((30.0..=170.0).contains(&rate), "{law:?}: {rate}");
            }
            assert_eq!(limiter.current_rate(), if is_good { 170.0 } else { 30.0 }, "{law:?}");
            assert_eq!(limiter.quota().capacity(), if is_good { 340 } else { 60 });
        }
        // Nothing is told where nothing changes.
        assert!(log.lock().unwrap().iter().all(|change| change.old_rate != change.new_rate));
    }
    let (fixed, clock, log) = logged(100.0, |builder| builder.min_rate(100.0).max_rate(100.0));
    assert_eq!(
        (pass(&fixed, &clock, 0, 20), pass(&fixed, &clock, 20, 0), log.lock().unwrap().len()),
        (100.0, 100.0, 0)
    );
}

/// Kills: `>=` for `>`; a product compared instead of the quotient.
#[test]
fn the_threshold_itself_is_no_overload() {
    let shares =
        [(0.1, 3, 30), (0.1, 1, 10), (0.07, 7, 100), (0.29, 29, 100), (0.3, 3, 10), (0.57, 57, 100), (0.9, 9, 10)];
    for (threshold, errors, samples) in shares {
        let (limiter, clock, _) = logged(100.0, |builder| builder.error_threshold(threshold).max_rate(1_000.0));
        let rate = pass(&limiter, &clock, samples - errors, errors);
        assert_eq!(rate, 100.0 * 1.1, "{errors} of {samples} at {threshold}");
        assert_eq!(pass(&limiter, &clock, samples - errors - 1, errors + 1), rate * 0.5, "one more");
    }
}

// --- Who is told

/// Kills: a last change that is not kept.
#[test]
fn a_change_told_is_the_change_made() {
    for law in LAWS {
        let (limiter, clock, log) =
            logged(100.0, |builder| builder.law(law).max_rate(5_000.0).min_rate(0.3).min_samples(1));
        let (mut random, mut rate, mut told) = (Random::new(7), 100.0, 0);
        for _ in 0..500 {
            for _ in 0..random.next() % 300 {
                let _ = limiter.try_acquire();
            }
            let errors = random.next() % 4;
            let new = pass(&limiter, &clock, random.next() % 16, errors);
            let changes = log.lock().unwrap();
            assert_eq!(changes.len() - told, usize::from(new != rate), "{law:?}");
            if let Some(change) = changes.get(told) {
                assert_eq!((change.old_rate, change.new_rate), (rate, new));
                assert!(change.samples >= 1 && change.errors == errors);
                let is_overload = errors as f64 / change.samples as f64 > 0.1;
                assert_eq!(change.reason == ChangeReason::Errors, is_overload);
                assert_eq!(change.reason == ChangeReason::Recovery, !is_overload && new > rate);
            }
            let quota = Quota::from_rate(new).burst(((2.0 * new).floor() as u64).max(1));
            assert_eq!((limiter.quota(), limiter.stats().last_change.as_ref()), (quota, changes.last()));
            (rate, told) = (new, changes.len());
        }
        assert!(told > 50, "{law:?}: {told}");
    }
}

/// Runs in a thread of its own, so that a deadlock is a failure and not a test that hangs. Kills: a change that is told
/// before it is made; windows that end in the callback.
#[test]
fn on_change_may_use_the_limiter() {
    let (clock, limiter) = (ManualClock::new(), Arc::new(OnceLock::<Limiter>::new()));
    let told = Arc::new(Mutex::new(Vec::new()));
    let (time, this, rates) = (clock.clone(), Arc::clone(&limiter), Arc::clone(&told));
    let on_change = move |change: &RateChange| {
        let limiter = this.get().unwrap();
        // Windows pass, and end only when this has returned.
        time.advance(5 * SECOND);
        assert_eq!(limiter.current_rate(), change.new_rate);
        assert_eq!(limiter.quota(), Quota::from_rate(change.new_rate).burst((2.0 * change.new_rate) as u64));
        assert_eq!(limiter.stats().last_change, Some(*change));
        limiter.refund(u64::from(limiter.try_acquire().is_ok()) + u64::from(limiter.try_acquire_n(2).is_ok()));
        let _ = (limiter.available(), limiter.time_to_available(3), format!("{limiter:?}"));
        let _ = (limiter.observe(Err::<(), _>(())), limiter.observe_with(Ok::<_, ()>(()), |_| Outcome::Ignored));
        let _ = limiter.call(|| limiter.call(|| Err::<(), _>(())));
        report(limiter, 3, 10);
        #[cfg(feature = "async")]
        {
            let (wakes, mut waiting) = (support::waiting::Wakes::new(), limiter.acquire_n(1));
            let _ = support::waiting::poll(&mut waiting, &wakes);
            let _ = support::waiting::poll(&mut limiter.acquire_timeout(1, MS), &wakes);
            drop(waiting);
            let _ = (limiter.blocking_acquire_timeout(1, Duration::ZERO), limiter.blocking_acquire_n(1 << 40));
        }
        rates.lock().unwrap().push(change.new_rate);
    };
    let builder = AdaptiveRateLimiter::builder().base_rate(100.0).min_rate(10.0).window(SECOND).clock(clock.clone());
    assert!(limiter.set(builder.on_change(on_change).build().unwrap()).is_ok());
    let looks = thread::spawn(move || {
        let limiter = limiter.get().unwrap();
        report(limiter, 0, 10);
        clock.advance(SECOND);
        // Each is decided on what the callback before it reported.
        for _ in 0..6 {
            assert!(limiter.try_acquire().is_ok());
        }
    });
    eventually("no deadlock", || looks.is_finished());
    looks.join().unwrap();
    assert_eq!(*told.lock().unwrap(), [50.0, 25.0, 12.5, 10.0]);
}

/// Kills: a turn that stays taken when it is poisoned; a wake-up that comes only if the callback returns.
#[test]
fn a_panic_in_on_change_leaves_the_limiter_whole() {
    let clock = ManualClock::new();
    let builder = AdaptiveRateLimiter::builder().base_rate(10.0).recovery_factor(1.5).window(SECOND).max_rate(1_000.0);
    let limiter = builder.clock(clock.clone()).on_change(|change| panic!("told of {change}")).build().unwrap();
    let mut rate = 10.0;
    for _ in 0..4 {
        // A window in which nothing is reported, so that the next one begins here.
        clock.advance(SECOND);
        drain(&limiter);
        clock.advance(SECOND - NANO);
        drain(&limiter);
        report(&limiter, 20, 0);
        #[cfg(feature = "async")]
        let (mut waiting, wakes) = (limiter.acquire_n(5), support::waiting::Wakes::new());
        #[cfg(feature = "async")]
        assert!(support::waiting::poll(&mut waiting, &wakes).is_pending());
        clock.advance(NANO);
        #[cfg(feature = "async")]
        wakes.take();
        let panic = catch_unwind(AssertUnwindSafe(|| limiter.current_rate())).unwrap_err();
        assert!(panic.downcast_ref::<String>().unwrap().starts_with("told of"), "the panic goes to the caller");
        rate *= 1.5;
        assert_eq!((limiter.current_rate(), limiter.stats().last_change.unwrap().new_rate), (rate, rate));
        assert_eq!((limiter.quota().rate(), limiter.stats().window_samples), (rate, 0));
        #[cfg(feature = "async")]
        {
            assert_eq!(wakes.take(), 1, "who waits is woken all the same");
            clock.advance(Duration::from_secs_f64(3.99 / rate));
            assert!(support::waiting::poll(&mut waiting, &wakes).is_pending());
            clock.advance(Duration::from_secs_f64(1.01 / rate));
            assert!(support::waiting::poll(&mut waiting, &wakes).is_ready(), "by the new rate");
        }
    }
}
