//! A token bucket in exact arithmetic: what the promises say, with no rounding, no word and no threads.
//!
//! Levels are whole numbers of *parts*; how many of them make a permit is chosen so that a nanosecond accrues a whole
//! number of parts. Like the real one it keeps the point at which it is empty, on the scale of what has accrued, and
//! no high-water mark of the clock: each reading has a level of its own.

use num_bigint::BigInt;
use sluicegate::Quota;

#[derive(Clone, Debug)]
pub struct Oracle {
    /// Parts a permit.
    permit: BigInt,
    /// Parts a nanosecond.
    rate: BigInt,
    /// In permits.
    capacity: u64,
    /// The same in parts.
    burst: BigInt,
    /// Time counts from here; no reading is before it.
    base: u64,
    /// What will have accrued when the bucket is empty, in parts.
    empty: BigInt,
}

/// What a call for permits gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Granted,
    /// Not now, but after so many nanoseconds.
    Denied(u128),
    Impossible,
}

impl Oracle {
    /// A full bucket whose first call comes at `now`.
    pub fn new(quota: &Quota, now: u64) -> Self {
        let permit = BigInt::from(quota.period().as_nanos());
        let burst = &permit * quota.capacity();
        Self { permit, rate: quota.permits().into(), capacity: quota.capacity(), burst, base: now, empty: 0.into() }
    }

    /// One that holds `permits` at `now`.
    pub fn holding(quota: &Quota, permits: u64, now: u64) -> Self {
        let full = Self::new(quota, now);
        Self { empty: &full.burst - &full.permit * permits, ..full }
    }

    fn accrued(&self, now: u64) -> BigInt {
        &self.rate * now.saturating_sub(self.base)
    }

    /// In parts; negative in debt.
    pub fn level(&self, now: u64) -> BigInt {
        let accrued = self.accrued(now);
        &accrued + &self.burst - accrued.max(self.empty.clone())
    }

    /// `permits` in parts.
    pub fn parts(&self, permits: u64) -> BigInt {
        &self.permit * permits
    }

    pub fn capacity(&self) -> u64 {
        self.capacity
    }

    /// Whether `n` permits are there.
    pub fn has(&self, n: u64, now: u64) -> bool {
        self.has_within(0, n, now)
    }

    /// The same with what accrues in `nanos` more or less, which is how far a bucket may have rounded. Not the same as
    /// to look so much later or earlier, where time does not count: before the first call.
    pub fn has_within(&self, nanos: i64, n: u64, now: u64) -> bool {
        n == 0 || n <= self.capacity && self.level(now) + &self.rate * nanos >= self.parts(n)
    }

    pub fn available_within(&self, nanos: i64, now: u64) -> u64 {
        self.whole((self.level(now) + &self.rate * nanos).min(self.burst.clone()))
    }

    pub fn chargeable_within(&self, nanos: i64, now: u64) -> u64 {
        self.whole((self.level(now) + &self.rate * nanos).min(self.burst.clone()) + &self.burst)
    }

    /// Takes `n` permits, there or not: for a model that follows what the real bucket decided.
    pub fn take(&mut self, n: u64, now: u64) {
        if n > 0 {
            self.empty = self.accrued(now).max(std::mem::take(&mut self.empty)) + self.parts(n);
        }
    }

    pub fn ask(&self, n: u64, now: u64) -> Answer {
        match self.time_to_available(n, now) {
            None => Answer::Impossible,
            Some(0) => Answer::Granted,
            Some(wait) => Answer::Denied(wait),
        }
    }

    pub fn try_acquire_n(&mut self, n: u64, now: u64) -> Answer {
        let answer = self.ask(n, now);
        if answer == Answer::Granted {
            self.take(n, now);
        }
        answer
    }

    pub fn try_acquire_up_to(&mut self, n: u64, now: u64) -> u64 {
        let taken = n.min(self.available(now));
        self.take(taken, now);
        taken
    }

    pub fn refund(&mut self, n: u64, now: u64) {
        let accrued = self.accrued(now);
        if self.empty > accrued {
            self.empty = (&self.empty - self.parts(n)).max(accrued);
        }
    }

    /// What a charge of any size would get: up to one burst of debt.
    pub fn chargeable(&self, now: u64) -> u64 {
        self.chargeable_within(0, now)
    }

    pub fn charge(&mut self, n: u64, now: u64) -> u64 {
        let charged = n.min(self.chargeable(now));
        self.take(charged, now);
        charged
    }

    pub fn available(&self, now: u64) -> u64 {
        self.available_within(0, now)
    }

    fn whole(&self, parts: BigInt) -> u64 {
        let whole = parts.max(0.into()) / &self.permit;
        whole.try_into().expect("at most two bursts")
    }

    /// The least number of nanoseconds after which `n` permits are there.
    pub fn time_to_available(&self, n: u64, now: u64) -> Option<u128> {
        if n > self.capacity {
            return None;
        }
        if self.has(n, now) {
            return Some(0);
        }
        Some(self.due(n) - u128::from(now))
    }

    /// The reading from which on `n` permits are there, if nobody comes.
    pub fn due(&self, n: u64) -> u128 {
        let target = &self.empty + self.parts(n) - &self.burst;
        self.when(&target).try_into().expect("no reading is below 0")
    }

    /// The first nanosecond at which so much has accrued.
    fn when(&self, parts: &BigInt) -> BigInt {
        self.base + ceil(parts.max(&0.into()), &self.rate)
    }

    /// The level stays, in permits and fractions of them, cut to one new burst either way.
    pub fn set_quota(&mut self, quota: &Quota, now: u64) {
        self.set_quota_at(quota, self.time_of_change(now));
    }

    /// From when a change counts that is made under the reading `now`. A clock that has gone back would find more owed
    /// than can be owed; then it is from where one burst is, else the time until there would count a second time.
    pub fn time_of_change(&self, now: u64) -> u64 {
        let owed_from: u64 = self.when(&(&self.empty - 2 * &self.burst)).try_into().expect("was reached");
        now.max(self.base).max(owed_from)
    }

    pub fn set_quota_at(&mut self, quota: &Quota, at: u64) {
        let level = self.level(at);

        // The new parts must divide both the old level and the new rate.
        let common = gcd(level.clone(), self.permit.clone());
        let (level, permit) = (level / &common, &self.permit / &common);
        let mut new = Self::new(quota, at);
        let finer = &permit / gcd(permit.clone(), new.permit.clone());
        let level = level * (&new.permit * &finer / &permit);
        new.permit *= &finer;
        new.rate *= &finer;
        new.burst *= &finer;
        new.empty = &new.burst - level.clamp(-&new.burst, new.burst.clone());
        *self = new;
    }

    /// Adds what accrues in `nanos`: an upper bound for a bucket that may have rounded by so much.
    pub fn gain(&mut self, nanos: u64) {
        self.empty -= &self.rate * nanos;
    }

    /// Takes away what accrues in `nanos`: a lower bound likewise.
    pub fn lose(&mut self, nanos: u64, now: u64) {
        self.empty = self.accrued(now).max(std::mem::take(&mut self.empty)) + &self.rate * nanos;
    }
}

/// Of a positive divisor.
fn ceil(number: &BigInt, by: &BigInt) -> BigInt {
    (number + by - 1) / by
}

fn gcd(mut one: BigInt, mut other: BigInt) -> BigInt {
    while other != BigInt::ZERO {
        (one, other) = (other.clone(), one % other);
    }
    if one < BigInt::ZERO { -one } else { one }
}
