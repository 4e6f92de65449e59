//! Waiters that join a limiter from which nothing comes, and leave again: futures that are polled once by hand.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Waker};
use core::time::Duration;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use sluicegate_benches::counting::counted;
use tokio::runtime::Builder;

use crate::subjects::{Load, Waiting};

/// What one run found, a waiter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standing {
    /// Of the first poll, in nanoseconds.
    pub(crate) join: f64,
    /// Of dropping it in the order of joining, in nanoseconds; its box included.
    pub(crate) cancel: f64,
    /// All that is allocated for it, the future included.
    pub(crate) bytes: f64,
    /// Of these, the future.
    pub(crate) future: usize,
}

/// By then, threads that keep timers have taken in what they were told.
const SETTLED: Duration = Duration::from_millis(20);

/// # Panics
/// If anybody is served.
pub(crate) fn stand<W: Waiting>(waiters: usize) -> Standing {
    let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime needs nothing that is scarce");
    // For those who sleep by its timer.
    let _inside = runtime.enter();
    let limiter = Arc::new(W::spent(Load::SHUT));
    let mut futures = Vec::with_capacity(waiters);
    // What threads give back late is of those who waited before.
    while counted(|| thread::sleep(SETTLED)).1 != 0 {}
    let ((), bytes) = counted(|| {
        futures.extend(boxes(&limiter, waiters));
        join(&mut futures);
        thread::sleep(SETTLED);
    });
    let future = futures.first_mut().map_or(0, |future| size_of_val(&**future));
    drop(futures);
    thread::sleep(SETTLED);

    // Once more, because counting takes time, too.
    let mut futures: Vec<_> = boxes(&limiter, waiters).collect();
    let joined = timed(|| join(&mut futures));
    thread::sleep(SETTLED);
    let cancelled = timed(|| drop(futures));
    let each = |sum: f64| sum / waiters as f64;
    Standing { join: each(joined), cancel: each(cancelled), bytes: each(bytes as f64), future }
}

fn boxes<W: Waiting>(
    limiter: &Arc<W>,
    waiters: usize,
) -> impl Iterator<Item = Pin<Box<impl Future<Output = ()> + use<W>>>> + use<'_, W> {
    (0..waiters).map(|_| Box::pin(Arc::clone(limiter).wait()))
}

fn join(futures: &mut [Pin<Box<impl Future<Output = ()>>>]) {
    let mut context = Context::from_waker(Waker::noop());
    for future in futures {
        assert!(future.as_mut().poll(&mut context).is_pending(), "nothing comes for an hour");
    }
}

/// Its nanoseconds.
fn timed(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_nanos() as f64
}
