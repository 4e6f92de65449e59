//! The trait for what points to a limiter, a handle among it, may be none, or counts in other units.

use alloc::boxed::Box;
use alloc::sync::Arc;
#[cfg(feature = "per-key")]
use core::hash::Hash;
use core::time::Duration;

use super::{Limiter, Peek};
#[cfg(any(feature = "async", feature = "per-key"))]
use crate::clock::Clock;
use crate::error::RateLimitExceeded;
#[cfg(feature = "per-key")]
use crate::per_key::KeyHandle;
use crate::quota::Quota;
use crate::token_bucket::exceeds;

macro_rules! pointers {
    ($($(#[$attribute:meta])* [$($generics:tt)*] $Pointer:ty;)*) => {$(
        $(#[$attribute])*
        impl<$($generics)*> Limiter for $Pointer {
            #[inline(always)]
            fn try_acquire_n(&self, n: u64) -> Result<(), RateLimitExceeded> {
                (**self).try_acquire_n(n)
            }

            #[inline]
            fn refund(&self, n: u64) {
                (**self).refund(n);
            }

            #[inline]
            fn available(&self) -> u64 {
                (**self).available()
            }

            #[inline]
            fn time_to_available(&self, n: u64) -> Result<Duration, RateLimitExceeded> {
                (**self).time_to_available(n)
            }

            #[inline(always)]
            fn try_acquire(&self) -> Result<(), RateLimitExceeded> {
                (**self).try_acquire()
            }

            fn policy(&self) -> Option<Quota> {
                (**self).policy()
            }

            #[inline(always)]
            fn composite_peek(&self, n: u64) -> Result<Peek, RateLimitExceeded> {
                (**self).composite_peek(n)
            }

            #[inline(always)]
            fn composite_take(&self, n: u64, peek: Peek) -> Result<(), RateLimitExceeded> {
                (**self).composite_take(n, peek)
            }

            #[inline(always)]
            fn composite_charge(&self, n: u64) -> Result<Peek, RateLimitExceeded> {
                (**self).composite_charge(n)
            }

            #[inline]
            fn composite_give_back(&self, n: u64, peek: Peek) {
                (**self).composite_give_back(n, peek);
            }

            #[cfg(feature = "async")]
            fn composite_clocks(&self, each: &mut dyn FnMut(&dyn Clock)) {
                (**self).composite_clocks(each);
            }
        }
    )*};
}
pointers! {
    [L: Limiter + ?Sized] &L;
    [L: Limiter + ?Sized] Arc<L>;
    [L: Limiter + ?Sized] Box<L>;
    #[cfg(feature = "per-key")]
    [K: Eq + Hash + Send + Sync, C: Clock] KeyHandle<K, C>;
}

/// `None` admits everything.
impl<L: Limiter> Limiter for Option<L> {
    #[inline(always)]
    fn try_acquire_n(&self, n: u64) -> Result<(), RateLimitExceeded> {
        self.as_ref().map_or(Ok(()), |limiter| limiter.try_acquire_n(n))
    }

    #[inline]
    fn refund(&self, n: u64) {
        if let Some(limiter) = self {
            limiter.refund(n);
        }
    }

    #[inline]
    fn available(&self) -> u64 {
        self.as_ref().map_or(u64::MAX, |limiter| limiter.available())
    }

    #[inline]
    fn time_to_available(&self, n: u64) -> Result<Duration, RateLimitExceeded> {
        self.as_ref().map_or(Ok(Duration::ZERO), |limiter| limiter.time_to_available(n))
    }

    fn policy(&self) -> Option<Quota> {
        self.as_ref().and_then(|limiter| limiter.policy())
    }

    #[inline(always)]
    fn composite_peek(&self, n: u64) -> Result<Peek, RateLimitExceeded> {
        self.as_ref().map_or(Ok(Peek::NONE), |limiter| limiter.composite_peek(n))
    }

    #[inline(always)]
    fn composite_take(&self, n: u64, peek: Peek) -> Result<(), RateLimitExceeded> {
        self.as_ref().map_or(Ok(()), |limiter| limiter.composite_take(n, peek))
    }

    #[inline(always)]
    fn composite_charge(&self, n: u64) -> Result<Peek, RateLimitExceeded> {
        self.as_ref().map_or(Ok(Peek::NONE), |limiter| limiter.composite_charge(n))
    }

    #[inline]
    fn composite_give_back(&self, n: u64, peek: Peek) {
        if let Some(limiter) = self {
            limiter.composite_give_back(n, peek);
        }
    }

    #[cfg(feature = "async")]
    fn composite_clocks(&self, each: &mut dyn FnMut(&dyn Clock)) {
        if let Some(limiter) = self {
            limiter.composite_clocks(each);
        }
    }
}

/// So many permits of the limiter for each that is asked for. What it says is in units of the call:
/// [`available`](Limiter::available) and [`ExceedsCapacity`](RateLimitExceeded::ExceedsCapacity) are divided by them, rounded down.
/// Of none, it admits everything.
impl<L: Limiter> Limiter for (L, u64) {
    #[inline(always)]
    fn try_acquire_n(&self, n: u64) -> Result<(), RateLimitExceeded> {
        let take = |permits| self.0.try_acquire_n(permits);
        self.scaled(n, (), take)
    }

    #[inline]
    fn refund(&self, n: u64) {
        match n.saturating_mul(self.1) {
            0 => {}
            permits => self.0.refund(permits),
        }
    }

    #[inline]
    fn available(&self) -> u64 {
        self.0.available().checked_div(self.1).unwrap_or(u64::MAX)
    }

    #[inline]
    fn time_to_available(&self, n: u64) -> Result<Duration, RateLimitExceeded> {
        self.scaled(n, Duration::ZERO, |permits| self.0.time_to_available(permits))
    }

    /// The limiter's, in whole ones of these units: as many in so many times its period.
    fn policy(&self) -> Option<Quota> {
        let quota = self.0.policy()?;
        let burst = quota.capacity().checked_div(self.1)?;
        let period = quota.period().checked_mul(u32::try_from(self.1).ok()?)?;
        Some(Quota::per(quota.permits(), period).burst(burst))
    }

    #[inline(always)]
    fn composite_peek(&self, n: u64) -> Result<Peek, RateLimitExceeded> {
        self.scaled(n, Peek::NONE, |permits| self.0.composite_peek(permits))
    }

    #[inline(always)]
    fn composite_take(&self, n: u64, peek: Peek) -> Result<(), RateLimitExceeded> {
        self.scaled(n, (), |permits| self.0.composite_take(permits, peek))
    }

    #[inline(always)]
    fn composite_charge(&self, n: u64) -> Result<Peek, RateLimitExceeded> {
        self.scaled(n, Peek::NONE, |permits| self.0.composite_charge(permits))
    }

    #[inline]
    fn composite_give_back(&self, n: u64, peek: Peek) {
        match n.saturating_mul(self.1) {
            0 => {}
            permits => self.0.composite_give_back(permits, peek),
        }
    }

    #[cfg(feature = "async")]
    fn composite_clocks(&self, each: &mut dyn FnMut(&dyn Clock)) {
        if self.1 > 0 {
            self.0.composite_clocks(each);
        }
    }
}

/// Of `(L, u64)`, which is nobody's own.
trait Scaled {
    /// `ask` for the permits of `n`; `nothing` where these are none.
    fn scaled<T>(
        &self,
        n: u64,
        nothing: T,
        ask: impl FnOnce(u64) -> Result<T, RateLimitExceeded>,
    ) -> Result<T, RateLimitExceeded>;

    /// More than there are numbers: what to say of that.
    fn beyond(&self, n: u64) -> RateLimitExceeded;
}

impl<L: Limiter> Scaled for (L, u64) {
    #[inline(always)]
    fn scaled<T>(
        &self,
        n: u64,
        nothing: T,
        ask: impl FnOnce(u64) -> Result<T, RateLimitExceeded>,
    ) -> Result<T, RateLimitExceeded> {
        let Some(permits) = n.checked_mul(self.1) else {
            return Err(self.beyond(n));
        };
        if permits == 0 {
            return Ok(nothing);
        }
        ask(permits).map_err(|error| match error {
            RateLimitExceeded::ExceedsCapacity { capacity, .. } => exceeds(n, capacity / self.1),
            other => other,
        })
    }

    #[cold]
    fn beyond(&self, n: u64) -> RateLimitExceeded {
        let capacity = match self.0.time_to_available(u64::MAX) {
            Err(RateLimitExceeded::ExceedsCapacity { capacity, .. }) => capacity,
            _ => u64::MAX,
        };
        exceeds(n, capacity / self.1)
    }
}
