//! Model checks of the striped bucket: who draws, takes from others, gathers and gives back, with a clock that moves.
//!
//! Each model names the mutation of the sources that it was seen to kill; docs/DESIGN.md lists them all.

#![allow(missing_docs)]

mod support;

use sluicegate_loom::set_thread_number;
use support::stock::{
    BATCH, BURST, CENTRE, PERIOD, SMALL, Striped, assert_fills, granted, holding, quota, rest, stocked, take_each,
};
use support::{ModelClock, race, race_in_order};

/// What was granted and what is left is all that was there, and what came.
fn all_is_there<const PERMITS: u64>(bucket: &Striped, _: &ModelClock, here: u64, there: u64) {
    assert_eq!(here + there + rest(bucket), PERMITS, "{here} + {there}");
}

fn all_is_there_and_fills<const PERMITS: u64>(bucket: &Striped, clock: &ModelClock, here: u64, there: u64) {
    all_is_there::<PERMITS>(bucket, clock, here, there);
    assert_fills(bucket, clock);
}

/// A thread that draws for a stripe, which is empty, delays nobody who finds it claimed. Kills `claimed-twice` and
/// `used-and-left`.
#[test]
fn draw_draw() {
    race(
        "draw_draw",
        3,
        || holding(BATCH),
        |bucket, _| {
            set_thread_number(0);
            granted(bucket, 1)
        },
        |bucket, clock| {
            set_thread_number(0);
            clock.advance(2 * PERIOD);
            take_each(bucket, 2)
        },
        all_is_there_and_fills::<{ BATCH + 2 }>,
    );
}

/// Each for its own stripe, from a word that has not enough for both.
#[test]
fn draw_draw_of_others() {
    race(
        "draw_draw_of_others",
        3,
        || holding(BATCH + 2),
        |bucket, _| {
            set_thread_number(0);
            granted(bucket, 1)
        },
        |bucket, clock| {
            set_thread_number(1);
            clock.advance(PERIOD);
            granted(bucket, 1)
        },
        |bucket, clock, here, there| {
            assert_eq!((here, there), (1, 1));
            all_is_there_and_fills::<{ BATCH + 3 }>(bucket, clock, here, there);
        },
    );
}

/// The trace that breaks a stripe which is claimed after the clock is read, or not at all: a drawer is stopped behind its
/// reading. Meanwhile time passes, of which the full bucket has no use, and its stripe is used; then it brings a batch that
/// it takes at the old time, so that the word is as full as before. Four of 128 too many at one instant. Kills
/// `clock-before-claim`, and `carve-is-in-the-burst`.
#[test]
fn stalled_draw_take() {
    race(
        "stalled_draw_take",
        3,
        || holding(BURST),
        |bucket, _| {
            set_thread_number(0);
            granted(bucket, BATCH + 1)
        },
        |bucket, clock| {
            set_thread_number(0);
            clock.advance(10 * PERIOD);
            granted(bucket, BATCH) + bucket.try_acquire_up_to(u64::MAX)
        },
        |bucket, _, here, there| {
            let all = there + rest(bucket);
            assert!(all <= BURST, "{all} at one instant");
            assert!(here + all >= BURST, "{here} and {all}");
        },
    );
}

/// The same when the stripe was filled by another, after the drawer looked.
#[test]
fn stalled_draw_fill() {
    race(
        "stalled_draw_fill",
        3,
        || stocked(1, 0, CENTRE - 2),
        |bucket, _| {
            set_thread_number(0);
            granted(bucket, 2)
        },
        |bucket, clock| {
            set_thread_number(0);
            clock.advance(BURST * PERIOD);
            let filled = granted(bucket, 2);
            clock.advance(BURST * PERIOD);
            (filled, bucket.try_acquire_up_to(BATCH) + bucket.try_acquire_up_to(u64::MAX))
        },
        |bucket, _, here, (filled, there)| {
            let all = there + rest(bucket);
            assert_eq!(filled, 2);
            // Stripe 1 is empty and nobody fills it.
            assert!(all <= BURST - BATCH, "{all} at one instant");
            assert!(here + all >= CENTRE, "{here} and {all}");
        },
    );
}

/// The owner takes, another one steals. Kills `taken-without-exchange`.
#[test]
fn take_steal() {
    race(
        "take_steal",
        3,
        || stocked(2, 0, 0),
        |bucket, _| {
            set_thread_number(0);
            take_each(bucket, 2)
        },
        |bucket, clock| {
            set_thread_number(1);
            let stolen = granted(bucket, 1);
            clock.advance(PERIOD);
            stolen + granted(bucket, 1)
        },
        |bucket, clock, here, there| {
            assert_eq!(here + there, 3, "nobody moves anything, so a denial means that nothing is there");
            all_is_there::<3>(bucket, clock, here, there);
        },
    );
}

/// Two who find the word empty take from the same place.
#[test]
fn steal_steal() {
    race(
        "steal_steal",
        3,
        || stocked(0, 3, 0),
        |bucket, _| {
            set_thread_number(0);
            take_each(bucket, 2)
        },
        |bucket, clock| {
            set_thread_number(0);
            let stolen = granted(bucket, 1);
            clock.advance(PERIOD);
            stolen + bucket.try_acquire_up_to(2)
        },
        |bucket, clock, here, there| {
            assert_eq!(here + there, 4, "nobody moves anything, so a denial means that nothing is there");
            all_is_there::<4>(bucket, clock, here, there);
        },
    );
}

/// A call for more than there is leaves everything where it is. Kills `denied-gathering-keeps` and `gathered-stays`.
#[test]
fn gather_take() {
    race(
        "gather_take",
        3,
        || stocked(2, 2, 0),
        |bucket, clock| {
            set_thread_number(0);
            let five = granted(bucket, 5);
            clock.advance(PERIOD);
            five + granted(bucket, 4)
        },
        |bucket, _| {
            set_thread_number(1);
            granted(bucket, 1)
        },
        all_is_there_and_fills::<5>,
    );
}

/// A stripe is filled while another one gathers from it. Kills `claim-keeps-stock`.
#[test]
fn gather_fill() {
    race(
        "gather_fill",
        3,
        || stocked(2, 1, 0),
        |bucket, _| {
            set_thread_number(0);
            granted(bucket, 4)
        },
        |bucket, clock| {
            set_thread_number(1);
            clock.advance(3 * PERIOD);
            granted(bucket, 2)
        },
        all_is_there_and_fills::<6>,
    );
}

/// Two who gather take from each other at most what they have in their hands. Kills `denied-gathering-keeps`.
#[test]
fn gather_gather() {
    race(
        "gather_gather",
        3,
        || stocked(2, 2, 0),
        |bucket, _| {
            set_thread_number(0);
            granted(bucket, 3)
        },
        |bucket, clock| {
            set_thread_number(1);
            clock.advance(PERIOD);
            granted(bucket, 2)
        },
        all_is_there_and_fills::<5>,
    );
}

/// Permits come back to a word that is full, and to a stripe that is being filled. Kills `refund-into-a-claim`: what is
/// being brought is lost, and nobody can fill the stripe again.
#[test]
fn refund_draw() {
    race(
        "refund_draw",
        3,
        || holding(CENTRE),
        |bucket, _| {
            set_thread_number(0);
            bucket.refund(1);
        },
        |bucket, clock| {
            set_thread_number(0);
            let first = granted(bucket, 1);
            clock.advance(PERIOD);
            first
        },
        |bucket, clock, (), taken| {
            // The stripe has room for what comes back, unless it is being filled; that what was drawn comes again is due.
            let all = rest(bucket);
            assert_eq!(taken, 1);
            assert!((CENTRE..=CENTRE + 1).contains(&all), "{all}");
            assert_fills(bucket, clock);
        },
    );
}

/// Never above the burst. Kills `refund-beyond-a-batch`.
#[test]
fn refund_take() {
    race(
        "refund_take",
        3,
        || holding(BURST),
        |bucket, _| {
            set_thread_number(0);
            bucket.refund(3);
        },
        |bucket, clock| {
            set_thread_number(0);
            let first = granted(bucket, 1);
            clock.advance(PERIOD);
            first + granted(bucket, 1)
        },
        |bucket, _, (), taken| {
            let all = rest(bucket);
            assert_eq!(taken, 2);
            assert!((BURST - taken..=BURST).contains(&all), "{all} after {taken}");
        },
    );
}

/// What comes back between two pieces of time is counted once, in the word or in a stripe: else whoever gives back makes
/// permits.
#[test]
fn refund_refund_in_fractions() {
    race(
        "refund_refund_in_fractions",
        3,
        || {
            let shared = holding(CENTRE);
            set_thread_number(0);
            // Of the word's one permit is missing, of stripe 0 three.
            assert_eq!(granted(&shared.0, 1), 1);
            assert_eq!(take_each(&shared.0, 3), 3);
            shared.0.refund(4);
            shared.1.advance(PERIOD / 4);
            shared
        },
        |bucket, _| {
            set_thread_number(0);
            bucket.refund(1);
        },
        |_, clock| clock.advance(PERIOD / 4),
        |bucket, _, (), ()| assert_eq!(rest(bucket), CENTRE + 1),
    );
}

/// What is on its way to a stripe when the quota changes is dropped, and what is there is cut to the new burst, wherever it
/// was. Kills `deposit-is-stored`,
/// and `fills-any-generation`.
#[test]
fn draw_set_quota() {
    race_in_order(
        "draw_set_quota",
        2,
        || holding(BURST - 2 * BATCH),
        |bucket, _| {
            set_thread_number(0);
            granted(bucket, 1)
        },
        |bucket, clock| {
            set_thread_number(1);
            clock.advance(PERIOD);
            bucket.set_quota(quota(SMALL)).unwrap();
            bucket.try_acquire_up_to(u64::MAX)
        },
        |bucket, clock, here, there| {
            let left = bucket.available();
            assert!(there + left <= SMALL, "{there} and {left} after the change");
            assert!(here + there + left >= SMALL - BATCH, "{there} and {left}");
            clock.advance(BURST * PERIOD);
            assert_eq!(rest(bucket), SMALL);
        },
    );
}

/// What stripes hold when the quota changes counts once: for who takes it, or for the new burst. Kills
/// `stripe-emptied-by-store`.
#[test]
fn take_set_quota() {
    race(
        "take_set_quota",
        1,
        || stocked(2, 0, 0),
        |bucket, _| {
            set_thread_number(0);
            bucket.try_acquire_up_to(1)
        },
        |bucket, clock| {
            bucket.set_quota(quota(SMALL)).unwrap();
            clock.advance(PERIOD);
        },
        |bucket, _, here, ()| assert_eq!(here + rest(bucket), 3),
    );
}

/// What comes back to a stripe of a quota that is over is dropped. Kills `generation-stands` and
/// `refund-to-any-generation`.
#[test]
fn refund_set_quota() {
    race_in_order(
        "refund_set_quota",
        2,
        || holding(CENTRE),
        |bucket, _| {
            set_thread_number(0);
            bucket.refund(2);
        },
        |bucket, clock| {
            set_thread_number(1);
            clock.advance(PERIOD);
            bucket.set_quota(quota(SMALL)).unwrap();
            bucket.try_acquire_up_to(u64::MAX)
        },
        |bucket, clock, (), there| {
            let left = bucket.available();
            assert!(there + left >= SMALL, "{there} and {left}");
            // It may come back after the burst was taken, but to the word.
            assert!(there + left <= SMALL + 2, "{there} and {left} after the change");
            clock.advance(BURST * PERIOD);
            assert_eq!(rest(bucket), SMALL);
        },
    );
}

/// Who gathers while the quota changes puts nothing back into stripes of the new one.
#[test]
fn gather_set_quota() {
    race_in_order(
        "gather_set_quota",
        1,
        || stocked(3, 3, 0),
        |bucket, _| {
            set_thread_number(0);
            granted(bucket, 8)
        },
        |bucket, clock| {
            set_thread_number(1);
            clock.advance(PERIOD);
            bucket.set_quota(quota(SMALL)).unwrap();
        },
        |bucket, _, here, ()| {
            assert_eq!(here, 0);
            let left = rest(bucket);
            // What was in its hands is dropped.
            assert!(matches!(left, 1 | 4 | 7), "{left}");
        },
    );
}

/// A larger burst does not arrive full, wherever a drawer is stopped.
#[test]
fn draw_set_larger_quota() {
    race_in_order(
        "draw_set_larger_quota",
        1,
        || holding(BURST),
        |bucket, _| {
            set_thread_number(0);
            granted(bucket, BATCH + 1)
        },
        |bucket, clock| {
            set_thread_number(1);
            clock.advance(BURST * PERIOD);
            bucket.set_quota(quota(8 * BURST)).unwrap();
        },
        |bucket, _, here, ()| {
            assert_eq!(here, BATCH + 1);
            let all = rest(bucket);
            // What it had in its hands may be dropped, and what it was bringing.
            assert!(all <= BURST, "{all} at one instant");
            assert!(here + all + 3 * BATCH >= BURST, "{all}");
        },
    );
}

/// The batches are those of the quota that stands. Kills `striped-setters-do-not-exclude`.
#[test]
fn set_quota_set_quota() {
    race(
        "set_quota_set_quota",
        1,
        || holding(BATCH),
        |bucket, _| bucket.set_quota(quota(SMALL)).unwrap(),
        |bucket, clock| {
            clock.advance(PERIOD);
            bucket.set_quota(quota(BURST + SMALL)).unwrap();
        },
        |bucket, clock, (), ()| {
            let burst = bucket.quota().capacity();
            assert_eq!(bucket.available(), BATCH + 1);
            for stripe in 0..2 {
                set_thread_number(stripe);
                assert_eq!(granted(bucket, 1), 1);
            }
            clock.advance(2 * BURST * PERIOD);
            assert!(bucket.available() <= burst, "{} of {burst}", bucket.available());
        },
    );
}
