//! Model checks of the line: who waits is woken, in order, and whoever goes leaves nothing behind.
//!
//! A lost wake-up is a thread that sleeps for ever, which loom reports as a deadlock. Each model names the mutation of
//! the sources that it was seen to kill; docs/DESIGN.md lists them all.

#![allow(missing_docs)]

mod support;

use std::future::Future;
use std::task::{Context, Waker};
use std::time::Duration;

use loom::sync::Arc;
use loom::thread;
use sluicegate_loom::{Clock, FixedWindowCounter, Nanos, Quota, RateLimitExceeded, TokenBucket};
use support::model;
use support::waiting::{HandClock, block_on};

const PERIOD: u64 = 100;

fn is_pending<F: Future + Unpin>(future: &mut F) -> bool {
    std::pin::Pin::new(future).poll(&mut Context::from_waker(Waker::noop())).is_pending()
}

/// A clock that wakes nobody when it moves, and in the models it does not.
struct StandingClock;

impl Clock for StandingClock {
    fn now(&self) -> Nanos {
        Nanos::from_nanos(7)
    }
}

type Bucket = TokenBucket<HandClock>;

/// One permit in 100 ns, all of them taken.
fn drained(burst: u64) -> (Arc<Bucket>, HandClock) {
    let (clock, quota) = (HandClock::new(), Quota::per(1, Duration::from_nanos(PERIOD)).burst(burst));
    let bucket = TokenBucket::with_clock(quota, clock.clone()).expect("a valid quota");
    assert!(bucket.try_acquire_n(burst).is_ok());
    (Arc::new(bucket), clock)
}

/// Nobody waits any more, and nothing but what was granted was charged.
fn assert_is_idle(bucket: &Bucket, clock: &HandClock) {
    assert_eq!(bucket.try_acquire().unwrap_err().retry_after(), Some(Duration::from_nanos(PERIOD)));
    clock.advance(PERIOD);
    assert!(bucket.try_acquire().is_ok());
}

fn waiter(bucket: &Arc<Bucket>, n: u64) -> thread::JoinHandle<Result<(), RateLimitExceeded>> {
    let bucket = bucket.clone();
    thread::spawn(move || block_on(bucket.acquire_n(n)))
}

/// Kills `no-look-after-joining`, `waking-before-the-exchange` and `waker-stored-after-the-look`.
#[test]
fn head_refund() {
    model("head_refund", 3, || {
        let (bucket, clock) = drained(1);
        let waiter = waiter(&bucket, 1);
        bucket.refund(1);
        assert_eq!(waiter.join().unwrap(), Ok(()));
        assert_is_idle(&bucket, &clock);
    });
}

/// Kills `clock-is-not-read-again`: the clock was moved after the head had looked, and before it registered.
#[test]
fn head_clock_moved() {
    model("head_clock_moved", 3, || {
        let (bucket, clock) = drained(1);
        let waiter = waiter(&bucket, 1);
        clock.advance(PERIOD);
        assert_eq!(waiter.join().unwrap(), Ok(()));
        assert_is_idle(&bucket, &clock);
    });
}

/// Kills `serves-on-an-old-word` and `flag-is-stored`: the head's view is from before the refund, its look from after.
#[test]
fn head_refund_on_a_clock_that_runs() {
    model("head_refund_on_a_clock_that_runs", 3, || {
        let quota = Quota::per_day(1);
        let bucket = Arc::new(TokenBucket::with_clock(quota, StandingClock).expect("a valid quota"));
        assert!(bucket.try_acquire().is_ok());
        let other = bucket.clone();
        let waiter = thread::spawn(move || block_on(other.acquire()));
        bucket.refund(1);
        assert_eq!(waiter.join().unwrap(), Ok(()));
    });
}

/// A thread that joins, and then finds that nobody overtakes.
fn newcomer(bucket: &Arc<Bucket>) -> thread::JoinHandle<()> {
    let bucket = bucket.clone();
    thread::spawn(move || {
        let mut newcomer = bucket.acquire();
        if is_pending(&mut newcomer) {
            bucket.refund(1);
            assert!(bucket.try_acquire().is_err(), "somebody waits");
        }
    })
}

/// Kills `flag-cleared-without-the-lock`: the last one who leaves clears the flag of one who has just come.
#[test]
fn last_waiter_leaves_new_one_joins() {
    model("last_waiter_leaves_new_one_joins", 3, || {
        let (bucket, _clock) = drained(1);
        let mut leaver = bucket.acquire();
        assert!(is_pending(&mut leaver));
        let newcomer = newcomer(&bucket);
        drop(leaver);
        newcomer.join().unwrap();
        // Nobody waits now; whatever was given back is there.
        let available = bucket.available();
        assert_eq!(u64::from(bucket.try_acquire().is_ok()), available);
    });
}

/// Kills `serves-without-the-lock`: the head, alone when it looked, clears the flag of one who has just come.
#[test]
fn head_served_new_one_joins() {
    model("head_served_new_one_joins", 3, || {
        let (bucket, clock) = drained(1);
        let mut head = bucket.acquire();
        assert!(is_pending(&mut head));
        clock.advance(PERIOD);
        let newcomer = newcomer(&bucket);
        assert!(!is_pending(&mut head), "it is the first, and due");
        newcomer.join().unwrap();
        let available = bucket.available();
        assert_eq!(u64::from(bucket.try_acquire().is_ok()), available);
    });
}

/// Kills `leaver-wakes-nobody`: the head goes, and the one behind it sleeps on.
#[test]
fn head_leaves_refund() {
    model("head_leaves_refund", 2, || {
        let (bucket, clock) = drained(1);
        let mut leaver = bucket.acquire();
        assert!(is_pending(&mut leaver));
        let next = waiter(&bucket, 1);
        bucket.refund(1);
        drop(leaver);
        assert_eq!(next.join().unwrap(), Ok(()));
        assert_is_idle(&bucket, &clock);
    });
}

/// Three at once: the head goes, permits come back, and the one behind it looks.
#[test]
fn head_leaves_while_another_thread_refunds() {
    model("head_leaves_while_another_thread_refunds", 2, || {
        let (bucket, clock) = drained(1);
        let mut leaver = bucket.acquire();
        assert!(is_pending(&mut leaver));
        let next = waiter(&bucket, 1);
        let other = bucket.clone();
        let refund = thread::spawn(move || other.refund(1));
        drop(leaver);
        refund.join().unwrap();
        assert_eq!(next.join().unwrap(), Ok(()));
        assert_is_idle(&bucket, &clock);
    });
}

/// Kills `leaver-wakes-nobody`, who was served here: of two whose permits come at once, the second one sleeps on.
#[test]
fn two_served() {
    model("two_served", 2, || {
        let (bucket, clock) = drained(2);
        let waiters = [waiter(&bucket, 1), waiter(&bucket, 1)];
        clock.advance(2 * PERIOD);
        for waiter in waiters {
            assert_eq!(waiter.join().unwrap(), Ok(()));
        }
        assert_is_idle(&bucket, &clock);
    });
}

/// Kills `setter-wakes-nobody` and `setter-reads-the-flag-first`: one who can never be served any more sleeps on.
#[test]
fn burst_shrinks_below_a_waiter() {
    model("burst_shrinks_below_a_waiter", 1, || {
        let (bucket, clock) = drained(2);
        let waiter = waiter(&bucket, 2);
        bucket.set_quota(Quota::per(1, Duration::from_nanos(PERIOD)).burst(1)).unwrap();
        assert_eq!(waiter.join().unwrap(), Err(RateLimitExceeded::ExceedsCapacity { requested: 2, capacity: 1 }));
        assert_is_idle(&bucket, &clock);
    });
}

/// Kills `looks-on-an-old-quota`: the setter came between view and lock, and found no waker.
#[test]
fn burst_shrinks_below_one_behind() {
    model("burst_shrinks_below_one_behind", 1, || {
        let (bucket, _clock) = drained(2);
        let mut head = bucket.acquire();
        assert!(is_pending(&mut head));
        let other = bucket.clone();
        let setter = thread::spawn(move || {
            other.set_quota(Quota::per(1, Duration::from_nanos(PERIOD)).burst(1)).unwrap();
        });
        let outcome = block_on(bucket.acquire_n(2));
        assert_eq!(outcome, Err(RateLimitExceeded::ExceedsCapacity { requested: 2, capacity: 1 }));
        setter.join().unwrap();
        drop(head);
    });
}

/// The same line beside the words of a window.
#[test]
fn head_new_window() {
    model("head_new_window", 3, || {
        let clock = HandClock::new();
        let counter = FixedWindowCounter::with_clock(1, Duration::from_nanos(1_000), clock.clone()).expect("it fits");
        assert!(counter.try_acquire().is_ok());
        let counter = Arc::new(counter);
        let other = counter.clone();
        let waiter = thread::spawn(move || block_on(other.acquire()));
        clock.advance(1_000);
        assert_eq!(waiter.join().unwrap(), Ok(()));
        assert_eq!(counter.available(), 0);
        clock.advance(1_000);
        assert!(counter.try_acquire().is_ok());
    });
}

/// Kills `window-serves-on-old-words` and `window-flag-is-stored`: a refund between the head's view and its look, or
/// while the flag is set, is not lost.
#[test]
fn window_head_refund() {
    model("window_head_refund", 3, || {
        let window = Duration::from_secs(86_400);
        let counter = Arc::new(FixedWindowCounter::with_clock(1, window, StandingClock).expect("it fits"));
        assert!(counter.try_acquire().is_ok());
        let other = counter.clone();
        let waiter = thread::spawn(move || block_on(other.acquire()));
        counter.refund(1);
        assert_eq!(waiter.join().unwrap(), Ok(()));
        assert_eq!(counter.available(), 0);
        counter.refund(1);
        assert!(counter.try_acquire().is_ok(), "nobody waits");
    });
}
