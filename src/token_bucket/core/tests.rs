//! What cannot be seen from outside: the bits of the word.

use super::*;
use crate::algorithm::token_bucket::Take;
use crate::clock::ManualClock;
use core::time::Duration;

fn core(quota: Quota) -> Core {
    Core::unstarted(quota, Scale::finest(&quota).unwrap())
}

fn take(core: &Core, clock: &ManualClock, n: u64) -> bool {
    core.update(clock, |params, instant, ticks| match params.take(instant, ticks, n) {
        Take::Granted(next) => (true, Some(next)),
        _ => (false, None),
    })
}

fn bits(core: &Core) -> u64 {
    // Ordering: Relaxed; one thread.
    core.word.load(Ordering::Relaxed)
}

/// G4: denials of every kind, and looks, leave the word bit for bit.
#[test]
fn denials_write_nothing() {
    let (core, clock) = (core(Quota::per_second(10)), ManualClock::new());
    assert!(take(&core, &clock, 10));
    let before = bits(&core);
    for step in 0..99 {
        clock.advance(Duration::from_millis(1));
        assert!(!take(&core, &clock, 1), "after {step} ms");
        assert!(!take(&core, &clock, 11));
        assert_eq!(core.update(&clock, |params, instant, ticks| (params.available(instant, ticks), None)), 0);
        assert_eq!(core.update(&clock, |params, instant, ticks| params.take_up_to(instant, ticks, 5)), 0);
        assert_eq!(bits(&core), before);
    }
    clock.advance(Duration::from_millis(1));
    assert!(take(&core, &clock, 1));
    assert_ne!(bits(&core), before);
}

/// A refund to a full bucket, a charge without room and one that the limit cuts to nothing write nothing.
#[test]
fn no_effect_no_write() {
    let (core, clock) = (core(Quota::per_second(10)), ManualClock::new());
    assert!(take(&core, &clock, 10));
    clock.advance(Duration::from_secs(5));
    let before = bits(&core);
    core.update(&clock, |params, instant, ticks| ((), params.give_back(instant, ticks, 3)));
    assert_eq!(bits(&core), before);
    assert_eq!(core.update(&clock, |params, instant, ticks| params.charge(instant, ticks, u64::MAX)), 20);
    let in_debt = bits(&core);
    assert_eq!(core.update(&clock, |params, instant, ticks| params.charge(instant, ticks, 1)), 0);
    assert_eq!(bits(&core), in_debt);
}

/// A stock is of four permits at least. Kills: four that are too few.
#[test]
fn the_least_stock_is_four() {
    for stripes in [1, 8, 64] {
        let least = 4 * 16 * stripes;
        assert_eq!((budget(least, stripes), budget(least - 1, stripes)), (4, 0));
    }
}

/// Slot 0 is live after the first call and after every change; a change that is no change keeps the instant.
#[test]
fn slot_0_is_the_usual_one() {
    let (core, clock) = (core(Quota::per_second(10)), ManualClock::new());
    assert_eq!(bits(&core), UNSTARTED);
    assert!(take(&core, &clock, 1));
    assert_eq!(bits(&core) & SLOT, 0);
    for permits in [10, 20, 1, 1_000_000, 10] {
        core.set_quota(&clock, &Quota::per_second(permits)).unwrap();
        assert_eq!(bits(&core) & SLOT, 0);
    }
}

/// A setter that stops after its first exchange leaves slot 1 live, and everybody goes on there.
#[test]
fn a_stopped_setter_blocks_nobody() {
    let (core, clock) = (core(Quota::per_second(10)), ManualClock::new());
    assert!(take(&core, &clock, 4));
    let _held = core.setter.lock();
    let old = core.slots[0].read();
    let scale = Scale::finest(&Quota::per_hour(7)).unwrap();
    let at = clock.ticks();
    let new = old.follow(&scale, clock.tick_length(), at, 1);
    core.slots[1].write(&new);
    assert!(take(&core, &clock, 1), "before its exchange the old quota stands");
    let word = bits(&core);
    assert!(cas(&core.word, word, old.carry(word, at, &new, 0) | SLOT).is_ok());
    assert!(take(&core, &clock, 4));
    assert!(take(&core, &clock, 1));
    assert!(!take(&core, &clock, 1), "five were left, and stay five");
    // Half-way through writing slot 0 back.
    core.slots[0].write(&new);
    assert!(!take(&core, &clock, 1));
    clock.advance(Duration::from_secs(515));
    assert!(take(&core, &clock, 1), "an hour brings seven");
}

/// A starter that stops while it holds the lock leaves a full bucket in which no time passes.
#[test]
fn a_stopped_starter_blocks_nobody() {
    let (core, clock) = (core(Quota::per_second(10)), ManualClock::new());
    let held = core.setter.lock();
    clock.advance(Duration::from_secs(1));
    assert!(take(&core, &clock, 9));
    clock.advance(Duration::from_secs(1));
    assert!(take(&core, &clock, 1));
    assert!(!take(&core, &clock, 1));
    drop(held);
    assert!(!take(&core, &clock, 1));
    clock.advance(Duration::from_millis(100));
    assert!(take(&core, &clock, 1));
}

/// A change under a clock that has stepped back forgives nothing.
#[test]
fn a_setter_with_an_old_reading_forgives_nothing() {
    let (core, clock) = (core(Quota::per_second(10)), ManualClock::new());
    clock.advance(Duration::from_secs(3_600));
    assert!(take(&core, &clock, 1));
    clock.advance(Duration::from_secs(3_600));
    assert!(take(&core, &clock, 10));
    clock.set(crate::nanos::Nanos::from_nanos(0));
    core.set_quota(&clock, &Quota::per_second(10)).unwrap();
    clock.set(crate::nanos::Nanos::from_nanos(7_200_000_000_000));
    assert!(!take(&core, &clock, 1), "the ten of this instant are spent");
}

/// The same between two changes.
#[test]
fn setters_with_old_readings_forgive_nothing() {
    let (core, clock) = (core(Quota::per_second(1_000).burst(100)), ManualClock::new());
    let mut granted = 0;
    for _ in 0..10 {
        clock.set(crate::nanos::Nanos::from_nanos(1_000_000_000));
        granted += core.update(&clock, |params, instant, ticks| params.take_up_to(instant, ticks, 100));
        core.set_quota(&clock, &Quota::per_second(200).burst(100)).unwrap();
        clock.set(crate::nanos::Nanos::from_nanos(900_000_000));
        core.set_quota(&clock, &Quota::per_second(1_000).burst(100)).unwrap();
    }
    assert_eq!(granted, 100, "all of it at one instant");
}

/// An exchange that was prepared before two changes, the first of which made the burst smaller, adds no debt: the
/// bucket would owe a thousand of its bursts.
#[test]
fn a_stale_charge_does_not_pass_a_smaller_burst() {
    let period = Duration::from_nanos(1 << 20);
    let (core, clock) = (core(Quota::per(1, period).burst(1_000)), ManualClock::new());
    assert!(take(&core, &clock, 1_000));
    let mut view = core.look_usual(&clock).unwrap();
    let (charged, next) = view.params.charge(view.instant, view.ticks, 1_000);
    assert_eq!(charged, 1_000);
    core.set_quota(&clock, &Quota::per(1, period).burst(1)).unwrap();
    assert!(!matches!(core.commit(&mut view, next.unwrap()), Commit::Done));
}

/// A bucket that takes years to fill has no room above its first numbers; they must not start at the same place.
#[test]
fn a_stale_take_does_not_fit_a_huge_burst() {
    let (core, clock) = (core(Quota::per_second(1).burst(220_903_200)), ManualClock::new());
    let _ = take(&core, &clock, 0);
    let mut view = core.look_usual(&clock).unwrap();
    let Take::Granted(next) = view.params.take(view.instant, view.ticks, 220_903_200) else { unreachable!() };
    core.set_quota(&clock, &Quota::per_hour(1).burst(350_640)).unwrap();
    assert!(!matches!(core.commit(&mut view, next), Commit::Done));
}

/// A lost exchange is told from a change of the quota, and the view has the new instant. Kills: any other sense of either half of
/// `same`; an instant with the name of its slot in it, or none.
#[test]
fn a_lost_exchange_is_told_from_a_change() {
    let (core, clock) = (core(Quota::per_second(10)), ManualClock::new());
    let lose = |core: &Core, view: &mut View| core.commit(view, view.instant + 1);
    assert!(take(&core, &clock, 1));
    let view = || core.look_usual(&clock).unwrap();

    let mut lost = view();
    assert!(take(&core, &clock, 1));
    assert!(matches!(lose(&core, &mut lost), Commit::Again));
    assert_eq!(lost.instant, bits(&core));
    assert!(matches!(lose(&core, &mut lost), Commit::Done));

    let mut stale = view();
    core.set_quota(&clock, &Quota::per_second(20)).unwrap();
    assert!(matches!(lose(&core, &mut stale), Commit::Stale), "slot 0 again, in another version");

    // A setter between its two exchanges.
    let mut stale = view();
    core.slots[1].write(&core.slots[0].read());
    core.change_bits(|word| word | SLOT);
    assert!(matches!(lose(&core, &mut stale), Commit::Stale), "slot 0 as it was, but no more live");
    let mut lost = core.look_again(&clock);
    assert_eq!((lost.live, lost.instant | SLOT), (SLOT, bits(&core)));
    assert!(take(&core, &clock, 1));
    assert!(matches!(lose(&core, &mut lost), Commit::Again));
    assert_eq!(lost.instant | SLOT, bits(&core));
    assert!(matches!(lose(&core, &mut lost), Commit::Done));
    assert_eq!(bits(&core), (lost.instant + 1) | SLOT);
}

/// Who finds the setter's lock taken begins by itself only where nobody has begun. Kills: either half of that alone.
#[test]
fn nobody_begins_twice() {
    let (core, clock) = (core(Quota::per_second(10)), ManualClock::new());
    let held = core.setter.lock();
    assert!(core.look_first(&clock).is_some());
    core.start(&clock, 10);
    assert!(core.look_first(&clock).is_none());
    drop(held);
    core.set_quota(&clock, &Quota::per_second(20)).unwrap();
    let _held = core.setter.lock();
    core.change_bits(|word| word | SLOT);
    assert!(core.look_first(&clock).is_none(), "slot 1 is live, but of a change");
}

/// Kills: a view that is brought up to date across a change; one with the name of its slot in its instant.
#[test]
#[cfg(feature = "async")]
fn a_view_is_current_until_the_quota_changes() {
    let (core, clock) = (core(Quota::per_second(10)), ManualClock::new());
    assert!(take(&core, &clock, 1));
    let mut view = core.look_usual(&clock).unwrap();
    assert!(take(&core, &clock, 1));
    assert!(core.is_current(&view) && core.refresh(&mut view));
    assert_eq!(view.instant, bits(&core));
    core.slots[1].write(&core.slots[0].read());
    core.change_bits(|word| word | SLOT);
    assert!(!core.is_current(&view) && !core.refresh(&mut view), "slot 0 is not live");
    let mut other = core.look_again(&clock);
    assert!(take(&core, &clock, 1) && core.refresh(&mut other));
    assert_eq!(other.instant | SLOT, bits(&core));
    assert_eq!(other.instant & SLOT, 0);
    core.change_bits(|word| word & !SLOT);
    assert!(core.is_current(&view), "nothing was written to slot 0");
    core.set_quota(&clock, &Quota::per_second(20)).unwrap();
    assert!(!core.is_current(&view) && !core.refresh(&mut view), "slot 0 is live, in another version");
}

/// WAIT is set and cleared alone, and who changes the quota is told of it. Kills: WAIT read, set or cleared another way.
#[test]
#[cfg(feature = "async")]
fn wait_is_a_bit_of_its_own() {
    let (core, clock) = (core(Quota::per_second(10)), ManualClock::new());
    assert!(take(&core, &clock, 1));
    let before = bits(&core);
    assert!(!core.is_waited_for() && !core.set_quota(&clock, &Quota::per_second(10)).unwrap());
    core.set_waiting(true);
    assert_eq!((bits(&core), core.is_waited_for()), (before | WAIT, true));
    assert!(core.set_quota(&clock, &Quota::per_second(10)).unwrap());
    core.set_waiting(false);
    assert_eq!((bits(&core), core.is_waited_for()), (before, false));
}

/// Whole permits, and who is to be woken. Kills: permits or WAIT told in any other way.
#[test]
#[cfg(feature = "async")]
fn it_is_told_how_many_had_room_and_who_waits() {
    let bucket = crate::TokenBucket::with_clock(Quota::per_hour(10), ManualClock::new()).unwrap();
    assert_eq!(bucket.charge(9), 9);
    assert_eq!(
        (bucket.put_back(3), bucket.put_back_by(1, |units, shift| units << 1 >> shift)),
        ((3, false), (2, false))
    );
    bucket.core.set_waiting(true);
    assert_eq!((bucket.put_back(2), bucket.put_back(9), bucket.put_back(1)), ((2, true), (3, true), (0, false)));
    assert!(bucket.core.is_waited_for());
}

/// Kills: a draw that leaves the last permits, or takes what is too little.
#[test]
fn a_draw_is_of_what_is_needed_or_nothing() {
    let (core, clock) = (core(Quota::per_hour(10)), ManualClock::new());
    assert_eq!([(3, 2), (6, 0), (5, 4), (1, 1)].map(|(need, more)| core.draw(&clock, need, more)), [5, 0, 5, 0]);
}

/// Kills: a reset that forgets who waits, or tells of nobody; that of one with a loan which counts its debt twice.
#[test]
#[cfg(all(feature = "async", feature = "per-key"))]
fn a_reset_fills_and_tells_who_waits() {
    let (core, clock) = (core(Quota::per_hour(1_000)), ManualClock::new());
    let there = || core.update(&clock, |params, word, ticks| (params.permits_at(word & INSTANT, ticks), None));
    assert!(take(&core, &clock, 7));
    assert_eq!((core.reset(&clock), there(), core.is_waited_for()), (false, 1_000, false));
    assert!(take(&core, &clock, 7));
    core.set_waiting(true);
    assert_eq!((core.reset(&clock), there(), core.is_waited_for()), (true, 1_000, true));
    assert_eq!((core.reset(&clock), core.is_waited_for()), (false, true), "nothing came");
    core.set_waiting(false);
    assert!(core.lend(&clock, 1).ok().flatten().is_some());
    core.update(&clock, |params, word, ticks| params.charge(word, ticks, 1_500));
    assert!(there() < 0);
    assert_eq!((core.reset(&clock), there()), (false, 1_000));
}

/// Kills: any answer that does not depend on the parameters.
#[test]
#[cfg(feature = "per-key")]
fn it_knows_its_parameters() {
    let (quota, clock) = (Quota::per_second(10), ManualClock::new());
    let scale = Scale::finest(&quota).unwrap();
    let params = Params::fresh(&scale, clock.tick_length(), 0);
    let core = Core::started(quota, scale, &params, params.holding(3));
    assert!(core.is_under(&params) && !core.is_under(&Params::fresh(&scale, clock.tick_length(), 1)));
}

/// Debt that a smaller burst cut off lowers the instant; another scale still begins above where it was.
#[test]
fn numbers_begin_above_a_debt_that_was_cut() {
    let slow = Duration::from_nanos(1 << 20);
    let (core, clock) = (core(Quota::per(1, slow).burst(1_000)), ManualClock::new());
    assert_eq!(core.update(&clock, |params, instant, ticks| params.charge(instant, ticks, 1_500)), 1_500);
    let before = bits(&core);
    core.set_quota(&clock, &Quota::per(1, slow).burst(1)).unwrap();
    core.set_quota(&clock, &Quota::per(1, Duration::from_nanos(1 << 10)).burst(1_000)).unwrap();
    assert!(bits(&core) > before);
}

/// Until somebody starts the clock each call takes one reading: with two, time would run in between.
#[test]
fn a_call_before_the_start_reads_once() {
    struct Hasty(AtomicU64);
    impl Clock for Hasty {
        fn now(&self) -> crate::nanos::Nanos {
            // Ordering: Relaxed; one thread.
            crate::nanos::Nanos::from_nanos(self.0.fetch_add(1_000_000_000, Ordering::Relaxed))
        }
    }
    let (core, clock) = (core(Quota::per_second(10)), Hasty(AtomicU64::new(0)));
    let _held = core.setter.lock();
    let taken = core.update(&clock, |params, instant, ticks| params.take_up_to(instant, ticks, 3));
    let left = core.update(&clock, |params, instant, ticks| (params.available(instant, ticks), None));
    assert_eq!((taken, left), (3, 7));
}

/// What the documentation says of the size, and that the word shares its line with nothing.
#[test]
#[cfg(all(feature = "async", target_arch = "x86_64", target_os = "linux"))]
fn size_is_as_documented() {
    assert_eq!(size_of::<crate::TokenBucket>(), 512);
    assert_eq!(align_of::<CachePadded<AtomicU64>>(), 128);
    assert_eq!((size_of::<Slot>(), align_of::<Slot>()), (64, 64));
}

impl Core {
    /// As a thread does that is stopped while it looks at the quota.
    pub(crate) fn hold_setter(&self) -> impl Sized + '_ {
        self.setter.lock()
    }
}
