//! A small number for each thread, its own while it lives.

/// That of a thread without one of its own.
const SHARED: usize = usize::MAX >> 1;

/// The number of the calling thread: the least that was free when it first asked. A thread that is just going has none of
/// its own any more, and shares one that is above all others.
///
/// Who is given a number sees all that its last owner wrote.
#[inline(always)]
pub(crate) fn get() -> usize {
    #[cfg(all(feature = "std", not(any(loom, shuttle))))]
    return registry::get();
    #[cfg(any(loom, shuttle))]
    return modelled::get();
    #[cfg(not(any(feature = "std", loom, shuttle)))]
    return SHARED;
}

/// In the models a thread has a number if it is given one.
#[cfg(any(loom, shuttle))]
#[allow(unreachable_pub)] // it is exported where it is there
pub(crate) mod modelled {
    use core::cell::Cell;

    use super::SHARED;

    crate::sync::thread_local! {
        static NUMBER: Cell<usize> = Cell::new(SHARED);
    }

    pub(super) fn get() -> usize {
        NUMBER.with(Cell::get)
    }

    /// Numbers the calling thread.
    pub fn set(number: usize) {
        NUMBER.with(|own| own.set(number));
    }
}

#[cfg(all(feature = "std", not(any(loom, shuttle))))]
mod registry {
    use alloc::collections::BinaryHeap;
    use core::cell::Cell;
    use core::cmp::Reverse;
    use std::sync::TryLockError;

    use super::SHARED;
    use crate::sync::{Mutex, MutexGuard};

    const UNKNOWN: usize = usize::MAX;

    std::thread_local! {
        /// Without a destructor, so that a look at it is one load.
        static NUMBER: Cell<usize> = const { Cell::new(UNKNOWN) };
        /// Gives it back.
        static HELD: Held = const { Held(Cell::new(UNKNOWN)) };
    }

    #[inline(always)]
    pub(super) fn get() -> usize {
        let number = NUMBER.get();
        if number == UNKNOWN { assign() } else { number }
    }

    #[cold]
    #[inline(never)]
    fn assign() -> usize {
        // Not waited for: the next call tries again.
        let Some(mut numbers) = Numbers::try_lock() else {
            return SHARED;
        };
        // Gone already in a thread that first asks while its locals are being destroyed.
        let number = HELD.try_with(|held| {
            let number = numbers.take();
            held.0.set(number);
            number
        });
        let number = number.unwrap_or(SHARED);
        NUMBER.set(number);
        number
    }

    struct Held(Cell<usize>);

    impl Drop for Held {
        fn drop(&mut self) {
            // What comes after this, from the destructors of other locals, is not this number's any more.
            NUMBER.set(SHARED);
            if self.0.get() != UNKNOWN {
                Numbers::lock().free.push(Reverse(self.0.get()));
            }
        }
    }

    struct Numbers {
        free: BinaryHeap<Reverse<usize>>,
        next: usize,
    }

    static NUMBERS: Mutex<Numbers> = Mutex::new(Numbers { free: BinaryHeap::new(), next: 0 });

    impl Numbers {
        fn lock() -> MutexGuard<'static, Self> {
            NUMBERS.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
        }

        fn try_lock() -> Option<MutexGuard<'static, Self>> {
            match NUMBERS.try_lock() {
                Ok(numbers) => Some(numbers),
                Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
                Err(TryLockError::WouldBlock) => None,
            }
        }

        fn take(&mut self) -> usize {
            self.free.pop().map_or_else(
                || {
                    self.next += 1;
                    self.next - 1
                },
                |Reverse(number)| number,
            )
        }
    }
}

#[cfg(all(test, feature = "std", not(any(loom, shuttle))))]
pub(crate) mod tests {
    use std::sync::{Barrier, Mutex};
    use std::thread;

    use super::{SHARED, get};

    /// A number of its own, at the latest when nobody else is being given one.
    pub(crate) fn own() -> usize {
        loop {
            let number = get();
            if number < SHARED {
                return number;
            }
        }
    }

    #[test]
    fn numbers_of_living_threads_differ() {
        let barrier = Barrier::new(50);
        let number = || {
            let number = own();
            barrier.wait();
            assert_eq!(get(), number);
            number
        };
        let mut numbers: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = (0..50).map(|_| scope.spawn(number)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), 50);
    }

    /// Or a service that starts a thread for each request would soon have none left.
    #[test]
    fn numbers_come_back() {
        let most = (0..500).map(|_| thread::spawn(own).join().unwrap()).max();
        assert!(most < Some(200), "{most:?}, with the threads of the other tests");
    }

    /// Its number may be another one's already: of the locals that are destroyed, those whose turn comes after see that.
    #[test]
    fn a_thread_that_is_going_has_none() {
        static SEEN: Mutex<Vec<usize>> = Mutex::new(Vec::new());
        struct Local;
        impl Drop for Local {
            fn drop(&mut self) {
                SEEN.lock().unwrap().push(get());
            }
        }
        std::thread_local! {
            static BEFORE: Local = const { Local };
            static AFTER: Local = const { Local };
        }
        let going = thread::spawn(|| {
            BEFORE.with(|_| {});
            let number = own();
            AFTER.with(|_| {});
            number
        });
        let number = going.join().unwrap();
        let seen = SEEN.lock().unwrap().clone();
        assert!(seen.iter().all(|&seen| seen == SHARED || seen == number), "{seen:?}");
        assert!(seen.contains(&SHARED), "{seen:?}");
    }
}
