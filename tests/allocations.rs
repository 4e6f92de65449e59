//! Nothing allocates after construction: no verb, whatever its answer, and no change of quota.

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;
use std::time::Duration;

use sluicegate::{
    Clock, CoarseClock, FixedWindowCounter, ManualClock, MonotonicClock, Quota, SlidingWindowCounter, TokenBucket,
};
use support::windows::{LAWS, WindowCounter};

/// The system's allocator, counting what the calling thread asks of it.
struct Counting;

thread_local! {
    static CALLS: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    // While a thread ends its counter is gone.
    let _ = CALLS.try_with(|calls| calls.set(calls.get() + 1));
}

// SAFETY: every call is the system allocator's own.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count();
        // SAFETY: as above.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What `run` allocates and frees on this thread.
fn allocations(run: impl FnOnce()) -> u64 {
    let before = CALLS.get();
    run();
    CALLS.get() - before
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocations(|| ()), 0);
    assert_eq!(allocations(|| drop(black_box(Box::new(7)))), 2);
}

fn every_verb<C: Clock>(bucket: &TokenBucket<C>) {
    let quotas = [Quota::per_second(1_000), Quota::per_hour(7), Quota::per_second(1 << 31), Quota::per_second(1_001)];
    for quota in quotas {
        for n in [0, 1, 5, 1 << 30, u64::MAX] {
            let _ = black_box(bucket.try_acquire_n(n));
            let _ = black_box(bucket.try_acquire());
            let _ = black_box(bucket.try_acquire_up_to(n));
            bucket.refund(n);
            let _ = black_box(bucket.charge(n));
            let _ = black_box(bucket.available());
            let _ = black_box(bucket.time_to_available(n));
            let _ = black_box(bucket.try_acquire_n(3).map_err(|denied| denied.retry_after_secs()));
            let _ = black_box(bucket.stats());
        }
        bucket.set_quota(quota).unwrap();
        assert!(bucket.set_quota(Quota::per_second(0)).is_err());
        let _ = black_box(bucket.quota());
    }
}

#[test]
fn no_verb_allocates() {
    // The first reading in a process calibrates.
    let _ = MonotonicClock::new().now();
    let bucket = TokenBucket::new(Quota::per_second(10)).unwrap();
    assert_eq!(allocations(|| every_verb(&bucket)), 0, "from the first call on");

    static LIMIT: TokenBucket = TokenBucket::const_new(Quota::per_second(10));
    assert_eq!(allocations(|| every_verb(&LIMIT)), 0);
}

#[test]
fn no_verb_allocates_on_other_clocks() {
    let manual = TokenBucket::with_clock(Quota::per_second(10), ManualClock::new()).unwrap();
    assert_eq!(allocations(|| every_verb(&manual)), 0);
    let coarse = CoarseClock::start(Duration::from_millis(1)).unwrap();
    let bucket = TokenBucket::with_clock(Quota::per_second(10), &coarse).unwrap();
    assert_eq!(allocations(|| every_verb(&bucket)), 0);
}

#[test]
fn no_verb_allocates_with_statistics() {
    let bucket = TokenBucket::builder(Quota::per_second(10)).clock(ManualClock::new()).stats().build().unwrap();
    assert_eq!(allocations(|| every_verb(&bucket)), 0);
    // Nor on a thread that counts for the first time.
    let other = std::thread::scope(|scope| scope.spawn(|| allocations(|| every_verb(&bucket))).join().unwrap());
    assert_eq!(other, 0);
    assert!(bucket.stats().unwrap().total_requests > 50);
}

/// Making one needs no allocation either, but for statistics.
#[test]
fn a_bucket_is_made_in_place() {
    let made = allocations(|| drop(black_box(TokenBucket::new(Quota::per_second(10)))));
    assert_eq!(made, 0);
}

/// In the window, in the next ones, and with a clock that steps back.
fn every_verb_of_a_window(counter: &WindowCounter<impl Clock>, step: impl Fn()) {
    for n in [0, 1, 5, 10, 1 << 30, u64::MAX] {
        for _ in 0..3 {
            let _ = black_box(counter.try_acquire_n(n));
            let _ = black_box(counter.try_acquire());
            counter.refund(n / 2);
            let _ = black_box(counter.available());
            let _ = black_box(counter.time_to_available(n));
            let _ = black_box(counter.try_acquire_n(3).map_err(|denied| denied.retry_after_secs()));
            let _ = black_box((counter.stats(), counter.limit(), counter.window()));
            step();
        }
    }
}

#[test]
fn no_verb_of_a_window_allocates() {
    let _ = MonotonicClock::new().now();
    let window = Duration::from_micros(10);
    for law in LAWS {
        let real = WindowCounter::new(law, 10, window, MonotonicClock::new()).unwrap();
        assert_eq!(allocations(|| every_verb_of_a_window(&real, || ())), 0, "{law:?}");
        let clock = ManualClock::new();
        for make in [WindowCounter::new, WindowCounter::counting] {
            let manual = make(law, 10, window, clock.clone()).unwrap();
            assert_eq!(allocations(|| every_verb_of_a_window(&manual, || clock.advance(window / 2))), 0, "{law:?}");
        }
    }
}

#[test]
fn a_window_counter_is_made_in_place() {
    let window = Duration::from_secs(1);
    let made = allocations(|| {
        drop(black_box(FixedWindowCounter::new(10, window)));
        drop(black_box(SlidingWindowCounter::new(10, window)));
        drop(black_box(SlidingWindowCounter::strict(10, window)));
        drop(black_box(SlidingWindowCounter::builder(0, window).build()));
    });
    assert_eq!(made, 0);
}

/// Ten thousand tasks in the line: their places come from one slab, which grows by doubling, and only the head has a
/// timer. Nothing is polled but the one that is woken.
#[test]
fn waiters_allocate_no_more_than_places() {
    use std::future::Future;
    use std::pin::Pin;
    use std::task::{Context, Waker};

    let bucket = TokenBucket::builder(Quota::per_day(1)).initial(0).build().unwrap();
    let mut waiting: Vec<_> = (0..10_000).map(|_| bucket.acquire()).collect();
    let mut context = Context::from_waker(Waker::noop());
    // The timers' own thread starts with the first of them.
    assert!(Pin::new(&mut waiting[0]).poll(&mut context).is_pending());
    let joining = allocations(|| {
        assert!(waiting.iter_mut().all(|wait| Pin::new(wait).poll(&mut context).is_pending()));
    });
    println!("{joining} allocations and frees for 10,000 waiters");
    assert!(joining <= 64, "{joining}");
    let serving = allocations(|| {
        bucket.refund(1);
        assert!(Pin::new(&mut waiting[0]).poll(&mut context).is_ready());
    });
    assert!(serving <= 16, "{serving}");
}
