//! Waiting: one line a limiter, for threads and tasks together, in the order of joining.
//!
//! # Protocol
//! The line stands beside the word. While it is not empty the word's WAIT bit is set, so that nobody overtakes: every
//! `try_` verb denies. A waiter takes its permits itself, when it is the head and they are there; nothing is ever taken
//! for it, so a waiter that goes leaves nothing behind.
//!
//! ```text
//! join   try; under the lock: full, or too late -> refused; empty -> set WAIT; push. Then look
//! look   t = clock; under the lock: the quota changed since -> again; more than fits now -> leave. Head: read the word again; due -> exchange, WAIT kept
//!        unless alone; unlink; take the next head's waker; unlock; wake it. Past the deadline -> leave.
//!        Else store my waker; unlock; head, or with a deadline: a clock moved by hand -> register, look once more;
//!        else sleep until then, 60 s at most
//! leave  under the lock: unlink; empty -> clear WAIT; it was the head -> take the next one's waker; unlock; wake it
//! refund, set_quota
//!        exchange first; the replaced word had WAIT -> lock; take the head's waker (set_quota: and those of all that can
//!        never be served now); unlock; wake
//! ```
//!
//! No code of the user's (clock, cloning, waking and dropping a waker) runs under the lock. docs/DESIGN.md has the argument.

mod acquire;
mod blocking;
mod line;
mod timer;
mod verbs;

use core::time::Duration;

pub use self::acquire::Acquire;
pub(crate) use self::acquire::{LONGEST_SLEEP, Place, Sleeper, Step, Steps};
pub(crate) use self::blocking::block_on;
pub(crate) use self::line::Line;
pub(crate) use self::timer::Timer;
pub(crate) use self::verbs::waits;
use crate::clock::Clock;
use crate::error::RateLimitExceeded;

/// A limiter that one can wait for. Sealed: the module is private.
pub trait Source: Send + Sync {
    /// What a decision is made on: the word, and a reading of the clock.
    type View;
    /// Its clock.
    type Clock: Clock;

    #[doc(hidden)]
    fn clock(&self) -> &Self::Clock;

    #[doc(hidden)]
    fn line(&self) -> &Line;

    /// Takes `n` without waiting, or tells why not; not counted.
    #[doc(hidden)]
    fn try_take(&self, n: u64) -> Result<(), RateLimitExceeded>;

    /// A view of now. Reads the clock, so not under the lock.
    #[doc(hidden)]
    fn look(&self) -> Self::View;

    /// Takes `n` for the head, under the lock: reads the word again, and leaves WAIT set if `others` wait.
    #[doc(hidden)]
    fn serve(&self, view: &mut Self::View, n: u64, others: bool) -> Serve;

    /// Whether the view's parameters are still those of the limiter, under the lock.
    #[doc(hidden)]
    fn is_current(&self, view: &Self::View) -> bool;

    /// The most that one call can get.
    #[doc(hidden)]
    fn capacity(&self, view: &Self::View) -> u64;

    /// From the view's reading until `n` permits have come behind `ahead` of them, about.
    #[doc(hidden)]
    fn estimate(&self, view: &Self::View, ahead: u64, n: u64) -> Duration;

    /// Sets or clears WAIT, under the lock.
    #[doc(hidden)]
    fn set_waiting(&self, waiting: bool);

    /// Counts a call for `n` that may have waited.
    #[doc(hidden)]
    fn count(&self, n: u64, allowed: bool, waited: Duration);
}

/// What became of the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Serve {
    /// It has its permits.
    Served,
    /// They come so long after the view's reading.
    Later(Duration),
    /// The quota is being changed: take another view.
    Stale,
}
