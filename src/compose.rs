//! Several limiters as one: all or nothing.

mod members;
#[cfg(feature = "async")]
mod wait;

use core::fmt;
use core::time::Duration;

use self::members::{Members, Refusal, give_back};
#[cfg(feature = "async")]
pub use self::wait::AcquireAll;
#[cfg(feature = "async")]
use crate::clock::Clock;
use crate::error::RateLimitExceeded;
use crate::limiter::Limiter;

/// Several limiters as one: a call takes its permits of all of them, or of none. See [`AllOf`].
///
/// `members` is a tuple of up to eight [`Limiter`]s of any kind, or a slice, an array or a `Vec` of one kind (`Box<dyn Limiter>`, for
/// instance); or a reference to one of these.
///
/// ```
/// use sluicegate::{Limiter, ManualClock, PerKeyRateLimiter, Quota, RateLimitExceeded, TokenBucket, all_of};
/// use std::time::Duration;
///
/// let clock = ManualClock::new();
/// let everybody = TokenBucket::with_clock(Quota::per_second(100), clock.clone())?;
/// let tokens = TokenBucket::with_clock(Quota::per_minute(6_000), clock.clone())?;
/// let tenants = PerKeyRateLimiter::<String>::builder(Quota::per_second(4)).clock(clock).build()?;
///
/// // One request of this tenant's, and 1,200 tokens with it.
/// let request = all_of((tenants.key("acme"), &everybody, (&tokens, 1_200)));
/// for _ in 0..4 {
///     assert_eq!(request.try_acquire(), Ok(()));
/// }
/// // Now the tenant has to wait for 250 ms, and 1,200 tokens are there: the longest counts.
/// let retry_after = Duration::from_millis(250);
/// assert_eq!(request.try_acquire(), Err(RateLimitExceeded::Denied { retry_after }));
/// // Nobody was charged for that.
/// assert_eq!((tenants.available("acme"), everybody.available(), tokens.available()), (0, 96, 1_200));
/// # Ok::<(), sluicegate::ConfigError>(())
/// ```
pub const fn all_of<M: Members>(members: M) -> AllOf<M> {
    AllOf { members }
}

/// Several limiters as one, made by [`all_of`]; itself a [`Limiter`], so that composites can be members.
///
/// # Guarantee
/// A call takes its permits of every member, or of none. All members are looked at before one is charged: the first one by
/// asking it for the permits, when all others have them. So a call is denied without a trace, but for a race: if a permit that
/// was seen is gone when its turn comes, what was already taken is [given back](Limiter::refund).
///
/// Somebody else who comes to such a member between charge and roll-back can be
/// - denied, for want of the permits that are about to come back;
/// - favoured: a bucket that would have been full meanwhile has kept room, so that nothing of what came then was lost. That is at
///   most `min(n, rate * gap)` permits, where `n` is what was charged and `gap` the time from the look at that member, by whose reading of
///   the clock it is charged, until they came back; and at most `n`, whatever others give back or change meanwhile. Its own bound
///   every limiter keeps all the same.
///
/// Of a window counter nothing comes back after the end of the window in which it was taken, nor while its clock is behind that; nor of
/// a key's that had no place and was charged to the bucket that newcomers share ([`WhenFull::Share`](crate::WhenFull::Share)): these
/// count as taken. But to a counter in a composite within this one, or after the eighth of a slice, it comes back as by any
/// [`refund`](crate::FixedWindowCounter::refund) that is late: to the window of the last grant.
///
/// # Answers
/// - [`ExceedsCapacity`](RateLimitExceeded::ExceedsCapacity), with the smallest capacity, if that is what any member says; else
///   [`KeysExhausted`](RateLimitExceeded::KeysExhausted), if any does; else [`Denied`](RateLimitExceeded::Denied) with the longest
///   `retry_after` of the members: exact if theirs are.
/// - [`available`](Limiter::available) is the least of the members', and of no members `u64::MAX`: who has no member admits everything.
/// - [`policy`](Limiter::policy) is `None`.
/// - A look is not counted in a member's statistics. So a member counts the calls that took its permits, those that were given
///   back included, and denials only if it stands first, or lost a race.
///
/// # Order
/// Members are charged from first to last. Put a per-key limiter **first**: it is looked up once there, not twice, and whether it has
/// room for a new key shows only when it is charged. A limiter that stands in it twice needs twice the permits, but is looked at
/// for each of them alone: say `(&limiter, 2)` instead, which is never rolled back, and which tells when it can never be.
///
/// # Progress
/// As of its members. A caller that is stopped half-way has permits of some members, as one that is stopped after a call has; it
/// blocks nobody.
///
/// # Waiting
/// [`acquire`](Self::acquire) stands in no member's line: it tries again when the longest `retry_after` is over, and promises no order. While others
/// wait in a member's line that member denies, so in front of a line that never ends a composite is never served.
///
/// # Complexity
/// A call asks each member once, and the clock as often; a nested composite is looked at once more, so name its members beside the
/// others where that matters, and so are the members of a slice after the eighth. A denial asks all the others how long they take.
///
/// ```
/// use sluicegate::{AllOf, Limiter, Quota, TokenBucket, all_of};
/// use std::sync::Arc;
///
/// let everybody = Arc::new(TokenBucket::new(Quota::per_hour(3))?);
/// let tenant = Arc::new(TokenBucket::new(Quota::per_hour(2))?);
/// let both: AllOf<(Arc<TokenBucket>, Arc<TokenBucket>)> = all_of((Arc::clone(&tenant), Arc::clone(&everybody)));
///
/// assert!(both.try_acquire_n(2).is_ok());
/// assert!(both.try_acquire().is_err()); // the tenant has none left
/// assert_eq!(everybody.available(), 1); // and nobody else was charged for that
/// both.refund(1); // to both
/// assert_eq!((tenant.available(), everybody.available()), (1, 2));
/// # Ok::<(), sluicegate::ConfigError>(())
/// ```
#[must_use = "it takes nothing until it is asked"]
pub struct AllOf<M> {
    members: M,
}

impl<M: Members> AllOf<M> {
    fn each(&self) -> impl Iterator<Item = &dyn Limiter> {
        (0..self.members.count()).map(|index| self.members.member(index))
    }

    /// What a denial comes to: the worst that any member says.
    #[cold]
    #[inline(never)]
    fn worst(&self, Refusal { index, error }: Refusal, n: u64) -> RateLimitExceeded {
        let others = self.each().enumerate().filter(|&(other, _)| other != index);
        others.fold(error, |worst, (_, member)| worse(worst, time(member, n)))
    }
}

/// How long it takes, as a denial.
fn time(member: &dyn Limiter, n: u64) -> RateLimitExceeded {
    member.time_to_available(n).map_or_else(|error| error, |retry_after| RateLimitExceeded::Denied { retry_after })
}

/// Of two denials the one that holds for both.
fn worse(a: RateLimitExceeded, b: RateLimitExceeded) -> RateLimitExceeded {
    use RateLimitExceeded::{Denied, ExceedsCapacity, KeysExhausted};
    match (a, b) {
        (ExceedsCapacity { capacity: first, .. }, ExceedsCapacity { capacity: second, .. }) => {
            if first <= second {
                a
            } else {
                b
            }
        }
        (ExceedsCapacity { .. }, _) => a,
        (_, ExceedsCapacity { .. }) => b,
        (KeysExhausted { .. }, _) => a,
        (_, KeysExhausted { .. }) => b,
        (Denied { retry_after: first }, Denied { retry_after: second }) => Denied { retry_after: first.max(second) },
    }
}

impl<M: Members> Limiter for AllOf<M> {
    #[inline(always)]
    fn try_acquire_n(&self, n: u64) -> Result<(), RateLimitExceeded> {
        if n == 0 {
            return Ok(());
        }
        self.members.charge(n).map_err(|refusal| self.worst(refusal, n))
    }

    fn refund(&self, n: u64) {
        give_back(&self.members, n);
    }

    fn available(&self) -> u64 {
        self.each().map(|member| member.available()).min().unwrap_or(u64::MAX)
    }

    fn time_to_available(&self, n: u64) -> Result<Duration, RateLimitExceeded> {
        if n == 0 {
            return Ok(Duration::ZERO);
        }
        let now = RateLimitExceeded::Denied { retry_after: Duration::ZERO };
        match self.each().fold(now, |worst, member| worse(worst, time(member, n))) {
            RateLimitExceeded::Denied { retry_after } => Ok(retry_after),
            never => Err(never),
        }
    }

    #[cfg(feature = "async")]
    fn composite_clocks(&self, each: &mut dyn FnMut(&dyn Clock)) {
        self.each().for_each(|member| member.composite_clocks(each));
    }
}

impl<M: Members> fmt::Debug for AllOf<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AllOf")
            .field("members", &self.members.count())
            .field("available", &self.available())
            .finish_non_exhaustive()
    }
}
