//! The arithmetic of the window counters: of two words, a reading of the clock and a number of permits.
//!
//! # Stamps
//! Time is kept in **stamps**: a window is `span` of them, the power of two next above its nanoseconds, so that window
//! and place within it are bits. Windows align to the clock's origin; the first one is window 1, so that no stamp is 0.
//!
//! # The words
//! ```text
//!  63                                  s         s-k      s-k-1                     0
//! +-----------------------------------+-----------+------+-------------------------+
//! | window                            | part      | WAIT | count                   |   span = 2^s
//! +-----------------------------------+-----------+------+-------------------------+
//!  <------------- mark: upper bits of a stamp ----><--------------- low ----------->
//! ```
//!
//! `now` is of the last window in which anything was granted; its mark is that of the last grant. `closed` is what
//! `now` was when that window was closed, so of an earlier one; if it is of the same window, somebody has begun to
//! close it. A word of 0 is of window 0: never. The part, a sixteenth of the window, is kept by the strict law alone
//! (k = 4, otherwise 0). WAIT is set in `now` while somebody waits: a count with it lies above every limit.
//!
//! docs/DESIGN.md has the protocol and the proofs.

use core::time::Duration;

use crate::error::ConfigError;

/// In nanoseconds: a microsecond. Below it there would be no bits left to count in.
const SHORTEST: u128 = 1_000;

/// In nanoseconds: ten years of 366 days. Two spans of it are an eighth of all the nanoseconds that there are, so time
/// goes on for 255 years.
const LONGEST: u128 = 3_660 * 86_400 * 1_000_000_000;

/// How the previous window counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Law {
    /// Not at all.
    Fixed,
    /// By the share of it that a window's length before now reaches into.
    Interpolated,
    /// In full, until the last grant in it is a window's length past.
    Strict,
}

impl Law {
    /// Whether the previous window matters, so that windows must be closed.
    #[inline(always)]
    pub(crate) const fn slides(self) -> bool {
        !matches!(self, Self::Fixed)
    }

    /// Bits of a mark below the window: the strict law keeps sixteenths.
    const fn part_bits(self) -> u32 {
        match self {
            Self::Fixed | Self::Interpolated => 0,
            Self::Strict => 4,
        }
    }
}

/// A limit and a window, and what converts nanoseconds into stamps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Params {
    /// Stamps a nanosecond, times 2^63, rounded up.
    recip: u64,
    /// The last nanosecond: time stops there.
    last: u64,
    /// Stamps a window: a power of two, at least the window's nanoseconds and less than twice as many.
    span: u64,
    /// The bits below a mark, all set.
    low: u64,
    limit: u64,
    /// In nanoseconds.
    window: u64,
}

/// What a decision is made on.
#[derive(Clone, Copy, Debug)]
// Named by a sealed trait, if waiting is there.
#[allow(unreachable_pub)]
pub struct View {
    /// With WAIT, if somebody waits.
    pub(crate) now: u64,
    /// Of no later window than `now`; 0 where the law does not slide.
    pub(crate) closed: u64,
    /// The reading of the clock.
    pub(crate) nanos: u64,
    /// The same in stamps.
    pub(crate) stamp: u64,
}

/// The window that is open, by the latest of a reading, the last grant, and the end of a window whose closing has begun.
#[derive(Clone, Copy, Debug)]
struct Open {
    /// Its first stamp.
    start: u64,
    /// The mark of a grant made now.
    mark: u64,
    /// What it counts.
    current: u64,
    /// The word of the window before it; 0 if there was nothing in it.
    previous: u64,
}

impl Params {
    /// Every check of a configuration is here.
    pub(crate) const fn new(law: Law, limit: u64, window: Duration) -> Result<Self, ConfigError> {
        let nanos = window.as_nanos();
        if nanos < SHORTEST || nanos > LONGEST {
            return Err(ConfigError::new("window", "window must be from 1 microsecond to 10 years"));
        }
        if limit == 0 {
            return Err(ConfigError::new("limit", "limit must be at least 1"));
        }
        let bits = (nanos - 1).ilog2() + 1;
        let span = 1 << bits;
        let low = (span >> law.part_bits()) - 1;
        // All of these bits but WAIT.
        let largest = low >> 1;
        if limit > largest {
            return Err(ConfigError::new("limit", "limit is too large for this window").with_largest(largest));
        }
        Ok(Self {
            // Below 2^64, since the window is longer than half of its span.
            recip: (1_u128 << (63 + bits)).div_ceil(nanos) as u64,
            // So that no sum of a stamp and two spans overflows.
            last: (1 << 63) - 2 * span,
            span,
            low,
            limit,
            window: nanos as u64,
        })
    }

    /// Whether they are of the strict law.
    #[inline(always)]
    pub(crate) const fn is_strict(&self) -> bool {
        self.low + 1 < self.span
    }

    pub(crate) const fn limit(&self) -> u64 {
        self.limit
    }

    pub(crate) const fn window(&self) -> Duration {
        Duration::from_nanos(self.window)
    }

    /// The stamp of a reading. Its window is exact; its part comes up to 1 ns early after 18 years, where the window is
    /// no multiple of 16 ns.
    #[inline(always)]
    pub(crate) fn stamp(&self, nanos: u64) -> u64 {
        // With W the window, l = log2(span / 2) and recip = (2^(64 + l) + d) / W, where d < W <= 2^(l + 1): this is
        // 2^(l + 1) * (t / W + e), rounded down, where e = t * d / (W * 2^(64 + l)) < 1 / W, since t < 2^63. The window
        // is t / W + e rounded down; t / W is short of the next whole number by at least 1 / W, so e changes nothing.
        ((u128::from(nanos.min(self.last) << 1) * u128::from(self.recip)) >> 64) as u64 + self.span
    }

    /// The first stamp of the window that `stamp` is in.
    #[inline(always)]
    fn window_of(&self, stamp: u64) -> u64 {
        stamp & !(self.span - 1)
    }

    #[inline(always)]
    fn mark(&self, stamp: u64) -> u64 {
        stamp & !self.low
    }

    /// Whether two words, or a word and a stamp, are of one window, and of one part where that matters.
    #[inline(always)]
    pub(crate) fn same_mark(&self, one: u64, other: u64) -> bool {
        (one ^ other) <= self.low
    }

    #[inline(always)]
    pub(crate) fn count(&self, word: u64) -> u64 {
        word & self.low
    }

    /// The bit that says that somebody waits.
    #[inline(always)]
    pub(crate) fn wait_bit(&self) -> u64 {
        (self.low >> 1) + 1
    }

    /// The view without that bit: what there is, whoever may have it.
    #[inline(always)]
    pub(crate) fn level(&self, view: &View) -> View {
        View { now: view.now & !self.wait_bit(), ..*view }
    }

    /// Whether `closed` is of a later window than `now`, which is out of date then.
    #[inline(always)]
    pub(crate) fn is_behind(&self, now: u64, closed: u64) -> bool {
        closed > now | (self.span - 1)
    }

    /// Whether the two words are of one window.
    #[inline(always)]
    pub(crate) fn same_window(&self, one: u64, other: u64) -> bool {
        (one ^ other) < self.span
    }

    /// The window of the last grant.
    #[inline(always)]
    fn held(&self, law: Law, view: &View) -> Open {
        let start = self.window_of(view.now);
        let follows = law.slides() && self.window_of(view.closed) + self.span == start;
        Open {
            start,
            mark: self.mark(view.now),
            current: self.count(view.now),
            previous: if follows { view.closed } else { 0 },
        }
    }

    #[inline(always)]
    fn open(&self, law: Law, view: &View) -> Open {
        let held = self.held(law, view);
        // A window whose closing has begun is over: what is granted in it now, its successor might not know of.
        let closing = law.slides() && self.same_window(view.now, view.closed);
        let start = self.window_of(view.stamp).max(held.start + if closing { self.span } else { 0 });
        let mark = self.mark(view.stamp);
        if start == held.start {
            return Open { mark: mark.max(held.mark), ..held };
        }
        let follows = law.slides() && start == held.start + self.span;
        let previous = if follows { view.now } else { 0 };
        Open { start, mark: mark.max(start), current: 0, previous }
    }

    /// What `now` may count without a look at how much the previous window weighs: if the mark stays, and nothing is being
    /// closed; else nothing.
    #[inline(always)]
    pub(crate) fn most(&self, law: Law, view: &View) -> u64 {
        let is_usual = self.same_mark(view.now, view.stamp);
        if is_usual && (!law.slides() || !self.same_window(view.now, view.closed)) {
            let open = self.held(law, view);
            if law == Law::Strict && self.has_expired(&open) {
                return self.limit;
            }
            return self.limit.saturating_sub(self.count(open.previous));
        }
        0
    }

    /// The word to write if `n` permits, at most the limit, are there; and nobody waits.
    #[inline(always)]
    pub(crate) fn take(&self, law: Law, view: &View, n: u64) -> Option<u64> {
        // The usual case, said apart: the mark stays, and nothing is being closed. All but the comparison with the
        // reading then follows from the words, and is done before the clock has been read.
        let is_usual = self.same_mark(view.now, view.stamp);
        if is_usual && (!law.slides() || !self.same_window(view.now, view.closed)) {
            let open = self.held(law, view);
            let ahead = self.begin(open.start) + self.window - view.nanos.min(self.last);
            return self.fits(law, &open, ahead, n).then_some(view.now + n);
        }
        // In a new window a count with WAIT is the previous one, or none.
        if view.now & self.wait_bit() != 0 {
            return None;
        }
        let open = self.open(law, view);
        self.fits(law, &open, self.ahead(view, &open), n).then(|| open.mark | (open.current + n))
    }

    /// Whether `n` more fit in a window of which so many nanoseconds are `ahead`.
    #[inline(always)]
    fn fits(&self, law: Law, open: &Open, ahead: u64, n: u64) -> bool {
        let previous = self.count(open.previous);
        let all = open.current + n;
        if previous + all <= self.limit {
            return true;
        }
        match law {
            Law::Fixed => false,
            Law::Strict => all <= self.limit && self.has_expired(open),
            Law::Interpolated => {
                all <= self.limit && wide(previous, ahead) <= wide(self.limit.wrapping_sub(all), self.window)
            }
        }
    }

    /// Strict: whether the last grant of the previous window is a window's length past.
    #[inline(always)]
    fn has_expired(&self, open: &Open) -> bool {
        // The parts are told apart, the moments within them are not: so it must be one part more than a window.
        open.mark > self.mark(open.previous) + self.span
    }

    /// The nanoseconds of the open window that are ahead; all of them for a reading from before it.
    #[inline(always)]
    fn ahead(&self, view: &View, open: &Open) -> u64 {
        let begin = self.begin(open.start);
        self.window - if self.same_window(view.stamp, open.start) { view.nanos.min(self.last) - begin } else { 0 }
    }

    /// The first nanosecond of the window that starts with this stamp.
    #[inline(always)]
    fn begin(&self, start: u64) -> u64 {
        // It is a multiple of `span`, a power of two, and at least one.
        ((start >> self.span.trailing_zeros()) - 1) * self.window
    }

    /// The first nanosecond whose mark is `mark` or a later one.
    #[inline(always)]
    fn first_of(&self, mark: u64) -> u64 {
        let bits = self.span.trailing_zeros();
        // Since window 1; the product is below 2^128, both factors being below 2^64.
        let exact = wide(mark - self.span, self.window);
        let first = (exact >> bits) as u64 + u64::from(exact & u128::from(self.span - 1) > 0);
        // A part may come early.
        first - u64::from(first > 0 && self.stamp(first - 1) >= mark)
    }

    /// The first nanosecond at which `n` permits, at most the limit, will be there, if they are not now; `u64::MAX`:
    /// never, because time stops before.
    #[inline(always)]
    pub(crate) fn due(&self, law: Law, view: &View, n: u64) -> u64 {
        let open = self.open(law, view);
        // Either something of the previous window must go, or this window must become the previous one first.
        let room = self.limit.checked_sub(open.current + n);
        let due = match law {
            Law::Fixed => self.begin(open.start + self.span),
            Law::Strict => {
                let last = if room.is_some() { open.previous } else { view.now };
                self.first_of(self.mark(last) + self.span + self.low + 1)
            }
            Law::Interpolated => {
                let (start, weight, room) = match room {
                    Some(room) => (open.start, self.count(open.previous), room),
                    None => (open.start + self.span, open.current, self.limit - n),
                };
                // weight * ahead <= room * window: at most so much may be ahead, and that is less than the window.
                let ahead = quotient(wide(room, self.window), weight);
                self.begin(start) + self.window.saturating_sub(ahead)
            }
        };
        if due > self.last { u64::MAX } else { due }
    }

    /// Nanoseconds from the view's reading until `permits` have come, one after the other, beyond the limit too, about:
    /// as if every window brought the limit. `u64::MAX`: never.
    pub(crate) fn wait_in_line(&self, law: Law, view: &View, permits: u64) -> u64 {
        let windows = permits.saturating_sub(1) / self.limit;
        let rest = permits - windows * self.limit;
        let first = match self.take(law, view, rest) {
            // Later windows begin at edges, not so long after now.
            Some(_) if windows > 0 => self.begin(self.open(law, view).start),
            Some(_) => view.nanos,
            None => self.due(law, view, rest),
        };
        let due = first.saturating_add(windows.saturating_mul(self.window));
        if due > self.last { u64::MAX } else { due.saturating_sub(view.nanos) }
    }

    /// How many permits there are.
    #[inline(always)]
    pub(crate) fn available(&self, law: Law, view: &View) -> u64 {
        let open = self.open(law, view);
        let previous = self.count(open.previous);
        let weight = match law {
            Law::Fixed => 0,
            Law::Strict if self.has_expired(&open) => 0,
            Law::Strict => previous,
            Law::Interpolated => {
                // A window is never 0; saying so leaves no panic behind.
                wide(previous, self.ahead(view, &open)).div_ceil(u128::from(self.window.max(1))) as u64
            }
        };
        self.limit.saturating_sub(open.current + weight)
    }

    /// The word to write when `n` permits are given back, if the window that they could go back to is still open.
    #[inline(always)]
    pub(crate) fn give_back(&self, law: Law, view: &View, n: u64) -> Option<u64> {
        let open = self.open(law, view);
        let returned = n.min(open.current);
        (returned > 0).then(|| view.now - returned)
    }
}

/// The whole product.
#[inline(always)]
fn wide(a: u64, b: u64) -> u128 {
    u128::from(a) * u128::from(b)
}

/// `dividend / divisor`, for a quotient below 2^64; of 0, `u64::MAX` at most.
#[inline(always)]
fn quotient(dividend: u128, divisor: u64) -> u64 {
    // Never 0 here; saying so leaves no panic behind, so that a wait nobody reads costs nothing.
    let divisor = divisor.max(1);
    match u64::try_from(dividend) {
        Ok(dividend) => dividend / divisor,
        Err(_) => u64::try_from(dividend / u128::from(divisor)).unwrap_or(u64::MAX),
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
