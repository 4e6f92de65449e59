//! A worker's own stock of a bucket.

use alloc::sync::Arc;
use core::cell::Cell;
use core::fmt;
use core::marker::PhantomData;
#[cfg(feature = "async")]
use core::time::Duration;

use crate::algorithm::token_bucket::Take;
use crate::clock::{Clock, MonotonicClock};
use crate::error::RateLimitExceeded;
use crate::striped::{StripedTokenBucket, count};
use crate::token_bucket::core::{Busy, Loan};
use crate::token_bucket::{TokenBucket, asked, unusual};
#[cfg(feature = "async")]
use crate::wait::{Place, block_on};

/// Whose stock it is.
trait Lender {
    type Clock: Clock;

    /// Where permits come from and go back to.
    fn centre(&self) -> &TokenBucket<Self::Clock>;

    /// The bucket with stripes, if it has any.
    fn striped(&self) -> Option<&StripedTokenBucket<Self::Clock>>;
}

/// A bucket that others have too: striped, or of one word.
struct Shared<'a, C: Clock> {
    centre: &'a TokenBucket<C>,
    striped: Option<&'a StripedTokenBucket<C>>,
}

impl<C: Clock> Lender for Shared<'_, C> {
    type Clock = C;

    #[inline(always)]
    fn centre(&self) -> &TokenBucket<C> {
        self.centre
    }

    #[inline(always)]
    fn striped(&self) -> Option<&StripedTokenBucket<C>> {
        self.striped
    }
}

impl<C: Clock> Lender for Arc<StripedTokenBucket<C>> {
    type Clock = C;

    #[inline(always)]
    fn centre(&self) -> &TokenBucket<C> {
        &self.centre
    }

    #[inline(always)]
    fn striped(&self) -> Option<&StripedTokenBucket<C>> {
        Some(self)
    }
}

/// Stock, and what it is lent on.
struct Stock<L: Lender> {
    lender: L,
    stock: u64,
    /// What the stock may hold, as long as its generation is the bucket's.
    loan: Loan,
    /// Another thread may have it, but two may not.
    not_sync: PhantomData<Cell<()>>,
}

impl<L: Lender> Stock<L> {
    fn new(lender: L) -> Self {
        let mut stock = Self { lender, stock: 0, loan: Loan::NONE, not_sync: PhantomData };
        stock.renew();
        stock
    }

    /// A loan of the bucket's generation, if there is that much.
    fn renew(&mut self) {
        let centre = self.lender.centre();
        let stripes = self.lender.striped().map_or_else(count, StripedTokenBucket::stripes);
        // Before: if the quota changes meanwhile there is another look.
        let generation = centre.core.generation();
        (self.stock, self.loan) = match centre.core.lend(&centre.clock, stripes as u64) {
            Ok(Some((loan, stock))) => (stock, loan),
            Ok(None) => (0, Loan { generation, budget: 0 }),
            // The next call tries again.
            Err(Busy) => (0, Loan::NONE),
        };
    }

    #[inline(always)]
    fn try_acquire_n(&mut self, n: u64) -> Result<(), RateLimitExceeded> {
        if n == 0 {
            return Ok(());
        }
        if self.take_own(n) {
            self.lender.centre().core.count(true);
            return Ok(());
        }
        unusual();
        let result = self.take_more(n);
        self.lender.centre().core.count(result.is_ok());
        result
    }

    /// Takes `n` permits of the stock, if it has them and its quota is not over.
    #[inline(always)]
    fn take_own(&mut self, n: u64) -> bool {
        let has = self.loan.generation == self.lender.centre().core.generation() && n <= self.stock;
        if has {
            self.stock -= n;
        }
        has
    }

    /// Takes `n` permits, which the stock has not, or has of a quota that is over.
    #[inline(always)]
    fn take_more(&mut self, n: u64) -> Result<(), RateLimitExceeded> {
        let centre = self.lender.centre();
        // Inlined as far as a denial, so that a time to retry after that nobody reads costs nothing.
        let view = centre.core.look_usual(&centre.clock).filter(|_| self.loan.generation == centre.core.generation());
        if let Some(view) = view {
            let need = n - self.stock;
            let take = view.params.take(view.instant, view.ticks, need);
            if matches!(take, Take::Denied(_)) && self.lender.striped().is_none_or(StripedTokenBucket::are_drained) {
                return Err(centre.refused(take, &view, need));
            }
        }
        self.draw(n)
    }

    #[cold]
    #[inline(never)]
    fn draw(&mut self, n: u64) -> Result<(), RateLimitExceeded> {
        if self.loan.generation != self.lender.centre().core.generation() {
            // What it has is of a quota that is over.
            self.renew();
            if n <= self.stock {
                self.stock -= n;
                return Ok(());
            }
        }
        let need = n - self.stock;
        let centre = self.lender.centre();
        if self.loan.budget > 0 {
            let taken = centre.core.draw(&centre.clock, need, self.loan.budget);
            if taken >= need {
                self.stock = taken - need;
                return Ok(());
            }
        }
        let shared = match self.lender.striped() {
            Some(striped) => striped.take_uncounted(need),
            None => centre.take_uncounted(need),
        };
        self.settle(n, shared)
    }

    /// What comes of a call for `n` of which the stock was a part, when the rest was asked for elsewhere.
    fn settle(&mut self, n: u64, rest: Result<(), RateLimitExceeded>) -> Result<(), RateLimitExceeded> {
        rest.map_err(|error| asked(error, n))?;
        self.stock = 0;
        Ok(())
    }

    /// Waits in the line of the bucket for what the stock has not, if that is not there now.
    #[cfg(feature = "async")]
    fn blocking(&mut self, n: u64, timeout: Option<Duration>) -> Result<(), RateLimitExceeded> {
        if n == 0 {
            return Ok(());
        }
        let outcome = if self.take_own(n) { Ok(()) } else { self.take_more(n) };
        if !matches!(outcome, Err(RateLimitExceeded::Denied { .. })) {
            self.lender.centre().core.count(outcome.is_ok());
            return outcome;
        }
        // Should the quota change meanwhile the stock is used all the same: the call began before that.
        let need = n - self.stock;
        let rest = match self.lender.striped() {
            Some(striped) => block_on(Place::new(striped, need, timeout)),
            None => block_on(Place::new(self.lender.centre(), need, timeout)),
        };
        self.settle(n, rest)
    }
}

impl<L: Lender> Drop for Stock<L> {
    fn drop(&mut self) {
        let centre = self.lender.centre();
        let give_back = || centre.core.take_back(&centre.clock, self.loan, self.stock);
        // Perhaps by a panic: one of the clock's is not to be the second.
        #[cfg(feature = "std")]
        let waits = std::panic::catch_unwind(core::panic::AssertUnwindSafe(give_back)).unwrap_or(false);
        #[cfg(not(feature = "std"))]
        let waits = give_back();
        if waits {
            centre.line.wake_quietly_after_change(u64::MAX);
        }
    }
}

/// Both forms have the same verbs. `$make` makes a `local` of a bucket with 10,000 permits.
macro_rules! local {
    ($(#[$attribute:meta])* $Local:ident $(<$lifetime:lifetime>)?, $Lender:ty, $make:literal) => {
        $(#[$attribute])*
        #[must_use = "dropped at once it gives its stock back at once"]
        pub struct $Local<$($lifetime,)? C: Clock = MonotonicClock>(Stock<$Lender>);

        impl<$($lifetime,)? C: Clock> $Local<$($lifetime,)? C> {
            /// Takes one permit, or nothing.
            ///
            /// # Errors
            /// As [`try_acquire_n`](Self::try_acquire_n).
            #[inline(always)]
            pub fn try_acquire(&mut self) -> Result<(), RateLimitExceeded> {
                self.0.try_acquire_n(1)
            }

            /// Takes `n` permits, from the stock and, where that is not enough, the shared bucket; or nothing.
            ///
            /// # Errors
            /// As the shared bucket's. The time to retry after counts what the stock holds.
            ///
            /// ```
            /// use sluicegate::{ManualClock, Quota, RateLimitExceeded, StripedTokenBucket};
            /// # use std::sync::Arc;
            ///
            #[doc = $make]
            /// assert_eq!(local.try_acquire_n(6_000), Ok(()));
            /// assert!(matches!(local.try_acquire_n(4_001), Err(RateLimitExceeded::Denied { .. })));
            /// assert!(matches!(local.try_acquire_n(10_001), Err(RateLimitExceeded::ExceedsCapacity { .. })));
            /// assert_eq!(local.try_acquire_n(4_000), Ok(())); // they are still there
            /// # Ok::<(), sluicegate::ConfigError>(())
            /// ```
            #[inline(always)]
            pub fn try_acquire_n(&mut self, n: u64) -> Result<(), RateLimitExceeded> {
                self.0.try_acquire_n(n)
            }

            /// Waits for one permit on this thread. See [`blocking_acquire_n`](Self::blocking_acquire_n).
            ///
            /// # Errors
            /// [`Denied`](RateLimitExceeded::Denied) if the line is full.
            #[cfg(feature = "async")]
            pub fn blocking_acquire(&mut self) -> Result<(), RateLimitExceeded> {
                self.0.blocking(1, None)
            }

            /// Waits for `n` permits on this thread: in the shared bucket's line, when they are not there now.
            ///
            /// # Errors
            /// As [`TokenBucket::blocking_acquire_n`].
            ///
            /// # Blocking
            /// Parks the thread.
            ///
            /// ```
            /// use sluicegate::{ManualClock, Quota, RateLimitExceeded, StripedTokenBucket};
            /// # use std::sync::Arc;
            ///
            #[doc = $make]
            /// assert_eq!(local.blocking_acquire(), Ok(()));
            /// assert_eq!(local.blocking_acquire_n(5_000), Ok(()));
            /// let never = local.blocking_acquire_n(10_001);
            /// assert!(matches!(never, Err(RateLimitExceeded::ExceedsCapacity { .. })));
            /// # Ok::<(), sluicegate::ConfigError>(())
            /// ```
            #[cfg(feature = "async")]
            pub fn blocking_acquire_n(&mut self, n: u64) -> Result<(), RateLimitExceeded> {
                self.0.blocking(n, None)
            }

            /// Waits for `n` permits on this thread, for `timeout` at most.
            ///
            /// # Errors
            /// As [`TokenBucket::blocking_acquire_timeout`].
            ///
            /// # Blocking
            /// Parks the thread, for `timeout` at most.
            ///
            /// ```
            /// use sluicegate::{ManualClock, Quota, StripedTokenBucket};
            /// use std::time::Duration;
            /// # use std::sync::Arc;
            ///
            #[doc = $make]
            /// assert_eq!(local.blocking_acquire_timeout(9_000, Duration::ZERO), Ok(()));
            /// assert!(local.blocking_acquire_timeout(1_001, Duration::ZERO).is_err());
            /// # Ok::<(), sluicegate::ConfigError>(())
            /// ```
            #[cfg(feature = "async")]
            pub fn blocking_acquire_timeout(&mut self, n: u64, timeout: Duration) -> Result<(), RateLimitExceeded> {
                self.0.blocking(n, Some(timeout))
            }
        }

        impl<$($lifetime,)? C: Clock> fmt::Debug for $Local<$($lifetime,)? C> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($Local))
                    .field("stock", &self.0.stock)
                    .field("budget", &self.0.loan.budget)
                    .finish_non_exhaustive()
            }
        }
    };
}

local! {
    /// One worker's own stock of a bucket, for loops that take permit after permit: made by [`StripedTokenBucket::local`]
    #[cfg_attr(feature = "per-key", doc = "and [`KeyHandle::local`](crate::KeyHandle::local).")]
    ///
    /// A call takes from a number that nobody else has: no atomic write, no clock. When that is used up the next batch is drawn.
    /// Dropped, it gives back what is left.
    ///
    /// # Guarantee
    /// The bucket's bound stays exact: what a stock may hold is taken out of the burst when it is made, and comes back when
    /// it is dropped. Stripes and stocks together hold a quarter of the burst at most; a worker for whom nothing is left then, or of a
    /// bucket with a burst too small to be divided, works on the shared bucket until the quota is changed. The rate is that of the
    /// bucket, but for a rounding below 2 ns' worth when a stock is made or dropped.
    ///
    /// What one stock holds nobody else can get: of a worker that stops calling, drop the stock. After a change of quota a stock is
    /// dropped at the next call. One that is forgotten ([`core::mem::forget`]) is missing until the quota is changed.
    ///
    /// # Blocking
    /// Dropping it waits for a change of quota under way; a call never does.
    ///
    /// ```
    /// use sluicegate::{Quota, RateLimitExceeded, StripedTokenBucket};
    ///
    /// let bucket = StripedTokenBucket::new(Quota::per_hour(100_000))?;
    /// let granted: usize = std::thread::scope(|scope| {
    ///     let work = || {
    ///         let mut local = bucket.local();
    ///         (0..40_000).filter(|_| local.try_acquire().is_ok()).count()
    ///     };
    ///     let workers = [scope.spawn(work), scope.spawn(work)];
    ///     workers.into_iter().map(|worker| worker.join().expect("no panic")).sum()
    /// });
    /// assert_eq!(granted, 80_000);
    /// assert_eq!(bucket.available() / 100, 200); // what they had left has come back
    /// assert!(matches!(bucket.local().try_acquire_n(100_001), Err(RateLimitExceeded::ExceedsCapacity { .. })));
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    LocalTokenBucket<'a>, Shared<'a, C>,
    "let bucket = StripedTokenBucket::with_clock(Quota::per_hour(10_000), ManualClock::new())?;\nlet mut local = bucket.local();"
}

local! {
    /// A [`LocalTokenBucket`] with a share of the bucket, to be moved into a thread or a task: made by
    /// [`StripedTokenBucket::local_owned`].
    ///
    /// ```
    /// use sluicegate::{Quota, StripedTokenBucket};
    /// use std::sync::Arc;
    ///
    /// let bucket = Arc::new(StripedTokenBucket::new(Quota::per_hour(10_000))?);
    /// let mut local = Arc::clone(&bucket).local_owned();
    /// let worker = std::thread::spawn(move || (0..20_000).filter(|_| local.try_acquire().is_ok()).count());
    /// assert_eq!(worker.join().expect("no panic"), 10_000);
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    OwnedLocalTokenBucket, Arc<StripedTokenBucket<C>>,
    "let bucket = Arc::new(StripedTokenBucket::with_clock(Quota::per_hour(10_000), ManualClock::new())?);\nlet mut local = bucket.local_owned();"
}

impl<'a, C: Clock> LocalTokenBucket<'a, C> {
    pub(crate) fn of_striped(bucket: &'a StripedTokenBucket<C>) -> Self {
        Self(Stock::new(Shared { centre: &bucket.centre, striped: Some(bucket) }))
    }

    #[cfg(feature = "per-key")]
    pub(crate) fn of_bucket(bucket: &'a TokenBucket<C>) -> Self {
        Self(Stock::new(Shared { centre: bucket, striped: None }))
    }
}

impl<C: Clock> OwnedLocalTokenBucket<C> {
    pub(crate) fn of_striped(bucket: Arc<StripedTokenBucket<C>>) -> Self {
        Self(Stock::new(bucket))
    }
}
