//! Model checks of composites: two that share members, in opposite order; one that is rolled back under others' eyes.
//!
//! Each model names the mutation of the sources that it was seen to kill.

#![allow(missing_docs)]

mod support;

use std::time::Duration;

use loom::sync::Arc;
use sluicegate_loom::{Limiter, Quota, TokenBucket, all_of};
use support::{ModelClock, Shared, race};

const PERIOD: u64 = 100;

/// Two buckets on one clock, that have started.
struct Two {
    a: TokenBucket<ModelClock>,
    b: TokenBucket<ModelClock>,
}

/// One permit in 100 ns, and such bursts.
fn two(bursts: [u64; 2]) -> Shared<Two> {
    let clock = ModelClock::at(0);
    let [a, b] = bursts.map(|burst| {
        let quota = Quota::per(1, Duration::from_nanos(PERIOD)).burst(burst);
        let bucket = TokenBucket::with_clock(quota, clock.clone()).expect("a valid quota");
        let _ = bucket.available();
        bucket
    });
    (Arc::new(Two { a, b }), clock)
}

fn granted(limiter: &impl Limiter, n: u64) -> u64 {
    if limiter.try_acquire_n(n).is_ok() { n } else { 0 }
}

/// Kills `nothing-comes-back`, `first-does-not-come-back`.
///
/// Both may be denied, each for what the other one is about to give back; then all of it is there again.
#[test]
fn opposite_orders() {
    race(
        "opposite_orders",
        3,
        || two([1, 1]),
        |two, _| granted(&all_of((&two.a, &two.b)), 1),
        |two, _| granted(&all_of((&two.b, &two.a)), 1),
        |two, _, here, there| {
            assert!(here + there <= 1);
            assert_eq!((two.a.available(), two.b.available()), (1 - here - there, 1 - here - there));
        },
    );
}

/// Kills `takes-by-any-reading`: while time passes, what is taken at the reading of the look is no more than there is.
#[test]
fn opposite_orders_while_time_passes() {
    race(
        "opposite_orders_while_time_passes",
        3,
        || {
            let shared = two([2, 2]);
            assert_eq!(granted(&all_of((&shared.0.a, &shared.0.b)), 2), 2);
            shared.1.advance(PERIOD);
            shared
        },
        |two, _| granted(&all_of((&two.a, &two.b)), 1),
        |two, clock| {
            clock.advance(PERIOD);
            granted(&all_of((&two.b, &two.a)), 2)
        },
        |two, _, here, there| {
            // Two have come; nothing was full meanwhile but perhaps at the end, so no roll-back gains or loses.
            assert!(here + there <= 2);
            assert_eq!((two.a.available(), two.b.available()), (2 - here - there, 2 - here - there));
        },
    );
}

/// Kills `more-comes-back`: where a bucket is not full, nobody gains or loses anything.
#[test]
fn rolled_back_exactly() {
    race(
        "rolled_back_exactly",
        3,
        || {
            let shared = two([4, 1]);
            assert_eq!(granted(&shared.0.a, 2), 2);
            shared
        },
        take_both,
        take_each,
        |two, _, here, (of_a, of_b)| {
            assert_eq!(2 * here + of_a + two.a.available(), 3);
            assert!((1..=2).contains(&(here + of_b)));
        },
    );
}

/// Kills `nothing-comes-back`: one who takes of the members alone gains at most what was promised.
///
/// `a` is full, two permits. A composite takes both, and is denied by `b` if that is empty by then. Meanwhile a permit comes, for
/// which a full bucket has no room: who comes in between gains that one, `min(n, rate * gap)`.
#[test]
fn between_charge_and_roll_back() {
    race(
        "between_charge_and_roll_back",
        3,
        || two([2, 1]),
        take_both,
        take_each,
        |two, _, here, (of_a, of_b)| {
            let all = 2 * here + of_a + two.a.available();
            // Two, none of which is lost, and what came while there was room.
            assert!((2..=3).contains(&all), "{here}, {of_a}: {all}");
            // A permit of `b` comes too, for whoever looks late.
            assert!((1..=2).contains(&(here + of_b)));
            // Denied for want of what is about to come back, or because it stays away.
            assert!(of_a == 1 || here == 1 || two.a.available() == 2);
        },
    );
}

fn take_both(two: &Two, _: &ModelClock) -> u64 {
    granted(&all_of(((&two.a, 2), &two.b)), 1)
}

fn take_each(two: &Two, clock: &ModelClock) -> (u64, u64) {
    let of_b = granted(&two.b, 1);
    clock.advance(PERIOD);
    (granted(&two.a, 1), of_b)
}
