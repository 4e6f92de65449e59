//! What every call looks at besides the bucket: whether the window is due, and whether the limiter is closed.

use crate::sync::{AtomicU64, Ordering};
use crate::word::raise;

/// Two instants in ticks of the clock, on a cache line that is written once a window, and when a server asks for a pause.
#[derive(Debug)]
pub(super) struct Gate {
    /// From here on the window is due to be ended. Written under the turn.
    end: AtomicU64,
    /// Until here nothing is granted; 0: open. It only ever rises.
    closed_until: AtomicU64,
}

impl Gate {
    pub(super) fn new(end: u64) -> Self {
        Self { end: AtomicU64::new(end), closed_until: AtomicU64::new(0) }
    }

    #[inline(always)]
    pub(super) fn is_due(&self, ticks: u64) -> bool {
        // Ordering: Relaxed; a guess, which is checked under the turn. Whoever still sees the last window's end looks
        // once for nothing.
        ticks >= self.end.load(Ordering::Relaxed)
    }

    /// When the window is due, under the turn.
    pub(super) fn end(&self) -> u64 {
        // Ordering: Relaxed; the turn orders it.
        self.end.load(Ordering::Relaxed)
    }

    /// Moves the end of the window, under the turn.
    pub(super) fn set_end(&self, ticks: u64) {
        // Ordering: Relaxed; who decides by it holds the turn, and all others check nothing else by it.
        self.end.store(ticks, Ordering::Relaxed);
    }

    /// How many ticks it stays closed; 0: open. `u64::MAX`: for ever.
    pub(super) fn closed_for(&self, ticks: u64) -> u64 {
        // Ordering: Relaxed; a single word that only rises. A thread that knows of the pause, because it or one before
        // it asked for it, sees it by coherence; one that does not is a call from before.
        let until = self.closed_until.load(Ordering::Relaxed);
        if until == u64::MAX { until } else { until.saturating_sub(ticks) }
    }

    /// Whether a call may go the usual way: two comparisons.
    #[inline(always)]
    pub(super) fn is_open(&self, ticks: u64) -> bool {
        // Ordering: Relaxed, as in `closed_for`.
        !self.is_due(ticks) && ticks >= self.closed_until.load(Ordering::Relaxed)
    }

    /// Closes until then, unless it is closed for longer.
    pub(super) fn close_until(&self, ticks: u64) {
        raise(&self.closed_until, ticks);
    }
}
