//! The two words and the protocol that joins them: what every window counter is inside. The clock is the caller's.
//!
//! # Protocol
//! ```text
//! look:    a = now; b = closed; b of a later window than a: look again; t = clock
//! acquire: look
//!          loop: does n fit, at the latest of t, a's mark and the end of b's window if that is a's?
//!                no, and the words were read after t -> look, and once more
//!                no -> denied, nothing is written
//!                yes, in a new window -> raise(closed, a)     BEFORE the exchange
//!                cas(now, a, the new mark and count), lost: a = what stands there, t is kept,
//!                b = closed if a is of another window now
//! refund:  look; a's window not open -> nothing; cas(now, a, a less n), lost: as above; another window -> nothing
//! ```
//!
//! WAIT stays in `now` as it is, but for the line (see `wait`), and never gets into `closed`.
//!
//! An exchange leaves `{window, count}` only after `closed` is at least that, so whoever sees a window in `now` finds in
//! `closed` what the one before it came to: or more, by what was given back while it was being closed. Windows come
//! first in the order of words, so to close an earlier one late raises nothing. docs/DESIGN.md has the argument in full.

use alloc::boxed::Box;
use core::time::Duration;

use crossbeam_utils::CachePadded;

use crate::algorithm::window::{Law, Params, View};
use crate::clock::Clock;
use crate::counters::Counters;
use crate::error::RateLimitExceeded;
use crate::stats::RateLimiterStats;
use crate::sync::{AtomicU64, Ordering, const_fn};
use crate::wait::Line;
#[cfg(feature = "async")]
use crate::wait::Serve;
use crate::word::{cas, raise};

#[derive(Debug)]
pub(crate) struct Core {
    /// `{ window, part, WAIT, count }` of the window in which something was granted last, alone on its cache line. See
    /// `algorithm::window` for the bits.
    now: CachePadded<AtomicU64>,
    /// The same of an earlier window, or of the same one if its closing has begun. Never lowered; 0 in a fixed window.
    ///
    /// Beside what is only read: it changes once a window, and whoever has read `now` must not wait for its line again,
    /// should another core have taken that meanwhile.
    closed: AtomicU64,
    params: Params,
    counters: Option<Box<Counters>>,
    line: Line,
}

impl Core {
    const_fn! {
        /// A counter in which nothing was ever granted.
        pub(crate) const fn new(params: Params) -> Self {
            Self {
                now: CachePadded::new(AtomicU64::new(0)),
                closed: AtomicU64::new(0),
                params,
                counters: None,
                line: Line::new(),
            }
        }
    }

    /// Counts from now on. Before the counter is shared.
    pub(crate) fn start_counting(&mut self) {
        self.counters = Some(Box::new(Counters::new()));
    }

    /// Before the counter is shared.
    #[cfg(feature = "async")]
    pub(crate) fn set_max_waiters(&mut self, waiters: usize) {
        self.line.set_max_waiters(waiters);
    }

    pub(crate) const fn params(&self) -> &Params {
        &self.params
    }

    /// What was counted, if calls are counted.
    pub(crate) fn stats(&self) -> Option<RateLimiterStats> {
        self.counters.as_ref().map(|counters| counters.snapshot())
    }

    // Inlined always, and with it all that a decision calls: a caller who does not look at a `retry_after` shall not
    // pay for it.
    #[inline(always)]
    pub(crate) fn try_acquire_n(&self, law: Law, clock: &impl Clock, n: u64) -> Result<(), RateLimitExceeded> {
        if n == 0 {
            return Ok(());
        }
        let result = self.acquire(law, clock, n);
        if let Some(counters) = &self.counters {
            counters.record(result.is_ok(), 0);
        }
        result
    }

    /// Whether `n` permits are there, and the reading of the clock at which they are; not counted.
    #[inline(always)]
    pub(crate) fn peek(&self, law: Law, clock: &impl Clock, n: u64) -> Result<u64, RateLimitExceeded> {
        self.check(n)?;
        let view = self.look(law, clock);
        // The usual case first, as there.
        let fits = self.params.count(view.now) + n <= self.params.most(law, &view);
        if fits || self.params.take(law, &view, n).is_some() {
            return Ok(view.nanos);
        }
        Err(RateLimitExceeded::Denied { retry_after: self.retry_after(law, clock, &view, n) })
    }

    /// Takes them at that reading, if they are still there; a call that is denied is not counted.
    #[inline(always)]
    pub(crate) fn take_at(&self, law: Law, clock: &impl Clock, n: u64) -> bool {
        let taken = self.acquire(law, clock, n).is_ok();
        if let Some(counters) = self.counters.as_ref().filter(|_| taken) {
            counters.record(true, 0);
        }
        taken
    }

    /// Takes one permit or more, not counted.
    #[inline(always)]
    pub(crate) fn acquire(&self, law: Law, clock: &impl Clock, n: u64) -> Result<(), RateLimitExceeded> {
        self.check(n)?;
        let mut view = self.look(law, clock);
        // Whether the words were read before the clock.
        let mut in_order = true;
        // The usual case, tried as long as nothing but the count changes: where threads contend, each instruction
        // between a lost exchange and the next one is a chance to lose that too.
        let most = self.params.most(law, &view);
        while self.params.count(view.now) + n <= most {
            match cas(&self.now, view.now, view.now + n) {
                Ok(_) => return Ok(()),
                Err(observed) => {
                    in_order = false;
                    let is_same = self.params.same_mark(view.now, observed);
                    self.update(law, &mut view, observed);
                    if !is_same {
                        break;
                    }
                }
            }
        }
        loop {
            if let Some(next) = self.params.take(law, &view, n) {
                if self.commit(law, &mut view, next) {
                    return Ok(());
                }
                in_order = false;
            } else if in_order {
                return Err(RateLimitExceeded::Denied { retry_after: self.retry_after(law, clock, &view, n) });
            } else {
                // Others were faster, perhaps by much: the words are no longer those of the reading, and what is denied
                // at it may be there now. To look again is to have lost an exchange, so this ends.
                view = self.look(law, clock);
                in_order = true;
            }
        }
    }

    /// One permit always fits: said apart, since `n` is a constant in the usual call.
    #[inline(always)]
    fn check(&self, n: u64) -> Result<(), RateLimitExceeded> {
        let limit = self.params.limit();
        if n > 1 && n > limit {
            return Err(RateLimitExceeded::ExceedsCapacity { requested: n, capacity: limit });
        }
        Ok(())
    }

    /// Until `n` permits are there, which are not on this view.
    #[inline(always)]
    fn retry_after(&self, law: Law, clock: &impl Clock, view: &View, n: u64) -> Duration {
        let somebody_waits = view.now & self.params.wait_bit() != 0;
        if somebody_waits { self.wait_in_line(law, clock, n) } else { self.wait(law, view, n) }
    }

    /// From the reading until `n` permits are there, which are not now.
    #[inline(always)]
    fn wait(&self, law: Law, view: &View, n: u64) -> Duration {
        match self.params.due(law, view, n) {
            u64::MAX => Duration::MAX,
            due => Duration::from_nanos(due.saturating_sub(view.nanos)),
        }
    }

    /// Until `n` permits have come behind those for whom others wait, about; never zero, since they come first.
    #[cold]
    #[inline(never)]
    fn wait_in_line(&self, law: Law, clock: &impl Clock, n: u64) -> Duration {
        self.estimate(law, &self.look(law, clock), self.line.demand(), n).max(Duration::from_nanos(1))
    }

    /// From the view's reading until `n` permits have come behind `ahead` of them, about.
    pub(crate) fn estimate(&self, law: Law, view: &View, ahead: u64, n: u64) -> Duration {
        match self.params.wait_in_line(law, &self.params.level(view), ahead.saturating_add(n)) {
            u64::MAX => Duration::MAX,
            wait => Duration::from_nanos(wait),
        }
    }

    /// Both words, and a reading of the clock after them.
    #[inline(always)]
    pub(crate) fn look(&self, law: Law, clock: &impl Clock) -> View {
        // Ordering: Acquire pairs with the exchange that opened the window: who sees it sees in `closed` what the
        // one before it came to.
        let (now, closed) = self.words(law, self.now.load(Ordering::Acquire));
        let nanos = clock.now().as_nanos();
        View { now, closed, nanos, stamp: self.params.stamp(nanos) }
    }

    /// What `now` was when it was read, and `closed` after it: of no later window.
    #[inline(always)]
    fn words(&self, law: Law, mut now: u64) -> (u64, u64) {
        if !law.slides() {
            return (now, 0);
        }
        loop {
            // Ordering: Acquire pairs with `raise`: if a later window was closed, `now` is seen to have reached it.
            let closed = self.closed.load(Ordering::Acquire);
            if !self.params.is_behind(now, closed) {
                return (now, closed);
            }
            // Ordering: Acquire, as in `look`. Both are read again: a newer `now` beside this `closed` could have a
            // predecessor that this is not.
            now = self.now.load(Ordering::Acquire);
        }
    }

    /// Writes `next` if `now` is what it was in `view`; else `view` is brought up to date, and keeps its reading.
    #[inline(always)]
    fn commit(&self, law: Law, view: &mut View, next: u64) -> bool {
        if law.slides() && !self.params.same_window(view.now, next) {
            raise(&self.closed, view.now & !self.params.wait_bit());
        }
        match cas(&self.now, view.now, next) {
            Ok(_) => true,
            Err(observed) => {
                self.update(law, view, observed);
                false
            }
        }
    }

    /// After a lost exchange.
    #[inline(always)]
    fn update(&self, law: Law, view: &mut View, observed: u64) {
        if self.params.same_window(view.now, observed) {
            // What came before it is known. If its closing has begun meanwhile, whoever closes it finds this grant.
            view.now = observed;
        } else {
            (view.now, view.closed) = self.words(law, observed);
        }
    }

    #[inline]
    pub(crate) fn refund(&self, law: Law, clock: &impl Clock, n: u64) {
        self.refund_of(law, clock, n, None);
    }

    /// What was taken at that reading, if it is known.
    #[inline]
    pub(crate) fn refund_of(&self, law: Law, clock: &impl Clock, n: u64, reading: Option<u64>) {
        let mut view = self.look(law, clock);
        // What was taken at a reading was taken in its window or in a later one: so in this, if that is still the last one.
        let open = reading.map_or(view.now, |nanos| self.params.stamp(nanos));
        // Not in a later window: what was granted there is not what is given back.
        while self.params.same_window(view.now, open) {
            let level = self.params.level(&view);
            let (Some(next), wait) = (self.params.give_back(law, &level, n), view.now ^ level.now) else {
                return;
            };
            if self.commit(law, &mut view, next | wait) {
                if wait != 0 {
                    self.line.wake_head();
                }
                return;
            }
        }
    }

    #[inline]
    pub(crate) fn available(&self, law: Law, clock: &impl Clock) -> u64 {
        self.params.available(law, &self.params.level(&self.look(law, clock)))
    }

    #[inline]
    pub(crate) fn time_to_available(
        &self,
        law: Law,
        clock: &impl Clock,
        n: u64,
    ) -> Result<Duration, RateLimitExceeded> {
        self.check(n)?;
        let view = self.look(law, clock);
        Ok(if n == 0 || self.params.take(law, &view, n).is_some() {
            Duration::ZERO
        } else {
            self.retry_after(law, clock, &view, n)
        })
    }
}

/// For the line.
#[cfg(feature = "async")]
impl Core {
    pub(crate) fn line(&self) -> &Line {
        &self.line
    }

    /// Takes `n` permits, at most the limit, for the head of the line, and leaves WAIT set if `others` wait.
    ///
    /// The words are read again: under the line's lock, so that whoever gives permits back after this finds a waker.
    pub(crate) fn serve(&self, law: Law, view: &mut View, n: u64, others: bool) -> Serve {
        // Ordering: Acquire, as in `look`.
        (view.now, view.closed) = self.words(law, self.now.load(Ordering::Acquire));
        loop {
            let level = self.params.level(view);
            let Some(next) = self.params.take(law, &level, n) else {
                return Serve::Later(self.wait(law, &level, n));
            };
            if self.commit(law, view, next | if others { self.params.wait_bit() } else { 0 }) {
                return Serve::Served;
            }
        }
    }

    /// Sets or clears WAIT, under the line's lock.
    pub(crate) fn set_waiting(&self, waiting: bool) {
        let wait = self.params.wait_bit();
        // Ordering: Relaxed; a guess for the exchange to check.
        let mut now = self.now.load(Ordering::Relaxed);
        while let Err(observed) = cas(&self.now, now, if waiting { now | wait } else { now & !wait }) {
            now = observed;
        }
    }

    /// Counts one call that may have waited, if calls are counted.
    pub(crate) fn count_wait(&self, allowed: bool, waited: Duration) {
        if let Some(counters) = &self.counters {
            counters.record_wait(allowed, 0, waited);
        }
    }
}

#[cfg(all(test, feature = "std", not(loom)))]
mod tests;
