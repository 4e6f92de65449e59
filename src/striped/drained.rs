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
//! who looks:    nobody else does: word' = next version | LOOKING;  fence;  looks at all stripes;  if word' still stands:
//!               all empty: LOOKING -> DRAINED;  else without LOOKING
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
        // One at a time: if all that are denied began anew, they would keep each other from coming to an end.
        if word & BITS == 0 {
            let looking = (word + VERSION) | LOOKING;
            if cas(&self.0, word, looking).is_ok() {
                // Ordering: SeqCst pairs with the fence in `end`.
                fence(Ordering::SeqCst);
                let seen = looking ^ if are_empty() { BITS } else { LOOKING };
                let _ = cas(&self.0, looking, seen);
            }
        }
        // They were, a moment ago.
        true
    }

    /// Stock was put into a stripe.
    pub(super) fn end(&self) {
        // Ordering: SeqCst pairs with the fence in `look`, and for who looks for WAIT after this with that of the head's look.
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

#[cfg(all(test, feature = "std", not(any(loom, shuttle))))]
mod tests {
    use core::cell::Cell;
    use std::sync::mpsc;
    use std::thread;

    use super::Drained;
    use crate::sync::Ordering;

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

    /// Stock that comes where nobody has looked writes nothing. Kills: a word that is written whenever a batch comes.
    #[test]
    fn nothing_is_told_where_nobody_looked() {
        let drained = Drained::new();
        // Ordering: Relaxed; one thread.
        let word = || drained.0.load(Ordering::Relaxed);
        drained.end();
        assert_eq!(word(), 0);
        assert!(drained.look(|| true));
        drained.end();
        let before = word();
        drained.end();
        assert_eq!(word(), before);
    }

    /// Kills: versions that run out soon.
    #[test]
    fn it_is_known_and_forgotten_often() {
        let drained = Drained::new();
        for _ in 0..100 {
            assert!(drained.look(|| true) && drained.is_known());
            drained.end();
            assert!(!drained.is_known());
        }
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

    /// Of many that are denied at once one looks, and comes to an end. Kills: each begins anew; who saw something there keeps
    /// others from looking.
    #[test]
    fn one_looks_at_a_time() {
        let looks = Cell::new(0);
        let is_known = is_known_after(|drained, look| {
            if look == 2 {
                assert!(drained.look(|| {
                    looks.set(looks.get() + 1);
                    true
                }));
                assert!(!drained.is_known());
            }
        });
        assert!(is_known);
        assert_eq!(looks.get(), 1, "but for its own denial");

        let (drained, looks) = (Drained::new(), Cell::new(0));
        assert!(drained.look(|| looks.replace(looks.get() + 1) == 0));
        assert!(!drained.is_known());
        assert!(drained.look(|| true));
        assert!(drained.is_known());
    }

    /// The word that a look left is not taken for an earlier one's. Kills: a version that stands.
    #[test]
    fn two_who_look_are_not_mistaken_for_each_other() {
        let drained = Drained::new();
        let (stopped, is_stopped) = mpsc::channel();
        let (go_on, may_go_on) = mpsc::channel();
        thread::scope(|scope| {
            let drained = &drained;
            let first = scope.spawn(move || {
                let looks = Cell::new(0);
                drained.look(|| {
                    if looks.replace(looks.get() + 1) == 1 {
                        stopped.send(()).unwrap();
                        may_go_on.recv().unwrap();
                    }
                    true
                })
            });
            is_stopped.recv().unwrap();
            // A batch came, was told of, and used up.
            drained.end();
            // The next one comes after another one's first look, and is seen in its second, behind which the first one goes on.
            let (first, looks) = (Cell::new(Some(first)), Cell::new(0));
            drained.look(|| {
                if looks.replace(looks.get() + 1) == 0 {
                    drained.end();
                    return true;
                }
                go_on.send(()).unwrap();
                assert!(first.take().expect("once").join().unwrap());
                false
            });
            assert_eq!(looks.get(), 2);
        });
        assert!(!drained.is_known());
    }
}
