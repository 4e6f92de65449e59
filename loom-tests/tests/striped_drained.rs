//! Model checks of what is known of the stripes: that all are empty is never taken for true beside stock that whoever put
//! it there has told of. The clock moves in each.
//!
//! Each model names the mutation of the sources that it was seen to kill; docs/DESIGN.md lists them all.

#![allow(missing_docs)]

mod support;

use sluicegate_loom::set_thread_number;
use support::stock::{BATCH, BURST, CENTRE, PERIOD, Striped, granted, holding, rest, stocked, take_each};
use support::{ModelClock, race};

/// A thread whose own stripe is empty finds all that is there, one by one.
fn all_is_found<const PERMITS: u64>(bucket: &Striped, _: &ModelClock, here: u64, there: u64) {
    set_thread_number(1);
    let found = take_each(bucket, 2 * BATCH);
    assert_eq!(here + there + found, PERMITS, "{here} + {there}, and {found} that were found");
    assert_eq!(rest(bucket), 0);
}

/// What is left of a batch is put into a stripe that was just seen to be empty. Kills `puts-without-fence`,
/// `looks-without-fence`, `told-before-it-is-there` and `claim-does-not-tell`.
#[test]
fn fill_look() {
    race(
        "fill_look",
        3,
        || holding(2),
        |bucket, _| {
            set_thread_number(0);
            granted(bucket, 1)
        },
        |bucket, clock| {
            set_thread_number(1);
            let before = granted(bucket, 1);
            clock.advance(PERIOD);
            before + granted(bucket, 1)
        },
        all_is_found::<3>,
    );
}

/// A call for more than there is has all in its hands for a moment. Kills `claim-does-not-tell`.
#[test]
fn put_back_look() {
    race(
        "put_back_look",
        3,
        || stocked(2, 0, 0),
        |bucket, _| {
            set_thread_number(1);
            granted(bucket, 4)
        },
        |bucket, clock| {
            set_thread_number(1);
            let before = granted(bucket, 1);
            clock.advance(PERIOD);
            before + granted(bucket, 1)
        },
        all_is_found::<3>,
    );
}

/// A refund for which the word has no room goes to stripes that were just seen to be empty. Kills `refund-does-not-tell`.
#[test]
fn refund_look() {
    race(
        "refund_look",
        3,
        || stocked(1, 0, 0),
        |bucket, clock| {
            set_thread_number(0);
            clock.advance(BURST * PERIOD);
            bucket.refund(3);
        },
        |bucket, _| {
            set_thread_number(1);
            take_each(bucket, 2)
        },
        |bucket, _, (), there| {
            set_thread_number(1);
            // Of a full word, so that nothing is put into a stripe by this call.
            let word = granted(bucket, CENTRE);
            let found = take_each(bucket, BURST);
            let stocked = there + word + found - CENTRE;
            // What was there at first may have been found, or not, before there was more.
            assert!((3..=4).contains(&stocked), "{there}, {word} and {found}");
            assert_eq!(rest(bucket), 0);
        },
    );
}
