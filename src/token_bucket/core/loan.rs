//! Permits that are held outside the word: stock for stripes and for single workers.
//!
//! A loan takes permits out of the **burst** before it takes any out of the bucket: so what is there in all places together is
//! never more than one whole burst, and the bound stays what it was. A loan is of a generation; a change of quota ends that, and
//! stock of an older one is dropped.

use super::Core;
use crate::algorithm::token_bucket::Scale;
#[cfg(feature = "per-key")]
use crate::algorithm::token_bucket::{INSTANT, WAIT};
use crate::clock::Clock;
use crate::error::ConfigError;
use crate::quota::Quota;
use crate::sync::Ordering;

/// Of the burst, that one worker's stock may hold, and all together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Loan {
    pub(crate) generation: u64,
    pub(crate) budget: u64,
}

impl Loan {
    /// Of nothing, and of no generation that there is.
    pub(crate) const NONE: Self = Self { generation: u64::MAX, budget: 0 };
}

/// A quota is being changed, or somebody waits.
pub(crate) struct Busy;

/// All loans together are at most this share of the burst.
const LENT: u64 = 4;

/// All stripes together hold at most this share of the burst.
const STRIPED: u64 = 16;

/// A stock of fewer permits saves nothing.
const LEAST: u64 = 4;

/// What one of `stripes` stripes, or one worker, may hold of a burst; 0 if that is too little to be of use.
pub(crate) const fn budget(burst: u64, stripes: u64) -> u64 {
    let budget = burst / STRIPED / stripes;
    if budget < LEAST { 0 } else { budget }
}

impl Core {
    /// Of what is lent now.
    #[inline(always)]
    pub(crate) fn generation(&self) -> u64 {
        // Ordering: Relaxed; a change of quota that happened before is seen by coherence, and stock publishes nothing.
        self.history.generation.load(Ordering::Relaxed)
    }

    /// Lends out of the burst what one of `stripes` may hold, and what of it is there. `None`: so much may not be lent.
    ///
    /// # Errors
    /// [`Busy`] while a quota is being changed; if somebody waits, since what is there is theirs; and in debt, which a smaller burst
    /// would cut.
    pub(crate) fn lend(&self, clock: &impl Clock, stripes: u64) -> Result<Option<(Loan, u64)>, Busy> {
        // Not waited for: a setter that is stopped blocks nobody who acquires.
        let _guard = self.setter.try_lock().ok_or(Busy)?;
        let quota = self.history.quota();
        let budget = budget(quota.capacity(), stripes);
        let lent = self.history.lent() + budget;
        if budget == 0 || lent > quota.capacity() / LENT {
            return Ok(None);
        }
        let Ok((left, finest)) = Self::left_of(&quota, lent) else {
            return Ok(None);
        };
        let stock = |there: i64, waits: bool| (there >= 0 && !waits).then(|| -there.min(budget as i64));
        let (taken, _) = self.change(clock, &left, &finest, false, stock).ok_or(Busy)?;
        self.history.set(&quota, lent);
        Ok(Some((Loan { generation: self.generation(), budget }, taken.unsigned_abs())))
    }

    /// Ends a loan of which `stock` is left, and tells whether anybody waits.
    pub(crate) fn take_back(&self, clock: &impl Clock, loan: Loan, stock: u64) -> bool {
        let _guard = self.setter.lock();
        if loan.budget == 0 || loan.generation != self.generation() {
            return false;
        }
        let quota = self.history.quota();
        let lent = self.history.lent() - loan.budget;
        let Ok((left, finest)) = Self::left_of(&quota, lent) else {
            return false;
        };
        let changed = self.change(clock, &left, &finest, false, |_, _| Some(stock as i64));
        self.history.set(&quota, lent);
        changed.is_some_and(|(_, waits)| waits)
    }

    /// Runs `change` while no other quota is set.
    pub(crate) fn while_setting<T>(&self, change: impl FnOnce(&Self) -> T) -> T {
        let _guard = self.setter.lock();
        change(self)
    }

    /// Changes the quota, of which `lent` is lent for good and `left` is left, when `stock` comes back from what was lent; tells
    /// how much there is for the new loan, because it has no room here, and whether anybody waits. In
    /// [`while_setting`](Self::while_setting).
    pub(crate) fn change_lending(
        &self,
        clock: &impl Clock,
        quota: &Quota,
        (left, finest): (Quota, Scale),
        lent: u64,
        stock: u64,
    ) -> (u64, bool) {
        // More than what is left has room in what is lent.
        let more = |there: i64, _| Some((left.capacity() as i64 - there).clamp(-(lent as i64), stock as i64));
        let (more, waits) = self.change(clock, &left, &finest, true, more).unwrap_or_default();
        self.history.set(quota, lent);
        (stock.saturating_add_signed(-more), waits)
    }

    /// What is left of a quota when `lent` permits of its burst are lent.
    pub(crate) fn left_of(quota: &Quota, lent: u64) -> Result<(Quota, Scale), ConfigError> {
        Scale::finest(quota)?;
        let left = quota.burst(quota.capacity() - lent);
        Ok((left, Scale::finest(&left)?))
    }

    /// Takes `need` permits, and as many of `more` as there are with them; or nothing. Tells how many.
    pub(crate) fn draw(&self, clock: &impl Clock, need: u64, more: u64) -> u64 {
        self.update(clock, |params, instant, ticks| {
            if params.available(instant, ticks) < need {
                return (0, None);
            }
            params.take_up_to(instant, ticks, need.saturating_add(more))
        })
    }

    /// Starts afresh: full, with nothing lent. Tells whether anybody waits.
    #[cfg(feature = "per-key")]
    pub(crate) fn reset(&self, clock: &impl Clock) -> bool {
        let _guard = self.setter.lock();
        if self.history.lent() == 0 {
            return self.update(clock, |params, word, ticks| {
                let next = params.give_back(word & INSTANT, ticks, u64::MAX);
                (next.is_some() && word & WAIT != 0, next.map(|next| next | word & WAIT))
            });
        }
        let quota = self.history.quota();
        let finest = Scale::finest(&quota).unwrap_or(Scale::nothing());
        let changed = self.change(clock, &quota, &finest, true, |there, _| Some(quota.capacity() as i64 - there));
        self.history.set(&quota, 0);
        changed.is_some_and(|(_, waits)| waits)
    }
}
