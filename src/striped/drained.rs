//! Whether all stripes are known to be empty: so that a denial need not look at each of them.
//!
//! ```text
//!  63                                                            2         1         0
//! +---------------------------------------------------------------+---------+---------+
//! | version, 62 bits                                              | DRAINED | LOOKING |
//! +---------------------------------------------------------------+---------+---------+
//! ```
//!
//! # Protocol
//! ```text
//! who looks:    word' = next version | LOOKING;  fence;  looks at all stripes;  all empty: LOOKING -> DRAINED, if word' still stands
//! who puts:     puts stock into a stripe;  fence;  if either bit stands: next version, without
//! ```
//! Of the two fences one comes first. If that is the looker's, the other sees its word or a later one, and wipes it out; else the
//! looker sees the stock. So DRAINED stands beside stock only until who put it there has ended its call.

use crossbeam_utils::CachePadded;

use crate::sync::{AtomicU64, Ordering, fence};
use crate::word::cas;

const LOOKING: u64 = 1;
const DRAINED: u64 = 2;
const BITS: u64 = LOOKING | DRAINED;
const VERSION: u64 = 4;

/// On a line of its own: under overload it is written whenever a batch comes.
#[derive(Debug)]
pub(super) struct Drained(CachePadded<AtomicU64>);

impl Drained {
    /// Of stripes that may hold something.
    pub(super) fn new() -> Self {
        Self(CachePadded::new(AtomicU64::new(0)))
    }

    /// Whether all were seen empty, and whoever put something into one since then has not told yet.
    #[inline(always)]
    pub(super) fn is_known(&self) -> bool {
        // Ordering: Relaxed; the word is self-contained, and who learned of stock that was put reads what stood after that.
        self.0.load(Ordering::Relaxed) & DRAINED != 0
    }

    /// Looks whether all `are_empty`, and remembers it if they are.
    #[cold]
    #[inline(never)]
    pub(super) fn look(&self, are_empty: impl Fn() -> bool) -> bool {
        if !are_empty() {
            return false;
        }
        // Ordering: Relaxed; a guess for the exchange to check.
        let word = self.0.load(Ordering::Relaxed);
        let looking = ((word & !BITS) + VERSION) | LOOKING;
        if cas(&self.0, word, looking).is_ok() {
            // Ordering: SeqCst pairs with the fence in `end`.
            fence(Ordering::SeqCst);
            if are_empty() {
                let _ = cas(&self.0, looking, looking ^ BITS);
            }
        }
        // They were, a moment ago.
        true
    }

    /// Stock was put into a stripe.
    pub(super) fn end(&self) {
        // Ordering: SeqCst pairs with the fence in `look`.
        fence(Ordering::SeqCst);
        // Ordering: Relaxed; a guess for the exchange to check, and not older than the fence.
        let mut word = self.0.load(Ordering::Relaxed);
        while word & BITS != 0 {
            match cas(&self.0, word, (word & !BITS) + VERSION) {
                Ok(_) => return,
                Err(observed) => word = observed,
            }
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use core::cell::Cell;

    use super::Drained;

    #[test]
    fn what_was_seen_is_known_until_somebody_tells() {
        let drained = Drained::new();
        assert!(!drained.is_known());
        assert!(!drained.look(|| false));
        assert!(!drained.is_known());
        assert!(drained.look(|| true));
        assert!(drained.is_known());
        drained.end();
        assert!(!drained.is_known());
    }

    /// Runs `meanwhile` when a look is behind its first look at the stripes, or its second, and tells whether they are known
    /// to be empty afterwards, though it saw nothing in them.
    fn is_known_after(meanwhile: impl Fn(&Drained, u32)) -> bool {
        let (drained, looks) = (Drained::new(), Cell::new(0));
        let are_empty = || {
            looks.set(looks.get() + 1);
            meanwhile(&drained, looks.get());
            true
        };
        assert!(drained.look(are_empty), "a moment ago");
        drained.is_known()
    }

    /// Kills: known after the first look; known whatever stands there; no second look.
    #[test]
    fn what_is_put_during_a_look_is_not_overlooked() {
        assert!(is_known_after(|_, _| {}));
        assert!(!is_known_after(|drained, look| if look == 2 {
            drained.end()
        }));
        let drained = Drained::new();
        let looks = Cell::new(0);
        let put_after_the_first = || looks.replace(looks.get() + 1) == 0;
        assert!(drained.look(put_after_the_first));
        assert_eq!(looks.get(), 2);
        assert!(!drained.is_known());
    }

    /// The word that a look left is not taken for an earlier one's. Kills: a version that stands.
    #[test]
    fn two_who_look_are_not_mistaken_for_each_other() {
        let is_known = is_known_after(|drained, look| {
            if look == 2 {
                // A batch came, was told of, and used up.
                drained.end();
                // The next one comes after another one's first look, and is seen in its second.
                let looks = Cell::new(0);
                drained.look(|| {
                    if looks.get() == 0 {
                        drained.end();
                    }
                    looks.replace(looks.get() + 1) == 0
                });
                assert_eq!(looks.get(), 2);
            }
        });
        assert!(!is_known);
    }
}
