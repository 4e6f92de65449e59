//! Threads that do what they are told, one call at a time: so that each stripe can be used on purpose, and in an order that
//! is the same at every run.

use std::sync::mpsc::{Sender, channel};
use std::thread::{self, Scope};

type Job<'env> = Box<dyn FnOnce() + Send + 'env>;

/// A thread that lives as long as this does, and so keeps its number.
pub struct Worker<'env>(Sender<Job<'env>>);

impl<'env> Worker<'env> {
    pub fn start<'scope>(scope: &'scope Scope<'scope, 'env>) -> Self {
        let (jobs, job) = channel::<Job<'env>>();
        scope.spawn(move || job.into_iter().for_each(|job| job()));
        Self(jobs)
    }

    pub fn start_many<'scope>(scope: &'scope Scope<'scope, 'env>, workers: usize) -> Vec<Self> {
        (0..workers).map(|_| Self::start(scope)).collect()
    }

    /// Runs it there, and waits until it is done.
    ///
    /// # Panics
    /// If it does.
    pub fn call<T: Send + 'env>(&self, call: impl FnOnce() -> T + Send + 'env) -> T {
        let (done, result) = channel();
        let job = move || {
            let _ = done.send(call());
        };
        self.0.send(Box::new(job)).expect("the thread lives");
        result.recv().expect("no panic")
    }
}

/// Runs a call on a thread of its own, which is gone when it returns.
pub fn elsewhere<T: Send>(call: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| scope.spawn(call).join().expect("no panic"))
}

/// So many stripes has a bucket at most.
pub fn stripes() -> u64 {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    (4 * cores).min(64).next_power_of_two() as u64
}

/// What one stripe may hold of a burst, or one worker: a sixteenth of it by the number of stripes, if that is 4 or more.
pub fn batch(burst: u64) -> u64 {
    let batch = burst / 16 / stripes();
    if batch < 4 { 0 } else { batch }
}

/// The least burst that is divided.
pub fn least_divided() -> u64 {
    4 * 16 * stripes()
}
