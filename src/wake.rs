//! Waking, which is code of somebody else's: it may panic, and it may call back. Never with a lock held.

use core::panic::AssertUnwindSafe;
use core::task::Waker;
use std::panic::{catch_unwind, resume_unwind};
use std::thread::{self, panicking};

/// Wakes all, the rest also when one of them panics; then that panic goes on, unless there is one already.
pub(crate) fn wake_all(wakers: impl IntoIterator<Item = Waker>) {
    let mut panic = None;
    for waker in wakers {
        if let Err(payload) = wake_quietly(waker) {
            panic = panic.or(Some(payload));
        }
    }
    // A second panic would end the process.
    if let Some(payload) = panic.filter(|_| !panicking()) {
        resume_unwind(payload);
    }
}

/// Wakes one; its panic is the caller's to pass on or not.
pub(crate) fn wake_quietly(waker: Waker) -> thread::Result<()> {
    catch_unwind(AssertUnwindSafe(|| waker.wake()))
}
