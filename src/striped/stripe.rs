//! One stripe: permits that are there for a few threads without a look at the bucket or the clock.
//!
//! ```text
//!  63                             33   32    31                                 0
//! +---------------------------------+------+-------------------------------------+
//! | generation, 31 bits             | MARK | stock, in permits                   |
//! +---------------------------------+------+-------------------------------------+
//! ```
//!
//! # Protocol
//! Who wants to change more than the stock claims the stripe first: the stock goes to 0 and into its hands, MARK stands. While it
//! does nobody else claims, takes or gives; the claimant alone puts back what is to be there. So what stands in a stripe and what
//! is on its way to it, together, is never more than one batch, wherever a claimant is stopped.
//!
//! A change of quota writes all stripes with the next generation. A claimant that comes back finds another word, and drops what
//! it has; unless there were 2^31 changes while it was stopped.

use super::drained::Drained;
use crate::sync::{AtomicU64, Ordering};
use crate::word::cas;

const STOCK_BITS: u32 = 32;
const MARK: u64 = 1 << STOCK_BITS;
const STOCK: u64 = MARK - 1;
const GENERATION_SHIFT: u32 = STOCK_BITS + 1;

/// The most that a stripe may hold.
pub(super) const LARGEST_BATCH: u64 = STOCK;

/// What stripes are filled to: a batch and the generation that it is of, as they stand in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Batch(u64);

impl Batch {
    pub(super) const fn new(generation: u64, permits: u64) -> Self {
        Self((generation << GENERATION_SHIFT) | permits)
    }

    pub(super) const fn from_word(word: u64) -> Self {
        Self(word)
    }

    pub(super) const fn word(self) -> u64 {
        self.0
    }

    pub(super) const fn permits(self) -> u64 {
        self.0 & STOCK
    }

    /// The same generation's stripe without stock.
    const fn empty(self) -> u64 {
        self.0 & !(MARK | STOCK)
    }

    /// The next generation, without stripes to be filled.
    pub(super) const fn next(self) -> Self {
        Self(self.empty().wrapping_add(1 << GENERATION_SHIFT))
    }

    pub(super) const fn with_permits(self, permits: u64) -> Self {
        Self(self.empty() | permits)
    }

    const fn is_of(self, word: u64) -> bool {
        (self.0 ^ word) >> GENERATION_SHIFT == 0
    }
}

#[derive(Debug)]
pub(super) struct Stripe(AtomicU64);

/// A stripe's stock, in the hands of one thread. Dropped, it is back as it was.
pub(super) struct Claim<'a> {
    stripe: &'a Stripe,
    /// To be told of stock that is put back.
    drained: &'a Drained,
    /// As it stands in the word, with MARK.
    marked: u64,
    stock: u64,
}

impl Stripe {
    /// With `stock` in it, of the generation of `batch`.
    pub(super) fn new(batch: Batch, stock: u64) -> Self {
        Self(AtomicU64::new(batch.with_permits(stock).word()))
    }

    /// Takes `n` permits, if they are there.
    #[inline(always)]
    pub(super) fn take(&self, n: u64) -> bool {
        // Ordering: Relaxed; a guess for the exchange to check. A stripe's word is self-contained.
        let mut word = self.0.load(Ordering::Relaxed);
        while n <= word & STOCK {
            match cas(&self.0, word, word - n) {
                Ok(_) => return true,
                Err(observed) => word = observed,
            }
        }
        false
    }

    /// As many of `n` as there are.
    pub(super) fn take_up_to(&self, n: u64) -> u64 {
        // Ordering: Relaxed, as in `take`.
        let mut word = self.0.load(Ordering::Relaxed);
        loop {
            let taken = n.min(word & STOCK);
            if taken == 0 {
                return 0;
            }
            match cas(&self.0, word, word - taken) {
                Ok(_) => return taken,
                Err(observed) => word = observed,
            }
        }
    }

    /// What is there now.
    #[inline(always)]
    pub(super) fn stock(&self) -> u64 {
        // Ordering: Relaxed; stale as soon as it is told.
        self.0.load(Ordering::Relaxed) & STOCK
    }

    /// Takes all that is there into the caller's hands, unless somebody else has.
    pub(super) fn claim<'a>(&'a self, drained: &'a Drained) -> Option<Claim<'a>> {
        // Ordering: Relaxed, as in `take`.
        let mut word = self.0.load(Ordering::Relaxed);
        while word & MARK == 0 {
            let marked = (word & !STOCK) | MARK;
            match cas(&self.0, word, marked) {
                Ok(_) => return Some(Claim { stripe: self, drained, marked, stock: word & STOCK }),
                Err(observed) => word = observed,
            }
        }
        None
    }

    /// Adds what of `n` has room in a batch, and tells how many.
    pub(super) fn give_back(&self, batch: Batch, n: u64) -> u64 {
        // Ordering: Relaxed, as in `take`.
        let mut word = self.0.load(Ordering::Relaxed);
        loop {
            let room = batch.permits().saturating_sub(word & STOCK).min(n);
            if room == 0 || word & MARK != 0 || !batch.is_of(word) {
                return 0;
            }
            match cas(&self.0, word, word + room) {
                Ok(_) => return room,
                Err(observed) => word = observed,
            }
        }
    }

    /// Empties it for the generation of `batch`, claimed or not, and tells what was there.
    pub(super) fn empty_for(&self, batch: Batch) -> u64 {
        // Ordering: Relaxed, as in `take`.
        let mut word = self.0.load(Ordering::Relaxed);
        loop {
            match cas(&self.0, word, batch.empty()) {
                Ok(_) => return word & STOCK,
                Err(observed) => word = observed,
            }
        }
    }
}

impl Claim<'_> {
    pub(super) fn stock(&self) -> u64 {
        self.stock
    }

    /// Whether the stripe is of the same generation.
    pub(super) fn is_of(&self, batch: Batch) -> bool {
        batch.is_of(self.marked)
    }

    /// Leaves `stock` there, when it is dropped: a batch at most.
    pub(super) fn leave(mut self, stock: u64) {
        self.stock = stock;
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        // Fails if the quota has changed meanwhile: then it is dropped.
        let is_back = cas(&self.stripe.0, self.marked, (self.marked & !MARK) | self.stock).is_ok();
        if is_back && self.stock > 0 {
            self.drained.end();
        }
    }
}

#[cfg(all(test, feature = "std", not(any(loom, shuttle))))]
mod tests {
    use super::*;

    /// Kills: a generation that is lost with the stock, and one that the next one has, too.
    #[test]
    fn a_batch_keeps_its_generation() {
        let batch = Batch::new(5, 7);
        assert_eq!((batch.permits(), batch.with_permits(3)), (7, Batch::new(5, 3)));
        assert_eq!((batch.next(), batch.next().next()), (Batch::new(6, 0), Batch::new(7, 0)));
        let last = Batch::new((1 << 31) - 1, LARGEST_BATCH);
        assert_eq!((last.permits(), last.next()), (LARGEST_BATCH, Batch::new(0, 0)));
    }

    /// Neither what a claimant comes back with nor what is given back gets into a stripe of another generation.
    ///
    /// Kills: a generation that is not looked at.
    #[test]
    fn another_generation_takes_nothing() {
        let (old, drained) = (Batch::new(1, 9), Drained::new());
        let new = old.next().with_permits(9);
        let stripe = Stripe::new(old, 4);
        let claim = stripe.claim(&drained).expect("nobody has it");
        assert!(claim.is_of(old) && !claim.is_of(new));
        assert_eq!(stripe.empty_for(new), 0);
        claim.leave(4);
        assert_eq!(stripe.stock(), 0);
        assert_eq!((stripe.give_back(old, 3), stripe.give_back(new, 3)), (0, 3));
        assert_eq!(stripe.stock(), 3);
    }
}
