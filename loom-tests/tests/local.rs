//! Model checks of a worker's own stock: what is lent out of the burst, used, and given back, with a clock that moves.
//!
//! Each model names the mutation of the sources that it was seen to kill; docs/DESIGN.md lists them all.

#![allow(missing_docs)]

mod support;

use sluicegate_loom::set_thread_number;
use support::stock::{
    BATCH, BURST, CENTRE, Local, PERIOD, SMALL, WithLocals, granted, granted_by, lent, quota, rest, take_each,
};
use support::{ModelClock, Shared, race, race_in_order};

type Lent = Shared<WithLocals>;

/// What was granted, and what is left when the stock has come back, is all that was there, and what came.
fn all_is_there<const PERMITS: u64>(shared: &WithLocals, _: &ModelClock, (here, local): (u64, Local), there: u64) {
    drop(local);
    assert_eq!(shared.bucket.capacity(), CENTRE);
    assert_eq!(here + there + rest(&shared.bucket), PERMITS, "{here} + {there}");
}

/// A stripe is filled while the word has less and less of a burst. Kills `lent-is-not-taken`.
#[test]
fn lend_draw() {
    race_in_order(
        "lend_draw",
        2,
        || lent::<0>(3 * BATCH),
        |shared, _| {
            set_thread_number(0);
            granted(&shared.bucket, 1)
        },
        |shared, clock| {
            clock.advance(PERIOD);
            let mut local = shared.bucket.clone().local_owned();
            (granted_by(&mut local, 1), local)
        },
        |shared, clock, here, there| all_is_there::<{ 3 * BATCH + 1 }>(shared, clock, there, here),
    );
}

/// What is lent is missing in the burst: with all stock, wherever it is, one burst is there at one instant. Kills
/// `lent-stays-in-the-burst`.
#[test]
fn lend_stalled_draw() {
    race_in_order(
        "lend_stalled_draw",
        1,
        || lent::<0>(BURST),
        |shared, _| {
            set_thread_number(0);
            granted(&shared.bucket, BATCH + 1)
        },
        |shared, clock| {
            set_thread_number(1);
            let mut local = shared.bucket.clone().local_owned();
            clock.advance(10 * PERIOD);
            (granted_by(&mut local, BATCH) + shared.bucket.try_acquire_up_to(u64::MAX), local)
        },
        |shared, _, here, (there, local)| {
            let all = there + rest(&shared.bucket);
            assert!(all <= BURST, "{all} at one instant");
            assert!(here + all >= BURST, "{here} and {all}");
            drop(local);
            assert_eq!(rest(&shared.bucket), 0);
        },
    );
}

/// Two workers begin at once. Kills `lenders-do-not-exclude`.
#[test]
fn lend_lend() {
    race(
        "lend_lend",
        2,
        || lent::<0>(BURST),
        |shared, clock| {
            clock.advance(PERIOD);
            shared.bucket.clone().local_owned()
        },
        |shared, _| shared.bucket.clone().local_owned(),
        |shared, _, here, there| {
            // One who found the other at it has no loan yet.
            let lent = CENTRE - shared.bucket.capacity();
            assert!(lent == BATCH || lent == 2 * BATCH, "{lent}");
            let mut all = rest(&shared.bucket);
            for mut local in [here, there] {
                all += granted_by(&mut local, BATCH);
            }
            assert_eq!((all, shared.bucket.capacity()), (BURST, CENTRE));
        },
    );
}

/// A worker ends while another thread draws. Kills `stock-is-not-returned`.
#[test]
fn drop_draw() {
    race_in_order(
        "drop_draw",
        1,
        || lent::<1>(2 * BATCH),
        |shared, _| {
            set_thread_number(0);
            granted(&shared.bucket, 2)
        },
        |shared, clock| {
            let mut local = shared.local(0);
            let one = granted_by(&mut local, 1);
            clock.advance(PERIOD);
            drop(local);
            one
        },
        |shared, _, here, there| {
            assert_eq!((here, there), (2, 1));
            assert_eq!(shared.bucket.capacity(), CENTRE);
            assert_eq!(rest(&shared.bucket), 2 * BATCH + 1 - 3);
        },
    );
}

/// One ends and one begins.
#[test]
fn drop_lend() {
    race(
        "drop_lend",
        2,
        || lent::<1>(BURST),
        |shared, _| drop(shared.local(0)),
        |shared, clock| {
            clock.advance(PERIOD);
            shared.bucket.clone().local_owned()
        },
        |shared, _, (), mut local| {
            // Who found the other at it has no loan yet.
            let lent = CENTRE - shared.bucket.capacity();
            assert!(lent == 0 || lent == BATCH, "{lent}");
            assert_eq!(granted_by(&mut local, BATCH) + rest(&shared.bucket), BURST);
        },
    );
}

/// A worker and a thread draw from a word that has not enough for both.
#[test]
fn draw_draw() {
    race(
        "draw_draw",
        3,
        || lent::<1>(BATCH + 4),
        |shared, _| {
            let mut local = shared.local(0);
            (granted_by(&mut local, BATCH + 1) + granted_by(&mut local, 1), local)
        },
        |shared, clock| {
            set_thread_number(0);
            clock.advance(PERIOD);
            take_each(&shared.bucket, 2)
        },
        all_is_there::<{ BATCH + 5 }>,
    );
}

/// A worker that is stopped where it draws brings what is its share of the burst, at most. Kills `beyond-its-budget`.
#[test]
fn stalled_draw_take() {
    race(
        "stalled_draw_take",
        3,
        || lent::<1>(BURST),
        |shared, _| {
            let mut local = shared.local(0);
            (granted_by(&mut local, BATCH + 1), local)
        },
        |shared, clock| {
            set_thread_number(0);
            clock.advance(10 * PERIOD);
            granted(&shared.bucket, BATCH) + shared.bucket.try_acquire_up_to(u64::MAX)
        },
        |shared, _, (here, mut local), there| {
            let stock = (0..BURST).map(|_| granted_by(&mut local, 1)).sum::<u64>();
            let all = there + stock + rest(&shared.bucket);
            assert!(all <= BURST, "{all} at one instant");
            assert!(here + all >= BURST, "{here} and {all}");
        },
    );
}

/// Two workers draw from one word.
#[test]
fn two_locals_draw() {
    race(
        "two_locals_draw",
        3,
        || lent::<2>(2 * BATCH + 3),
        |shared, _| {
            let mut local = shared.local(0);
            (granted_by(&mut local, BATCH + 1), local)
        },
        |shared, clock| {
            let mut local = shared.local(1);
            clock.advance(PERIOD);
            (granted_by(&mut local, BATCH + 2), local)
        },
        |shared, clock, here, (there, local)| {
            drop(local);
            all_is_there::<{ 2 * BATCH + 4 }>(shared, clock, here, there);
        },
    );
}

/// A worker whose bucket has too little in its word gathers from stripes, of which others take. Kills
/// `own-stock-stays`.
#[test]
fn gather_take() {
    race(
        "gather_take",
        3,
        || {
            let shared: Lent = lent::<1>(BATCH + 6);
            set_thread_number(0);
            assert_eq!(granted(&shared.0.bucket, 1), 1);
            shared
        },
        |shared, _| {
            let mut local = shared.local(0);
            (granted_by(&mut local, BATCH + 3), local)
        },
        |shared, clock| {
            set_thread_number(1);
            let first = granted(&shared.bucket, 1);
            clock.advance(PERIOD);
            first + granted(&shared.bucket, 1)
        },
        all_is_there::<{ BATCH + 6 }>,
    );
}

/// A worker's stock of a quota that is over is not used. Kills `local-keeps-its-loan`, `change-recalls-nothing`.
#[test]
fn draw_set_quota() {
    race(
        "draw_set_quota",
        1,
        || lent::<1>(BURST),
        |shared, _| {
            let mut local = shared.local(0);
            (granted_by(&mut local, 1), local)
        },
        |shared, clock| {
            set_thread_number(1);
            clock.advance(PERIOD);
            shared.bucket.set_quota(quota(SMALL)).unwrap();
            shared.bucket.try_acquire_up_to(u64::MAX)
        },
        |shared, clock, (here, mut local), there| {
            let left = granted_by(&mut local, 1) + rest(&shared.bucket);
            assert!(there + left <= SMALL, "{there} and {left} after the change");
            assert!(here + there + left >= SMALL, "{here}, {there} and {left}");
            drop(local);
            clock.advance(BURST * PERIOD);
            assert_eq!((rest(&shared.bucket), shared.bucket.capacity()), (SMALL, SMALL));
        },
    );
}

/// The same when it draws: what it brings at the change is dropped too.
#[test]
fn fill_set_quota() {
    race_in_order(
        "fill_set_quota",
        1,
        || lent::<1>(BURST),
        |shared, _| {
            let mut local = shared.local(0);
            (granted_by(&mut local, BATCH + 1), local)
        },
        |shared, clock| {
            set_thread_number(1);
            clock.advance(PERIOD);
            shared.bucket.set_quota(quota(SMALL)).unwrap();
        },
        |shared, clock, (here, mut local), ()| {
            clock.advance(BURST * PERIOD);
            let left = granted_by(&mut local, 1) + rest(&shared.bucket);
            assert_eq!((here, left), (BATCH + 1, SMALL));
        },
    );
}

/// A loan ends once: by the worker or by the change. Kills `any-loan-comes-back`.
#[test]
fn drop_set_quota() {
    race(
        "drop_set_quota",
        2,
        || lent::<1>(BURST),
        |shared, _| drop(shared.local(0)),
        |shared, clock| {
            clock.advance(PERIOD);
            shared.bucket.set_quota(quota(2 * BURST)).unwrap();
        },
        |shared, clock, (), ()| {
            let (bucket, there) = (&shared.bucket, rest(&shared.bucket));
            // Its stock, if it came too late.
            assert!(there == BURST || there == BURST - BATCH, "{there}");
            clock.advance(4 * BURST * PERIOD);
            assert_eq!((rest(bucket), bucket.capacity()), (2 * CENTRE, 2 * CENTRE));
        },
    );
}

/// A loan is of the quota before the change or of the one after it.
#[test]
fn lend_set_quota() {
    race(
        "lend_set_quota",
        2,
        || lent::<0>(BURST),
        |shared, _| shared.bucket.clone().local_owned(),
        |shared, clock| {
            clock.advance(PERIOD);
            shared.bucket.set_quota(quota(SMALL)).unwrap();
        },
        |shared, _, mut local, ()| {
            assert_eq!(shared.bucket.capacity(), SMALL);
            assert_eq!(granted_by(&mut local, 1) + rest(&shared.bucket), SMALL);
            drop(local);
            assert_eq!(shared.bucket.capacity(), SMALL);
        },
    );
}
