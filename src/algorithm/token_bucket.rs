//! The token bucket as arithmetic on one number.
//!
//! # State
//! An **instant**: the point, on the bucket's own scale, at which it was or will be empty. The scale counts what has
//! accrued, so the level follows from the instant and the time, and nothing but the instant is ever written:
//!
//! ```text
//! floor(t) = offset + units(t - base)              a bucket that was empty no later than this is full at t
//! full(t)  = floor(t) + burst                      all that has accrued until t, one burst included
//! level(t) = full(t) - max(instant, floor(t))      negative: debt, at most one burst
//! ```
//!
//! | bits of the word | name    | meaning                                                      |
//! |------------------|---------|--------------------------------------------------------------|
//! | 63               | WAIT    | somebody waits: a word with it lies after every instant      |
//! | 62               | SLOT    | which of the two parameter slots is live                     |
//! | 61 ..= 0         | instant | in units                                                     |
//!
//! # Units
//!
//! | quantity | unit                                                                                       |
//! |----------|--------------------------------------------------------------------------------------------|
//! | tick     | the clock's own count, of [`TickLength`] each                                              |
//! | unit     | a permit is `2^shift` of them; they accrue at the rate of the quota: 0.5 to 4 a nanosecond |
//! | mult     | units a tick, times 2^61, rounded up                                                       |
//! | recip    | ticks a unit, times 2^60, rounded down                                                     |
//!
//! # Rounding
//! A reading is converted from the slot's origin with one multiplication, so there is one rounding and it never
//! accumulates: `units` is the true value rounded down, but for the multiplier, whose rounding up adds less than
//! one unit in 2^61 ticks of a nanosecond, and two of shorter ones. It is rounded up so that a round rate grants its
//! first permit on the very nanosecond.

use crate::error::ConfigError;
use crate::nanos::TickLength;
use crate::quota::Quota;

/// Somebody waits, so nobody else is served: with it a word lies after every instant, and the arithmetic denies.
pub(crate) const WAIT: u64 = 1 << 63;
/// The live parameter slot.
pub(crate) const SLOT: u64 = 1 << 62;
/// The instant, and the largest there is.
pub(crate) const INSTANT: u64 = SLOT - 1;

/// The largest burst in permits.
const MAX_BURST: u64 = 1 << 40;
/// 36 years of 365.25 days in nanoseconds: what a new bucket has before it.
const LIFETIME: u64 = 36 * 31_557_600 * 1_000_000_000;
/// What a bucket must still have before it after a change of quota.
const SECOND_LIFE: u64 = LIFETIME / 2;
/// The longest year, in nanoseconds.
const YEAR: u128 = 366 * 86_400 * 1_000_000_000;
/// Ticks are shifted left by 3 before the multiplication, so that the result is its upper half: `TICKS` is the most.
const TICKS: u64 = (1 << 61) - 1;

/// A quota in units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scale {
    /// A permit is `1 << shift` units.
    shift: u32,
    /// Units a nanosecond, times 2^61, rounded up.
    per_nano: u64,
    /// In units.
    burst: u64,
}

impl Scale {
    /// The finest scale on which `quota` has a lifetime before it; every check of a quota is here.
    pub(crate) const fn finest(quota: &Quota) -> Result<Self, ConfigError> {
        let (permits, period) = (quota.permits(), quota.period().as_nanos());
        if permits == 0 && period == 0 {
            return Err(ConfigError::new("rate", "rate must be a positive, finite number of permits a second"));
        }
        if permits == 0 {
            return Err(ConfigError::new("permits", "permits must be at least 1"));
        }
        if period == 0 {
            return Err(ConfigError::new("period", "period must be above zero"));
        }
        if permits as u128 > 4 * period || (permits as u128) < period.div_ceil(YEAR) {
            return Err(ConfigError::new("rate", "rate must be from 1 permit a year to 4e9 permits a second"));
        }
        if quota.capacity() == 0 {
            return Err(ConfigError::new("burst", "burst must be at least 1 permit"));
        }
        // The most units a permit at no more than four of them a nanosecond: at most 2^57.
        let mut shift = (4 * period / permits as u128).ilog2();
        let mut largest;
        loop {
            let per_nano = units_per_nano(permits, shift, period);
            let fits = ((INSTANT - units_in(LIFETIME, per_nano)) / 2) >> shift;
            if quota.capacity() <= fits && quota.capacity() <= MAX_BURST {
                return Ok(Self { shift, per_nano, burst: quota.capacity() << shift });
            }
            // More than before: the coarser the unit, the fewer of them in a lifetime.
            largest = fits;
            // A unit must not be coarser than two nanoseconds.
            if shift == 0 || ((permits as u128) << shift) < period {
                break;
            }
            shift -= 1;
        }
        Err(if quota.capacity() > MAX_BURST && largest >= MAX_BURST {
            ConfigError::new("burst", "burst must be at most 2^40 permits").with_largest(MAX_BURST)
        } else {
            ConfigError::new("burst", "burst takes too long to fill at this rate").with_largest(largest)
        })
    }

    /// The scale with `shift` for `quota`, which [`finest`](Self::finest) accepts, if it has a lifetime before it there
    /// too, and its units are from a quarter of a nanosecond to a whole one.
    pub(crate) const fn with_shift(quota: &Quota, shift: u32) -> Option<Self> {
        let (permits, period) = (quota.permits(), quota.period().as_nanos());
        let units = (permits as u128) << shift;
        // A period of 0 would do.
        if units > 4 * period || units < period || units == 0 {
            return None;
        }
        let per_nano = units_per_nano(permits, shift, period);
        if quota.capacity() > ((INSTANT - units_in(LIFETIME, per_nano)) / 2) >> shift {
            return None;
        }
        Some(Self { shift, per_nano, burst: quota.capacity() << shift })
    }

    /// The scale of a bucket that holds nothing, ever.
    #[cfg(feature = "per-key")]
    pub(crate) const fn nothing() -> Self {
        Self { shift: 0, per_nano: 1 << 61, burst: 0 }
    }

    /// The burst in permits.
    pub(crate) const fn capacity(&self) -> u64 {
        self.burst >> self.shift
    }
}

/// `permits << shift` units in `period` nanoseconds: units a nanosecond, times 2^61, rounded up. At most four.
const fn units_per_nano(permits: u64, shift: u32, period: u128) -> u64 {
    let units = (permits as u128) << shift;
    let mut quotient = (units / period) as u64;
    let mut rest = units % period;
    // Long division, since neither side need fit in 128 bits once scaled. A period is below 2^94.
    let mut bit = 0;
    while bit < 61 {
        rest <<= 1;
        quotient = (quotient << 1) | (rest >= period) as u64;
        rest %= period;
        bit += 1;
    }
    quotient + (rest > 0) as u64
}

/// The whole product.
#[inline(always)]
const fn wide(a: u64, b: u64) -> u128 {
    a as u128 * b as u128
}

/// The units that accrue in `nanos`, rounded up to be on the safe side.
const fn units_in(nanos: u64, per_nano: u64) -> u64 {
    (wide(nanos, per_nano) >> 61) as u64 + 1
}

/// The units that accrue in so many ticks, at most [`TICKS`].
#[inline(always)]
fn units_of(ticks: u64, mult: u64) -> u64 {
    (wide(ticks << 3, mult) >> 64) as u64
}

/// The floor for a reading before the base or beyond the horizon: time does not run before, nor for ever.
// Out of line, and by value so that the parameters stay in registers.
#[cold]
#[inline(never)]
fn outside(before: bool, horizon: u64, offset: u64, mult: u64) -> u64 {
    if before { offset } else { offset + units_of(horizon, mult) }
}

/// What a decision needs: a scale, put at a place in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Params {
    /// The tick from which time counts: of the first call, or of the last change of quota.
    pub(crate) base: u64,
    /// Ticks after `base` at which time stands still, so that everything stays below the largest instant, debt
    /// included. Their sum does not wrap.
    pub(crate) horizon: u64,
    /// The floor at `base`.
    pub(crate) offset: u64,
    /// Units a tick, times 2^61, rounded up.
    pub(crate) mult: u64,
    /// `{ capacity: 58 bits, shift: 6 bits }`: the burst in permits, a permit being `1 << shift` units.
    pub(crate) size: u64,
    /// Ticks a unit, times 2^60, rounded down; 0 where that does not fit.
    pub(crate) recip: u64,
}

/// The answer to a request for permits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Take {
    /// The instant to write.
    Granted(u64),
    /// What `full` must reach for the same request to be granted.
    Denied(u64),
    /// More than one burst.
    Impossible,
}

impl Params {
    /// A full bucket that starts at tick `base`.
    pub(crate) fn fresh(scale: &Scale, length: TickLength, base: u64) -> Self {
        Self::new(scale, length, base, 0)
    }

    /// A bucket whose floor is at `offset` at tick `base`.
    fn new(scale: &Scale, length: TickLength, base: u64, offset: u64) -> Self {
        // Both factors are at most 2^63, so this is too: four units a tick.
        let mult = wide(scale.per_nano, length.in_2_63rds()).div_ceil(1 << 63) as u64;
        let horizon = wide(INSTANT - 2 * scale.burst - offset, 1 << 61) / u128::from(mult);
        Self {
            base,
            horizon: (horizon.min(u128::from(TICKS)) as u64).min(u64::MAX - base),
            offset,
            mult,
            size: (scale.capacity() << 6) | u64::from(scale.shift),
            recip: u64::try_from((1 << 121) / u128::from(mult)).unwrap_or(0),
        }
    }

    /// The burst in permits.
    #[inline(always)]
    pub(crate) fn capacity(&self) -> u64 {
        self.size >> 6
    }

    #[inline(always)]
    pub(crate) fn shift(&self) -> u32 {
        (self.size & 63) as u32
    }

    /// The burst in units: below 2^61.
    #[inline(always)]
    fn burst(&self) -> u64 {
        self.capacity() << self.shift()
    }

    /// The instant of a bucket that holds `permits`, at most a burst of them, at `base`.
    pub(crate) fn holding(&self, permits: u64) -> u64 {
        self.offset + self.burst() - (permits << self.shift())
    }

    #[inline(always)]
    fn units(&self, elapsed: u64) -> u64 {
        units_of(elapsed, self.mult)
    }

    #[inline(always)]
    fn floor(&self, ticks: u64) -> u64 {
        // One comparison for both ends: what lies before `base` wraps to something beyond every horizon.
        let elapsed = ticks.wrapping_sub(self.base);
        if elapsed > self.horizon {
            return outside(ticks < self.base, self.horizon, self.offset, self.mult);
        }
        self.offset + units_of(elapsed, self.mult)
    }

    /// All that has accrued until `ticks`, one burst included.
    #[inline(always)]
    pub(crate) fn full(&self, ticks: u64) -> u64 {
        self.floor(ticks) + self.burst()
    }

    /// `n` permits, all or nothing.
    #[inline(always)]
    pub(crate) fn take(&self, instant: u64, ticks: u64, n: u64) -> Take {
        // One permit fits, but for a bucket that holds nothing: said apart, since `n` is a constant in the usual call.
        if n > 1 && n > self.capacity() {
            return Take::Impossible;
        }
        let floor = self.floor(ticks);
        let start = instant.max(floor);
        let next = start + (n << self.shift());
        if next <= floor + self.burst() {
            return Take::Granted(next);
        }
        if self.capacity() == 0 { Take::Impossible } else { Take::Denied(next) }
    }

    /// As many of `n` permits as there are, and the instant to write, if any are.
    #[inline(always)]
    pub(crate) fn take_up_to(&self, instant: u64, ticks: u64, n: u64) -> (u64, Option<u64>) {
        let floor = self.floor(ticks);
        let start = instant.max(floor);
        let taken = n.min((floor + self.burst()).saturating_sub(start) >> self.shift());
        (taken, (taken > 0).then(|| start + (taken << self.shift())))
    }

    /// The instant to write when `n` permits are given back, if the bucket has room for any.
    #[inline(always)]
    pub(crate) fn give_back(&self, instant: u64, ticks: u64, n: u64) -> Option<u64> {
        let floor = self.floor(ticks);
        // A full bucket is not written: under a clock that is ahead that would raise the instant, hence charge.
        let missing = instant.checked_sub(floor).filter(|&missing| missing > 0)?;
        let units = if n > missing >> self.shift() { missing } else { n << self.shift() };
        (units > 0).then(|| instant - units)
    }

    /// As many of `n` permits as the limit of debt, one burst, has room for, and the instant to write.
    #[inline(always)]
    pub(crate) fn charge(&self, instant: u64, ticks: u64, n: u64) -> (u64, Option<u64>) {
        let floor = self.floor(ticks);
        let start = instant.max(floor);
        let charged = n.min((floor + 2 * self.burst()).saturating_sub(start) >> self.shift());
        (charged, (charged > 0).then(|| start + (charged << self.shift())))
    }

    /// The whole permits that are there.
    #[inline(always)]
    pub(crate) fn available(&self, instant: u64, ticks: u64) -> u64 {
        let floor = self.floor(ticks);
        (floor + self.burst()).saturating_sub(instant.max(floor)) >> self.shift()
    }

    /// The ticks from `ticks` until `full` reaches `target`, exactly; `u64::MAX`: never.
    #[inline(always)]
    pub(crate) fn wait(&self, target: u64, ticks: u64) -> u64 {
        let elapsed = self.ticks_for(target.saturating_sub(self.offset + self.burst()));
        let due = self.base.wrapping_add(elapsed);
        // It lies behind a reading beyond the horizon.
        if elapsed > self.horizon || due <= ticks { u64::MAX } else { due - ticks }
    }

    /// The ticks from `ticks` until `permits` have come, one after the other, beyond a burst too; `u64::MAX`: never.
    pub(crate) fn wait_in_line(&self, instant: u64, ticks: u64, permits: u64) -> u64 {
        if permits > INSTANT >> self.shift() {
            return u64::MAX;
        }
        let target = instant.max(self.floor(ticks)) + (permits << self.shift());
        if target <= self.full(ticks) { 0 } else { self.wait(target, ticks) }
    }

    /// The latest instant of a bucket that is full at `ticks`: as good as any of them.
    #[cfg(feature = "per-key")]
    #[inline]
    pub(crate) fn fresh_instant(&self, ticks: u64) -> u64 {
        self.floor(ticks)
    }

    /// The ticks in which `permits` come; `u64::MAX`: never.
    pub(crate) fn ticks_for_permits(&self, permits: u64) -> u64 {
        if permits > INSTANT >> self.shift() { u64::MAX } else { self.ticks_for(permits << self.shift()) }
    }

    /// The least number of ticks in which `units` accrue.
    #[inline(always)]
    fn ticks_for(&self, units: u64) -> u64 {
        if units >> 57 != 0 || self.recip == 0 {
            // After a year at the earliest.
            // A multiplier is never 0; saying so leaves no panic behind, so that a wait nobody reads costs nothing.
            let exact = wide(units, 1 << 61).div_ceil(u128::from(self.mult.max(1)));
            return u64::try_from(exact).unwrap_or(u64::MAX);
        }
        // The reciprocal is low by less than 2^-60 each, so by less than 1/8 in all: with the rounding down, the
        // product is short by at most 2, and each of the comparisons mends 1. It fits, a unit being below 16 ticks.
        let least = (wide(units << 2, self.recip) >> 62) as u64;
        least + u64::from(self.units(least) < units) + u64::from(self.units(least + 1) < units)
    }

    /// The time of a change that finds the word at `instant`: the setter's reading, unless that is older than the
    /// last change, or than the first tick at which `instant` can have been written, no debt being larger than one
    /// burst. Otherwise a setter whose clock is back would take what was granted since for debt, and forgive it.
    ///
    /// Beyond the horizon it is the reading all the same: time stood still until then, so none of it counts.
    pub(crate) fn time_of_change(&self, instant: u64, reading: u64) -> u64 {
        let earliest = self.ticks_for(instant.saturating_sub(self.offset + 2 * self.burst()));
        self.base + earliest.min(self.horizon).max(reading.saturating_sub(self.base))
    }

    /// What follows these parameters when the quota changes at tick `at`, which is not before their base.
    ///
    /// On the same scale everything that has accrued goes on from there. On another one, or when the burst shrinks
    /// or the numbers run out, the new instants lie above all that the word can have held since numbers last started
    /// again, so that an exchange that was prepared under older parameters cannot succeed by mistake. When there is no room
    /// left above, they start again at a place that `salt` picks: a number above 0 that was never used before.
    pub(crate) fn follow(&self, scale: &Scale, length: TickLength, at: u64, salt: u64) -> Self {
        // The highest floor with half a lifetime above it.
        let room = INSTANT - 2 * scale.burst - units_in(SECOND_LIFE, scale.per_nano);
        let full = self.full(at);
        // Above the same of every change before: what is full never falls, nor does a burst without new numbers above.
        let highest = full + self.burst();
        let offset = match full.checked_sub(scale.burst) {
            // A stale exchange that finds its word again was due: it takes no more than it could before, nor owes
            // more than the burst allows.
            Some(same) if scale.shift == self.shift() && scale.burst >= self.burst() && same <= room => same,
            _ if highest < room => highest + 1,
            _ => place(salt, room),
        };
        Self::new(scale, length, at, offset)
    }

    /// The units that are there at tick `at`, or owed.
    fn level(&self, instant: u64, at: u64) -> i64 {
        let full = self.full(at);
        // What the burst cut off is gone. Both are below 2^62.
        full as i64 - instant.max(full - self.burst()) as i64
    }

    /// The whole permits that are there at tick `at`, or, negative, owed.
    pub(crate) fn permits_at(&self, instant: u64, at: u64) -> i64 {
        self.level(instant, at) >> self.shift()
    }

    /// The instant under `next` of a bucket that is at `instant` under `self` at tick `at`, when `more` permits come to it or go
    /// from it: the level stays the same number of permits else, cut to one new burst either way.
    pub(crate) fn carry(&self, instant: u64, at: u64, next: &Self, more: i64) -> u64 {
        let level = i128::from(self.level(instant, at));
        // Rounded down: towards less there, towards more owed.
        let level = ((level << next.shift()) >> self.shift()) + (i128::from(more) << next.shift());
        let level = level.clamp(-i128::from(next.burst()), i128::from(next.burst()));
        (i128::from(next.full(at)) - level) as u64
    }
}

/// One of the places up to `room`. Successive salts land far from each other: a Weyl sequence on the golden ratio
/// (Knuth, The Art of Computer Programming, volume 3, section 6.4).
const fn place(salt: u64, room: u64) -> u64 {
    (wide(salt.wrapping_mul(0x9e37_79b9_7f4a_7c15), room) >> 64) as u64
}

#[cfg(all(test, not(loom)))]
mod tests;
