//! Model checks of who rules a key, and of waiting for one: an older answer is never put into force after a newer one,
//! what a handle has set ends with the last of them, and nobody sleeps on.
//!
//! Each model names the mutation of the sources that it was seen to kill; docs/DESIGN.md lists them all.

#![allow(missing_docs)]

mod support;

use std::future::Future;
use std::task::{Context, Waker};
use std::time::Duration;

use loom::sync::Arc;
use loom::thread;
use sluicegate_loom::{RateLimitExceeded, WhenFull};
use support::keys::{
    Handle, KEY, Keys, OTHER, PERIOD, Plan, assert_are_words, assert_is_one, burst, every, granted, held, keys_of,
    keys_on, planned, planned_on, quota, race_with, wait,
};
use support::model;
use support::waiting::{HandClock, block_on};

/// Kills `newcomer-by-an-old-answer` and `struck-out-after-the-look`: one who was asked for before the change comes in after it.
#[test]
fn requota_newcomer() {
    race_with(
        "requota_newcomer",
        3,
        || {
            let (keys, clock, plan) = planned(1);
            clock.advance(PERIOD);
            (keys, clock, (), plan)
        },
        |keys, _, ()| keys.try_acquire(&KEY),
        |keys, _, plan: Plan| {
            plan.set(3);
            keys.requota(&KEY)
        },
        |keys, clock, granted, known| {
            assert_eq!((granted, burst(keys)), (Ok(()), 3));
            // It has taken the one that there was, and none is given it; or it came with three.
            let wait = wait(keys, 3);
            assert!(wait == PERIOD || known && wait == 3 * PERIOD, "{wait}, {known}");
            assert_are_words(keys, clock, 1);
        },
    );
}

/// The same of one who comes for a handle. Kills `holder-by-an-old-answer`, and `struck-out-after-the-look`.
#[test]
fn requota_handle() {
    race_with(
        "requota_handle",
        3,
        || {
            let (keys, clock, plan) = planned(1);
            (keys, clock, (), plan)
        },
        |keys, _, ()| keys.handle(KEY),
        |keys, _, plan: Plan| {
            plan.set(3);
            keys.requota(&KEY);
        },
        |keys, clock, handle, ()| {
            assert_eq!((handle.quota(), burst(keys)), (quota(3), 3));
            assert_is_one(keys, clock, &handle);
            drop(handle);
            assert_eq!(burst(keys), 3);
        },
    );
}

/// Kills `ruled-by-an-old-answer`: the answer of the first question comes last.
#[test]
fn requota_requota() {
    race_with(
        "requota_requota",
        3,
        || {
            let (keys, clock, plan) = planned(1);
            assert!(keys.try_acquire(&KEY).is_ok());
            let other = plan.clone();
            (keys, clock, plan, other)
        },
        |keys, _, plan: Plan| {
            plan.set(2);
            assert!(keys.requota(&KEY));
            plan
        },
        |keys, clock, plan: Plan| {
            clock.advance(PERIOD);
            plan.set(3);
            assert!(keys.requota(&KEY));
        },
        |keys, clock, plan, ()| {
            assert_eq!(burst(keys), plan.burst());
            assert_eq!(wait(keys, 2), PERIOD, "one has come");
            assert_are_words(keys, clock, 1);
        },
    );
}

/// A key that is asked for again while its last handle goes. Kills `demoted-to-the-own-quota` and `rule-is-not-kept`.
#[test]
fn requota_last_handle() {
    race_with(
        "requota_last_handle",
        3,
        || {
            let (keys, clock, plan) = planned(2);
            assert!(keys.try_acquire_n(&KEY, 2).is_ok());
            let handle = keys.handle(KEY);
            handle.set_quota(quota(5)).unwrap();
            clock.advance(PERIOD);
            (keys, clock, handle, plan)
        },
        |_, _, handle: Handle| drop(handle),
        |keys, _, plan: Plan| {
            plan.set(3);
            assert!(keys.requota(&KEY));
        },
        |keys, clock, (), ()| {
            assert_eq!(burst(keys), 3);
            assert_eq!(wait(keys, 3), 2 * PERIOD, "one has come, nothing is given");
            assert_are_words(keys, clock, 1);
        },
    );
}

/// What a handle sets holds until then, or from then on; and what the rule is by then holds after it.
#[test]
fn requota_set_quota() {
    race_with(
        "requota_set_quota",
        2,
        || {
            let (keys, clock, plan) = planned(2);
            assert!(keys.try_acquire_n(&KEY, 2).is_ok());
            clock.advance(PERIOD);
            let handle = keys.handle(KEY);
            (keys, clock, handle, plan)
        },
        |_, _, handle: Handle| {
            handle.set_quota(quota(5)).unwrap();
            handle
        },
        |keys, _, plan: Plan| {
            plan.set(3);
            assert!(keys.requota(&KEY));
        },
        |keys, clock, handle, ()| {
            assert!(handle.quota() == quota(5) || handle.quota() == quota(3), "the later one of both");
            assert_eq!((handle.available(), keys.available(&KEY)), (1, 1));
            drop(handle);
            assert_eq!((burst(keys), wait(keys, 3)), (3, 2 * PERIOD));
            assert_are_words(keys, clock, 1);
        },
    );
}

/// A caller is charged under the one rule or the other, and one that blocks the key blocks it from then on.
#[test]
fn requota_to_nothing_acquire() {
    race_with(
        "requota_to_nothing_acquire",
        1,
        || {
            let (keys, clock, plan) = planned(2);
            assert!(keys.try_acquire_n(&KEY, 2).is_ok());
            clock.advance(PERIOD);
            (keys, clock, (), plan)
        },
        |keys, _, ()| keys.try_acquire(&KEY),
        |keys, _, plan: Plan| {
            plan.set(0);
            assert!(keys.requota(&KEY));
        },
        |keys, clock, here, ()| {
            let never = Err(RateLimitExceeded::ExceedsCapacity { requested: 1, capacity: 0 });
            assert!(here == Ok(()) || here == never, "{here:?}");
            clock.advance(PERIOD);
            assert_eq!(keys.try_acquire(&KEY), never);
        },
    );
}

/// A key that is removed is asked for again as well. Kills `removed-by-an-old-answer`.
#[test]
fn handle_remove_by_the_rule() {
    race_with(
        "handle_remove_by_the_rule",
        3,
        || {
            let (keys, clock, plan) = planned(1);
            let handle = keys.handle(KEY);
            clock.advance(PERIOD);
            plan.set(3);
            (keys, clock, handle, ())
        },
        |keys, _, handle: Handle| (keys.handle(KEY), drop(handle)).0,
        |keys, _, ()| assert!(keys.remove(&KEY)),
        |keys, clock, handle, ()| {
            assert_eq!((handle.quota(), handle.available()), (quota(3), 3));
            assert_is_one(keys, clock, &handle);
        },
    );
}

/// Kills `last-handle-imposes-nothing`: somebody uses the bucket still, by the quota that nobody is there for.
#[test]
fn last_handle_reservation() {
    race_with(
        "last_handle_reservation",
        3,
        || {
            let (keys, clock, handle) = held(quota(1), 1);
            handle.set_quota(every(4 * PERIOD, 3)).unwrap();
            clock.advance(4 * PERIOD);
            let reservation = handle.try_reserve_owned(1).expect("one has come");
            let other = handle.try_reserve_owned(0).expect("nothing is asked for");
            (keys, clock, handle, (reservation, other))
        },
        |_, _, handle: Handle| drop(handle),
        |_, _, (reservation, other)| {
            drop(other);
            reservation
        },
        |keys, clock, (), reservation| {
            assert_eq!((burst(keys), wait(keys, 1)), (1, PERIOD));
            reservation.cancel();
            assert_eq!((burst(keys), wait(keys, 1)), (1, 0));
            assert_are_words(keys, clock, 1);
        },
    );
}

/// Kills `any-handle-imposes`: the quota is that of those who stay.
#[test]
fn one_handle_goes_set_quota() {
    race_with(
        "one_handle_goes_set_quota",
        2,
        || {
            let (keys, clock, handle) = held(quota(1), 1);
            let other = handle.clone();
            (keys, clock, handle, other)
        },
        |_, _, handle: Handle| drop(handle),
        |_, clock, handle: Handle| {
            clock.advance(PERIOD);
            handle.set_quota(quota(3)).unwrap();
            handle
        },
        |keys, clock, (), handle| {
            assert_eq!((handle.quota(), handle.available()), (quota(3), 1));
            assert_is_one(keys, clock, &handle);
            drop(handle);
            assert_eq!((burst(keys), wait(keys, 1)), (1, 0));
        },
    );
}

/// Two last handles at once, one of which has just set a quota: the rule holds again, also for who stays.
#[test]
fn last_handle_last_handle_set_quota() {
    race_with(
        "last_handle_last_handle_set_quota",
        2,
        || {
            let (keys, clock, handle) = held(quota(2), 2);
            let other = handle.clone();
            let reservation = {
                clock.advance(PERIOD);
                handle.try_reserve_owned(1).expect("one has come")
            };
            (keys, clock, (handle, reservation), other)
        },
        |_, _, (handle, reservation)| {
            drop(handle);
            reservation
        },
        |_, _, handle: Handle| handle.set_quota(quota(3)).unwrap(),
        |keys, clock, reservation, ()| {
            assert_eq!((burst(keys), wait(keys, 2)), (2, 2 * PERIOD));
            assert_eq!(reservation.commit(1), 1);
            assert_are_words(keys, clock, 1);
        },
    );
}

/// Kills `imposes-without-the-lock`: the quota of one who has just come is taken from it.
#[test]
fn last_handle_new_handle_set_quota() {
    race_with(
        "last_handle_new_handle_set_quota",
        2,
        || {
            let (keys, clock, handle) = held(quota(1), 1);
            clock.advance(PERIOD);
            (keys, clock, handle, ())
        },
        |_, _, handle: Handle| drop(handle),
        |keys, _, ()| {
            let handle = keys.handle(KEY);
            handle.set_quota(quota(3)).unwrap();
            handle
        },
        |keys, clock, (), handle| {
            assert_eq!((handle.quota(), handle.available()), (quota(3), 1));
            assert_is_one(keys, clock, &handle);
            drop(handle);
            assert_eq!(burst(keys), 1);
        },
    );
}

/// What has come until the last handle goes has come at its rate, and what comes then at the rule's. Kills
/// `demoted-as-it-stands`.
#[test]
fn last_handle_of_a_slow_quota() {
    race_with(
        "last_handle_of_a_slow_quota",
        3,
        || {
            let (keys, clock, handle) = held(quota(1), 1);
            handle.set_quota(every(4 * PERIOD, 1)).unwrap();
            (keys, clock, handle, ())
        },
        |_, _, handle: Handle| drop(handle),
        |_, clock, ()| clock.advance(PERIOD),
        |keys, clock, (), ()| {
            // It went at 0, and one has come; or now, and a quarter has.
            let wait = wait(keys, 1);
            assert!(matches!(wait, 0 | 74..=76), "in {wait} ns");
            assert_are_words(keys, clock, 1);
        },
    );
}

/// Newcomers without a place share one bucket.
#[test]
fn overflow_overflow() {
    race_with(
        "overflow_overflow",
        3,
        || {
            let (keys, clock) = keys_of(quota(1), |builder| builder.max_keys(1).when_full(WhenFull::Share));
            assert!(keys.try_acquire(&KEY).is_ok());
            (keys, clock, (), ())
        },
        |keys, _, ()| granted(keys.try_acquire(&OTHER)),
        |keys, _, ()| granted(keys.try_acquire(&3)),
        |keys, clock, here, there| {
            assert_eq!(here + there, 1);
            assert_are_words(keys, clock, 1);
        },
    );
}

/// All that a key has is taken, and its clock wakes.
fn drained(n: u64) -> (Arc<Keys<HandClock>>, HandClock) {
    let clock = HandClock::new();
    let keys = keys_on(quota(n), clock.clone(), |builder| builder);
    assert!(keys.try_acquire_n(&KEY, n).is_ok());
    (Arc::new(keys), clock)
}

fn waiter(keys: &Arc<Keys<HandClock>>, n: u64) -> thread::JoinHandle<Result<(), RateLimitExceeded>> {
    let keys = keys.clone();
    thread::spawn(move || block_on(keys.acquire_n(&KEY, n)))
}

fn is_pending<F: Future + Unpin>(future: &mut F) -> bool {
    std::pin::Pin::new(future).poll(&mut Context::from_waker(Waker::noop())).is_pending()
}

/// Nobody waits any more, nothing but what was granted was charged, and the key is a word again.
fn assert_is_idle(keys: &Keys<HandClock>, clock: &HandClock) {
    assert_eq!(keys.try_acquire(&KEY).unwrap_err().retry_after(), Some(Duration::from_nanos(PERIOD)));
    clock.advance(PERIOD);
    assert!(keys.try_acquire(&KEY).is_ok());
    clock.advance(10_000 * PERIOD);
    assert_eq!(keys.cleanup(), 1, "somebody is said to have a bucket");
}

/// Given back to the word or to the bucket, whichever there is: it is not lost. Kills `refund-to-the-mark`.
#[test]
fn wait_refund() {
    model("wait_refund", 3, || {
        let (keys, clock) = drained(1);
        let waiter = waiter(&keys, 1);
        keys.refund(&KEY, 1);
        assert_eq!(waiter.join().unwrap(), Ok(()));
        assert_is_idle(&keys, &clock);
    });
}

#[test]
fn wait_clock_moved() {
    model("wait_clock_moved", 3, || {
        let (keys, clock) = drained(1);
        let waiter = waiter(&keys, 1);
        clock.advance(PERIOD);
        assert_eq!(waiter.join().unwrap(), Ok(()));
        assert_is_idle(&keys, &clock);
    });
}

/// Nobody overtakes by the map: the line of one who goes is that of one who comes, for as long as one of them is there.
#[test]
fn last_waiter_leaves_new_one_joins() {
    model("last_waiter_leaves_new_one_joins", 3, || {
        let (keys, clock) = drained(1);
        let mut leaver = keys.acquire(&KEY);
        assert!(is_pending(&mut leaver));
        let there = keys.clone();
        let newcomer = thread::spawn(move || {
            let mut newcomer = there.acquire(&KEY);
            assert!(is_pending(&mut newcomer));
            there.refund(&KEY, 1);
            assert!(there.try_acquire(&KEY).is_err(), "somebody waits");
        });
        drop(leaver);
        newcomer.join().unwrap();
        assert!(keys.try_acquire(&KEY).is_ok(), "nobody waits now, and it was given back");
        assert_is_idle(&keys, &clock);
    });
}

/// Who cancels wakes the next one, and the bucket stays for as long as that one waits.
#[test]
fn cancel_refund_wait() {
    model("cancel_refund_wait", 2, || {
        let (keys, clock) = drained(1);
        let mut leaver = keys.acquire(&KEY);
        assert!(is_pending(&mut leaver));
        let next = waiter(&keys, 1);
        let other = keys.clone();
        let refund = thread::spawn(move || other.refund(&KEY, 1));
        drop(leaver);
        refund.join().unwrap();
        assert_eq!(next.join().unwrap(), Ok(()));
        assert_is_idle(&keys, &clock);
    });
}

/// Two who wait, each with a share of the bucket.
#[test]
fn two_served() {
    model("two_served", 2, || {
        let (keys, clock) = drained(2);
        let waiters = [waiter(&keys, 1), waiter(&keys, 1)];
        clock.advance(2 * PERIOD);
        for waiter in waiters {
            assert_eq!(waiter.join().unwrap(), Ok(()));
        }
        assert_is_idle(&keys, &clock);
    });
}

/// Who waits keeps the bucket that the last handle leaves.
#[test]
fn wait_last_handle() {
    model("wait_last_handle", 3, || {
        let (keys, clock) = drained(1);
        let handle = keys.handle(KEY);
        let waiter = waiter(&keys, 1);
        handle.refund(1);
        drop(handle);
        assert_eq!(waiter.join().unwrap(), Ok(()));
        assert_is_idle(&keys, &clock);
    });
}

/// Kills `last-handle-wakes-nobody`: what it waits for was only ever to come by the quota that is over.
#[test]
fn wait_last_handle_of_a_larger_quota() {
    model("wait_last_handle_of_a_larger_quota", 1, || {
        let (keys, clock) = drained(1);
        let handle = keys.handle(KEY);
        handle.set_quota(quota(2)).unwrap();
        let waiter = waiter(&keys, 2);
        drop(handle);
        let never = Err(RateLimitExceeded::ExceedsCapacity { requested: 2, capacity: 1 });
        assert_eq!(waiter.join().unwrap(), never);
        assert_is_idle(&keys, &clock);
    });
}

/// Kills `rule-wakes-nobody`.
#[test]
fn wait_requota() {
    model("wait_requota", 1, || {
        let clock = HandClock::new();
        let (keys, plan) = planned_on(clock.clone(), 2);
        let keys = Arc::new(keys);
        assert!(keys.try_acquire_n(&KEY, 2).is_ok());
        let waiter = waiter(&keys, 2);
        plan.set(1);
        assert!(keys.requota(&KEY));
        let never = Err(RateLimitExceeded::ExceedsCapacity { requested: 2, capacity: 1 });
        assert_eq!(waiter.join().unwrap(), never);
        assert_is_idle(&keys, &clock);
    });
}

/// Forgotten, or afresh in place: who waits is served at once.
#[test]
fn wait_remove() {
    model("wait_remove", 3, || {
        let (keys, clock) = drained(1);
        let waiter = waiter(&keys, 1);
        assert!(keys.remove(&KEY));
        assert_eq!(waiter.join().unwrap(), Ok(()));
        assert_is_idle(&keys, &clock);
    });
}
