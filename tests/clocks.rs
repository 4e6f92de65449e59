//! The clocks: each keeps the time that its documentation says, wakes whom it must, and serves a bucket in whatever it
//! is wrapped. What G1 to G3 assume of a clock, and nothing more, is proved here.

mod support;

use std::hint::black_box;
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::task::{Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use sluicegate::{Clock, CoarseClock, ManualClock, MonotonicClock, Nanos, Quota, TickLength, TokenBucket};
use support::clocks::Counter;
use support::quotas::SECOND;

static LIMIT: TokenBucket = TokenBucket::const_new(Quota::per_second(5));
static CLOCK: MonotonicClock = MonotonicClock::new();

#[test]
fn monotonic_values_share_one_origin() {
    let one = MonotonicClock::new();
    for _ in 0..10_000 {
        let (first, second, third) = (one.now(), CLOCK.now(), MonotonicClock::default().now());
        assert!(first <= second && second <= third);
    }
    assert_eq!(size_of::<MonotonicClock>(), 0);
    assert_eq!(LIMIT.try_acquire_n(5), Ok(()));
    assert!(LIMIT.try_acquire_n(5).is_err());
}

#[test]
fn monotonic_keeps_the_time() {
    let between = || {
        let before = Instant::now();
        let (now, ticks) = (CLOCK.now().as_nanos(), CLOCK.ticks());
        (before, now, ticks, Instant::now())
    };
    // The first reading calibrates.
    let _ = CLOCK.now();
    let start = between();
    thread::sleep(Duration::from_millis(50));
    let end = between();
    let (least, most) = ((end.0 - start.3).as_nanos() as f64, (end.3 - start.0).as_nanos() as f64);
    let passed = (end.1 - start.1) as f64;
    assert!(passed >= least * 0.99 && passed <= most * 1.01, "{passed} ns in {least}..={most}");

    // Its ticks are the same clock.
    let ticked = CLOCK.tick_length().nanos(end.2 - start.2) as f64;
    assert!(ticked >= least * 0.99 && ticked <= most * 1.01, "{ticked} ns in {least}..={most}");
    assert!(!CLOCK.wake_on_change(Waker::noop()), "nobody moves it");
}

#[test]
fn monotonic_permits_come_in_time() {
    let bucket = TokenBucket::new(Quota::per_second(50).burst(1)).unwrap();
    assert!(bucket.try_acquire().is_ok());
    let start = Instant::now();
    let wait = bucket.try_acquire().unwrap_err().retry_after().unwrap();
    assert!(wait <= Duration::from_millis(20));
    while bucket.try_acquire().is_err() {
        thread::yield_now();
    }
    assert!(start.elapsed() >= wait.mul_f64(0.99) - Duration::from_micros(1));
}

/// Tests that count upkeep threads, or start one, come one at a time.
static COARSE: Mutex<()> = Mutex::new(());

#[test]
fn coarse_follows_the_monotonic_clock() {
    let _guard = COARSE.lock();
    let clock = CoarseClock::start(Duration::from_micros(300)).unwrap();
    assert_eq!(clock.interval(), Duration::from_micros(300));
    let (clone, start) = (clock.clone(), Instant::now());
    let mut moves = 0;
    let mut last = clock.now();
    while moves < 20 {
        let (earlier, other, now) = (clock.now(), clone.now(), clock.now());
        assert!(last <= earlier && earlier <= other && other <= now, "clones differ, or time goes back");
        // The counter may be read before the load is done; the system's clock waits for it.
        black_box(Instant::now());
        assert!(now <= MonotonicClock::new().now(), "ahead of its source");
        moves += u32::from(now > last);
        last = now;
        assert!(start.elapsed() < Duration::from_secs(20), "it stands still");
        thread::yield_now();
    }
    // Each move but the first is an interval later at least.
    assert!(start.elapsed() >= Duration::from_micros(300) * 18);
    assert!(!clock.wake_on_change(Waker::noop()));
}

#[test]
fn coarse_needs_an_interval() {
    assert_eq!(CoarseClock::start(Duration::ZERO).unwrap_err().kind(), ErrorKind::InvalidInput);
}

/// All clones share one thread, which ends with the last of them, a bucket's included, even when the interval is long.
#[test]
#[cfg(target_os = "linux")]
fn coarse_thread_ends_with_its_last_user() {
    let _guard = COARSE.lock();
    let threads = || {
        // Linux keeps 15 characters of a name.
        let named = |task: std::io::Result<std::fs::DirEntry>| {
            std::fs::read_to_string(task.ok()?.path().join("comm"))
                .ok()
                .filter(|name| name.starts_with("sluicegate-cloc"))
        };
        std::fs::read_dir("/proc/self/task").unwrap().filter_map(named).count()
    };
    let settles_at = |expected: usize| {
        let start = Instant::now();
        while threads() != expected {
            assert!(start.elapsed() < Duration::from_secs(10), "{} threads, not {expected}", threads());
            thread::sleep(Duration::from_millis(1));
        }
    };
    settles_at(0);
    let clock = CoarseClock::start(Duration::from_secs(3_600)).unwrap();
    let clones: Vec<_> = (0..5).map(|_| clock.clone()).collect();
    let bucket = TokenBucket::with_clock(Quota::per_second(1), clock.clone()).unwrap();
    settles_at(1);
    let other = CoarseClock::start(Duration::from_millis(1)).unwrap();
    settles_at(2);
    drop(other);
    settles_at(1);
    drop((clock, clones));
    thread::sleep(Duration::from_millis(20));
    settles_at(1);
    assert!(bucket.try_acquire().is_ok());
    drop(bucket);
    settles_at(0);
}

#[test]
fn manual_clones_share_the_time() {
    let clock = ManualClock::new();
    let clone = clock.clone();
    assert_eq!(clock.now(), Nanos::from_nanos(0));
    clone.advance(Duration::from_micros(3));
    assert_eq!((clock.now(), clock.ticks()), (Nanos::from_nanos(3_000), 3_000));
    clock.set(Nanos::from_nanos(7));
    assert_eq!(clone.now(), Nanos::from_nanos(7));
    assert_eq!(ManualClock::default().now(), Nanos::default(), "another clock is not moved");
    assert_eq!(clock.tick_length(), TickLength::NANOSECOND);
}

#[test]
fn manual_stops_at_the_end() {
    let clock = ManualClock::new();
    clock.advance(Duration::MAX);
    assert_eq!(clock.now().as_nanos(), u64::MAX);
    clock.advance(Duration::from_nanos(1));
    assert_eq!(clock.now().as_nanos(), u64::MAX);
    clock.set(Nanos::from_nanos(u64::MAX - 3));
    clock.advance(Duration::from_nanos(5));
    assert_eq!(clock.now().as_nanos(), u64::MAX);
}

#[test]
fn manual_loses_no_step() {
    let clock = ManualClock::new();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..5_000).for_each(|_| clock.advance(Duration::from_nanos(3))));
        }
    });
    assert_eq!(clock.now().as_nanos(), 60_000);
}

/// A waker that counts, and then runs what it was given.
struct Counted<F> {
    wakes: AtomicUsize,
    then: F,
}

impl<F: Fn(Waker) + Send + Sync + 'static> Counted<F> {
    fn new(then: F) -> (Arc<Self>, Waker) {
        let counted = Arc::new(Self { wakes: AtomicUsize::new(0), then });
        let waker = Waker::from(Arc::clone(&counted));
        (counted, waker)
    }

    fn wakes(&self) -> usize {
        self.wakes.load(Ordering::SeqCst)
    }
}

impl<F: Fn(Waker) + Send + Sync + 'static> Wake for Counted<F> {
    fn wake(self: Arc<Self>) {
        self.wakes.fetch_add(1, Ordering::SeqCst);
        (self.then)(Waker::from(Arc::clone(&self)));
    }
}

/// Fails where a deadlock would hang.
fn in_time(run: impl FnOnce() + Send + 'static) {
    let (done, ended) = channel();
    let thread = thread::spawn(move || {
        run();
        done.send(()).unwrap();
    });
    match ended.recv_timeout(Duration::from_secs(20)) {
        Ok(()) => thread.join().unwrap(),
        Err(error) if thread.is_finished() => panic!("it panicked: {error}"),
        Err(_) => panic!("it hangs"),
    }
}

#[test]
fn manual_wakes_on_every_move() {
    let clock = ManualClock::new();
    let (one, first) = Counted::new(|_| ());
    let (other, second) = Counted::new(|_| ());
    let moves: [&dyn Fn(); 4] = [
        &|| clock.advance(Duration::from_nanos(1)),
        &|| clock.set(Nanos::from_nanos(SECOND)),
        // Backwards, and not at all.
        &|| clock.set(Nanos::from_nanos(3)),
        &|| clock.clone().advance(Duration::ZERO),
    ];
    for (round, moved) in moves.into_iter().enumerate() {
        assert!(clock.wake_on_change(&first) && clock.clone().wake_on_change(&second));
        assert_eq!((one.wakes(), other.wakes()), (round, round), "woken before the clock moved");
        moved();
        assert_eq!((one.wakes(), other.wakes()), (round + 1, round + 1));
    }
    // Once for each time it asked.
    clock.advance(Duration::from_secs(1));
    assert_eq!(one.wakes(), 4);
    // It keeps no waker of somebody who asked and was woken.
    drop((first, second));
    assert_eq!((Arc::strong_count(&one), Arc::strong_count(&other)), (1, 1));
}

#[test]
fn manual_shows_the_new_time_to_whom_it_wakes() {
    let clock = ManualClock::new();
    let (seen, shown) = (Arc::new(Mutex::new(Vec::new())), clock.clone());
    let record = Arc::clone(&seen);
    let (_counted, waker) = Counted::new(move |_| record.lock().unwrap().push(shown.now().as_nanos()));
    for time in [5, 3, 9] {
        clock.wake_on_change(&waker);
        clock.set(Nanos::from_nanos(time));
    }
    assert_eq!(*seen.lock().unwrap(), [5, 3, 9]);
}

#[test]
fn a_waker_may_ask_again_in_place() {
    in_time(|| {
        let clock = ManualClock::new();
        let again = clock.clone();
        let (counted, waker) = Counted::new(move |waker| assert!(again.wake_on_change(&waker)));
        clock.wake_on_change(&waker);
        for wakes in 1..10 {
            clock.advance(Duration::from_nanos(1));
            assert_eq!(counted.wakes(), wakes, "once a move");
        }
    });
}

#[test]
fn a_waker_may_move_the_clock() {
    in_time(|| {
        let clock = ManualClock::new();
        let moved = clock.clone();
        let (counted, waker) = Counted::new(move |waker| {
            // Asks and moves, three times over.
            if moved.now().as_nanos() < 4 {
                moved.wake_on_change(&waker);
                moved.advance(Duration::from_nanos(1));
            }
        });
        let (other, plain) = Counted::new(|_| ());
        clock.wake_on_change(&plain);
        clock.wake_on_change(&waker);
        clock.advance(Duration::from_nanos(1));
        assert_eq!((counted.wakes(), other.wakes(), clock.now().as_nanos()), (4, 1, 4));
    });
}

#[test]
fn a_waker_that_panics_does_not_eat_the_others() {
    in_time(|| {
        let clock = ManualClock::new();
        let others: Vec<_> = (0..6).map(|_| Counted::new(|_| ())).collect();
        let (panicking, panics) = Counted::new(|_| panic!("a waker's own"));
        for (position, (_, waker)) in others.iter().enumerate() {
            if position == 3 {
                clock.wake_on_change(&panics);
            }
            clock.wake_on_change(waker);
        }
        assert!(catch_unwind(AssertUnwindSafe(|| clock.advance(Duration::from_nanos(1)))).is_err());
        assert_eq!(panicking.wakes(), 1);
        assert!(others.iter().all(|(counted, _)| counted.wakes() == 1), "somebody still sleeps");
        // And the clock goes on.
        clock.wake_on_change(&others[0].1);
        clock.advance(Duration::from_nanos(1));
        assert_eq!((others[0].0.wakes(), clock.now().as_nanos()), (2, 2));
    });
}

/// Whoever asks while the clock is being moved is woken by that move or sees the new time.
#[test]
fn no_move_is_missed() {
    let clock = ManualClock::new();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for time in 1..=3_000 {
                let (counted, waker) = Counted::new(|_| ());
                clock.wake_on_change(&waker);
                // The order that waiting takes: ask first, look then.
                let start = Instant::now();
                while clock.now().as_nanos() < time && counted.wakes() == 0 {
                    assert!(start.elapsed() < Duration::from_secs(20), "slept through {time}");
                    thread::yield_now();
                }
                assert!(clock.now().as_nanos() >= time || counted.wakes() > 0);
                if clock.now().as_nanos() >= 3_000 {
                    break;
                }
            }
            done.store(true, Ordering::SeqCst);
        });
        scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                clock.advance(Duration::from_nanos(1));
                thread::yield_now();
            }
        });
    });
}

#[test]
fn a_bucket_takes_a_clock_in_any_wrapping() {
    fn check(bucket: &TokenBucket<impl Clock>, clock: &ManualClock) {
        assert_eq!(bucket.try_acquire_n(2), Ok(()));
        assert!(bucket.try_acquire().is_err());
        clock.advance(Duration::from_millis(500));
        assert_eq!(bucket.try_acquire(), Ok(()));
        assert!(bucket.try_acquire().is_err());
    }
    let (quota, clock) = (Quota::per_second(2), ManualClock::new());
    check(&TokenBucket::with_clock(quota, clock.clone()).unwrap(), &clock);
    check(&TokenBucket::with_clock(quota, &clock).unwrap(), &clock);
    check(&TokenBucket::with_clock(quota, Arc::new(clock.clone())).unwrap(), &clock);
    let shared: Arc<dyn Clock> = Arc::new(clock.clone());
    check(&TokenBucket::with_clock(quota, Arc::clone(&shared)).unwrap(), &clock);
    check(&TokenBucket::with_clock(quota, &*shared).unwrap(), &clock);
    check(&TokenBucket::builder(quota).clock(&shared).build().unwrap(), &clock);
    let (counted, waker) = Counted::new(|_| ());
    assert!((&&shared).wake_on_change(&waker));
    clock.advance(Duration::ZERO);
    assert_eq!(counted.wakes(), 1);
}

/// What is whole in nanoseconds stays what it is under either rounding, to the end of the numbers.
///
/// Kills: a rounding up that makes more of a whole number, and either end of the range of lengths moved.
#[test]
fn ticks_are_rounded_once() {
    let quarter = TickLength::new(1, 4).unwrap();
    assert_eq!([0, 1, 3, 4, 5, 8].map(|ticks| quarter.nanos(ticks)), [0, 0, 0, 1, 1, 2]);
    assert_eq!([0, 1, 3, 4, 5, 8].map(|ticks| quarter.nanos_rounded_up(ticks)), [0, 1, 1, 1, 2, 2]);
    assert_eq!(TickLength::new(7, 7), Some(TickLength::NANOSECOND));
    for ticks in [0, 1, 1 << 63, u64::MAX] {
        assert_eq!(TickLength::NANOSECOND.nanos(ticks), ticks);
        assert_eq!(TickLength::NANOSECOND.nanos_rounded_up(ticks), ticks);
    }
    assert!(TickLength::new(8, 7).is_none() && TickLength::new(0, 0).is_none());
    assert!(TickLength::new(100, 799).is_some() && TickLength::new(100, 800).is_none());
}

/// A counter of 2.5 GHz. A third of a second is 833,333,333.3 ticks, hence 833,333,334, which are 333,333,333.6 ns.
#[test]
fn a_tick_may_be_shorter_than_a_nanosecond() {
    let length = TickLength::new(2, 5).unwrap();
    let clock: Arc<dyn Clock> = Arc::new(Counter::new(length, 1 << 50));
    assert_eq!((clock.ticks(), clock.tick_length()), (1 << 50, length), "lost in the wrapping");

    let clock = Counter::new(length, 1 << 50);
    let bucket = TokenBucket::with_clock(Quota::per_second(3), &clock).unwrap();
    assert_eq!(bucket.try_acquire_n(3), Ok(()));
    assert_eq!(bucket.try_acquire().unwrap_err().retry_after(), Some(Duration::from_nanos(333_333_334)));
    clock.advance(833_333_333);
    assert_eq!(bucket.try_acquire().unwrap_err().retry_after(), Some(Duration::from_nanos(1)));
    clock.advance(1);
    assert_eq!(bucket.try_acquire(), Ok(()));
    // A second is a second.
    clock.advance(2_500_000_000 - 833_333_334);
    assert_eq!(bucket.try_acquire_up_to(9), 2);
    assert!(bucket.try_acquire().is_err());
}

/// Rates from slow to one permit for each of several ticks, over an hour of odd steps: off by less than one permit.
#[test]
fn no_drift_in_ticks_of_any_length() {
    for (nanos, ticks) in [(1, 1), (2, 5), (1_000, 2_995), (10_000, 33_333), (1_000_000, 7_999_999)] {
        let length = TickLength::new(nanos, ticks).unwrap();
        for quota in [Quota::per_second(7), Quota::per_second(999_983), Quota::per_second(2_000_000_000)] {
            let clock = Counter::new(length, 0);
            let quota = quota.burst(4 * quota.permits());
            let bucket = TokenBucket::with_clock(quota, &clock).unwrap();
            let (mut passed, mut granted) = (0_u64, 0);
            assert_eq!(bucket.try_acquire_up_to(u64::MAX), quota.capacity());
            let hour = (3_600 * u128::from(SECOND) * u128::from(ticks) / u128::from(nanos)) as u64;
            while passed < hour {
                clock.advance(1_299_709_001);
                passed += 1_299_709_001;
                granted += bucket.try_acquire_up_to(u64::MAX);
            }
            let exact = u128::from(passed) * u128::from(nanos) * u128::from(quota.permits())
                / (u128::from(ticks) * u128::from(SECOND));
            // The length of a tick is kept to 2^-63 of a nanosecond, so an hour to far less than one.
            assert!(u128::from(granted).abs_diff(exact) <= 2, "{length:?}, {quota:?}: {granted}, not {exact}");
        }
    }
}
