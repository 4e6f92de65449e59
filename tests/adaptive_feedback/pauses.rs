//! A server's Retry-After closes an adaptive limiter, for every verb and for who waits.

use std::future::ready;
use std::hint;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

use futures_lite::future::block_on;
use proptest::prelude::*;
use sluicegate::RateLimitExceeded::{Denied, ExceedsCapacity};
use sluicegate::{Acquire, AdaptiveRateLimiter, CallError, ManualClock, Nanos, Outcome};

use super::{Limiter, MS, SECOND, builder, denied, full, reported};
use crate::support::quotas::cases;
use crate::support::threads::Random;
use crate::support::waiting::{HOUR, SOON, Wakes, poll};

const NANO: Duration = Duration::from_nanos(1);

type Waiting<'a> = Acquire<'a, ManualClock, Limiter>;

fn drained() -> (Limiter, ManualClock) {
    let (limiter, clock) = full();
    assert_eq!(limiter.try_acquire_n(20), Ok(()));
    (limiter, clock)
}

fn throttle(limiter: &Limiter, pause: Duration) {
    limiter.record(Outcome::Throttled(Some(pause)));
}

/// Joins the line.
fn join<'a>(limiter: &'a Limiter, n: u64, wakes: &Arc<Wakes>) -> Waiting<'a> {
    let mut waiting = limiter.acquire_n(n);
    assert!(poll(&mut waiting, wakes).is_pending(), "{n} are there, or refused");
    waiting
}

// --- A server's Retry-After

/// Kills: a verb, or an estimate before joining, that does not look at the pause; a pause that is over
/// a nanosecond early.
#[test]
fn a_pause_closes_every_verb_until_it_is_over() {
    let (limiter, clock) = full();
    limiter.record(Outcome::Throttled(None));
    assert_eq!(limiter.available(), 20);
    throttle(&limiter, SECOND);
    clock.advance(300 * MS);
    let check = |left: Duration| {
        let wakes = Wakes::new();
        assert_eq!((limiter.try_acquire(), limiter.try_acquire_n(20)), (denied(left), denied(left)));
        assert_eq!(limiter.call(|| Ok::<_, ()>(())), Err(CallError::RateLimited(Denied { retry_after: left })));
        assert!(block_on(limiter.call_async(ready(Ok::<_, ()>(())))).is_err());
        // A deadline before the reopening is refused at once, one at it is not.
        let short = left - NANO;
        assert_eq!(poll(&mut limiter.acquire_timeout(1, short), &wakes), Poll::Ready(denied(left)));
        assert_eq!(limiter.blocking_acquire_timeout(1, short), denied(left));
        assert!(poll(&mut limiter.acquire_timeout(1, left), &wakes).is_pending());
        assert!(poll(&mut limiter.acquire(), &wakes).is_pending());
        assert_eq!((limiter.available(), limiter.time_to_available(3)), (0, Ok(left)));
        // As ever.
        let never = ExceedsCapacity { requested: 21, capacity: 20 };
        assert_eq!((limiter.try_acquire_n(21), limiter.time_to_available(21)), (Err(never), Err(never)));
        assert_eq!(poll(&mut limiter.acquire_n(21), &wakes), Poll::Ready(Err(never)));
        assert_eq!((limiter.try_acquire_n(0), limiter.time_to_available(0)), (Ok(()), Ok(Duration::ZERO)));
        assert_eq!(poll(&mut limiter.acquire_n(0), &wakes), Poll::Ready(Ok(())));
        assert_eq!(limiter.current_rate(), 10.0);
    };
    check(700 * MS);
    limiter.refund(5);
    limiter.refund(u64::MAX);
    check(700 * MS);
    clock.advance(700 * MS - NANO);
    check(NANO);
    clock.advance(NANO);
    assert_eq!((limiter.available(), limiter.time_to_available(20)), (20, Ok(Duration::ZERO)));
    assert_eq!(limiter.blocking_acquire_n(20), Ok(()), "what came meanwhile is there, up to the burst");
}

/// Kills: the last pause asked for instead of the longest.
#[test]
fn a_shorter_pause_does_not_shorten_a_longer_one() {
    let (limiter, clock) = full();
    throttle(&limiter, 5 * SECOND);
    for pause in [SECOND, Duration::ZERO, 4 * SECOND, NANO] {
        throttle(&limiter, pause);
        assert_eq!(limiter.try_acquire(), denied(5 * SECOND));
    }
    clock.advance(2 * SECOND);
    throttle(&limiter, 2 * SECOND);
    assert_eq!(limiter.try_acquire(), denied(3 * SECOND));
    throttle(&limiter, 4 * SECOND);
    assert_eq!(limiter.try_acquire(), denied(4 * SECOND));
    clock.advance(4 * SECOND);
    assert_eq!(limiter.try_acquire(), Ok(()));
    assert_eq!(reported(&limiter), (7, 7), "each is an error");
}

#[test]
fn a_pause_without_end_closes_for_ever() {
    for pause in [Duration::MAX, Duration::from_nanos(u64::MAX), Duration::from_secs(u64::MAX)] {
        let (limiter, clock) = full();
        clock.advance(SECOND);
        throttle(&limiter, pause);
        let wakes = Wakes::new();
        let mut waiting = join(&limiter, 1, &wakes);
        for time in [1, 2, 1 << 40, 1 << 63, u64::MAX - 1, u64::MAX, 0] {
            clock.set(Nanos::from_nanos(time));
            assert_eq!((limiter.try_acquire(), limiter.available()), (denied(Duration::MAX), 0), "{pause:?}, {time}");
            assert_eq!(limiter.time_to_available(2), Ok(Duration::MAX));
            assert!(poll(&mut waiting, &wakes).is_pending());
            assert_eq!(poll(&mut limiter.acquire_timeout(1, HOUR), &wakes), Poll::Ready(denied(Duration::MAX)));
        }
    }
}

proptest! {
    #![proptest_config(cases(4_000))]

    /// One nanosecond earlier it denies, at it grants; and it is the later of the two.
    #[test]
    fn retry_after_is_the_later_of_reopening_and_refill(
        rate in (-2.0_f64..4.0).prop_map(|exponent| 10_f64.powf(exponent)),
        used in 0.0_f64..=1.0, wanted in 0.0_f64..=1.0, since in 0_u64..3_000_000_000, pause in 0_u64..8_000_000_000,
        refund in 0_u64..3,
    ) {
        let clock = ManualClock::new();
        let builder = AdaptiveRateLimiter::builder().base_rate(rate).window(10_000 * HOUR).clock(clock.clone());
        let limiter = builder.build().unwrap();
        let burst = limiter.available();
        let share = |share: f64| ((burst as f64 * share) as u64).max(1);
        let builder = AdaptiveRateLimiter::builder().base_rate(rate).window(10_000 * HOUR).clock(clock.clone());
        let open = builder.build().unwrap();
        for one in [&limiter, &open] {
            prop_assert_eq!(one.try_acquire_n(share(used)), Ok(()));
        }
        throttle(&limiter, Duration::from_nanos(pause));
        clock.advance(Duration::from_nanos(since));
        limiter.refund(refund);
        open.refund(refund);
        let n = share(wanted);
        let reopens = Duration::from_nanos(pause.saturating_sub(since));
        let expected = open.time_to_available(n).unwrap().max(reopens);
        prop_assert_eq!(limiter.time_to_available(n), Ok(expected));
        if expected > Duration::ZERO {
            prop_assert_eq!(limiter.try_acquire_n(n), denied(expected));
            clock.advance(expected - NANO);
            prop_assert_eq!(limiter.try_acquire_n(n), denied(NANO));
            clock.advance(NANO);
        }
        prop_assert_eq!(limiter.try_acquire_n(n), Ok(()));
    }
}

// --- Who waits

/// Kills: a head that looks only at the bucket.
#[test]
fn the_head_is_due_at_the_later_of_reopening_and_refill() {
    // Three permits come in 300 ms.
    for (pause, due) in [(200 * MS, 300 * MS), (300 * MS, 300 * MS), (450 * MS, 450 * MS)] {
        for pause_first in [true, false] {
            let (limiter, clock) = drained();
            let wakes = Wakes::new();
            if pause_first {
                throttle(&limiter, pause);
            }
            let mut head = join(&limiter, 3, &wakes);
            if !pause_first {
                throttle(&limiter, pause);
            }
            for step in [MS, due - MS - NANO] {
                clock.advance(step);
                assert_eq!(wakes.take(), 1);
                assert!(poll(&mut head, &wakes).is_pending(), "{pause:?}");
            }
            clock.advance(NANO);
            assert_eq!(wakes.take(), 1);
            assert_eq!(poll(&mut head, &wakes), Poll::Ready(Ok(())), "{pause:?}");
            assert_eq!(u128::from(limiter.available()), due.as_millis() / 100 - 3);
        }
    }
}

#[test]
fn the_order_is_kept_across_a_pause() {
    let (limiter, clock) = drained();
    let wakes: Vec<_> = (0..4).map(|_| Wakes::new()).collect();
    let mut waiting: Vec<_> = [3, 1, 2].iter().zip(&wakes).map(|(&n, wakes)| join(&limiter, n, wakes)).collect();
    clock.advance(250 * MS);
    throttle(&limiter, SECOND);
    let late = join(&limiter, 1, &wakes[3]);
    // All has come long before; nobody is served, and nobody passes.
    clock.advance(SECOND - NANO);
    assert!(waiting.iter_mut().zip(&wakes).rev().all(|(one, wakes)| poll(one, wakes).is_pending()));
    limiter.refund(20);
    assert!(waiting.iter_mut().zip(&wakes).rev().all(|(one, wakes)| poll(one, wakes).is_pending()));
    wakes.iter().for_each(|wakes| assert!(wakes.take() <= 2));
    clock.advance(NANO);
    assert_eq!(wakes.iter().map(|wakes| wakes.take()).collect::<Vec<_>>(), [1, 0, 0, 0], "the clock wakes the head");
    assert!(limiter.try_acquire().is_err(), "somebody waits");
    for turn in 0..3 {
        assert!(
            waiting[turn + 1..].iter_mut().zip(&wakes[turn + 1..]).all(|(one, wakes)| poll(one, wakes).is_pending())
        );
        assert_eq!(poll(&mut waiting[turn], &wakes[turn]), Poll::Ready(Ok(())));
        assert_eq!(wakes[turn + 1].take(), 1, "the next one is the head");
    }
    drop(late);
    assert_eq!(limiter.try_acquire(), Ok(()));
}

/// Whoever began to wait in time for its deadline leaves at it, a pause notwithstanding.
#[test]
fn a_pause_does_not_stretch_a_deadline() {
    let (limiter, clock) = drained();
    let wakes = Wakes::new();
    let mut timed = limiter.acquire_timeout(1, 200 * MS);
    assert!(poll(&mut timed, &wakes).is_pending());
    throttle(&limiter, SECOND);
    clock.advance(200 * MS - NANO);
    assert!(poll(&mut timed, &wakes).is_pending());
    clock.advance(NANO);
    assert!(matches!(poll(&mut timed, &wakes), Poll::Ready(Err(Denied { retry_after })) if retry_after >= 800 * MS));
    clock.advance(800 * MS);
    assert_eq!(limiter.try_acquire_n(10), Ok(()), "nothing is charged, and nobody waits");
}

/// Ten a second, drained at 900 ms, a window of one second, in which `report` is reported.
fn at_the_end_of_a_window(report: Outcome) -> (Limiter, ManualClock) {
    let (builder, clock) = builder();
    let limiter = builder.window(SECOND).recovery_factor(2.0).build().unwrap();
    clock.advance(900 * MS);
    assert_eq!(limiter.try_acquire_n(20), Ok(()));
    limiter.record(report);
    (limiter, clock)
}

/// At the change one permit has come; what the head lacks comes at the new rate. Kills: waiters that a
/// change does not wake.
#[test]
fn a_change_while_tasks_wait_moves_the_time_at_which_the_head_is_due() {
    // Five lack at 20/s or at 5/s.
    for (outcome, rate, due) in [(Outcome::Success, 20.0, 250 * MS), (Outcome::Error, 5.0, SECOND)] {
        let (limiter, clock) = at_the_end_of_a_window(outcome);
        let wakes = [Wakes::new(), Wakes::new()];
        let (mut head, mut next) = (join(&limiter, 6, &wakes[0]), join(&limiter, 1, &wakes[1]));
        clock.advance(100 * MS);
        wakes.iter().for_each(|wakes| assert!(wakes.take() <= 2));
        // Somebody else ends the window.
        assert!(limiter.try_acquire().is_err());
        assert_eq!((limiter.current_rate(), wakes[0].take(), wakes[1].take()), (rate, 1, 0));
        assert!(poll(&mut head, &wakes[0]).is_pending());
        clock.advance(due - NANO);
        assert!(poll(&mut head, &wakes[0]).is_pending(), "at {rate}/s");
        clock.advance(NANO);
        assert_eq!(poll(&mut head, &wakes[0]), Poll::Ready(Ok(())), "at {rate}/s");
        assert!(poll(&mut next, &wakes[1]).is_pending());
    }
}

#[test]
fn a_cut_below_what_is_waited_for_ends_the_wait() {
    for who_looks in 0..3 {
        let (limiter, clock) = at_the_end_of_a_window(Outcome::Error);
        let wakes: Vec<_> = (0..3).map(|_| Wakes::new()).collect();
        let mut waiting: Vec<_> = [1, 11, 10].iter().zip(&wakes).map(|(&n, wakes)| join(&limiter, n, wakes)).collect();
        clock.advance(100 * MS);
        // The window is ended by one of those who wait, or by somebody else.
        match who_looks {
            0 => assert_eq!(limiter.current_rate(), 5.0),
            1 => assert!(poll(&mut waiting[2], &wakes[2]).is_pending()),
            _ => {}
        }
        assert_eq!(poll(&mut waiting[0], &wakes[0]), Poll::Ready(Ok(())));
        assert!(wakes[1].take() > 0, "it is told");
        let never = Err(ExceedsCapacity { requested: 11, capacity: 10 });
        assert_eq!(poll(&mut waiting[1], &wakes[1]), Poll::Ready(never));
        assert!(poll(&mut waiting[2], &wakes[2]).is_pending());
        clock.advance(2 * SECOND);
        assert_eq!(poll(&mut waiting[2], &wakes[2]), Poll::Ready(Ok(())), "a burst of the new rate");
    }
}

/// A refund that comes between a waiter's look and its place in the line, in a pause: the head is due when the limiter
/// reopens, not when the permits would have come without it. Kills: an estimate by the word of the look, in a pause,
/// instead of one that is read again under the line's lock.
#[test]
fn a_refund_in_the_midst_of_a_poll_is_not_missed_in_a_pause() {
    const ROUNDS: u64 = 12_000;
    const PAUSE: Duration = Duration::from_micros(60);
    // A permit in ten seconds.
    let limiter = AdaptiveRateLimiter::builder().base_rate(0.1).window(HOUR).build().unwrap();
    // Both spin until the other is there: the moment that is looked for is a tenth of a microsecond.
    let (arrived, is_missed) = (AtomicU64::new(0), AtomicBool::new(false));
    let meet = |round| {
        arrived.fetch_add(1, Ordering::SeqCst);
        while arrived.load(Ordering::SeqCst) < 2 * (round + 1) {
            hint::spin_loop();
        }
        !is_missed.load(Ordering::SeqCst)
    };
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut random = Random::new(6);
            for _ in (0..ROUNDS).take_while(|&round| meet(round)) {
                (0..random.next() % 40).for_each(|_| hint::spin_loop());
                limiter.refund(1);
            }
        });
        for round in 0..ROUNDS {
            while limiter.try_acquire().is_ok() {}
            limiter.record(Outcome::Throttled(Some(PAUSE)));
            if !meet(round) {
                break;
            }
            let started = Instant::now();
            assert_eq!(limiter.blocking_acquire_timeout(1, SOON), Ok(()));
            // Then it has waited for what the rate brings.
            is_missed.store(started.elapsed() > 5 * SECOND, Ordering::SeqCst);
        }
    });
    assert!(!is_missed.into_inner(), "who waited was given its permit by the rate and not by the refund");
}

#[test]
fn waits_are_counted_with_the_time_that_they_took() {
    let (limiter, clock) = drained();
    let stats = || {
        let stats = limiter.stats();
        (stats.total_requests, stats.allowed_requests, stats.rejected_requests, stats.total_wait_time)
    };
    let wakes = Wakes::new();
    let mut one = join(&limiter, 1, &wakes);
    let mut timed = limiter.acquire_timeout(2, 400 * MS);
    assert!(poll(&mut timed, &wakes).is_pending());
    let dropped = join(&limiter, 1, &wakes);
    assert_eq!(stats(), (1, 1, 0, Duration::ZERO), "when they end");
    clock.advance(150 * MS);
    assert_eq!(poll(&mut one, &wakes), Poll::Ready(Ok(())));
    assert_eq!(stats(), (2, 2, 0, 150 * MS));
    drop(dropped);
    throttle(&limiter, SECOND);
    clock.advance(250 * MS);
    assert!(matches!(poll(&mut timed, &wakes), Poll::Ready(Err(Denied { .. }))));
    assert_eq!(stats(), (3, 2, 1, 550 * MS), "a pause is waited for, too");
    assert!(poll(&mut limiter.acquire_timeout(1, MS), &wakes).is_ready());
    clock.advance(HOUR - SECOND);
    assert_eq!((limiter.blocking_acquire(), limiter.blocking_acquire_n(0)), (Ok(()), Ok(())));
    assert_eq!(stats(), (5, 3, 2, 550 * MS), "what is there takes no time");
    assert_eq!(limiter.stats().rejection_rate(), 0.4);
}
