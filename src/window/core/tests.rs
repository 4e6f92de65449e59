//! What cannot be seen from outside: the bits of the words, and calls that are stopped between two steps.

use super::*;
use crate::clock::ManualClock;
use crate::nanos::Nanos;

const W: u64 = 16_000;
const LAWS: [Law; 3] = [Law::Fixed, Law::Interpolated, Law::Strict];
const SLIDING: [Law; 2] = [Law::Interpolated, Law::Strict];

fn core(law: Law) -> Core {
    Core::new(Params::new(law, 10, Duration::from_nanos(W)).unwrap())
}

fn at(time: u64) -> ManualClock {
    let clock = ManualClock::new();
    clock.set(Nanos::from_nanos(time));
    clock
}

/// Both words.
fn bits(core: &Core) -> (u64, u64) {
    // Ordering: Relaxed; one thread.
    (core.now.load(Ordering::Relaxed), core.closed.load(Ordering::Relaxed))
}

/// Begins to close the window that is open, as a call does just before its exchange.
fn begin_to_close(core: &Core) {
    raise(&core.closed, bits(core).0);
}

/// G4: denials of every kind, and looks, leave both words bit for bit: in the window, in a new one, and under a clock
/// that has stepped back.
///
/// Kills `a denial marks its time`: `now` raised to the mark of a denied reading.
#[test]
fn denials_write_nothing() {
    for law in LAWS {
        let core = core(law);
        // A last grant late in its window counts in all of the next one; under a fixed law, until the window ends.
        for time in [3 * W, 4 * W - 1] {
            assert!(core.try_acquire_n(law, &at(time), 5).is_ok());
        }
        let before = bits(&core);
        let end = if law == Law::Fixed { 4 * W } else { 5 * W };
        for time in (0..end).step_by(97).chain([4 * W - 1, end - 1]) {
            let clock = at(time);
            assert!(
                matches!(core.try_acquire_n(law, &clock, 10), Err(RateLimitExceeded::Denied { .. })),
                "{law:?} {time}"
            );
            assert!(core.try_acquire_n(law, &clock, 11).is_err());
            assert!(core.try_acquire_n(law, &clock, 0).is_ok());
            let _ = (core.available(law, &clock), core.time_to_available(law, &clock, 3));
            core.refund(law, &clock, 0);
            assert_eq!(bits(&core), before, "{law:?}, at {time}");
        }
        assert!(core.try_acquire_n(law, &at(6 * W), 10).is_ok());
        assert_ne!(bits(&core), before);
    }
}

/// What cannot be given back writes nothing either: to a later window, to one in which nothing is left, and to a
/// counter that was never used.
#[test]
fn no_effect_no_write() {
    for law in LAWS {
        let core = core(law);
        core.refund(law, &at(W), 3);
        assert_eq!(bits(&core), (0, 0));
        assert!(core.try_acquire_n(law, &at(W), 5).is_ok());
        let before = bits(&core);
        for time in [2 * W, 3 * W, u64::MAX] {
            core.refund(law, &at(time), 3);
            assert_eq!(bits(&core), before);
        }
        core.refund(law, &at(W), 5);
        let nothing = bits(&core);
        assert_ne!(nothing, before);
        core.refund(law, &at(W), 1);
        assert_eq!(bits(&core), nothing);
    }
}

/// The count that a window came to stands in `closed` before the next one is open; a fixed window needs none.
#[test]
fn a_window_is_closed_by_the_first_grant_in_the_next_one() {
    for law in LAWS {
        let core = core(law);
        for index in [1, 2, 3, 7] {
            let before = bits(&core).0;
            for n in [3, 1] {
                assert!(core.try_acquire_n(law, &at(index * W), n).is_ok());
                core.refund(law, &at(index * W), 1);
                assert_eq!(bits(&core).1, if law.slides() { before } else { 0 }, "within a window it stays");
            }
        }
    }
}

/// First the old window is closed, then the new one opened: seen where the exchange in between fails. The count that
/// the old one came to meanwhile is not lost, and the one who was too late grants in the new one.
///
/// Kills `closed after the exchange`: `closed` raised by the one who opened the new window, when he has.
#[test]
fn a_window_is_closed_before_the_next_one_is_open() {
    for law in SLIDING {
        let core = core(law);
        assert!(core.try_acquire_n(law, &at(2 * W - 1), 3).is_ok());
        let mut opener = core.look(law, &at(2 * W));
        let old = opener.now;
        let next = core.params.take(law, &opener, 1).unwrap();
        assert!(core.try_acquire_n(law, &at(2 * W - 1), 4).is_ok());
        assert!(!core.commit(law, &mut opener, next));
        let (now, closed) = bits(&core);
        assert_eq!((closed, opener.now), (old, now));

        let next = core.params.take(law, &opener, 1).unwrap();
        assert!(core.commit(law, &mut opener, next));
        assert_eq!(bits(&core), (next, now));
        assert_eq!(core.available(law, &at(2 * W)), 10 - 7 - 1);
    }
}

/// Whoever finds that somebody has begun to close a window grants nothing in it, whatever his clock says: the one who
/// closes it knows its count.
///
/// Kills `a closing window is open`: `closed` of the same window looked over.
#[test]
fn a_window_whose_closing_has_begun_is_over() {
    for law in SLIDING {
        let core = core(law);
        let clock = at(2 * W - 1);
        assert!(core.try_acquire_n(law, &clock, 6).is_ok());
        begin_to_close(&core);
        let closing = bits(&core);
        assert_eq!(closing.0, closing.1);

        // Nothing is given back, and what counts is the next window: 6 in the one before it.
        core.refund(law, &clock, 2);
        assert_eq!(bits(&core), closing);
        assert_eq!(core.available(law, &clock), 4);
        assert!(core.try_acquire_n(law, &clock, 5).is_err());
        assert_eq!(bits(&core), closing, "a denial writes nothing");
        assert!(core.try_acquire_n(law, &clock, 4).is_ok());
        let (now, closed) = bits(&core);
        assert_eq!(closed, closing.0, "no count is lost");
        assert!(!core.params.same_window(now, closed));
        assert_eq!((core.available(law, &clock), core.available(law, &at(2 * W))), (0, 0));
        core.refund(law, &clock, 1);
        assert_eq!(core.available(law, &clock), 1, "the next window is open");
    }
}

/// The wait counts from the reading, though a window is over before its time.
#[test]
fn the_wait_is_exact_while_a_window_is_being_closed() {
    for law in SLIDING {
        let core = core(law);
        assert!(core.try_acquire_n(law, &at(W), 10).is_ok());
        begin_to_close(&core);
        for time in [0, W, 2 * W - 1] {
            let Err(RateLimitExceeded::Denied { retry_after }) = core.try_acquire_n(law, &at(time), 1) else {
                panic!("granted at {time}")
            };
            // 10 % of the next window; strictly, sixteenth 17 after the one of the grant.
            let due = if law == Law::Strict { 2 * W + W / 16 } else { 2 * W + W / 10 };
            assert_eq!(retry_after, Duration::from_nanos(due - time), "{law:?}");
            assert_eq!(core.available(law, &at(due - 1)), 0);
            assert!(core.available(law, &at(due)) > 0);
        }
    }
}

/// An exchange that was prepared in a window that is over fails, and its call then knows both words; the one that would
/// close a window late raises nothing.
#[test]
fn a_late_exchange_spoils_nothing() {
    for law in SLIDING {
        let core = core(law);
        assert!(core.try_acquire_n(law, &at(W), 2).is_ok());
        let mut in_window = core.look(law, &at(2 * W - 1));
        let mut over_the_edge = core.look(law, &at(2 * W));
        let next = [&in_window, &over_the_edge].map(|view| core.params.take(law, view, 1).unwrap());
        for index in 2..5 {
            assert!(core.try_acquire_n(law, &at(index * W), 3).is_ok());
        }
        let before = bits(&core);
        assert!(!core.commit(law, &mut in_window, next[0]));
        assert!(!core.commit(law, &mut over_the_edge, next[1]));
        assert_eq!(bits(&core), before);
        for view in [in_window, over_the_edge] {
            assert_eq!((view.now, view.closed), before);
            assert!(view.nanos <= 2 * W, "the reading is kept");
        }
    }
}

/// A look says what a call would, and at which reading, and takes nothing.
///
/// Kills: every answer of a look that is not the call's.
#[test]
fn a_look_says_what_a_call_would() {
    for law in LAWS {
        let (core, clock) = (core(law), at(3 * W + 5));
        assert!(core.take_at(law, &clock, 8));
        let before = bits(&core);
        assert_eq!(core.peek(law, &clock, 2), Ok(3 * W + 5));
        for n in [0, 2] {
            assert_eq!(core.time_to_available(law, &clock, n), Ok(Duration::ZERO));
        }
        let retry_after = core.time_to_available(law, &clock, 3).unwrap();
        let denied = RateLimitExceeded::Denied { retry_after };
        assert!(retry_after > Duration::ZERO);
        assert_eq!((core.peek(law, &clock, 3), core.try_acquire_n(law, &clock, 3)), (Err(denied), Err(denied)));
        let too_many = RateLimitExceeded::ExceedsCapacity { requested: 11, capacity: 10 };
        assert_eq!(
            (core.peek(law, &clock, 11), core.time_to_available(law, &clock, 11)),
            (Err(too_many), Err(too_many))
        );
        assert!(!core.take_at(law, &clock, 3));
        assert_eq!(core.peek(law, &at(6 * W), 10), Ok(6 * W), "in a new window");
        assert_eq!(bits(&core), before);
        assert!(core.take_at(law, &clock, 2));
        assert!(core.peek(law, &clock, 1).is_err() && !core.take_at(law, &clock, 1));
        assert_eq!(core.time_to_available(law, &clock, 0), Ok(Duration::ZERO));
    }
}

/// A denial reads the clock once, and says the wait from there: from a second reading it would be too short.
///
/// Kills: a wait that is worked out anew, as if somebody waited.
#[test]
fn a_denial_reads_once() {
    struct Hasty(AtomicU64);
    impl Clock for Hasty {
        fn now(&self) -> Nanos {
            // Ordering: Relaxed; one thread.
            Nanos::from_nanos(self.0.fetch_add(100, Ordering::Relaxed))
        }
    }
    let core = core(Law::Fixed);
    assert!(core.try_acquire_n(Law::Fixed, &at(3 * W), 10).is_ok());
    let denied = Err(RateLimitExceeded::Denied { retry_after: Duration::from_nanos(W) });
    assert_eq!(core.try_acquire_n(Law::Fixed, &Hasty(AtomicU64::new(3 * W)), 1), denied);
    assert_eq!(core.time_to_available(Law::Fixed, &Hasty(AtomicU64::new(3 * W)), 1), Ok(Duration::from_nanos(W)));
}

/// Whoever loses an exchange to one who has opened a new window asks anew what is there.
///
/// Kills: what was there in the old window is granted in the new one.
#[test]
fn what_was_there_is_not_granted_in_a_new_window() {
    /// While it is read the first time, another call takes five in the next window.
    struct Meanwhile<'a>(&'a Core, Law, AtomicU64);
    impl Clock for Meanwhile<'_> {
        fn now(&self) -> Nanos {
            // Ordering: Relaxed; one thread.
            if self.2.fetch_add(1, Ordering::Relaxed) == 0 {
                assert!(self.0.try_acquire_n(self.1, &at(4 * W), 5).is_ok());
            }
            Nanos::from_nanos(4 * W - 1)
        }
    }
    for law in SLIDING {
        let core = core(law);
        assert!(core.try_acquire_n(law, &at(4 * W - 1), 5).is_ok());
        let clock = Meanwhile(&core, law, AtomicU64::new(0));
        assert!(core.try_acquire_n(law, &clock, 4).is_err(), "{law:?}");
    }
}

/// Calls are counted once, if they are; one that asks for what was just seen counts if it is granted.
#[test]
fn calls_are_counted_once() {
    let (mut core, clock) = (core(Law::Fixed), at(W));
    assert!(core.stats().is_none());
    core.start_counting();
    assert!(core.try_acquire_n(Law::Fixed, &clock, 8).is_ok() && core.try_acquire_n(Law::Fixed, &clock, 3).is_err());
    assert!(core.take_at(Law::Fixed, &clock, 1) && !core.take_at(Law::Fixed, &clock, 3));
    let counts = |core: &Core| core.stats().map(|stats| (stats.allowed_requests, stats.rejected_requests));
    assert_eq!(counts(&core), Some((2, 1)));
    #[cfg(feature = "async")]
    {
        core.count_wait(false, Duration::from_nanos(7));
        assert_eq!(counts(&core), Some((2, 2)));
    }
}

/// While somebody waits all others are denied, with what the line before them takes; what is given back leaves the bit, and the
/// head is served on what is there.
///
/// Kills: the bit that is not set, not cleared or not kept, and a denial that says when permits come which are another one's.
#[test]
#[cfg(feature = "async")]
fn who_waits_is_served_and_nobody_else() {
    for law in LAWS {
        let (core, clock) = (core(law), at(3 * W));
        let wait = core.params.wait_bit();
        assert!(core.try_acquire_n(law, &clock, 7).is_ok());
        let open = bits(&core).0;
        for _ in 0..2 {
            core.set_waiting(true);
            assert_eq!(bits(&core).0, open | wait);
        }
        let denied = |retry_after| Err(RateLimitExceeded::Denied { retry_after: Duration::from_nanos(retry_after) });
        assert_eq!(core.try_acquire_n(law, &clock, 1), denied(1), "three are there, and are theirs");
        assert_eq!(core.available(law, &clock), 3);
        let four = core.params.wait_in_line(law, &core.params.level(&core.look(law, &clock)), 4);
        assert_eq!(core.try_acquire_n(law, &clock, 4), denied(four));
        core.refund(law, &clock, 2);
        assert_eq!(bits(&core).0, (open - 2) | wait);
        let mut view = core.look(law, &clock);
        assert!(matches!(core.serve(law, &mut view, 4, true), Serve::Served));
        assert_eq!(bits(&core).0, (open + 2) | wait);
        assert!(matches!(core.serve(law, &mut view, 2, true), Serve::Later(wait) if wait > Duration::ZERO));
        assert!(matches!(core.serve(law, &mut view, 1, false), Serve::Served));
        assert_eq!(bits(&core).0, open + 3);
        core.set_waiting(true);
        core.set_waiting(false);
        assert_eq!(bits(&core).0, open + 3);
    }
}

/// A line for nobody is full at once.
///
/// Kills: a length of the line that nobody is told of.
#[test]
#[cfg(feature = "async")]
fn the_line_is_as_long_as_it_was_made() {
    let mut core = core(Law::Fixed);
    assert!(!core.line().lock().is_full());
    core.set_max_waiters(0);
    assert!(core.line().lock().is_full());
}

/// What is given back wakes the head of the line.
///
/// Kills: a refund that wakes only where nobody waits.
#[test]
#[cfg(feature = "async")]
fn what_is_given_back_wakes_the_head() {
    for law in LAWS {
        let (core, clock) = (core(law), at(3 * W));
        assert!(core.try_acquire_n(law, &clock, 10).is_ok());
        let (parker, unparker) = parking::pair();
        let mut line = core.line().lock();
        let head = line.push(4);
        assert!(line.store(head, unparker.into()).is_none());
        drop(line);
        core.set_waiting(true);
        core.refund(law, &clock, 0);
        assert!(!parker.park_timeout(Duration::ZERO), "nothing was");
        core.refund(law, &clock, 4);
        assert!(parker.park_timeout(Duration::ZERO), "{law:?}");
    }
}

/// What the documentation says: `now` is alone on its line, and all together take three.
#[test]
#[cfg(all(feature = "async", target_arch = "x86_64", target_os = "linux"))]
fn size_is_as_documented() {
    assert_eq!((size_of::<CachePadded<AtomicU64>>(), align_of::<Core>()), (128, 128));
    assert_eq!(size_of::<crate::FixedWindowCounter>(), 384);
    assert_eq!(size_of::<crate::SlidingWindowCounter>(), 384);
}
