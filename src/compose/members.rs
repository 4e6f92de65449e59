//! What a composite is made of: tuples, slices and what is like them. The look at all of them, the charges, the roll-back.

use alloc::vec::Vec;
use core::mem;

use crate::error::RateLimitExceeded;
use crate::limiter::{Limiter, Peek};

/// The members of a composite. Sealed: the module is private.
pub trait Members: Send + Sync {
    /// How many there are.
    #[doc(hidden)]
    fn count(&self) -> usize;

    /// One of them, for all that is not in a hurry.
    #[doc(hidden)]
    fn member(&self, index: usize) -> &dyn Limiter;

    /// Takes `n` permits, at least one, of all of them; or of none, and tells who has not got them.
    #[doc(hidden)]
    fn charge(&self, n: u64) -> Result<(), Refusal>;
}

/// Who denied, and how.
#[derive(Debug)]
pub struct Refusal {
    pub(super) index: usize,
    pub(super) error: RateLimitExceeded,
}

#[inline(always)]
fn asked<T>(index: usize, result: Result<T, RateLimitExceeded>) -> Result<T, Refusal> {
    result.map_err(|error| Refusal { index, error })
}

/// The first members, of which `n` permits each were taken. Dropped it gives them back: when one is denied, and also when
/// one panics.
struct Charged<'a, M: Members + ?Sized> {
    members: &'a M,
    count: usize,
    n: u64,
    /// By which they were taken, so far as that is known.
    peeks: &'a [Peek],
}

impl<M: Members + ?Sized> Charged<'_, M> {
    /// All are: they stay taken.
    #[inline(always)]
    fn stay(self) {
        mem::forget(self);
    }
}

impl<M: Members + ?Sized> Drop for Charged<'_, M> {
    fn drop(&mut self) {
        while let Some(last) = self.count.checked_sub(1) {
            self.count = last;
            // Goes on with the others, should this one panic.
            let others = Charged { members: self.members, count: last, n: self.n, peeks: self.peeks };
            let peek = self.peeks.get(last).copied().unwrap_or(Peek::NONE);
            self.members.member(last).composite_give_back(self.n, peek);
            others.stay();
        }
    }
}

/// Gives `n` permits back to every member, the last one first.
pub(super) fn give_back(members: &(impl Members + ?Sized), n: u64) {
    drop(Charged { members, count: members.count(), n, peeks: &[] });
}

/// How many members of a slice are not asked for the time again.
const KEPT: usize = 8;

impl<L: Limiter> Members for [L] {
    fn count(&self) -> usize {
        self.len()
    }

    fn member(&self, index: usize) -> &dyn Limiter {
        &self[index]
    }

    fn charge(&self, n: u64) -> Result<(), Refusal> {
        let Some((first, others)) = self.split_first() else {
            return Ok(());
        };
        let mut peeks = [Peek::NONE; KEPT];
        for (i, member) in (1..).zip(others) {
            let peek = asked(i, member.composite_peek(n))?;
            if let Some(kept) = peeks.get_mut(i) {
                *kept = peek;
            }
        }
        peeks[0] = asked(0, first.composite_charge(n))?;
        let mut charged = Charged { members: self, count: 1, n, peeks: &peeks };
        for (i, member) in (1..).zip(others) {
            let taken = match peeks.get(i) {
                Some(&peek) => member.composite_take(n, peek),
                None => member.try_acquire_n(n),
            };
            asked(i, taken)?;
            charged.count += 1;
        }
        charged.stay();
        Ok(())
    }
}

/// What has members has them by reference, too, and in other kinds of lists.
macro_rules! as_others {
    ($([$($generics:tt)*] $Members:ty => |$this:ident| $inner:expr;)*) => {$(
        impl<$($generics)*> Members for $Members {
            #[inline(always)]
            fn count(&self) -> usize {
                let $this = self;
                $inner.count()
            }

            #[inline(always)]
            fn member(&self, index: usize) -> &dyn Limiter {
                let $this = self;
                $inner.member(index)
            }

            #[inline(always)]
            fn charge(&self, n: u64) -> Result<(), Refusal> {
                let $this = self;
                $inner.charge(n)
            }
        }
    )*};
}
as_others! {
    [M: Members + ?Sized] &M => |this| (**this);
    [L: Limiter, const N: usize] [L; N] => |this| this.as_slice();
    [L: Limiter] Vec<L> => |this| this.as_slice();
}

/// Of no members: it admits everything.
impl Members for () {
    fn count(&self) -> usize {
        0
    }

    fn member(&self, _index: usize) -> &dyn Limiter {
        &None::<&dyn Limiter>
    }

    #[inline(always)]
    fn charge(&self, _n: u64) -> Result<(), Refusal> {
        Ok(())
    }
}

macro_rules! tuples {
    ($($count:literal: $First:ident $(, $Member:ident $peek:ident $index:tt)*;)*) => {$(
        impl<$First: Limiter, $($Member: Limiter),*> Members for ($First, $($Member,)*) {
            #[inline(always)]
            fn count(&self) -> usize {
                $count
            }

            fn member(&self, index: usize) -> &dyn Limiter {
                match index {
                    $($index => &self.$index,)*
                    _ => &self.0,
                }
            }

            #[inline(always)]
            fn charge(&self, n: u64) -> Result<(), Refusal> {
                $(let $peek = asked($index, self.$index.composite_peek(n))?;)*
                let first = asked(0, self.0.composite_charge(n))?;
                let peeks = [first, $($peek),*];
                #[allow(unused_mut)] // of one member
                let mut charged = Charged { members: self, count: 1, n, peeks: &peeks };
                $(
                    asked($index, self.$index.composite_take(n, $peek))?;
                    charged.count = $index + 1;
                )*
                charged.stay();
                Ok(())
            }
        }
    )*};
}
tuples! {
    1: A;
    2: A, B b 1;
    3: A, B b 1, C c 2;
    4: A, B b 1, C c 2, D d 3;
    5: A, B b 1, C c 2, D d 3, E e 4;
    6: A, B b 1, C c 2, D d 3, E e 4, F f 5;
    7: A, B b 1, C c 2, D d 3, E e 4, F f 5, G g 6;
    8: A, B b 1, C c 2, D d 3, E e 4, F f 5, G g 6, H h 7;
}
