//! G6: who waits is served in the order of joining, leaves no trace when it goes, and is woken when its permits come,
//! whatever brings them. Step by step, on a clock that is moved by hand, and with real time where that is the point.

#![cfg(feature = "async")]

mod support;

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use futures_lite::future::block_on;
use sluicegate::RateLimitExceeded::{Denied, ExceedsCapacity};
use sluicegate::{Acquire, Clock, ManualClock, Nanos, Quota, RateLimitExceeded, TokenBucket};
use support::clocks::Stopped;
use support::waiting::{HOUR, SOON, Turned, Wakes, eventually, poll, poll_with, runs};

const MS: Duration = Duration::from_millis(1);

type Waiting<'a> = Acquire<'a, ManualClock>;

/// Empty, on a clock that stands still.
fn drained(quota: Quota) -> (TokenBucket<ManualClock>, ManualClock) {
    let clock = ManualClock::new();
    (TokenBucket::builder(quota).clock(clock.clone()).initial(0).stats().build().unwrap(), clock)
}

/// Joins the line.
fn join<'a>(bucket: &'a TokenBucket<ManualClock>, n: u64, wakes: &Arc<Wakes>) -> Waiting<'a> {
    let mut waiting = bucket.acquire_n(n);
    assert!(poll(&mut waiting, wakes).is_pending(), "{n} are there, or refused");
    waiting
}

fn denied<T>(retry_after: Duration) -> Result<T, RateLimitExceeded> {
    Err(Denied { retry_after })
}

// --- Order

#[test]
fn ten_futures_are_served_in_the_order_of_joining() {
    let (bucket, clock) = drained(Quota::per_second(50).burst(1));
    let wakes: Vec<_> = (0..10).map(|_| Wakes::new()).collect();
    let mut waiting: Vec<_> = wakes.iter().map(|wakes| join(&bucket, 1, wakes)).collect();
    for turn in 0..10 {
        clock.advance(19 * MS);
        for (one, wakes) in waiting.iter_mut().zip(&wakes).skip(turn) {
            assert!(poll(one, wakes).is_pending(), "turn {turn}, a millisecond early");
            wakes.take();
        }
        clock.advance(MS);
        assert_eq!(wakes[turn].take(), 1, "turn {turn}: the clock wakes the head");
        // The others ask before the head does, and in vain.
        for (one, wakes) in waiting.iter_mut().zip(&wakes).skip(turn + 1).rev() {
            assert!(poll(one, wakes).is_pending(), "turn {turn} is overtaken");
        }
        assert_eq!(poll(&mut waiting[turn], &wakes[turn]), Poll::Ready(Ok(())));
    }
    assert_eq!(bucket.available(), 0);
}

#[test]
fn ten_threads_are_served_in_the_order_of_joining() {
    let (bucket, clock) = drained(Quota::per_second(50).burst(1));
    let served = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for index in 0..10 {
            let (bucket, served) = (&bucket, &served);
            scope.spawn(move || {
                bucket.blocking_acquire().unwrap();
                served.lock().unwrap().push(index);
            });
            // It has joined when its permit counts for the next one.
            eventually("joins", || bucket.time_to_available(1) == Ok((index + 2) * 20 * MS));
        }
        for turn in 1..=10 {
            clock.advance(20 * MS);
            eventually("is served", || served.lock().unwrap().len() == turn);
        }
    });
    assert_eq!(*served.lock().unwrap(), (0..10).collect::<Vec<_>>());
}

/// On one thread, so that what is served first also says so first.
#[test]
fn ten_tasks_are_served_in_order_in_real_time() {
    let bucket = TokenBucket::new(Quota::per_second(50).burst(1)).unwrap();
    let served = Mutex::new(Vec::new());
    let executor = smol::LocalExecutor::new();
    let started = Instant::now();
    let tasks: Vec<_> = (0..10)
        .map(|index| {
            let (bucket, served) = (&bucket, &served);
            executor.spawn(async move {
                bucket.acquire().await.unwrap();
                served.lock().unwrap().push(index);
            })
        })
        .collect();
    block_on(executor.run(async {
        for task in tasks {
            task.await;
        }
    }));
    let elapsed = started.elapsed();
    assert_eq!(*served.lock().unwrap(), (0..10).collect::<Vec<_>>());
    assert!((179 * MS..SOON).contains(&elapsed), "nine permits at 50/s came in {elapsed:?}");
}

#[test]
fn a_large_request_is_not_starved_by_small_ones() {
    let (bucket, clock) = drained(Quota::per_second(10));
    let wakes = [Wakes::new(), Wakes::new()];
    let mut large = join(&bucket, 10, &wakes[0]);
    let mut small = join(&bucket, 1, &wakes[1]);
    for _ in 0..9 {
        clock.advance(100 * MS);
        assert!(poll(&mut small, &wakes[1]).is_pending());
        assert!(bucket.try_acquire().is_err(), "what is there is kept for the head");
        assert!(poll(&mut large, &wakes[0]).is_pending());
    }
    clock.advance(100 * MS);
    assert_eq!(poll(&mut large, &wakes[0]), Poll::Ready(Ok(())));
    assert!(poll(&mut small, &wakes[1]).is_pending());
}

#[test]
fn thousands_of_waiters_are_served_in_order_and_woken_about_once_each() {
    const WAITERS: usize = 5_000;
    let (bucket, clock) = drained(Quota::per_second(1_000));
    let woken = Arc::new(Mutex::new(VecDeque::new()));
    let wakers: Vec<Waker> = (0..WAITERS)
        .map(|index| {
            let woken = Arc::clone(&woken);
            runs(move || woken.lock().unwrap().push_back(index))
        })
        .collect();
    let mut waiting: Vec<_> = wakers.iter().map(|_| bucket.acquire()).collect();
    for (one, waker) in waiting.iter_mut().zip(&wakers) {
        assert!(poll_with(one, waker).is_pending());
    }
    let (mut served, mut polls) = (Vec::new(), 0);
    while served.len() < WAITERS {
        clock.advance(250 * MS);
        while let Some(index) = { woken.lock().unwrap().pop_front() } {
            polls += 1;
            if let Poll::Ready(outcome) = poll_with(&mut waiting[index], &wakers[index]) {
                assert_eq!(outcome, Ok(()));
                served.push(index);
            }
        }
    }
    assert!(served.iter().copied().eq(0..WAITERS));
    assert_eq!(clock.now(), Nanos::from_nanos(5_000_000_000), "not a permit is lost");
    assert!(polls < WAITERS + 100, "{polls} polls: more than the head are woken");
}

// --- Timeouts

#[test]
fn timeouts_that_are_too_short_return_at_once_and_charge_nothing() {
    for head_waits in [false, true] {
        let (bucket, clock) = drained(Quota::per_second(10).burst(1));
        let (wakes, others) = (Wakes::new(), Wakes::new());
        let mut head = head_waits.then(|| join(&bucket, 1, &wakes));
        let wait = if head_waits { 200 * MS } else { 100 * MS };
        for _ in 0..50 {
            assert_eq!(poll(&mut bucket.acquire_timeout(1, 5 * MS), &others), Poll::Ready(denied(wait)));
            assert_eq!(bucket.blocking_acquire_timeout(1, 5 * MS), denied(wait));
        }
        // One nanosecond less than it takes.
        assert_eq!(bucket.blocking_acquire_timeout(1, wait - Duration::from_nanos(1)), denied(wait));
        assert_eq!(others.take(), 0, "who is refused is not woken");
        assert_eq!(bucket.time_to_available(1), Ok(wait));
        clock.advance(100 * MS);
        match &mut head {
            Some(head) => assert_eq!(poll(head, &wakes), Poll::Ready(Ok(()))),
            None => assert_eq!(bucket.try_acquire(), Ok(())),
        }
        assert_eq!(bucket.stats().unwrap().rejected_requests, 101);
    }
}

#[test]
fn short_timeouts_do_not_sleep_in_real_time() {
    let bucket = TokenBucket::builder(Quota::per_hour(1)).initial(0).build().unwrap();
    let started = Instant::now();
    for _ in 0..50 {
        assert!(bucket.blocking_acquire_timeout(1, SOON).is_err());
        assert!(block_on(bucket.acquire_timeout(1, SOON)).is_err());
    }
    assert!(started.elapsed() < SOON, "one of a hundred slept");
}

#[test]
fn a_timeout_that_is_just_enough_is_served_and_one_that_passes_leaves() {
    let (bucket, clock) = drained(Quota::per_second(10).burst(1));
    let wakes = [Wakes::new(), Wakes::new()];
    let mut head = join(&bucket, 1, &wakes[0]);
    let mut timed = bucket.acquire_timeout(1, 200 * MS);
    assert!(poll(&mut timed, &wakes[1]).is_pending(), "200 ms is what it takes");
    // Permits that are taken meanwhile make it too late for the second one.
    assert_eq!(bucket.charge(1), 1);
    clock.advance(200 * MS);
    assert_eq!(poll(&mut timed, &wakes[1]), Poll::Ready(denied(100 * MS)), "after the head, still there");
    assert_eq!(poll(&mut head, &wakes[0]), Poll::Ready(Ok(())));

    let mut exact = bucket.acquire_timeout(1, 100 * MS);
    assert!(poll(&mut exact, &wakes[0]).is_pending());
    clock.advance(100 * MS);
    assert_eq!(poll(&mut exact, &wakes[0]), Poll::Ready(Ok(())), "due and out of time at once: due");
}

#[test]
fn a_clock_that_steps_back_does_not_stretch_a_timeout() {
    for blocking in [true, false] {
        let clock = Arc::new(Turned::new());
        let bucket = TokenBucket::builder(Quota::per_second(25).burst(1)).clock(Arc::clone(&clock)).initial(0);
        let bucket = bucket.build().unwrap();
        let started = Instant::now();
        let outcome = thread::scope(|scope| {
            let waits = scope.spawn(|| {
                // The permit is 40 ms off, so this is let into the line; then it is an hour off.
                let timeout = 40 * MS;
                if blocking {
                    bucket.blocking_acquire_timeout(1, timeout)
                } else {
                    block_on(bucket.acquire_timeout(1, timeout))
                }
            });
            thread::sleep(5 * MS);
            clock.turn_back(HOUR);
            waits.join().unwrap()
        });
        // Denied, unless the clock was turned back only after all was over.
        assert!(started.elapsed() < SOON, "{outcome:?}");
    }
}

// --- Dropped

#[test]
fn five_dropped_futures_leave_the_bucket_as_if_never_asked() {
    let (bucket, clock) = drained(Quota::per_second(10));
    clock.advance(300 * MS);
    let before = (bucket.available(), bucket.time_to_available(4));
    let wakes = Wakes::new();
    let waiting: Vec<_> = (5..10).map(|n| join(&bucket, n, &wakes)).collect();
    assert!(bucket.try_acquire().is_err(), "somebody waits");
    drop(waiting);
    assert_eq!((bucket.available(), bucket.time_to_available(4)), before);
    assert_eq!(bucket.try_acquire_n(3), Ok(()));
    assert_eq!(bucket.stats().unwrap().total_requests, 2, "a dropped future is not counted");
}

#[test]
fn a_head_that_is_dropped_wakes_the_next_one() {
    let (bucket, clock) = drained(Quota::per_second(10));
    clock.advance(100 * MS);
    let wakes: Vec<_> = (0..4).map(|_| Wakes::new()).collect();
    let head = join(&bucket, 9, &wakes[0]);
    let middle = join(&bucket, 9, &wakes[1]);
    let mut next = join(&bucket, 1, &wakes[2]);
    let last = join(&bucket, 1, &wakes[3]);
    drop((middle, last));
    assert_eq!(wakes[2].take(), 0, "still not the head");
    drop(head);
    assert_eq!(wakes.iter().map(|wakes| wakes.take()).collect::<Vec<_>>(), [0, 0, 1, 0]);
    assert_eq!(poll(&mut next, &wakes[2]), Poll::Ready(Ok(())));
    assert_eq!(bucket.try_acquire(), denied(100 * MS), "one of one is taken, and nobody waits");
}

#[test]
fn a_future_that_was_never_polled_or_is_done_leaves_nothing() {
    let (bucket, clock) = drained(Quota::per_second(10));
    let wakes = Wakes::new();
    drop(bucket.acquire_n(5));
    let mut served = join(&bucket, 1, &wakes);
    clock.advance(100 * MS);
    assert_eq!(poll(&mut served, &wakes), Poll::Ready(Ok(())));
    let mut behind = join(&bucket, 1, &wakes);
    assert!(poll(&mut served, &wakes).is_pending(), "done is done");
    drop(served);
    clock.advance(100 * MS);
    assert_eq!(poll(&mut behind, &wakes), Poll::Ready(Ok(())));
    assert_eq!(bucket.available(), 0);
}

// --- What wakes the head

#[test]
fn a_refund_and_a_change_of_quota_wake_a_thread_that_would_wait_for_an_hour() {
    type Change = fn(&TokenBucket);
    let changes: [Change; 2] =
        [|bucket| bucket.refund(1), |bucket| bucket.set_quota(Quota::per_second(1_000).burst(1)).unwrap()];
    for (change, with_task) in changes.iter().flat_map(|change| [(change, false), (change, true)]) {
        let bucket = TokenBucket::builder(Quota::per_hour(1)).initial(0).build().unwrap();
        let started = Instant::now();
        thread::scope(|scope| {
            let waits = scope.spawn(|| if with_task { block_on(bucket.acquire()) } else { bucket.blocking_acquire() });
            eventually("joins", || bucket.time_to_available(1).unwrap() > HOUR);
            change(&bucket);
            assert_eq!(waits.join().unwrap(), Ok(()));
        });
        assert!(started.elapsed() < SOON);
    }
}

#[test]
fn refunds_and_changes_of_quota_wake_the_head_alone_and_once() {
    let (bucket, clock) = drained(Quota::per_hour(10));
    let wakes = [Wakes::new(), Wakes::new()];
    let mut head = join(&bucket, 2, &wakes[0]);
    let mut next = join(&bucket, 1, &wakes[1]);
    bucket.refund(1);
    bucket.refund(1);
    assert_eq!((wakes[0].take(), wakes[1].take()), (1, 0), "two refunds, one look");
    assert_eq!(poll(&mut head, &wakes[0]), Poll::Ready(Ok(())));
    assert_eq!(wakes[1].take(), 1, "the next one is the head now");
    assert!(poll(&mut next, &wakes[1]).is_pending());
    bucket.set_quota(Quota::per_second(10)).unwrap();
    assert_eq!(wakes[1].take(), 1, "its sleep was too long");
    assert!(poll(&mut next, &wakes[1]).is_pending());
    clock.advance(100 * MS);
    assert_eq!(wakes[1].take(), 1);
    assert_eq!(poll(&mut next, &wakes[1]), Poll::Ready(Ok(())));
}

#[test]
fn a_settled_reservation_wakes_the_head() {
    let (bucket, clock) = drained(Quota::per_second(10));
    clock.advance(Duration::from_secs(1));
    let reservation = bucket.try_reserve(10).unwrap();
    let wakes = Wakes::new();
    let mut head = join(&bucket, 4, &wakes);
    assert_eq!(reservation.commit(6), 6);
    assert_eq!(wakes.take(), 1);
    assert_eq!(poll(&mut head, &wakes), Poll::Ready(Ok(())));
    assert_eq!(bucket.available(), 0);
}

// --- While somebody waits

#[test]
fn while_somebody_waits_nobody_overtakes_and_the_wait_ahead_is_told() {
    let (bucket, clock) = drained(Quota::per_second(10));
    clock.advance(300 * MS);
    let wakes = Wakes::new();
    let five = join(&bucket, 5, &wakes);
    let two = join(&bucket, 2, &wakes);
    // Three are there; seven are wanted before.
    assert_eq!(bucket.available(), 3, "the level, whoever wants it");
    assert_eq!(bucket.try_acquire(), denied(500 * MS));
    assert_eq!(bucket.try_acquire_n(3), denied(700 * MS));
    assert_eq!(bucket.try_acquire_up_to(3), 0);
    assert_eq!(bucket.try_reserve(2).map(drop), denied(600 * MS));
    assert_eq!(bucket.time_to_available(1), Ok(500 * MS));
    assert_eq!(bucket.time_to_available(10), Ok(1_400 * MS), "more than a burst in all");
    assert_eq!(bucket.time_to_available(0), Ok(Duration::ZERO));
    let never = Err(ExceedsCapacity { requested: 11, capacity: 10 });
    assert_eq!(bucket.try_acquire_n(11), never);
    assert_eq!(bucket.time_to_available(11).map(drop), never);
    drop(five);
    let not_yet = Duration::from_nanos(1);
    assert_eq!(bucket.time_to_available(1), Ok(not_yet), "two and one are there");
    assert_eq!(bucket.try_acquire(), denied(not_yet), "but not before the two");
    drop(two);
    assert_eq!(bucket.time_to_available(4), Ok(100 * MS));
    assert_eq!(bucket.try_acquire_up_to(9), 3);
}

#[test]
fn a_full_line_refuses_at_once() {
    let clock = ManualClock::new();
    let builder = TokenBucket::builder(Quota::per_second(10)).clock(clock.clone()).initial(0).max_waiters(2);
    let bucket = builder.build().unwrap();
    let wakes = Wakes::new();
    let first = join(&bucket, 1, &wakes);
    let _second = join(&bucket, 1, &wakes);
    assert_eq!(poll(&mut bucket.acquire(), &wakes), Poll::Ready(denied(300 * MS)));
    assert_eq!(bucket.blocking_acquire_n(2), denied(400 * MS));
    drop(first);
    let _third = join(&bucket, 1, &wakes);

    let nobody = TokenBucket::builder(Quota::per_second(1)).clock(clock).max_waiters(0).build().unwrap();
    assert_eq!(nobody.blocking_acquire(), Ok(()), "without waiting");
    assert_eq!(nobody.blocking_acquire(), denied(Duration::from_secs(1)));
}

#[test]
fn nothing_is_there_at_once_and_too_much_never() {
    let (bucket, _clock) = drained(Quota::per_second(10));
    let wakes = Wakes::new();
    let _head = join(&bucket, 1, &wakes);
    let never = Err(ExceedsCapacity { requested: 11, capacity: 10 });
    assert_eq!(poll(&mut bucket.acquire_n(0), &wakes), Poll::Ready(Ok(())));
    assert_eq!(bucket.blocking_acquire_timeout(0, Duration::ZERO), Ok(()));
    assert_eq!(poll(&mut bucket.acquire_n(11), &wakes), Poll::Ready(never));
    assert_eq!(bucket.blocking_acquire_timeout(11, Duration::MAX), never);
    assert_eq!(bucket.stats().unwrap().total_requests, 2, "nothing is not counted");
}

#[test]
fn a_waiter_above_a_shrunk_burst_is_told_wherever_it_stands() {
    let (bucket, clock) = drained(Quota::per_second(10));
    let wakes: Vec<_> = (0..5).map(|_| Wakes::new()).collect();
    let mut waiting: Vec<_> = [7, 1, 8, 9, 2].into_iter().zip(&wakes).map(|(n, w)| join(&bucket, n, w)).collect();
    bucket.set_quota(Quota::per_second(10).burst(2)).unwrap();
    assert_eq!(wakes.iter().map(|wakes| wakes.take()).collect::<Vec<_>>(), [1, 0, 1, 1, 0]);
    for (index, requested) in [(2, 8), (3, 9), (0, 7)] {
        let never = Err(ExceedsCapacity { requested, capacity: 2 });
        assert_eq!(poll(&mut waiting[index], &wakes[index]), Poll::Ready(never));
    }
    assert_eq!(wakes[1].take(), 1, "the head now");
    for (index, millis) in [(1, 100), (4, 200)] {
        assert!(poll(&mut waiting[index], &wakes[index]).is_pending());
        clock.advance(MS * millis);
        assert_eq!(poll(&mut waiting[index], &wakes[index]), Poll::Ready(Ok(())));
    }
    assert_eq!(bucket.available(), 0);
}

// --- Whatever happens between two readings of the clock

/// Empty, with a head that waits for an hour, and a waiter whose poll is interrupted at its `reading`-th look at the clock.
/// Whatever happens there, it is either seen or wakes.
fn interrupted(n: u64, with_head: bool, then: impl Fn(&TokenBucket<Arc<Stopped<'static>>>) + Copy + Send + 'static) {
    let mut interruptions = 0;
    for reading in 1..20 {
        let clock = Arc::new(Stopped::default());
        let builder = TokenBucket::builder(Quota::per_hour(10)).clock(Arc::clone(&clock)).initial(0);
        let bucket = Arc::new(builder.build().unwrap());
        let wakes = [Wakes::new(), Wakes::new()];
        let mut head = bucket.acquire();
        if with_head {
            assert!(poll(&mut head, &wakes[0]).is_pending());
        }
        let meanwhile = Arc::clone(&bucket);
        clock.after_reading(reading, move || then(&meanwhile));
        let mut waiting = bucket.acquire_n(n);
        let first = poll(&mut waiting, &wakes[1]);
        if !clock.was_stopped() {
            break;
        }
        interruptions += 1;
        let is_woken = wakes[1].take() > 0;
        assert!(first.is_ready() || is_woken, "neither seen nor woken at reading {reading}");
        assert!(first.is_ready() || poll(&mut waiting, &wakes[1]).is_ready(), "woken for nothing at {reading}");
    }
    assert!(interruptions > 2, "only {interruptions} readings");
}

#[test]
fn a_refund_in_the_midst_of_a_poll_is_not_missed() {
    interrupted(3, false, |bucket| bucket.refund(3));
}

#[test]
fn a_change_of_quota_in_the_midst_of_a_poll_is_not_missed_by_the_head() {
    interrupted(3, false, |bucket| bucket.set_quota(Quota::per_hour(2)).unwrap());
}

#[test]
fn a_change_of_quota_in_the_midst_of_a_poll_is_not_missed_further_back() {
    interrupted(3, true, |bucket| bucket.set_quota(Quota::per_hour(2)).unwrap());
}

// --- Wakers

#[test]
fn only_the_last_waker_is_woken() {
    let (bucket, clock) = drained(Quota::per_hour(10));
    let wakes: Vec<_> = (0..3).map(|_| Wakes::new()).collect();
    let mut waiting = join(&bucket, 1, &wakes[0]);
    assert!(poll(&mut waiting, &wakes[1]).is_pending());
    // From another thread, as when a task is stolen.
    let mut waiting = thread::scope(|scope| {
        let polls = scope.spawn(|| {
            assert!(poll(&mut waiting, &wakes[2]).is_pending());
            waiting
        });
        polls.join().unwrap()
    });
    bucket.refund(1);
    assert_eq!(wakes.iter().map(|wakes| wakes.take()).collect::<Vec<_>>(), [0, 0, 1]);
    assert_eq!(poll(&mut waiting, &wakes[2]), Poll::Ready(Ok(())));
    clock.advance(MS);
    assert!(wakes.iter().all(|wakes| wakes.take() <= 1), "the clock wakes at most once whom it knew");
}

#[test]
fn a_waker_that_panics_does_not_eat_the_wake_ups_of_others() {
    let (bucket, clock) = drained(Quota::per_second(10));
    let wakes = [Wakes::new(), Wakes::new()];
    let panics = runs(|| panic!("of a waker"));
    for by_clock in [false, true] {
        // All three are to be woken: by the change of quota, or by the clock, since each has a deadline.
        let mut waiting: Vec<_> = (0..3).map(|_| bucket.acquire_timeout(5, HOUR)).collect();
        assert!(poll(&mut waiting[0], &wakes[0]).is_pending());
        assert!(poll_with(&mut waiting[1], &panics).is_pending());
        assert!(poll(&mut waiting[2], &wakes[1]).is_pending());
        let change = || {
            if by_clock { clock.advance(MS) } else { bucket.set_quota(Quota::per_second(10).burst(2)).unwrap() }
        };
        assert!(catch_unwind(AssertUnwindSafe(change)).is_err(), "the panic is not hidden");
        assert!(wakes.iter().all(|wakes| wakes.take() == 1), "by_clock: {by_clock}");
        // From the end: who leaves as the head wakes the next one.
        while waiting.pop().is_some() {}
        bucket.set_quota(Quota::per_second(10)).unwrap();
    }
    clock.advance(Duration::from_secs(1));
    assert_eq!(bucket.try_acquire_n(10), Ok(()), "nobody waits");
}

#[test]
fn wakers_may_call_the_limiter_in_place() {
    let (bucket, clock) = drained(Quota::per_hour(10));
    let bucket = Arc::new(bucket);
    let calls = Arc::new(Mutex::new(0));
    let waker = runs({
        let (bucket, clock, calls) = (Arc::clone(&bucket), clock.clone(), Arc::clone(&calls));
        move || {
            *calls.lock().unwrap() += 1;
            assert!(bucket.try_acquire().is_err(), "somebody waits");
            bucket.refund(1);
            bucket.set_quota(Quota::per_hour(10)).unwrap();
            clock.advance(Duration::ZERO);
            assert!(bucket.blocking_acquire_timeout(1, Duration::ZERO).is_err());
        }
    });
    let mut waiting = [bucket.acquire_n(4), bucket.acquire_n(4)];
    assert!(waiting.iter_mut().all(|one| poll_with(one, &waker).is_pending()));
    bucket.refund(1);
    clock.advance(Duration::ZERO);
    bucket.refund(4);
    assert_eq!(poll_with(&mut waiting[0], &waker), Poll::Ready(Ok(())), "and the next one is woken");
    assert!(*calls.lock().unwrap() >= 2);
    drop(waiting);
}

// --- Statistics

#[test]
fn waits_are_counted_with_the_time_that_they_took() {
    let (bucket, clock) = drained(Quota::per_second(10));
    let stats = || {
        let stats = bucket.stats().unwrap();
        (stats.total_requests, stats.allowed_requests, stats.rejected_requests, stats.total_wait_time)
    };
    let wakes = Wakes::new();
    let mut one = join(&bucket, 1, &wakes);
    let mut timed = bucket.acquire_timeout(2, 400 * MS);
    assert!(poll(&mut timed, &wakes).is_pending());
    let dropped = join(&bucket, 1, &wakes);
    assert_eq!(stats(), (0, 0, 0, Duration::ZERO), "when they end");
    clock.advance(150 * MS);
    assert_eq!(poll(&mut one, &wakes), Poll::Ready(Ok(())));
    assert_eq!(stats(), (1, 1, 0, 150 * MS));
    drop(dropped);
    bucket.charge(10);
    clock.advance(250 * MS);
    assert!(matches!(poll(&mut timed, &wakes), Poll::Ready(Err(Denied { .. }))));
    assert_eq!(stats(), (2, 1, 1, 550 * MS));
    clock.advance(HOUR);
    assert_eq!(bucket.blocking_acquire(), Ok(()));
    assert_eq!(bucket.blocking_acquire_n(0), Ok(()));
    assert_eq!(stats(), (3, 2, 1, 550 * MS), "what is there takes no time");
}
