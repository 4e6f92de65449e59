//! G6 where everybody comes together: threads and tasks of two runtimes in one line, storms of cancellations, and the
//! window counters, which wait by the same rules.

#![cfg(feature = "async")]

mod support;

use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

use futures_lite::future::{block_on, or, poll_once};
use sluicegate::RateLimitExceeded::{Denied, ExceedsCapacity};
use sluicegate::{
    Clock, FixedWindowCounter, ManualClock, MonotonicClock, Nanos, Quota, RateLimitExceeded, SlidingWindowCounter,
    TokenBucket,
};
use support::intervals::{Call, worst_excess_net};
use support::threads::Random;
use support::waiting::{HOUR, SOON, Wakes, eventually, poll};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

// --- Storms

const RATE: u64 = 20_000;

/// A bucket, and what was done with it.
struct Storm {
    clock: MonotonicClock,
    bucket: TokenBucket,
    granted: Mutex<Vec<Call>>,
    given_back: Mutex<Vec<Call>>,
}

impl Storm {
    fn now(&self) -> u64 {
        self.clock.now().as_nanos()
    }

    fn end(&self, start: u64, permits: u64) -> Call {
        Call { start, end: self.now() + 1, permits }
    }

    /// Every fourth that is granted is given back.
    fn note(&self, start: u64, permits: u64, outcome: Result<(), RateLimitExceeded>, random: u64) {
        if outcome.is_ok() {
            self.granted.lock().unwrap().push(self.end(start, permits));
            if random % 4 == 0 {
                let start = self.now();
                self.bucket.refund(permits);
                self.given_back.lock().unwrap().push(self.end(start, permits));
            }
        }
    }

    fn thread(&self, seed: u64) {
        let mut random = Random::new(seed);
        for _ in 0..100 {
            let (n, start) = (1 + random.next() % 5, self.now());
            let outcome = match random.next() % 3 {
                0 => self.bucket.blocking_acquire_n(n),
                _ => self.bucket.blocking_acquire_timeout(n, Duration::from_micros(random.next() % 300_000)),
            };
            self.note(start, n, outcome, random.next());
        }
    }

    /// `sleep` is the runtime's.
    async fn task<S: Future<Output = ()>>(&self, seed: u64, sleep: impl FnOnce(Duration) -> S) {
        let mut random = Random::new(seed);
        random.next();
        let (n, patience) = (1 + random.next() % 5, Duration::from_micros(random.next() % 300_000));
        let start = self.now();
        let outcome = match random.next() % 4 {
            0 => poll_once(self.bucket.acquire_n(n)).await,
            1 => Some(self.bucket.acquire_timeout(n, patience).await),
            2 => Some(self.bucket.acquire_n(n).await),
            _ => {
                let gives_up = async {
                    sleep(patience).await;
                    None
                };
                or(async { Some(self.bucket.acquire_n(n).await) }, gives_up).await
            }
        };
        if let Some(outcome) = outcome {
            self.note(start, n, outcome, random.next());
        }
    }
}

#[test]
fn threads_and_tasks_of_two_runtimes_in_a_storm_of_cancellations_get_exactly_what_comes() {
    // It never fills, so nothing that comes is lost.
    let (in_all, range, ..) = rage(1 << 30, 1_500);
    assert!(range.contains(&in_all), "{in_all} permits of {range:?}");
}

#[test]
fn a_storm_of_cancellations_never_gets_more_than_the_burst_and_the_rate_in_any_interval() {
    let (in_all, range, excess) = rage(5, 400);
    assert!(excess < 5.1, "{excess} permits too many in some interval");
    assert!(in_all <= *range.end(), "{in_all} permits of {range:?}");
}

/// What all got in all with what is left, what came, and the worst excess over the rate.
fn rage(burst: u64, tasks: u64) -> (u128, RangeInclusive<u128>, f64) {
    let clock = MonotonicClock::new();
    let before = clock.now().as_nanos();
    let bucket = TokenBucket::builder(Quota::per_second(RATE).burst(burst)).initial(0).build().unwrap();
    let built = clock.now().as_nanos();
    let storm = Storm { clock, bucket, granted: Mutex::default(), given_back: Mutex::default() };
    let storm = Arc::new(storm);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
    thread::scope(|scope| {
        for seed in 0..4 {
            let storm = &storm;
            scope.spawn(move || storm.thread(seed + 1));
        }
        let of_tokio: Vec<_> = (0..tasks)
            .map(|seed| {
                let storm = Arc::clone(&storm);
                runtime.spawn(async move { storm.task(seed + 1_000, tokio::time::sleep).await })
            })
            .collect();
        let of_smol: Vec<_> = (0..tasks)
            .map(|seed| {
                let storm = Arc::clone(&storm);
                smol::spawn(async move {
                    let sleep = |time| async move {
                        smol::Timer::after(time).await;
                    };
                    storm.task(seed + 100_000, sleep).await;
                })
            })
            .collect();
        runtime.block_on(async {
            for task in of_tokio {
                task.await.unwrap();
            }
        });
        block_on(async {
            for task in of_smol {
                task.await;
            }
        });
    });

    // Nobody waits any more: a bit that stayed would deny this for ever.
    eventually("is as if never asked", || {
        let taken = storm.bucket.try_acquire().is_ok();
        if taken {
            storm.bucket.refund(1);
        }
        taken
    });
    let sum = |calls: &[Call]| calls.iter().map(|call| call.permits).sum::<u64>();
    let (granted, given_back) = (storm.granted.lock().unwrap(), storm.given_back.lock().unwrap());
    let start = storm.now();
    let in_all = sum(&granted) - sum(&given_back) + storm.bucket.available();
    let came = |nanos: u64| u128::from(nanos) * u128::from(RATE) / 1_000_000_000;
    let range = came(start - built) - 1..=came(storm.now() - before) + 1;
    let calls = 400 + 2 * tasks;
    let got = granted.len() as u64;
    assert!((calls / 10..calls).contains(&got), "{got} of {calls} granted: hardly a storm");
    (in_all.into(), range, worst_excess_net(&granted, &given_back, RATE, 1_000_000_000))
}

/// On a clock that stands still nothing comes, so that all that is left is what was there.
#[test]
fn a_storm_of_drops_on_a_clock_that_stands_still_leaves_no_trace() {
    let clock = ManualClock::new();
    let bucket = TokenBucket::builder(Quota::per_second(10)).clock(clock.clone()).initial(7).build().unwrap();
    thread::scope(|scope| {
        for seed in 1..=4 {
            let bucket = &bucket;
            scope.spawn(move || {
                let mut random = Random::new(seed);
                let wakes = Wakes::new();
                for _ in 0..200 {
                    let mut waiting: Vec<_> = (0..20).map(|_| bucket.acquire_n(8 + random.next() % 3)).collect();
                    for one in &mut waiting {
                        assert!(poll(one, &wakes).is_pending(), "there are seven");
                    }
                    while !waiting.is_empty() {
                        drop(waiting.swap_remove(random.next() as usize % waiting.len()));
                    }
                }
            });
        }
    });
    assert_eq!((bucket.available(), bucket.time_to_available(10)), (7, Ok(300 * MS)));
    assert_eq!(bucket.try_acquire_n(7), Ok(()));
}

/// Each permit that is given back has to reach somebody: nothing else ever comes.
#[test]
fn no_refund_is_missed_by_threads_and_tasks_that_wait_for_it() {
    const ROUNDS: u64 = 2_000;
    let bucket = TokenBucket::builder(Quota::per_day(1).burst(10_000)).initial(0).build().unwrap();
    let served = AtomicU64::new(0);
    thread::scope(|scope| {
        for index in 0..4 {
            let (bucket, served) = (&bucket, &served);
            scope.spawn(move || {
                for _ in 0..ROUNDS / 4 {
                    let outcome = if index % 2 == 0 { bucket.blocking_acquire() } else { block_on(bucket.acquire()) };
                    outcome.unwrap();
                    served.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for round in 0..ROUNDS {
            bucket.refund(1);
            if round % 16 == 0 {
                eventually("all that came are taken", || served.load(Ordering::Relaxed) == round + 1);
            }
        }
    });
    assert_eq!(bucket.available(), 0);
}

/// Fewer that block than there are workers: a task at the head that no worker is left to poll would hold up those that
/// block behind it.
#[test]
fn blocking_verbs_in_tasks_of_a_runtime_neither_panic_nor_hang() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(3).enable_time().build().unwrap();
    let bucket = Arc::new(TokenBucket::new(Quota::per_second(100).burst(1)).unwrap());
    let started = Instant::now();
    runtime.block_on(async {
        let tasks: Vec<_> = (0..10)
            .map(|index| {
                let bucket = Arc::clone(&bucket);
                tokio::spawn(async move {
                    match index % 5 {
                        0 => bucket.blocking_acquire(),
                        _ => bucket.acquire().await,
                    }
                })
            })
            .collect();
        for task in tasks {
            assert_eq!(task.await.unwrap(), Ok(()));
        }
    });
    assert!((89 * MS..SOON).contains(&started.elapsed()));
}

// --- Reservations

#[test]
fn a_reservation_that_is_owned_is_settled_on_another_thread() {
    let clock = ManualClock::new();
    let bucket = Arc::new(TokenBucket::with_clock(Quota::per_second(10), clock).unwrap());
    let reservation = Arc::clone(&bucket).try_reserve_owned(8).unwrap();
    let wakes = Wakes::new();
    let mut waiting = bucket.reserve(5);
    assert!(poll(&mut waiting, &wakes).is_pending());
    assert!(Arc::clone(&bucket).try_reserve_owned(1).is_err(), "somebody waits");
    assert_eq!(thread::spawn(move || reservation.commit(4)).join().unwrap(), 4);
    assert_eq!(wakes.take(), 1);
    let Poll::Ready(Ok(reserved)) = poll(&mut waiting, &wakes) else { panic!("six were there") };
    assert_eq!((reserved.permits(), bucket.available()), (5, 1));
    reserved.cancel();
    assert_eq!(bucket.available(), 6);
    thread::spawn({
        let bucket = Arc::clone(&bucket);
        move || drop(bucket.try_reserve_owned(6).unwrap())
    });
    eventually("dropped, it gives all back", || Arc::strong_count(&bucket) == 1 && bucket.available() == 6);
}

#[test]
fn a_reservation_leaves_at_most_one_burst_of_debt() {
    let clock = ManualClock::new();
    let bucket = TokenBucket::with_clock(Quota::per_second(10), clock.clone()).unwrap();
    let reservation = block_on(bucket.reserve(10)).unwrap();
    assert_eq!(reservation.commit(u64::MAX), 20);
    assert_eq!(bucket.time_to_available(1), Ok(1_100 * MS));
    // A waiter is served when it is repaid, and not before.
    let wakes = Wakes::new();
    let mut waiting = bucket.reserve(1);
    assert!(poll(&mut waiting, &wakes).is_pending());
    clock.advance(1_099 * MS);
    assert!(poll(&mut waiting, &wakes).is_pending());
    clock.advance(MS);
    assert!(matches!(poll(&mut waiting, &wakes), Poll::Ready(Ok(_))));
    let never = ExceedsCapacity { requested: 11, capacity: 10 };
    assert_eq!(block_on(bucket.reserve(11)).unwrap_err(), never);
}

// --- Windows

/// The same with a counter of each kind, whose limit is two an hour.
macro_rules! each_window {
    (|$counter:ident, $clock:ident, $name:ident| $body:block) => {
        each_window!(@ FixedWindowCounter::builder(2, HOUR), "fixed", |$counter, $clock, $name| $body);
        each_window!(@ SlidingWindowCounter::builder(2, HOUR), "interpolated", |$counter, $clock, $name| $body);
        each_window!(@ SlidingWindowCounter::builder(2, HOUR).strict(), "strict", |$counter, $clock, $name| $body);
    };
    (@ $builder:expr, $kind:literal, |$counter:ident, $clock:ident, $name:ident| $body:block) => {{
        let ($clock, $name) = (ManualClock::new(), $kind);
        let $counter = $builder.clock($clock.clone()).stats().max_waiters(4).build().unwrap();
        $body
    }};
}

#[test]
fn windows_serve_in_the_order_of_joining() {
    each_window!(|counter, clock, name| {
        assert_eq!(counter.blocking_acquire_n(2), Ok(()));
        let wakes: Vec<_> = (0..4).map(|_| Wakes::new()).collect();
        let mut waiting: Vec<_> = [1, 2, 1, 1].into_iter().map(|n| counter.acquire_n(n)).collect();
        assert!(waiting.iter_mut().zip(&wakes).all(|(one, wakes)| poll(one, wakes).is_pending()));
        assert!(matches!(counter.blocking_acquire(), Err(Denied { .. })), "{name}: the line is full");
        for turn in 0..4 {
            let mut minutes = 0;
            // The others ask before the head does, and a `try_` before all of them: in vain, in whatever window.
            while {
                assert!(counter.try_acquire().is_err(), "{name}: {turn} is overtaken");
                for (one, wakes) in waiting.iter_mut().zip(&wakes).skip(turn + 1) {
                    assert!(poll(one, wakes).is_pending(), "{name}: {turn} is overtaken");
                }
                poll(&mut waiting[turn], &wakes[turn]).is_pending()
            } {
                wakes[turn].take();
                clock.advance(60 * SECOND);
                minutes += 1;
                assert_eq!(wakes[turn].take(), 1, "{name}: the clock wakes the head");
                assert!(minutes < 181, "{name}: {turn} is never served");
            }
        }
        clock.advance(3 * HOUR);
        assert_eq!(counter.try_acquire_n(2), Ok(()), "{name}: nobody waits");
        let stats = counter.stats().unwrap();
        assert_eq!(stats.allowed_requests, 6, "{name}");
        assert!(stats.total_wait_time >= 3 * HOUR, "{name}");
    });
}

#[test]
fn windows_refuse_timeouts_that_are_too_short_and_charge_nothing() {
    each_window!(|counter, clock, name| {
        assert_eq!(counter.try_acquire(), Ok(()));
        let wakes = Wakes::new();
        for _ in 0..50 {
            assert!(matches!(poll(&mut counter.acquire_timeout(2, MS), &wakes), Poll::Ready(Err(Denied { .. }))));
            assert!(matches!(counter.blocking_acquire_timeout(2, MS), Err(Denied { .. })));
        }
        assert_eq!(counter.available(), 1, "{name}");
        // One that may wait, and leaves when its time has passed; what is there meanwhile is not for others.
        let mut timed = counter.acquire_timeout(2, 3 * HOUR);
        assert!(poll(&mut timed, &wakes).is_pending());
        assert_eq!((counter.try_acquire().is_ok(), counter.available()), (false, 1), "{name}");
        drop(timed);
        assert_eq!(counter.try_acquire(), Ok(()), "{name}: as if never asked");
        let never = Err(ExceedsCapacity { requested: 3, capacity: 2 });
        assert_eq!(counter.blocking_acquire_n(3), never, "{name}");
        assert_eq!(counter.blocking_acquire_n(0), Ok(()), "{name}");
        assert_eq!(clock.now(), Nanos::from_nanos(0));
    });
}

#[test]
fn a_refund_to_a_window_wakes_the_head_and_a_dropped_head_the_next() {
    each_window!(|counter, _clock, name| {
        assert_eq!(counter.try_acquire_n(2), Ok(()));
        let wakes: Vec<_> = (0..3).map(|_| Wakes::new()).collect();
        let mut waiting: Vec<_> = [1, 2, 1].into_iter().map(|n| counter.acquire_n(n)).collect();
        assert!(waiting.iter_mut().zip(&wakes).all(|(one, wakes)| poll(one, wakes).is_pending()));
        counter.refund(2);
        assert_eq!(wakes.iter().map(|wakes| wakes.take()).collect::<Vec<_>>(), [1, 0, 0], "{name}");
        assert!(counter.try_acquire().is_err(), "{name}: they are for the line");
        assert_eq!(poll(&mut waiting[0], &wakes[0]), Poll::Ready(Ok(())), "{name}");
        assert_eq!(wakes[1].take(), 1, "{name}");
        assert!(poll(&mut waiting[1], &wakes[1]).is_pending(), "{name}: one of two is there");
        drop(waiting.remove(1));
        assert_eq!(wakes[2].take(), 1, "{name}");
        assert_eq!(poll(&mut waiting[1], &wakes[2]), Poll::Ready(Ok(())), "{name}");
        assert_eq!(counter.available(), 0, "{name}");
    });
}

#[test]
fn threads_wait_for_windows_in_real_time() {
    let window = 20 * MS;
    let fixed = FixedWindowCounter::new(1, window).unwrap();
    let sliding = SlidingWindowCounter::new(1, window).unwrap();
    let strict = SlidingWindowCounter::strict(1, window).unwrap();
    let started = Instant::now();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| fixed.blocking_acquire().unwrap());
            scope.spawn(|| block_on(sliding.acquire()).unwrap());
            scope.spawn(|| strict.blocking_acquire_timeout(1, SOON).unwrap());
        }
    });
    assert!((2 * window..SOON).contains(&started.elapsed()), "four in four windows");
}

/// A task that has spent tokio's cooperative budget finds every resource of the runtime pending; a blocking wait uses
/// none of them.
#[test]
fn a_task_that_has_spent_its_budget_can_block() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
    let outcome = runtime.block_on(async {
        let spent = tokio::spawn(async {
            let bucket = TokenBucket::new(Quota::per_second(100).burst(1)).unwrap();
            let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
            for number in 0..1_000 {
                sender.send(number).unwrap();
            }
            // 128 messages are the budget of one poll; none is left after that.
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            while receiver.poll_recv(&mut context).is_ready() {}
            assert!(!receiver.is_empty());
            (bucket.blocking_acquire(), bucket.blocking_acquire_timeout(1, SOON))
        });
        tokio::time::timeout(Duration::from_secs(20), spent).await
    });
    assert_eq!(outcome.expect("it does not hang").expect("it does not panic"), (Ok(()), Ok(())));
}

/// Under a clock that stands still what was slept ends a wait, however often that is polled meanwhile. Kills: a timer that is
/// set anew at every poll.
#[test]
fn a_wait_that_is_polled_often_ends() {
    struct Still;

    impl Clock for Still {
        fn now(&self) -> Nanos {
            Nanos::from_nanos(0)
        }
    }

    let bucket = TokenBucket::with_clock(Quota::per(1, 90 * MS), Still).unwrap();
    assert_eq!(bucket.try_acquire(), Ok(()));
    let (wakes, began) = (Wakes::new(), Instant::now());
    let mut waiting = bucket.acquire_timeout(1, 100 * MS);
    loop {
        match poll(&mut waiting, &wakes) {
            Poll::Ready(outcome) => break assert_eq!(outcome, Err(Denied { retry_after: 90 * MS })),
            Poll::Pending => thread::sleep(5 * MS),
        }
        assert!(began.elapsed() < 20 * SECOND, "it never ends");
    }
    assert!(began.elapsed() >= 100 * MS);
}
