//! Model checks of waiting for a striped bucket: the head is woken by what comes into a stripe. The clock is moved by hand, and
//! nobody does.
//!
//! A lost wake-up is a thread that sleeps for ever, which loom reports as a deadlock. Each model names the mutation of
//! the sources that it was seen to kill; docs/DESIGN.md lists them all.

#![allow(missing_docs)]

mod support;

use loom::sync::Arc;
use loom::thread;
use sluicegate_loom::{StripedTokenBucket, StripedTokenBucketBuilder, set_thread_number};
use support::model;
use support::stock::{BATCH, BURST, quota};
use support::waiting::{HandClock, block_on};

type Bucket = StripedTokenBucket<HandClock>;

/// With so many permits, all of them in the word.
fn holding(permits: u64) -> Arc<Bucket> {
    let builder = StripedTokenBucketBuilder::new(quota(BURST), HandClock::new()).initial(permits);
    let bucket = builder.build().expect("a valid quota");
    assert_eq!(bucket.available(), permits);
    Arc::new(bucket)
}

/// One who waits for one permit, while another one is at it.
fn race_with_waiter(name: &'static str, setup: fn() -> Arc<Bucket>, other: fn(&Bucket)) {
    model(name, 3, move || {
        let bucket = setup();
        let there = bucket.clone();
        let waiter = thread::spawn(move || {
            set_thread_number(1);
            block_on(there.acquire())
        });
        set_thread_number(0);
        other(&bucket);
        assert_eq!(waiter.join().unwrap(), Ok(()));
        // Nobody waits any more.
        let available = bucket.available();
        assert_eq!(bucket.try_acquire_up_to(u64::MAX), available);
    });
}

/// All that is there is on its way to a stripe when the head looks. Kills `fill-tells-nobody`, `puts-without-fence` and
/// `serves-without-fence`.
#[test]
fn head_fill() {
    race_with_waiter(
        "head_fill",
        || holding(BATCH + 1),
        |bucket| {
            let _ = bucket.try_acquire();
        },
    );
}

/// The same, in the hands of a call for more than there is. Kills `gatherer-tells-nobody`.
#[test]
fn head_put_back() {
    let setup = || {
        let bucket = holding(BATCH + 1);
        set_thread_number(0);
        assert_eq!(bucket.try_acquire(), Ok(()));
        bucket
    };
    race_with_waiter("head_put_back", setup, |bucket| assert!(bucket.try_acquire_n(2 * BATCH).is_err()));
}
