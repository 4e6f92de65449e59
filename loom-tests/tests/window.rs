//! Model checks of the window counters: across edges, with threads that come late.
//!
//! Each model names the mutation of the sources that it was seen to kill; docs/DESIGN.md lists them all.

#![allow(missing_docs)]

mod support;

use std::time::Duration;

use loom::sync::Arc;
use loom::thread;
use sluicegate_loom::{FixedWindowCounter, SlidingWindowCounter, SlidingWindowCounterBuilder};
use support::{ModelClock, Shared, model, race};

/// A sixteenth of it is 100 ns.
const WINDOW: u64 = 1_600;
/// The last sixteenth begins. Grants that are whole windows apart, each in the last sixteenth, are never forgotten by
/// the strict law before the window after the next.
const LATE: u64 = 1_500;

type Fixed = FixedWindowCounter<ModelClock>;
type Sliding = SlidingWindowCounter<ModelClock>;

fn fixed(limit: u64) -> Shared<Fixed> {
    let clock = ModelClock::at(0);
    let counter = FixedWindowCounter::with_clock(limit, Duration::from_nanos(WINDOW), clock.clone());
    (Arc::new(counter.expect("it fits")), clock)
}

/// With `used` permits granted in the last sixteenth of the first window.
fn strict(limit: u64, used: u64) -> Shared<Sliding> {
    let clock = ModelClock::at(LATE);
    let builder = SlidingWindowCounterBuilder::new(limit, Duration::from_nanos(WINDOW), clock.clone());
    let counter = builder.strict().build().expect("it fits");
    assert!(counter.try_acquire_n(used).is_ok());
    (Arc::new(counter), clock)
}

fn acquire(counter: &Sliding) -> u64 {
    u64::from(counter.try_acquire().is_ok())
}

/// What a window granted: at its start, and in its last sixteenth.
type Grants = [u64; 2];

/// Whether there is a way to put `free` more grants into successive windows, so that what lies a window's length apart
/// or less is within the limit, and what is available follows from the last two.
///
/// A thread with an old reading is of the start of the window that others have opened.
fn is_explained(limit: u64, windows: &mut [Grants], free: u64, available: u64) -> bool {
    if free == 0 {
        let is_kept = |pair: &[Grants]| {
            let [[early, late], [next_early, next_late]] = [pair[0], pair[1]];
            early + late + next_early <= limit && late + next_early + next_late <= limit
        };
        let [.., [early, late], [last_early, last_late]] = *windows else { unreachable!("two windows or more") };
        let previous = if late > 0 { early + late } else { 0 };
        return windows.windows(2).all(is_kept) && previous + last_early + last_late + available == limit;
    }
    let mut places = (0..windows.len()).flat_map(|window| [(window, 0), (window, 1)]);
    places.any(|(window, place)| {
        windows[window][place] += 1;
        let explained = is_explained(limit, windows, free - 1, available);
        windows[window][place] -= 1;
        explained
    })
}

/// Kills `cas-stores` and `window-retry-keeps-decision`.
#[test]
fn acquire_acquire() {
    race(
        "acquire_acquire",
        3,
        || fixed(1),
        |counter, _| counter.try_acquire().is_ok(),
        |counter, _| counter.try_acquire().is_ok(),
        |_, _, here, there| assert_ne!(here, there),
    );
}

/// Kills `opens-before-closing`: who sees the new window does not find what the last one came to; and
/// `window-load-is-relaxed`, for the same reason.
#[test]
fn acquire_acquire_in_a_new_window() {
    race(
        "acquire_acquire_in_a_new_window",
        3,
        || {
            let shared = strict(2, 1);
            shared.1.advance(WINDOW);
            shared
        },
        |counter, _| acquire(counter),
        |counter, _| acquire(counter),
        |counter, _, here, there| {
            assert_eq!(here + there, 1);
            assert_eq!(counter.available(), 0);
        },
    );
}

/// Kills `late-thread-goes-back`. A grant that comes between the closing of a window and the opening of the next one is in
/// what was closed.
#[test]
fn acquire_acquire_across_an_edge() {
    race(
        "acquire_acquire_across_an_edge",
        3,
        || strict(3, 1),
        |counter, _| acquire(counter),
        |counter, clock| {
            clock.advance(WINDOW);
            acquire(counter)
        },
        |counter, _, here, there| {
            assert_eq!((here, there), (1, 1));
            assert_eq!(counter.available(), 0);
        },
    );
}

/// Kills `late-thread-goes-back`: a thread that slept over two edges takes the counter back to its own window.
#[test]
fn late_thread() {
    race(
        "late_thread",
        3,
        || fixed(1),
        |counter, _| u64::from(counter.try_acquire().is_ok()),
        |counter, clock| {
            let next = || {
                clock.advance(WINDOW);
                u64::from(counter.try_acquire().is_ok())
            };
            [next(), next()]
        },
        |counter, _, late, there| {
            let in_time = there[0] + there[1];
            // Its permit is of the window that was open when it came.
            assert!(in_time + late >= 2 && in_time >= 1, "{late}, {there:?}");
            assert_eq!(counter.available(), 0, "{late}, {there:?}");
        },
    );
}

/// Kills `mark-goes-back`: an older reading lowers the sixteenth of the last grant, so that it is forgotten too early;
/// and `mark-is-not-raised`.
#[test]
fn late_thread_in_the_same_window() {
    race(
        "late_thread_in_the_same_window",
        3,
        || {
            let clock = ModelClock::at(0);
            let builder = SlidingWindowCounterBuilder::new(2, Duration::from_nanos(WINDOW), clock.clone());
            (Arc::new(builder.strict().build().expect("it fits")), clock)
        },
        |counter, _| acquire(counter),
        |counter, clock| {
            clock.advance(LATE);
            acquire(counter)
        },
        |counter, clock, here, there| {
            assert_eq!((here, there), (1, 1));
            clock.advance(WINDOW);
            assert_eq!(counter.available(), 0, "less than a window since the last one");
            clock.advance(WINDOW / 16);
            assert_eq!(counter.available(), 2);
        },
    );
}

/// Kills `denies-at-an-old-reading`: a thread that lost a race is denied at its old reading, at which what is left now
/// was not there yet.
#[test]
fn late_thread_finds_what_is_there() {
    race(
        "late_thread_finds_what_is_there",
        3,
        || {
            let clock = ModelClock::at(0);
            let builder = SlidingWindowCounterBuilder::new(10, Duration::from_nanos(WINDOW), clock.clone());
            let counter = builder.build().expect("it fits");
            assert!(counter.try_acquire_n(10).is_ok());
            clock.advance(WINDOW + WINDOW / 2);
            assert!(counter.try_acquire_n(4).is_ok());
            assert_eq!(counter.available(), 1);
            (Arc::new(counter), clock)
        },
        |counter, _| acquire(counter),
        |counter, clock| {
            // Now five are available.
            clock.advance(2 * WINDOW / 5);
            acquire(counter)
        },
        |counter, _, late, there| {
            assert_eq!((late, there), (1, 1));
            assert_eq!(counter.available(), 3);
        },
    );
}

/// Kills `closing-goes-back`: a late closer of an earlier window overwrites what was closed since; and
/// `closed-load-is-relaxed` and `raise-is-relaxed`, with which a look may go round for ever.
#[test]
fn several_roll_overs() {
    race(
        "several_roll_overs",
        4,
        || strict(2, 1),
        |counter, _| acquire(counter),
        |counter, clock| {
            let next = || {
                clock.advance(WINDOW);
                acquire(counter)
            };
            [next(), next(), next()]
        },
        |counter, _, late, [second, third, fourth]| {
            let mut windows = [[0, 1], [0, second], [0, third], [0, fourth]];
            let available = counter.available();
            assert!(is_explained(2, &mut windows, late, available), "{windows:?} and {late}, {available} left");
        },
    );
}

/// Kills `ignores-a-begun-closing`: under a clock that steps back, a window whose predecessor is no longer known grants
/// on.
#[test]
fn acquire_while_the_window_is_being_closed() {
    race(
        "acquire_while_the_window_is_being_closed",
        4,
        || {
            let shared = strict(2, 1);
            shared.1.advance(WINDOW);
            assert_eq!(acquire(&shared.0), 1);
            shared
        },
        |counter, clock| {
            clock.step_back(WINDOW);
            acquire(counter)
        },
        |counter, clock| {
            clock.advance(WINDOW);
            acquire(counter)
        },
        |counter, clock, here, there| {
            // One each in the first two windows, so there is nothing left in the second. In the third, if a reading
            // came to that, there was one, whoever got it; and it counts in the fourth.
            let granted = here + there;
            assert!(granted <= 1);
            clock.advance(WINDOW + WINDOW / 16);
            assert_eq!(counter.available(), 2 - granted);
        },
    );
}

/// Two threads roll over, one or two edges, while a third one acquires: whoever closes what, no grant is forgotten.
///
/// Kills `late-thread-goes-back` and `previous-expires-early`.
#[test]
fn acquire_roll_roll() {
    model("acquire_roll_roll", 3, || {
        let (counter, clock) = strict(2, 1);
        let roll = || {
            let (counter, clock) = (counter.clone(), clock.clone());
            thread::spawn(move || {
                clock.advance(WINDOW);
                acquire(&counter)
            })
        };
        let others = [roll(), roll()];
        let mut granted = acquire(&counter);
        for other in others {
            granted += other.join().unwrap();
        }
        let available = counter.available();
        assert!(
            is_explained(2, &mut [[0, 1], [0, 0], [0, 0]], granted, available),
            "{granted} granted, {available} left"
        );
    });
}

/// Kills `window-retry-keeps-decision`: a refund that lost the race takes the counter back to the window that it saw.
#[test]
fn refund_roll() {
    race(
        "refund_roll",
        4,
        || strict(3, 2),
        |counter, _| counter.refund(1),
        |counter, clock| {
            clock.advance(WINDOW);
            acquire(counter)
        },
        |counter, clock, (), there| {
            assert_eq!(there, 1);
            // What came back in time is there, once; what came while the window was closed is dropped.
            let refunded = counter.available();
            assert!(refunded <= 1, "{refunded}");
            clock.advance(WINDOW);
            let available = counter.available();
            // Of the second window's one only a refund that came after it took it.
            assert!(available == 2 || (available == 3 && refunded == 1), "{refunded}, {available}");
        },
    );
}
