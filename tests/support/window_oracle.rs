//! The window counters in plain words: what was granted in which window, in integers that cannot overflow, with no
//! bits, no reciprocal and no threads. When something will be there is not computed but searched for.

use std::collections::BTreeMap;
use std::time::Duration;

use sluicegate::RateLimitExceeded;

use super::windows::Law;

#[derive(Clone, Debug)]
pub struct WindowOracle {
    law: Law,
    limit: u64,
    /// In nanoseconds, like all times here.
    window: u128,
    /// Time stops here.
    last: u128,
    /// By the number of the window; the first one is 0.
    windows: BTreeMap<u128, Window>,
}

/// A window in which something was granted.
#[derive(Clone, Copy, Debug)]
struct Window {
    /// Granted and not given back.
    count: u128,
    /// The sixteenth of a window in which the last grant was, counted from time zero.
    part: u128,
}

/// What a reading stands for: no earlier than the last grant.
#[derive(Clone, Copy, Debug)]
struct Moment {
    index: u128,
    into: u128,
    part: u128,
}

impl WindowOracle {
    pub fn new(law: Law, limit: u64, window: Duration) -> Self {
        let window = window.as_nanos();
        let last = (1 << 63) - 2 * window.next_power_of_two();
        Self { law, limit, window, last, windows: BTreeMap::new() }
    }

    /// The last nanosecond.
    pub fn last(&self) -> u64 {
        self.last as u64
    }

    fn moment(&self, time: u128) -> Moment {
        let own = Moment { index: time / self.window, into: time % self.window, part: self.part_of(time) };
        match self.windows.last_key_value() {
            Some((&index, window)) if index > own.index => Moment { index, into: 0, part: window.part },
            Some((_, window)) => Moment { part: own.part.max(window.part), ..own },
            None => own,
        }
    }

    fn part_of(&self, time: u128) -> u128 {
        16 * time / self.window
    }

    /// Whether the real counter may take the reading for one of the next sixteenth, which begins a nanosecond later.
    pub fn may_be_early(&self, reading: u64) -> bool {
        let next = self.part_of(u128::from(reading) + 1);
        self.law == Law::Strict
            && reading > 1 << 59
            && self.window % 16 > 0
            && next > self.part_of(reading.into())
            && next % 16 > 0
    }

    /// Whether `n` permits are there, if time does not stop.
    fn has(&self, n: u64, time: u128) -> bool {
        let now = self.moment(time);
        let current = self.windows.get(&now.index).map_or(0, |window| window.count);
        let Some(room) = u128::from(self.limit).checked_sub(current + u128::from(n)) else { return false };
        let previous = now.index.checked_sub(1).and_then(|index| self.windows.get(&index));
        let Some(previous) = previous else { return true };
        match self.law {
            Law::Fixed => true,
            Law::Interpolated => previous.count * (self.window - now.into) <= room * self.window,
            Law::Strict => now.part > previous.part + 16 || previous.count <= room,
        }
    }

    fn now(&self, reading: u64) -> u128 {
        u128::from(reading).min(self.last)
    }

    /// The largest number that would be granted.
    pub fn available(&self, reading: u64) -> u64 {
        let now = self.now(reading);
        // The first one that is too many.
        first(1, u128::from(self.limit) + 1, |n| !self.has(n as u64, now)) as u64 - 1
    }

    pub fn time_to_available(&self, n: u64, reading: u64) -> Result<Duration, RateLimitExceeded> {
        if n > self.limit {
            return Err(RateLimitExceeded::ExceedsCapacity { requested: n, capacity: self.limit });
        }
        let now = self.now(reading);
        if n == 0 || self.has(n, now) {
            return Ok(Duration::ZERO);
        }
        // Two windows on, nothing of this one counts.
        let due = first(now + 1, (self.moment(now).index + 2) * self.window, |time| self.has(n, time));
        Ok(if due > self.last { Duration::MAX } else { Duration::from_nanos((due - now) as u64) })
    }

    pub fn try_acquire_n(&mut self, n: u64, reading: u64) -> Result<(), RateLimitExceeded> {
        match self.time_to_available(n, reading)? {
            Duration::ZERO => {
                self.take(n, reading);
                Ok(())
            }
            retry_after => Err(RateLimitExceeded::Denied { retry_after }),
        }
    }

    fn take(&mut self, n: u64, reading: u64) {
        if n > 0 {
            let now = self.moment(self.now(reading));
            let window = self.windows.entry(now.index).or_insert(Window { count: 0, part: 0 });
            *window = Window { count: window.count + u128::from(n), part: now.part };
        }
    }

    /// Lowers the count of the window that is open, if anything was granted in it.
    pub fn refund(&mut self, n: u64, reading: u64) {
        let now = self.moment(self.now(reading));
        if let Some(window) = self.windows.get_mut(&now.index) {
            window.count = window.count.saturating_sub(n.into());
        }
    }
}

/// The first of `low..=high` for which it is true; it is for `high`, and for all that follow one for which it is.
fn first(mut low: u128, mut high: u128, is: impl Fn(u128) -> bool) -> u128 {
    while low < high {
        let middle = low + (high - low) / 2;
        if is(middle) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    low
}
