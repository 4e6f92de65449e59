//! The word, its two parameter slots, and the protocol that joins them: what every token bucket of the crate is
//! inside. The clock is the caller's.
//!
//! # Protocol
//! The word's SLOT bit names the live slot. Slot 0 is the usual one, so that its address is known before the word
//! is; slot 1 is live before the first call and for the moment of a change, and everything about it is cold.
//!
//! ```text
//! decide:     v = slot.version; p = slot's fields; t = clock; w = word
//!             loop: w names this slot and slot.version == v, else start again
//!                   decide(p, w, t): nothing to write -> done | w' -> cas(w, w') ? done : w = observed
//! set_quota:  (one at a time)
//!             loop: w = word; t = clock; write slot 1 with p', what follows; cas(w, carried over to p' | SLOT)
//!             write slot 0 with the same p';  loop: cas(w, w without SLOT)
//! ```
//!
//! A decision reads the parameters before the clock, and the word after it: so the parameters were live at a moment
//! no earlier than the reading, and no time that passed under a slower quota counts at a faster one. A setter that
//! stops between any two steps leaves one slot live and whole. docs/DESIGN.md has the argument in full.

mod loan;

use alloc::boxed::Box;

use crossbeam_utils::CachePadded;

use crate::algorithm::token_bucket::{INSTANT, Params, SLOT, Scale, Take, WAIT};
use crate::clock::Clock;
use crate::counters::Counting;
use crate::error::ConfigError;
use crate::params::Slot;
use crate::quota::Quota;
use crate::stats::RateLimiterStats;
use crate::sync::{AtomicU64, Lock, Ordering, const_fn};
use crate::word::cas;

pub(crate) use self::loan::{Busy, Loan, budget};

/// Not started: slot 1 is named, and was never written. The bucket is full and no time passes yet.
const UNSTARTED: u64 = SLOT;

#[derive(Debug)]
pub(crate) struct Core {
    /// `{ WAIT: 1 bit, SLOT: 1 bit, instant: 62 bits }`, alone on its cache line. See `algorithm::token_bucket`.
    word: CachePadded<AtomicU64>,
    slots: [Slot; 2],
    /// Held by a setter, and by the first caller for as long as it starts the clock.
    setter: Lock,
    /// The quota's until the first call.
    first: Scale,
    history: History,
    /// Here, where it fills a gap that the word's alignment leaves.
    counting: Option<Box<Counting>>,
}

/// What a decision is made on: parameters that were live when `word` was read, after `ticks`.
#[derive(Debug)]
// Named by a sealed trait, if waiting is there.
#[allow(unreachable_pub)]
pub struct View {
    pub(crate) params: Params,
    pub(crate) ticks: u64,
    /// The word without the name of the slot: an instant, and WAIT if somebody waits, which makes it later than any.
    pub(crate) instant: u64,
    /// The slot that the word names, as it stands in it; apart, since it is known on the usual way.
    live: u64,
    /// Of that slot.
    version: u64,
}

impl View {
    /// Whether `n` permits are there.
    #[inline(always)]
    pub(crate) fn grants(&self, n: u64) -> bool {
        matches!(self.params.take(self.instant, self.ticks, n), Take::Granted(_))
    }
}

/// What became of a decision.
pub(crate) enum Commit {
    /// It is written.
    Done,
    /// Somebody was faster: decide again on the same view.
    Again,
    /// The quota is being changed: look again.
    Stale,
}

impl Core {
    const_fn! {
        /// A full bucket that starts with its first call, so that no clock is needed to make it.
        ///
        /// The caller has found `scale` for `quota`.
        pub(crate) const fn unstarted(quota: Quota, scale: Scale) -> Self {
            Self::unstarted_lending(quota, scale, 0)
        }
    }

    const_fn! {
        /// The same of one that has lent so many permits of its burst for good; `scale` is of what is left.
        pub(crate) const fn unstarted_lending(quota: Quota, scale: Scale, lent: u64) -> Self {
            Self {
                word: CachePadded::new(AtomicU64::new(UNSTARTED)),
                slots: [Slot::new(), Slot::new()],
                setter: Lock::new(),
                first: scale,
                history: History::new(&quota, lent),
                counting: None,
            }
        }
    }

    /// Runs `op(params, instant, ticks)` on the live state and writes the instant that it returns, if it does. Both
    /// have WAIT in them, if somebody waits.
    ///
    /// `op` may run many times; only its last result counts.
    #[inline]
    pub(crate) fn update<T>(&self, clock: &impl Clock, op: impl Fn(&Params, u64, u64) -> (T, Option<u64>)) -> T {
        let mut view = self.look(clock);
        loop {
            let (result, next) = op(&view.params, view.instant, view.ticks);
            let Some(next) = next else {
                return result;
            };
            match self.commit(&mut view, next) {
                Commit::Done => return result,
                Commit::Again => {}
                Commit::Stale => view = self.look_again(clock),
            }
        }
    }

    /// The live parameters, a reading of the clock after them, and the word after that.
    #[inline]
    pub(crate) fn look(&self, clock: &impl Clock) -> View {
        self.look_usual(clock).unwrap_or_else(|| self.look_again(clock))
    }

    /// The same when slot 0 is live, as it is but for the first call and during a change.
    // Inlined always, like `commit` and all that a decision calls: a caller who does not look at a `retry_after`
    // shall not pay for it.
    #[inline(always)]
    pub(crate) fn look_usual(&self, clock: &impl Clock) -> Option<View> {
        self.look_at(0, clock)
    }

    /// The slot that a word with these SLOT bits names.
    #[inline(always)]
    fn slot(&self, live: u64) -> &Slot {
        &self.slots[usize::from(live != 0)]
    }

    /// `None` when the word does not name this slot, or the slot changed meanwhile.
    #[inline(always)]
    fn look_at(&self, live: u64, clock: &impl Clock) -> Option<View> {
        let slot = self.slot(live);
        let version = slot.version();
        let params = slot.read();
        let ticks = clock.ticks();
        // Ordering: Acquire pairs with the exchanges of a setter: who sees the word of a change sees the slot that it
        // names, and in `is_still` that the other one was left.
        let word = self.word.load(Ordering::Acquire);
        (word & SLOT == live && slot.is_still(version)).then_some(View {
            params,
            ticks,
            instant: word ^ live,
            live,
            version,
        })
    }

    /// During a change, and before the first call.
    #[cold]
    #[inline(never)]
    pub(crate) fn look_again(&self, clock: &impl Clock) -> View {
        loop {
            let view = if self.slots[1].version() > 0 { self.look_at(SLOT, clock) } else { self.look_first(clock) };
            if let Some(view) = view.or_else(|| self.look_at(0, clock)) {
                return view;
            }
        }
    }

    /// Starts the clock, unless somebody is at it; who may be stopped there, so nobody waits. Until it is done time
    /// stands still: each caller takes its one reading for the beginning.
    fn look_first(&self, clock: &impl Clock) -> Option<View> {
        if let Some(_guard) = self.setter.try_lock() {
            self.start(clock, self.first.capacity());
            return None;
        }
        let ticks = clock.ticks();
        let params = Params::fresh(&self.first, clock.tick_length(), ticks);
        // Ordering: Acquire, as in `look_at`.
        let word = self.word.load(Ordering::Acquire);
        let view = View { params, ticks, instant: word ^ SLOT, live: SLOT, version: 0 };
        (word & SLOT != 0 && self.slots[1].is_still(0)).then_some(view)
    }

    /// Writes `next` if nothing has changed since `view`. If only the instant has, `view` is brought up to date and
    /// keeps its reading of the clock: an older one only finds less.
    #[inline(always)]
    pub(crate) fn commit(&self, view: &mut View, next: u64) -> Commit {
        let live = view.live;
        match cas(&self.word, view.instant ^ live, next ^ live) {
            Ok(_) => return Commit::Done,
            Err(observed) => view.instant = observed ^ live,
        }
        let same = view.instant & SLOT == 0 && self.slot(live).is_still(view.version);
        if same { Commit::Again } else { Commit::Stale }
    }

    /// Makes slot 0 live with a clock that starts now, if nothing is yet; of a bucket that holds `permits`. Under
    /// the setter's lock.
    fn start(&self, clock: &impl Clock, permits: u64) {
        loop {
            // Ordering: Acquire pairs with the exchanges of those who do not wait for the start: the clock, read
            // after it, is not older than their readings. Lost, it is read again: what was taken at a later
            // reading must not be there once more.
            let word = self.word.load(Ordering::Acquire);
            if word & SLOT == 0 {
                return;
            }
            let now = clock.ticks();
            let params = Params::fresh(&self.first, clock.tick_length(), now);
            self.slots[0].write(&params);
            if cas(&self.word, word, (word ^ SLOT) + params.holding(permits)).is_ok() {
                return;
            }
        }
    }

    /// Takes `n` permits for the head of the line, and leaves WAIT set if `others` wait. `None`: the view is out of date.
    ///
    /// The word is read again: under the line's lock, so that whoever gives permits back after this finds a waker.
    #[cfg(feature = "async")]
    pub(crate) fn serve(&self, view: &mut View, n: u64, others: bool) -> Option<Take> {
        if !self.refresh(view) {
            return None;
        }
        loop {
            let take = view.params.take(view.instant & INSTANT, view.ticks, n);
            let Take::Granted(next) = take else {
                return Some(take);
            };
            match self.commit(view, next | if others { WAIT } else { 0 }) {
                Commit::Done => return Some(take),
                Commit::Again => {}
                Commit::Stale => return None,
            }
        }
    }

    /// Brings the view's instant up to date, unless its parameters are out of date: then `false`.
    #[cfg(feature = "async")]
    pub(crate) fn refresh(&self, view: &mut View) -> bool {
        // Ordering: Acquire, as in `look_at`.
        let word = self.word.load(Ordering::Acquire);
        view.instant = word ^ view.live;
        self.is_current(view)
    }

    /// Whether the view's parameters are still the live ones.
    #[cfg(feature = "async")]
    pub(crate) fn is_current(&self, view: &View) -> bool {
        // Ordering: Acquire, as in `look_at`.
        let word = self.word.load(Ordering::Acquire);
        word & SLOT == view.live && self.slot(view.live).is_still(view.version)
    }

    /// Sets or clears WAIT, under the line's lock.
    #[cfg(feature = "async")]
    pub(crate) fn set_waiting(&self, waiting: bool) {
        self.change_bits(|word| if waiting { word | WAIT } else { word & !WAIT });
    }

    /// Whether anybody waits.
    pub(crate) fn is_waited_for(&self) -> bool {
        // Ordering: Relaxed; behind a fence, if the caller has anything to tell.
        self.word.load(Ordering::Relaxed) & WAIT != 0
    }

    /// A bucket that has started already: under `params`, at `instant`.
    #[cfg(feature = "per-key")]
    pub(crate) fn started(quota: Quota, scale: Scale, params: &Params, instant: u64) -> Self {
        let core = Self::unstarted(quota, scale);
        core.slots[0].write(params);
        // Ordering: Relaxed; nobody shares it yet.
        core.word.store(instant, Ordering::Relaxed);
        core
    }

    /// What stands in the word, for who wants to know later whether anything has changed.
    #[cfg(feature = "per-key")]
    pub(crate) fn word(&self) -> u64 {
        // Ordering: Acquire, as in `look_at`.
        self.word.load(Ordering::Acquire)
    }

    /// The instant under `next` of this bucket, which nobody uses and nobody changes, at a reading of the clock that is
    /// not older than those behind the word.
    #[cfg(feature = "per-key")]
    pub(crate) fn carry_over(&self, reading: u64, next: &Params) -> u64 {
        let (params, instant) = (self.slots[0].read(), self.word() & INSTANT);
        if params == *next {
            return instant;
        }
        params.carry(instant, params.time_of_change(instant, reading), next, 0)
    }

    /// Whether its parameters are these, of a bucket whose quota nobody changes now.
    #[cfg(feature = "per-key")]
    pub(crate) fn is_under(&self, params: &Params) -> bool {
        self.slots[0].read() == *params
    }

    /// Counts from now on. Before the bucket is shared.
    pub(crate) fn start_counting(&mut self, counting: Counting) {
        self.counting = Some(Box::new(counting));
    }

    /// Counts one call, if calls are counted.
    #[inline(always)]
    pub(crate) fn count(&self, allowed: bool) {
        if let Some(counting) = &self.counting {
            counting.record(allowed);
        }
    }

    /// Counts one call that may have waited, if calls are counted.
    #[cfg(feature = "async")]
    pub(crate) fn count_wait(&self, allowed: bool, waited: ::core::time::Duration) {
        if let Some(counting) = &self.counting {
            counting.record_wait(allowed, waited);
        }
    }

    /// What was counted, if calls are counted.
    pub(crate) fn stats(&self) -> Option<RateLimiterStats> {
        self.counting.as_ref().map(|counting| counting.snapshot())
    }

    /// Starts the clock now, so that time counts from here, with `permits` there instead of a burst. Before the
    /// bucket is shared.
    pub(crate) fn start_with(&self, clock: &impl Clock, permits: u64) {
        let _guard = self.setter.lock();
        self.start(clock, permits);
    }

    /// The quota last set.
    pub(crate) fn quota(&self) -> Quota {
        let _guard = self.setter.lock();
        self.history.quota()
    }

    /// Changes the quota, and tells whether anybody waits. The level stays; what was lent is not to be used any more.
    pub(crate) fn set_quota(&self, clock: &impl Clock, quota: &Quota) -> Result<bool, ConfigError> {
        let finest = Scale::finest(quota)?;
        let _guard = self.setter.lock();
        Ok(self.change_quota(clock, quota, &finest))
    }

    /// The same with a scale that was found before, which may be that of a bucket that holds nothing.
    #[cfg(feature = "per-key")]
    pub(crate) fn impose_quota(&self, clock: &impl Clock, quota: &Quota, scale: &Scale) -> bool {
        let _guard = self.setter.lock();
        self.change_quota(clock, quota, scale)
    }

    /// The same as `set_quota` if no other thread holds the setter's lock; else `None`, and nothing is changed.
    pub(crate) fn try_set_quota(&self, clock: &impl Clock, quota: &Quota) -> Option<Result<bool, ConfigError>> {
        let _guard = self.setter.try_lock()?;
        Some(Scale::finest(quota).map(|finest| self.change_quota(clock, quota, &finest)))
    }

    /// Under the setter's lock.
    fn change_quota(&self, clock: &impl Clock, quota: &Quota, finest: &Scale) -> bool {
        let changed = self.change(clock, quota, finest, true, |_, _| Some(0));
        self.history.set(quota, 0);
        changed.is_some_and(|(_, waits)| waits)
    }

    /// Makes rate and burst those of `quota`; so many permits come or go as `more` says of those that are there, or owed, and
    /// whether somebody waits for them: tells both, or `None` if it does not say. If it `recalls`, what is lent is not to be used
    /// any more. Under the setter's lock.
    fn change(
        &self,
        clock: &impl Clock,
        quota: &Quota,
        finest: &Scale,
        recalls: bool,
        more: impl Fn(i64, bool) -> Option<i64>,
    ) -> Option<(i64, bool)> {
        self.start(clock, self.first.capacity());
        let old = self.slots[0].read();
        let scale = Scale::with_shift(quota, old.shift()).unwrap_or(*finest);
        // Above 0, and never the same: every attempt moves the version on.
        let salt = || self.slots[1].version() + 1;
        let (new, more) = loop {
            // Ordering: Acquire pairs with the exchanges of acquirers: the clock, read after it, is not older than
            // the readings behind the word. A change that is lost to one of them is made anew for that reason: with
            // the time of the first look, permits of the time since would come a second time.
            let word = self.word.load(Ordering::Acquire);
            let at = old.time_of_change(word & INSTANT, clock.ticks());
            let more = more(old.permits_at(word & INSTANT, at), word & WAIT != 0)?;
            let new = old.follow(&scale, clock.tick_length(), at, salt());
            self.slots[1].write(&new);
            let carried = old.carry(word & INSTANT, at, &new, more);
            if recalls {
                // Behind the clock, which may panic; before the exchange, so that no stock is used beside the new quota.
                self.history.recall();
            }
            if cas(&self.word, word, (word & !INSTANT) | carried | SLOT).is_ok() {
                break (new, more);
            }
        };
        self.slots[0].write(&new);
        // Both slots hold the same, so only the bit changes.
        let replaced = self.change_bits(|word| word & !SLOT);
        Some((more, replaced & WAIT != 0))
    }

    /// Changes bits that say nothing about the level, and tells the word before.
    fn change_bits(&self, change: impl Fn(u64) -> u64) -> u64 {
        // Ordering: Relaxed; a guess for the exchange to check.
        let mut word = self.word.load(Ordering::Relaxed);
        while let Err(observed) = cas(&self.word, word, change(word)) {
            word = observed;
        }
        word
    }
}

/// What a setter leaves to the next one. In atomics, so that it needs no lock that owns it; under the setter's lock,
/// hence Relaxed throughout.
#[derive(Debug)]
struct History {
    permits: AtomicU64,
    period_secs: AtomicU64,
    period_nanos: AtomicU64,
    burst: AtomicU64,
    /// Permits of the burst that are lent: see [`Loan`].
    lent: AtomicU64,
    /// Of what is lent. Read without the lock.
    generation: AtomicU64,
}

impl History {
    const_fn! {
        // `From` is not const.
        #[allow(clippy::cast_lossless)]
        const fn new(quota: &Quota, lent: u64) -> Self {
            Self {
                permits: AtomicU64::new(quota.permits()),
                period_secs: AtomicU64::new(quota.period().as_secs()),
                period_nanos: AtomicU64::new(quota.period().subsec_nanos() as u64),
                burst: AtomicU64::new(quota.capacity()),
                lent: AtomicU64::new(lent),
                generation: AtomicU64::new(0),
            }
        }
    }

    fn quota(&self) -> Quota {
        // Ordering: Relaxed; the setter's lock orders them.
        let field = |field: &AtomicU64| field.load(Ordering::Relaxed);
        let period = core::time::Duration::new(field(&self.period_secs), field(&self.period_nanos) as u32);
        Quota::per(field(&self.permits), period).burst(field(&self.burst))
    }

    fn lent(&self) -> u64 {
        // Ordering: Relaxed; the setter's lock orders them.
        self.lent.load(Ordering::Relaxed)
    }

    fn set(&self, quota: &Quota, lent: u64) {
        // Ordering: Relaxed; the setter's lock orders them.
        let set = |field: &AtomicU64, value| field.store(value, Ordering::Relaxed);
        set(&self.permits, quota.permits());
        set(&self.period_secs, quota.period().as_secs());
        set(&self.period_nanos, u64::from(quota.period().subsec_nanos()));
        set(&self.burst, quota.capacity());
        set(&self.lent, lent);
    }

    /// What is lent is not to be used any more.
    fn recall(&self) {
        // Ordering: Release, though `Core::generation` is Relaxed: the exchange that changes the word comes after it, and who
        // sees that sees this.
        let generation = self.generation.load(Ordering::Relaxed);
        self.generation.store(generation.wrapping_add(1), Ordering::Release);
    }
}

#[cfg(all(test, feature = "std", not(loom)))]
mod tests;
