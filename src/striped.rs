//! The token bucket for cores that contend: permits in batches, beside the word.

mod builder;
mod drained;
mod stripe;
mod stripes;
#[cfg(feature = "async")]
mod wait;

use ::alloc::sync::Arc;
use ::core::fmt;
use ::core::time::Duration;

pub use self::builder::StripedTokenBucketBuilder;
use self::stripe::{Batch, Claim, LARGEST_BATCH};
pub(crate) use self::stripes::count;
use self::stripes::{MOST, Stripes};
use crate::algorithm::token_bucket::Take;
use crate::clock::{Clock, MonotonicClock};
use crate::counters::{Counters, Counting};
use crate::error::{ConfigError, RateLimitExceeded};
use crate::local::{LocalTokenBucket, OwnedLocalTokenBucket};
use crate::quota::Quota;
use crate::stats::RateLimiterStats;
use crate::token_bucket::core::{Core, View, budget};
use crate::token_bucket::{TokenBucket, asked, exceeds, unusual};
use crate::wait::Line;

/// A [`TokenBucket`] for cores that contend for it: with the same bound, several times as fast.
///
/// One word that all cores write costs the transfer of its cache line, and a reading of the clock, a decision. Here each
/// thread takes from a *stripe* of its own that is filled from the word, a batch at a time: most calls read no clock and
/// write to a line that no other core wants.
///
/// # Guarantee
/// That of [`TokenBucket`], exactly: `burst + rate * (T + 1 ns)` over every interval. What stripes hold is taken out of
/// the burst beforehand: they hold a sixteenth of it together, the word the rest. So one call gets [`capacity`](Self::capacity)
/// permits at most: 15/16 of the burst, and 3/4 at least while there are [local](Self::local) stocks.
///
/// What stripes hold is not lost: who finds its own empty, and the word too, takes from the others before it is denied. A denial means that
/// each place was seen empty during the call, but for what others were moving, and for stocks of workers.
///
/// With a burst that is too small to be divided (below 512 permits on two cores) it decides as a `TokenBucket` does. Time fills the
/// word alone: a bucket of which all was taken is at 15/16 of the burst again when it is full.
///
/// # Waiting
/// The line is that of the word; its head takes what stripes hold, too. Who waits is not overtaken in the word; what stripes hold
/// already may be used meanwhile: a sixteenth of the burst at most.
///
/// # Progress
/// Lock-free, as [`TokenBucket`]; a thread that is stopped while it fills a stripe leaves that one empty and delays nobody.
///
/// # Memory ordering
/// None is promised.
///
/// # Complexity
/// One exchange on the thread's own stripe; a batch is drawn with three more and two readings of the clock. A denial looks at
/// one word more than a [`TokenBucket`]'s, and at all stripes if it is the first one since permits came into any. Memory: two
/// cache lines a stripe, four stripes a core, 64 at most.
///
/// ```
/// use sluicegate::{Quota, RateLimitExceeded, StripedTokenBucket};
/// use std::sync::LazyLock;
///
/// static LIMIT: LazyLock<StripedTokenBucket> =
///     LazyLock::new(|| StripedTokenBucket::new(Quota::per_hour(100_000)).expect("a valid quota"));
///
/// for _ in 0..100_000 {
///     assert_eq!(LIMIT.try_acquire(), Ok(()));
/// }
/// assert!(matches!(LIMIT.try_acquire(), Err(RateLimitExceeded::Denied { .. })));
/// ```
pub struct StripedTokenBucket<C: Clock = MonotonicClock> {
    stripes: Stripes,
    /// All that is in no stripe; what stripes may hold is lent.
    pub(crate) centre: TokenBucket<C>,
}

/// Opens the stripes again when it is dropped: after a change of quota, or a panic of the clock in it.
struct Reopening<'a, C: Clock> {
    bucket: &'a StripedTokenBucket<C>,
    next: Batch,
    /// What has no room in the word.
    stock: u64,
}

impl<C: Clock> Drop for Reopening<'_, C> {
    fn drop(&mut self) {
        // Before others may fill them: it would come on top.
        self.bucket.stripes.give_back(self.next, self.stock);
        self.bucket.stripes.set_batch(self.next);
    }
}

#[cfg(feature = "std")]
impl StripedTokenBucket {
    /// A full bucket on the [`MonotonicClock`].
    ///
    /// # Errors
    /// [`ConfigError`] if no bucket can keep `quota`: see [`Quota`].
    ///
    /// ```
    /// use sluicegate::{Quota, StripedTokenBucket};
    ///
    /// let bucket = StripedTokenBucket::new(Quota::per_second(10_000))?;
    /// assert_eq!(bucket.available(), 10_000);
    /// assert_eq!(StripedTokenBucket::new(Quota::per_second(0)).unwrap_err().field(), "permits");
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    pub fn new(quota: Quota) -> Result<Self, ConfigError> {
        Self::with_clock(quota, MonotonicClock::new())
    }

    /// A bucket with more to say: another clock, fewer permits at first, statistics.
    ///
    /// ```
    /// use sluicegate::{Quota, StripedTokenBucket};
    ///
    /// let bucket = StripedTokenBucket::builder(Quota::per_hour(10_000)).initial(0).stats().build()?;
    /// assert!(bucket.try_acquire_n(10_000).is_err() && bucket.stats().is_some());
    /// assert!(StripedTokenBucket::builder(Quota::per_hour(10_000)).initial(10_001).build().is_err());
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    pub fn builder(quota: Quota) -> StripedTokenBucketBuilder {
        StripedTokenBucketBuilder::new(quota, MonotonicClock::new())
    }
}

impl<C: Clock> StripedTokenBucket<C> {
    /// A full bucket on a clock of the caller's.
    ///
    /// # Errors
    /// [`ConfigError`] if no bucket can keep `quota`: see [`Quota`].
    ///
    /// ```
    /// use sluicegate::{ManualClock, Quota, StripedTokenBucket};
    /// use std::time::Duration;
    ///
    /// let clock = ManualClock::new();
    /// let bucket = StripedTokenBucket::with_clock(Quota::per_second(1_000), clock.clone())?;
    /// assert_eq!(bucket.try_acquire_up_to(u64::MAX), 1_000);
    /// clock.advance(Duration::from_millis(2));
    /// assert_eq!(bucket.available(), 2);
    /// assert!(StripedTokenBucket::with_clock(Quota::per_second(1).burst(0), ManualClock::new()).is_err());
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    pub fn with_clock(quota: Quota, clock: C) -> Result<Self, ConfigError> {
        Self::build(quota, clock, quota.capacity())
    }

    /// One with `permits` in it, at most a burst.
    fn build(quota: Quota, clock: C, permits: u64) -> Result<Self, ConfigError> {
        let stripes = count();
        let batch = batch(&quota, stripes);
        let lent = batch * stripes as u64;
        let (left, scale) = Core::left_of(&quota, lent)?;
        let core = Core::unstarted_lending(quota, scale, lent);
        if permits < left.capacity() {
            core.start_with(&clock, permits);
        }
        Ok(Self {
            stripes: Stripes::new(Batch::new(0, batch), permits.saturating_sub(left.capacity())),
            centre: TokenBucket { core, line: Line::new(), clock },
        })
    }

    fn start_counting(&mut self) {
        self.centre.core.start_counting(Counting::Bucket(Counters::new()));
    }

    /// How many stripes there are.
    pub(crate) fn stripes(&self) -> usize {
        self.stripes.len()
    }

    /// Takes one permit, or nothing.
    ///
    /// # Errors
    /// As [`try_acquire_n`](Self::try_acquire_n).
    ///
    /// ```
    /// use sluicegate::{ManualClock, Quota, StripedTokenBucket};
    /// use std::time::Duration;
    ///
    /// let bucket = StripedTokenBucket::with_clock(Quota::per_second(1), ManualClock::new())?;
    /// assert!(bucket.try_acquire().is_ok());
    /// assert_eq!(bucket.try_acquire().unwrap_err().retry_after(), Some(Duration::from_secs(1)));
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    #[inline(always)]
    pub fn try_acquire(&self) -> Result<(), RateLimitExceeded> {
        self.try_acquire_n(1)
    }

    /// Takes `n` permits, or nothing. `n = 0` is `Ok` and takes nothing.
    ///
    /// # Errors
    /// [`Denied`](RateLimitExceeded::Denied) if they are not there now, in the word and all stripes together (while somebody
    /// waits in the stripes alone), with the time after which the same call succeeds if nobody else comes;
    /// [`ExceedsCapacity`](RateLimitExceeded::ExceedsCapacity) if `n` is above [`capacity`](Self::capacity). Nothing was charged.
    ///
    /// ```
    /// use sluicegate::{ManualClock, Quota, RateLimitExceeded, StripedTokenBucket};
    ///
    /// let bucket = StripedTokenBucket::with_clock(Quota::per_hour(1_600), ManualClock::new())?;
    /// let most = bucket.capacity();
    /// assert_eq!(bucket.try_acquire_n(most), Ok(()));
    /// assert_eq!(bucket.try_acquire_n(1_600 - most), Ok(())); // what the stripes held, gathered
    /// assert!(matches!(bucket.try_acquire_n(1), Err(RateLimitExceeded::Denied { .. })));
    /// assert!(matches!(bucket.try_acquire_n(1_601), Err(RateLimitExceeded::ExceedsCapacity { .. })));
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    #[inline(always)]
    pub fn try_acquire_n(&self, n: u64) -> Result<(), RateLimitExceeded> {
        if n == 0 {
            return Ok(());
        }
        let result = self.take_uncounted(n);
        self.centre.core.count(result.is_ok());
        result
    }

    #[inline(always)]
    pub(crate) fn take_uncounted(&self, n: u64) -> Result<(), RateLimitExceeded> {
        if self.stripes.own().take(n) {
            return Ok(());
        }
        unusual();
        // Inlined as far as a denial, so that a time to retry after that nobody reads costs nothing.
        if let Some(view) = self.centre.core.look_usual(&self.centre.clock) {
            let take = view.params.take(view.instant, view.ticks, n);
            if !matches!(take, Take::Granted(_)) && self.are_drained() {
                return Err(self.centre.refused(take, &view, n));
            }
        }
        self.draw(n)
    }

    /// Whether the thread's own stripe holds `n`.
    #[inline(always)]
    pub(crate) fn has_in_stock(&self, n: u64) -> bool {
        self.stripes.own().stock() >= n
    }

    /// Whether no stripe has any.
    #[inline(always)]
    pub(crate) fn are_drained(&self) -> bool {
        self.stripes.are_drained()
    }

    /// From the word, with a batch for the own stripe if there is one; or from the stripes.
    #[cold]
    #[inline(never)]
    fn draw(&self, n: u64) -> Result<(), RateLimitExceeded> {
        loop {
            let view = self.centre.core.look(&self.centre.clock);
            if n > view.params.capacity() {
                return Err(self.centre.refuse(&view, n));
            }
            // Nothing while somebody waits.
            let there = view.params.available(view.instant, view.ticks);
            if there < n {
                return self.gather(&view, n);
            }
            let batch = self.stripes.batch();
            if there > n && batch.permits() > 0 {
                // Before the clock is read again: else one that is stopped behind its reading would find the word full, as
                // it was, and bring a batch to a stripe that has been filled meanwhile: one batch too many.
                let claim = self.stripes.claim_own().filter(|claim| claim.is_of(batch));
                let is_filled = claim.is_some_and(|claim| self.fill(claim, batch, n));
                self.tell_head();
                if is_filled {
                    return Ok(());
                }
            }
            // Also if somebody else is filling the stripe: that one may be stopped.
            if let Some(Ok(())) = self.centre.take(view, n) {
                return Ok(());
            }
            // Or somebody was faster.
        }
    }

    /// Takes `n` from a stripe and the word, and what there is up to a batch into the stripe; or nothing.
    fn fill(&self, claim: Claim<'_>, batch: Batch, n: u64) -> bool {
        let stock = claim.stock();
        if stock >= n {
            // Somebody has filled it.
            claim.leave(stock - n);
            return true;
        }
        let need = n - stock;
        let taken = self.centre.core.draw(&self.centre.clock, need, batch.permits());
        let is_there = taken >= need;
        if is_there {
            claim.leave(taken - need);
        }
        is_there
    }

    /// From the stripes; the word has not enough of it, or somebody waits there.
    fn gather(&self, view: &View, n: u64) -> Result<(), RateLimitExceeded> {
        if n == 1 {
            return if self.stripes.take_one() { Ok(()) } else { Err(self.centre.refuse(view, n)) };
        }
        let result = self.gather_with(n, |rest| {
            let result = if rest == 0 { Ok(()) } else { self.centre.take_uncounted(rest) };
            result.map_err(|error| asked(error, n))
        });
        self.tell_head();
        result
    }

    /// Stock may have come into a stripe since the head of the line has looked there.
    fn tell_head(&self) {
        // Who has put any is behind the fence in `Drained::end`, which pairs with that in `serve`: WAIT is seen here, or the
        // stock there.
        if self.centre.core.is_waited_for() {
            // Quietly: this one must learn what became of its own call.
            self.centre.line.wake_quietly_after_change(u64::MAX);
        }
    }

    /// What stripes have of `n`, and from the word what is missing, which is for `take` to take: all of it, or nothing of both.
    fn gather_with<E>(&self, n: u64, take: impl FnOnce(u64) -> Result<(), E>) -> Result<(), E> {
        let mut held = 0;
        // Claimed until it is known what comes of it, so that nobody fills a place that is to get its stock back.
        let mut claims: [Option<Claim<'_>>; MOST] = [const { None }; MOST];
        for (claim, place) in self.stripes.claims().zip(&mut claims) {
            held += claim.stock();
            *place = Some(claim);
            if held >= n {
                break;
            }
        }
        // If the clock is read, it is behind the claims.
        take(n.saturating_sub(held))?;
        let mut left = held.saturating_sub(n);
        // What is left over stays in the last one.
        for claim in claims.into_iter().rev().flatten() {
            claim.leave(left);
            left = 0;
        }
        Ok(())
    }

    /// Takes as many of `n` permits as there are, and tells how many: from 0 to `n`.
    ///
    /// ```
    /// use sluicegate::{ManualClock, Quota, StripedTokenBucket};
    ///
    /// let bucket = StripedTokenBucket::with_clock(Quota::per_hour(10_000), ManualClock::new())?;
    /// assert_eq!(bucket.try_acquire_up_to(9_999), 9_999);
    /// assert_eq!(bucket.try_acquire_up_to(7), 1);
    /// assert_eq!(bucket.try_acquire_up_to(7), 0);
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    #[must_use = "the permits are taken, and this is how many"]
    pub fn try_acquire_up_to(&self, n: u64) -> u64 {
        if n == 0 {
            return 0;
        }
        let mut taken = self.stripes.own().take_up_to(n);
        if taken < n {
            let (core, clock, rest) = (&self.centre.core, &self.centre.clock, n - taken);
            taken += core.update(clock, |params, instant, ticks| params.take_up_to(instant, ticks, rest));
        }
        taken += self.stripes.take_up_to(n - taken);
        self.centre.core.count(taken > 0);
        taken
    }

    /// Gives `n` permits back, never above the burst: to the word, and what has no room there to the stripes.
    ///
    /// ```
    /// use sluicegate::{ManualClock, Quota, StripedTokenBucket};
    ///
    /// let bucket = StripedTokenBucket::with_clock(Quota::per_hour(10_000), ManualClock::new())?;
    /// assert_eq!(bucket.try_acquire_n(4_000), Ok(()));
    /// bucket.refund(1_000);
    /// assert_eq!(bucket.available(), 7_000);
    /// bucket.refund(u64::MAX);
    /// assert_eq!(bucket.available(), 10_000);
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    pub fn refund(&self, n: u64) {
        let batch = self.stripes.batch();
        // What fills a part of a permit there is not to come a second time.
        let (given, waits) = self.centre.put_back_by(n, |units, shift| units.div_ceil(1 << shift));
        if waits {
            self.centre.line.wake_head();
        }
        self.stripes.give_back(batch, n - given);
    }

    /// The whole permits that are there now, in the word and all stripes. Stale as soon as it is told.
    ///
    /// One call gets [`capacity`](Self::capacity) of them at most; and while somebody waits those in the word are kept for the
    /// line.
    ///
    /// ```
    /// use sluicegate::{ManualClock, Quota, StripedTokenBucket};
    ///
    /// let bucket = StripedTokenBucket::with_clock(Quota::per_hour(10_000), ManualClock::new())?;
    /// assert_eq!(bucket.try_acquire_n(4_000), Ok(()));
    /// assert_eq!(bucket.available(), 6_000);
    /// assert!(bucket.try_acquire_n(bucket.available() + 1).is_err());
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    #[must_use]
    pub fn available(&self) -> u64 {
        self.centre.available().saturating_add(self.stripes.stock())
    }

    /// How long until `n` permits are there, if nobody else comes; zero if they are there now, and `Duration::MAX` where that
    /// lies beyond the bucket's horizon. While others wait in line it is an estimate that counts the demand ahead.
    ///
    /// # Errors
    /// [`ExceedsCapacity`](RateLimitExceeded::ExceedsCapacity) if `n` is above [`capacity`](Self::capacity).
    ///
    /// ```
    /// use sluicegate::{ManualClock, Quota, StripedTokenBucket};
    /// use std::time::Duration;
    ///
    /// let bucket = StripedTokenBucket::with_clock(Quota::per_second(1_000), ManualClock::new())?;
    /// assert_eq!(bucket.time_to_available(900), Ok(Duration::ZERO));
    /// assert_eq!(bucket.try_acquire_up_to(u64::MAX), 1_000);
    /// assert_eq!(bucket.time_to_available(3), Ok(Duration::from_millis(3)));
    /// assert!(bucket.time_to_available(1_001).is_err());
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    pub fn time_to_available(&self, n: u64) -> Result<Duration, RateLimitExceeded> {
        let view = self.centre.core.look(&self.centre.clock);
        let capacity = view.params.capacity();
        if n > capacity {
            return Err(exceeds(n, capacity));
        }
        self.centre.time_until(&view, n.saturating_sub(self.stripes.stock()))
    }

    /// The most that one call can get.
    ///
    /// ```
    /// use sluicegate::{Quota, StripedTokenBucket};
    ///
    /// let bucket = StripedTokenBucket::new(Quota::per_second(1_000_000))?;
    /// assert!(bucket.capacity() >= 1_000_000 * 15 / 16);
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    #[must_use]
    pub fn capacity(&self) -> u64 {
        self.centre.core.look(&self.centre.clock).params.capacity()
    }

    /// The quota last set, as it was given.
    ///
    /// # Blocking
    /// Waits for a [`set_quota`](Self::set_quota) under way.
    ///
    /// ```
    /// use sluicegate::{Quota, StripedTokenBucket};
    ///
    /// let bucket = StripedTokenBucket::new(Quota::per_minute(600))?;
    /// assert_eq!(bucket.quota(), Quota::per_minute(600));
    /// assert_ne!(bucket.quota(), Quota::per_second(10).burst(600)); // as fast, but not as it was given
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    pub fn quota(&self) -> Quota {
        self.centre.quota()
    }

    /// Changes the quota while the bucket is in use: see [`TokenBucket::set_quota`].
    ///
    /// What stripes hold is gathered and counts as available. What threads are just moving into a stripe, and the stock of
    /// [locals](Self::local), is dropped.
    ///
    /// # Errors
    /// [`ConfigError`] if no bucket can keep `quota`; then the old one stands.
    ///
    /// # Blocking
    /// Waits for another setter; acquirers are never blocked.
    ///
    /// ```
    /// use sluicegate::{ManualClock, Quota, StripedTokenBucket};
    ///
    /// let bucket = StripedTokenBucket::with_clock(Quota::per_second(10_000), ManualClock::new())?;
    /// bucket.set_quota(Quota::per_second(16))?;
    /// assert_eq!(bucket.try_acquire_up_to(u64::MAX), 16); // cut to the new burst, wherever it was
    /// assert!(bucket.set_quota(Quota::per_second(0)).is_err());
    /// assert_eq!(bucket.quota(), Quota::per_second(16));
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    pub fn set_quota(&self, quota: Quota) -> Result<(), ConfigError> {
        let permits = batch(&quota, self.stripes.len());
        let lent = permits * self.stripes.len() as u64;
        let left = Core::left_of(&quota, lent)?;
        let change = |core: &Core| {
            // Until the quota is the new one nobody fills a stripe.
            let old = self.stripes.batch();
            let next = old.next();
            self.stripes.set_batch(next);
            let stock = self.stripes.empty_for(next);
            let mut reopening = Reopening { bucket: self, next: next.with_permits(old.permits()), stock };
            let (rest, waits) = core.change_lending(&self.centre.clock, &quota, left, lent, stock);
            (reopening.next, reopening.stock) = (next.with_permits(permits), rest);
            waits
        };
        if self.centre.core.while_setting(change) {
            self.centre.line.wake_after_change(left.0.capacity());
        }
        Ok(())
    }

    /// What the bucket counted, local stocks included; `None` unless it was built with
    /// [`stats`](StripedTokenBucketBuilder::stats).
    ///
    /// ```
    /// use sluicegate::{Quota, StripedTokenBucket};
    ///
    /// let bucket = StripedTokenBucket::builder(Quota::per_hour(10_000)).stats().build()?;
    /// assert!(bucket.try_acquire().is_ok() && bucket.local().try_acquire().is_ok());
    /// assert!(bucket.try_acquire_n(10_001).is_err());
    /// let stats = bucket.stats().expect("built with .stats()");
    /// assert_eq!((stats.allowed_requests, stats.rejected_requests), (2, 1));
    /// assert_eq!(StripedTokenBucket::new(Quota::per_hour(10_000))?.stats(), None);
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    #[must_use]
    pub fn stats(&self) -> Option<RateLimiterStats> {
        self.centre.stats()
    }

    /// A worker's own stock of this bucket: see [`LocalTokenBucket`].
    ///
    /// ```
    /// use sluicegate::{ManualClock, Quota, StripedTokenBucket};
    ///
    /// let bucket = StripedTokenBucket::with_clock(Quota::per_hour(10_000), ManualClock::new())?;
    /// let mut local = bucket.local();
    /// assert!((0..10_000).all(|_| local.try_acquire().is_ok()));
    /// assert!(local.try_acquire().is_err() && bucket.try_acquire().is_err());
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    pub fn local(&self) -> LocalTokenBucket<'_, C> {
        LocalTokenBucket::of_striped(self)
    }

    /// A worker's own stock, with a share of the bucket, so that it may be moved into a thread or a task: see
    /// [`OwnedLocalTokenBucket`].
    ///
    /// ```
    /// use sluicegate::{ManualClock, Quota, StripedTokenBucket};
    /// use std::sync::Arc;
    ///
    /// let bucket = Arc::new(StripedTokenBucket::with_clock(Quota::per_hour(10_000), ManualClock::new())?);
    /// let mut local = Arc::clone(&bucket).local_owned();
    /// assert!(local.try_acquire_n(7_000).is_ok());
    /// assert!(local.try_acquire_n(7_000).is_err());
    /// drop(local); // what it had left is everybody's again
    /// assert_eq!(bucket.available(), 3_000);
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    pub fn local_owned(self: Arc<Self>) -> OwnedLocalTokenBucket<C> {
        OwnedLocalTokenBucket::of_striped(self)
    }
}

/// What one stripe may hold of a quota's burst.
fn batch(quota: &Quota, stripes: usize) -> u64 {
    budget(quota.capacity(), stripes as u64).min(LARGEST_BATCH)
}

impl<C: Clock> fmt::Debug for StripedTokenBucket<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StripedTokenBucket")
            .field("quota", &self.quota())
            .field("available", &self.available())
            .field("stripes", &self.stripes.len())
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
