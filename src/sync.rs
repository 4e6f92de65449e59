//! The one place that names the atomics: `core`'s, with the feature `portable-atomic` those of that crate, or those of loom or
//! shuttle when the models are built.
//!
//! loom's types are made at run time, so what is `const fn` for users is a plain `fn` there: [`const_fn!`].

/// For the rate that an adaptive limiter shows, and what its law remembers: written by one thread at a time, under a lock.
#[cfg(not(feature = "portable-atomic"))]
pub(crate) use atomic_float::AtomicF64;
#[cfg(feature = "portable-atomic")]
pub(crate) use portable_atomic::AtomicF64;

/// For counters that no decision on a permit reads: the models do not explore what may be seen of them.
#[cfg(not(feature = "portable-atomic"))]
pub(crate) use core::sync::atomic::AtomicU64 as UnmodelledU64;
#[cfg(feature = "portable-atomic")]
pub(crate) use portable_atomic::AtomicU64 as UnmodelledU64;

#[cfg(not(any(feature = "portable-atomic", loom, shuttle)))]
pub(crate) use core::sync::atomic::{AtomicU64, Ordering, fence};
#[cfg(all(feature = "portable-atomic", not(any(loom, shuttle))))]
pub(crate) use portable_atomic::{AtomicU64, Ordering, fence};

#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicU64, Ordering, fence};
#[cfg(shuttle)]
pub(crate) use shuttle::sync::atomic::{AtomicU64, Ordering, fence};

#[cfg(not(any(feature = "portable-atomic", target_has_atomic = "64")))]
compile_error!(
    "sluicegate keeps its state in 64-bit atomics; on a target without them enable its feature `portable-atomic`"
);

#[cfg(all(loom, feature = "per-key"))]
pub(crate) use loom::sync::RwLock;
#[cfg(loom)]
pub(crate) use loom::sync::{Mutex, MutexGuard};
#[cfg(all(shuttle, feature = "per-key"))]
pub(crate) use shuttle::sync::RwLock;
#[cfg(shuttle)]
pub(crate) use shuttle::sync::{Mutex, MutexGuard};
#[cfg(all(feature = "per-key", not(any(loom, shuttle))))]
pub(crate) use std::sync::RwLock;
#[cfg(all(feature = "std", not(any(loom, shuttle))))]
pub(crate) use std::sync::{Mutex, MutexGuard};

#[cfg(loom)]
pub(crate) use loom::thread_local;
#[cfg(shuttle)]
pub(crate) use shuttle::thread_local;

/// Declares a `const fn`, which is a plain `fn` under loom.
macro_rules! const_fn {
    ($(#[$attribute:meta])* $visibility:vis const fn $($rest:tt)*) => {
        #[cfg(not(loom))]
        $(#[$attribute])*
        $visibility const fn $($rest)*
        #[cfg(loom)]
        $(#[$attribute])*
        $visibility fn $($rest)*
    };
}
pub(crate) use const_fn;

/// Mutual exclusion of those who change a quota; no decision ever takes it.
///
/// A lock that a panic poisoned is taken all the same: it guards no invariant that a panic could break, since
/// every state between two steps of a change is one that acquirers can work with.
#[derive(Debug)]
pub(crate) struct Lock {
    #[cfg(any(feature = "std", loom))]
    mutex: Mutex<()>,
    #[cfg(not(any(feature = "std", loom)))]
    held: AtomicU64,
}

#[cfg(any(feature = "std", loom))]
mod blocking {
    use super::{Lock, Mutex};

    pub(crate) type Guard<'a> = super::MutexGuard<'a, ()>;

    impl Lock {
        const_fn! {
            pub(crate) const fn new() -> Self {
                Self { mutex: Mutex::new(()) }
            }
        }

        /// Waits for the lock.
        pub(crate) fn lock(&self) -> Guard<'_> {
            self.mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
        }

        /// The lock, if nobody holds it.
        pub(crate) fn try_lock(&self) -> Option<Guard<'_>> {
            match self.mutex.try_lock() {
                Ok(guard) => Some(guard),
                #[cfg(not(loom))]
                Err(std::sync::TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
                Err(_) => None,
            }
        }
    }
}

/// Without an operating system to sleep on, a setter that finds another one at work spins.
#[cfg(not(any(feature = "std", loom)))]
mod spinning {
    use super::{Lock, Ordering};
    use crate::sync::AtomicU64;

    #[derive(Debug)]
    pub(crate) struct Guard<'a>(&'a AtomicU64);

    impl Lock {
        pub(crate) const fn new() -> Self {
            Self { held: AtomicU64::new(0) }
        }

        /// Waits for the lock.
        pub(crate) fn lock(&self) -> Guard<'_> {
            let backoff = crossbeam_utils::Backoff::new();
            loop {
                if let Some(guard) = self.try_lock() {
                    return guard;
                }
                backoff.snooze();
            }
        }

        /// The lock, if nobody holds it.
        pub(crate) fn try_lock(&self) -> Option<Guard<'_>> {
            // Ordering: Acquire pairs with the Release in `drop`: what the last holder wrote is seen.
            (self.held.swap(1, Ordering::Acquire) == 0).then_some(Guard(&self.held))
        }
    }

    impl Drop for Guard<'_> {
        fn drop(&mut self) {
            // Ordering: Release pairs with the Acquire in `try_lock`.
            self.0.store(0, Ordering::Release);
        }
    }
}
