//! All stripes of a bucket.

use ::alloc::boxed::Box;

use crossbeam_utils::CachePadded;

use super::drained::Drained;
use super::stripe::{Batch, Claim, Stripe};
use crate::counters::stripe_count;
use crate::sync::{AtomicU64, Ordering};
use crate::thread_number;

/// More than this are never made.
pub(super) const MOST: usize = 64;

/// As many as there are of counters; in the models two, so that one can take from another.
pub(crate) fn count() -> usize {
    if cfg!(any(loom, shuttle)) { 2 } else { stripe_count().min(MOST) }
}

#[derive(Debug)]
pub(super) struct Stripes {
    /// A power of two of them.
    stripes: Box<[CachePadded<Stripe>]>,
    /// A [`Batch`]: what stripes are filled to now.
    batch: AtomicU64,
    drained: Drained,
}

impl Stripes {
    /// [`count`] of them, that hold so many permits as far as there is room.
    pub(super) fn new(batch: Batch, mut permits: u64) -> Self {
        let stripe = |_| {
            let stock = permits.min(batch.permits());
            permits -= stock;
            CachePadded::new(Stripe::new(batch, stock))
        };
        Self {
            stripes: (0..count()).map(stripe).collect(),
            batch: AtomicU64::new(batch.word()),
            drained: Drained::new(),
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.stripes.len()
    }

    /// The thread's own one.
    #[inline(always)]
    pub(super) fn own(&self) -> &Stripe {
        &self.stripes[thread_number::get() & (self.stripes.len() - 1)]
    }

    /// All, the thread's own one first.
    fn all(&self) -> impl Iterator<Item = &Stripe> {
        let own = thread_number::get();
        let at = move |i: usize| &*self.stripes[own.wrapping_add(i) & (self.stripes.len() - 1)];
        (0..self.stripes.len()).map(at)
    }

    /// What they are filled to.
    pub(super) fn batch(&self) -> Batch {
        // Ordering: Relaxed; a stripe's word says whether it is of this generation.
        Batch::from_word(self.batch.load(Ordering::Relaxed))
    }

    pub(super) fn set_batch(&self, batch: Batch) {
        // Ordering: Relaxed, as in `batch`.
        self.batch.store(batch.word(), Ordering::Relaxed);
    }

    /// What they hold together.
    pub(super) fn stock(&self) -> u64 {
        self.stripes.iter().map(|stripe| stripe.stock()).sum()
    }

    /// Whether none has any.
    pub(super) fn are_empty(&self) -> bool {
        self.stripes.iter().all(|stripe| stripe.stock() == 0)
    }

    /// The same, mostly without a look at each; but for stock that whoever put it there has not told of yet.
    #[inline(always)]
    pub(super) fn are_drained(&self) -> bool {
        self.drained.is_known() || self.drained.look(|| self.are_empty())
    }

    /// Takes the thread's own one into the caller's hands, unless somebody else has it.
    pub(super) fn claim_own(&self) -> Option<Claim<'_>> {
        self.own().claim(&self.drained)
    }

    /// Those that hold something, in the caller's hands.
    pub(super) fn claims(&self) -> impl Iterator<Item = Claim<'_>> {
        self.all().filter(|stripe| stripe.stock() > 0).filter_map(|stripe| stripe.claim(&self.drained))
    }

    /// Takes one permit from any.
    pub(super) fn take_one(&self) -> bool {
        self.all().any(|stripe| stripe.take(1))
    }

    /// Takes as many of `n` as there are.
    pub(super) fn take_up_to(&self, n: u64) -> u64 {
        let mut taken = 0;
        for stripe in self.all() {
            if taken == n {
                break;
            }
            taken += stripe.take_up_to(n - taken);
        }
        taken
    }

    /// Adds what of `n` has room in them.
    pub(super) fn give_back(&self, batch: Batch, n: u64) {
        let mut left = n;
        for stripe in self.all() {
            if left == 0 {
                break;
            }
            left -= stripe.give_back(batch, left);
        }
        if left < n {
            self.drained.end();
        }
    }

    /// Empties them for the generation of `batch`, and tells what they held.
    pub(super) fn empty_for(&self, batch: Batch) -> u64 {
        self.stripes.iter().map(|stripe| stripe.empty_for(batch)).sum()
    }
}

#[cfg(all(test, feature = "std", not(any(loom, shuttle))))]
mod tests {
    use core::ptr;
    use std::sync::Barrier;
    use std::thread;

    use super::*;

    /// Kills: threads that all have the same one, or one that there is not.
    #[test]
    fn a_thread_has_the_stripe_of_its_number() {
        let stripes = Stripes::new(Batch::new(0, 4), 0);
        let len = stripes.len();
        // All live at once, so that one of the numbers at least is above those of the stripes.
        let all = Barrier::new(len + 1);
        thread::scope(|scope| {
            for _ in 0..=len {
                scope.spawn(|| {
                    let number = thread_number::tests::own();
                    all.wait();
                    let stripe = |i: usize| ptr::from_ref(&*stripes.stripes[i % len]);
                    assert!(ptr::eq(stripes.own(), stripe(number)));
                    assert!(stripes.all().map(ptr::from_ref).eq((number..number + len).map(stripe)));
                });
            }
        });
    }

    /// Kills: a look at empty stripes that is of no use, or that is not remembered.
    #[test]
    fn stripes_without_stock_are_drained() {
        let batch = Batch::new(0, 4);
        let stripes = Stripes::new(batch, 3);
        assert!(!stripes.are_empty() && !stripes.are_drained());
        assert_eq!(stripes.take_up_to(9), 3);
        assert!(stripes.are_empty() && stripes.are_drained() && stripes.drained.is_known());
        stripes.give_back(batch, 1);
        assert!(!stripes.are_drained());
    }
}
