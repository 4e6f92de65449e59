//! Threads in the line: the same steps, between which they park.

use core::cell::Cell;
use core::task::Waker;
use std::time::Instant;

use parking::Parker;

use super::{Step, Steps};
use crate::error::RateLimitExceeded;

/// A parker, and what wakes it.
struct Parked {
    parker: Parker,
    waker: Waker,
}

impl Parked {
    fn new() -> Self {
        let parker = Parker::new();
        let waker = Waker::from(parker.unparker());
        Self { parker, waker }
    }
}

std::thread_local! {
    /// Of the thread that waits; taken meanwhile, should a waker of its own wait as well.
    static SPARE: Cell<Option<Parked>> = const { Cell::new(None) };
}

/// Waits on this thread.
pub(crate) fn block_on(mut steps: impl Steps) -> Result<(), RateLimitExceeded> {
    // Whoever woke the thread the last time may do so again, late: then it looks once for nothing.
    let spare = SPARE.try_with(Cell::take).ok().flatten();
    let parked = spare.unwrap_or_else(Parked::new);
    let outcome = loop {
        match steps.step(&parked.waker) {
            Step::Done(outcome) => break outcome,
            Step::Sleep(None) => parked.parker.park(),
            Step::Sleep(Some(time)) => {
                let started = Instant::now();
                let is_woken = parked.parker.park_timeout(time);
                steps.slept(if is_woken { started.elapsed().min(time) } else { time });
            }
        }
    };
    // While the thread's locals are being destroyed there is no place for it.
    let _ = SPARE.try_with(|cell| cell.set(Some(parked)));
    outcome
}
