//! The threads: started together, stopped together. And the first phase, in which they do nothing but ask.

use core::hint::spin_loop;
use core::sync::atomic::{AtomicU8, Ordering};
use core::time::Duration;
use std::io;
use std::panic;
use std::thread;
use std::time::Instant;

use indicatif::ProgressBar;

use crate::args::Plan;
use crate::subjects::Subject;

/// What the first phase found.
#[derive(Debug)]
pub(crate) struct Hammered {
    pub(crate) granted: u64,
    pub(crate) denied: u64,
    /// When the first thread started, on the limiter's clock in nanoseconds.
    pub(crate) start: u64,
    /// When the last one ended.
    pub(crate) end: u64,
}

impl Hammered {
    pub(crate) fn decisions(&self) -> u64 {
        self.granted + self.denied
    }

    pub(crate) fn decisions_per_second(&self) -> f64 {
        self.decisions() as f64 * 1e9 / self.nanos()
    }

    /// What one of `threads` callers waited for one decision.
    pub(crate) fn nanos_per_decision(&self, threads: usize) -> f64 {
        self.nanos() * threads as f64 / self.decisions() as f64
    }

    fn nanos(&self) -> f64 {
        (self.end - self.start) as f64
    }
}

/// Where the threads are told what to do.
pub(crate) struct Signal(AtomicU8);

const WAIT: u8 = 0;
const GO: u8 = 1;
const STOP: u8 = 2;

impl Signal {
    /// Whether to go on.
    #[inline]
    pub(crate) fn go(&self) -> bool {
        // Ordering: Relaxed; a signal publishes nothing, and what the threads found is handed over by joining them.
        self.0.load(Ordering::Relaxed) == GO
    }

    /// For a thread that has found enough: stops them all.
    pub(crate) fn stop(&self) {
        // Ordering: Relaxed, as above.
        self.0.store(STOP, Ordering::Relaxed);
    }

    fn wait(&self) {
        // Ordering: Relaxed, as above.
        while self.0.load(Ordering::Relaxed) == WAIT {
            spin_loop();
            // There may be more threads than cores.
            thread::yield_now();
        }
    }
}

/// Runs `work` on all threads of the plan for about `time`, and moves the bar along.
pub(crate) fn on_all_threads<T: Send>(
    plan: &Plan,
    time: Duration,
    bar: &ProgressBar,
    work: impl Fn(&Signal) -> T + Sync,
) -> io::Result<Vec<T>> {
    let signal = Signal(AtomicU8::new(WAIT));
    thread::scope(|scope| {
        let mut threads = Vec::with_capacity(plan.threads);
        for _ in 0..plan.threads {
            let worker = || {
                signal.wait();
                work(&signal)
            };
            match thread::Builder::new().spawn_scoped(scope, worker) {
                Ok(thread) => threads.push(thread),
                Err(error) => {
                    // Or those that were started would wait for ever.
                    signal.stop();
                    return Err(io::Error::new(error.kind(), format!("--threads {}: {error}", plan.threads)));
                }
            }
        }
        // Ordering: Relaxed, as in `Signal`.
        signal.0.store(GO, Ordering::Relaxed);
        advance(&signal, time, bar);
        signal.stop();
        let join =
            |thread: thread::ScopedJoinHandle<'_, T>| thread.join().unwrap_or_else(|why| panic::resume_unwind(why));
        Ok(threads.into_iter().map(join).collect())
    })
}

/// Sleeps for `time`, or until a thread stops the phase, and moves the bar by what `time` is either way.
fn advance(signal: &Signal, time: Duration, bar: &ProgressBar) {
    let (start, from) = (Instant::now(), bar.position());
    while signal.go() && start.elapsed() < time {
        thread::sleep(Duration::from_millis(50).min(time - start.elapsed().min(time)));
        bar.set_position(from + start.elapsed().min(time).as_millis() as u64);
    }
    bar.set_position(from + time.as_millis() as u64);
}

/// The first phase: all threads ask as fast as they can.
pub(crate) fn hammer<S: Subject>(subject: &S, plan: &Plan, bar: &ProgressBar) -> io::Result<Hammered> {
    let laps = on_all_threads(plan, plan.speed, bar, |signal| {
        let mut try_acquire = subject.worker();
        let (mut granted, mut denied, start) = (0_u64, 0_u64, subject.now());
        while signal.go() {
            // Looking at the signal once in a while costs nothing.
            for _ in 0..64 {
                if try_acquire() {
                    granted += 1;
                } else {
                    denied += 1;
                }
            }
        }
        (granted, denied, start, subject.now())
    })?;
    let start = laps.iter().map(|lap| lap.2).min().unwrap_or(0);
    let end = laps.iter().map(|lap| lap.3).max().unwrap_or(0);
    Ok(Hammered {
        granted: laps.iter().map(|lap| lap.0).sum(),
        denied: laps.iter().map(|lap| lap.1).sum(),
        start,
        end: end.max(start + 1),
    })
}
