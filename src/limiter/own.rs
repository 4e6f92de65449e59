//! The trait for the limiters of this crate.

#[cfg(feature = "per-key")]
use alloc::borrow::ToOwned;
#[cfg(feature = "per-key")]
use core::borrow::Borrow;
#[cfg(feature = "per-key")]
use core::hash::Hash;
use core::time::Duration;

use super::{Limiter, Peek};
use crate::adaptive::AdaptiveRateLimiter;
use crate::clock::Clock;
use crate::error::RateLimitExceeded;
use crate::nanos::Nanos;
#[cfg(feature = "per-key")]
use crate::per_key::KeyRef;
use crate::quota::Quota;
use crate::striped::StripedTokenBucket;
use crate::token_bucket::TokenBucket;
#[cfg(feature = "async")]
use crate::wait::Source;
use crate::window::{FixedWindowCounter, SlidingWindowCounter};

/// A clock that shows an earlier reading, in ticks of the clock that it is of.
pub(crate) struct Earlier(u64);

impl Clock for Earlier {
    #[inline(always)]
    fn now(&self) -> Nanos {
        Nanos::from_nanos(self.0)
    }
}

/// The four required methods, as the type has them.
macro_rules! same {
    () => {
        #[inline(always)]
        fn try_acquire_n(&self, n: u64) -> Result<(), RateLimitExceeded> {
            self.try_acquire_n(n)
        }

        #[inline]
        fn refund(&self, n: u64) {
            self.refund(n);
        }

        #[inline]
        fn available(&self) -> u64 {
            self.available()
        }

        #[inline]
        fn time_to_available(&self, n: u64) -> Result<Duration, RateLimitExceeded> {
            self.time_to_available(n)
        }
    };
}

/// Both halves of a call, with the reading of the first one kept; and the clock.
macro_rules! in_two_halves {
    () => {
        #[inline(always)]
        fn composite_peek(&self, n: u64) -> Result<Peek, RateLimitExceeded> {
            self.peek(n).map(|reading| Peek { reading })
        }

        #[inline(always)]
        fn composite_take(&self, n: u64, peek: Peek) -> Result<(), RateLimitExceeded> {
            if self.take_at(n, &Earlier(peek.reading)) { Ok(()) } else { self.try_acquire_n(n) }
        }

        clock!();
    };
}

macro_rules! clock {
    () => {
        #[cfg(feature = "async")]
        fn composite_clocks(&self, each: &mut dyn FnMut(&dyn Clock)) {
            each(Source::clock(self));
        }
    };
}

impl<C: Clock> Limiter for TokenBucket<C> {
    same!();
    in_two_halves!();

    fn policy(&self) -> Option<Quota> {
        Some(self.quota())
    }
}

impl<C: Clock> Limiter for AdaptiveRateLimiter<C> {
    same!();
    in_two_halves!();

    fn policy(&self) -> Option<Quota> {
        Some(self.quota())
    }
}

macro_rules! windows {
    ($($Counter:ident),*) => {$(
        impl<C: Clock> Limiter for $Counter<C> {
            same!();
            in_two_halves!();

            #[inline(always)]
            fn composite_charge(&self, n: u64) -> Result<Peek, RateLimitExceeded> {
                let peek = Peek { reading: self.reading() };
                self.composite_take(n, peek).map(|()| peek)
            }

            /// What was taken at a later reading than that, which is rare, might be of a later window: then nothing comes back.
            #[inline]
            fn composite_give_back(&self, n: u64, peek: Peek) {
                match peek {
                    Peek::NONE => self.refund(n),
                    Peek { reading } => self.refund_of(n, reading),
                }
            }

            fn policy(&self) -> Option<Quota> {
                Some(Quota::per(self.limit(), self.window()))
            }
        }
    )*};
}
windows!(FixedWindowCounter, SlidingWindowCounter);

impl<C: Clock> Limiter for StripedTokenBucket<C> {
    same!();
    clock!();

    /// What the thread's own stripe holds is seen without the clock.
    #[inline(always)]
    fn composite_peek(&self, n: u64) -> Result<Peek, RateLimitExceeded> {
        if self.has_in_stock(n) {
            return Ok(Peek::NONE);
        }
        match self.time_to_available(n)? {
            Duration::ZERO => Ok(Peek::NONE),
            retry_after => Err(RateLimitExceeded::Denied { retry_after }),
        }
    }

    fn policy(&self) -> Option<Quota> {
        Some(self.quota())
    }
}

#[cfg(feature = "per-key")]
impl<K, Q, C> Limiter for KeyRef<'_, K, Q, C>
where
    K: Eq + Hash + Borrow<Q> + Send + Sync,
    Q: ?Sized + Hash + Eq + ToOwned<Owned = K> + Sync,
    C: Clock,
{
    same!();

    #[cfg(feature = "async")]
    fn composite_clocks(&self, each: &mut dyn FnMut(&dyn Clock)) {
        each(self.clock());
    }

    fn policy(&self) -> Option<Quota> {
        self.limiter.has_one_quota().then(|| self.limiter.quota())
    }
}
