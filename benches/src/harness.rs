//! The one harness: every limiter, ours and the others', is timed by this loop and no other.

use core::hint::{black_box, spin_loop};
use core::sync::atomic::{AtomicUsize, Ordering};
use core::time::Duration;
use std::thread;
use std::time::Instant;

use core_affinity::CoreId;
use crossbeam_utils::CachePadded;

/// What one run of the harness found.
#[derive(Clone, Copy, Debug)]
pub struct Measurement {
    /// From the moment the first thread began its loop until the last one ended its own.
    pub wall: Duration,
    /// Calls that were made by all threads together.
    pub decisions: u64,
    /// Calls that returned `true`.
    pub admitted: u64,
}

impl Measurement {
    /// Nanoseconds for which the system as a whole was busy with one decision: wall time by all decisions.
    ///
    /// Twice as many threads that each decide as fast as before halve it; threads that wait for each other do not.
    /// What a single caller waits is this times the number of threads that really ran at once.
    #[must_use]
    pub fn nanos_per_decision(&self) -> f64 {
        self.wall.as_nanos() as f64 / self.decisions as f64
    }
}

/// Times `calls_per_thread` calls of `op` on each of `threads` threads that share `subject`.
///
/// Thread `i` is pinned to the `i`th core that the process may use, starting again at the first one when there are
/// more threads than cores. All threads are made first and meet at a barrier where they spin, so that neither making
/// nor waking them is timed. Each then reads the time, makes all its calls in one loop, and reads the time again.
/// Measured is the span from the earliest first reading to the latest last one: threads that take turns on a core are
/// charged for the turns. It therefore contains a tail in which the fastest threads are done already, and where
/// threads share cores, what the scheduler makes of them; both are small when a run lasts many time slices.
///
/// `op` is inlined into the loop. The subject's address and the result pass through [`black_box`], so that nothing is
/// dropped or kept from one call to the next; what that costs is the same for every subject (hiding the address:
/// 0.3 ns of a denial of 1.5 ns, as measured).
///
/// # Panics
/// If a thread cannot be started, or if `op` panics.
pub fn run<S: Sync>(subject: &S, threads: usize, calls_per_thread: u64, op: impl Fn(&S) -> bool + Sync) -> Measurement {
    run_beside(subject, threads, calls_per_thread, &op, &op)
}

/// The same with two kinds of thread: the first, the third and so on make calls of `op`, and those between them calls of
/// `beside`.
///
/// All make as many calls. So the span is that of the slower operation alone, unless one holds the other up. Where
/// threads share an even number of cores, each core has threads of one kind.
///
/// # Panics
/// If a thread cannot be started, or if an operation panics.
pub fn run_beside<S: Sync>(
    subject: &S,
    threads: usize,
    calls_per_thread: u64,
    op: impl Fn(&S) -> bool + Sync,
    beside: impl Fn(&S) -> bool + Sync,
) -> Measurement {
    let index = |index| index;
    run_laps(threads, calls_per_thread, index, |index| {
        if index % 2 == 0 { lap(subject, calls_per_thread, &op) } else { lap(subject, calls_per_thread, &beside) }
    })
}

/// The same with a key a call: `keys` makes the source of thread `i`, which is asked for the next key before each call.
///
/// The source is inlined into the loop, too, and part of what is measured.
///
/// # Panics
/// If a thread cannot be started, or if `op` panics.
pub fn run_keyed<S: Sync, N: FnMut() -> u64>(
    subject: &S,
    threads: usize,
    calls_per_thread: u64,
    keys: impl Fn(usize) -> N + Sync,
    op: impl Fn(&S, u64) -> bool + Sync,
) -> Measurement {
    run_laps(threads, calls_per_thread, keys, |mut next| lap(subject, calls_per_thread, |subject| op(subject, next())))
}

/// The same where each thread has a subject of its own: `own` makes that of thread `i`, and its source of keys.
///
/// Its address is hidden from the calls, too. It is made before anything is timed, and dropped after the thread's last
/// call.
///
/// # Panics
/// If a thread cannot be started, or if `own` or `op` panics.
pub fn run_keyed_each<S, N: FnMut() -> u64>(
    threads: usize,
    calls_per_thread: u64,
    own: impl Fn(usize) -> (S, N) + Sync,
    op: impl Fn(&S, u64) -> bool + Sync,
) -> Measurement {
    run_laps(threads, calls_per_thread, own, |(subject, mut next)| {
        lap(&subject, calls_per_thread, |subject| op(subject, next()))
    })
}

/// The same without keys, where each thread has a subject of its own that its calls may change: `own` makes it on that thread.
///
/// # Panics
/// If a thread cannot be started, or if `own` or `op` panics.
pub fn run_each<S>(
    threads: usize,
    calls_per_thread: u64,
    own: impl Fn() -> S + Sync,
    op: impl Fn(&mut S) -> bool + Sync,
) -> Measurement {
    run_laps(threads, calls_per_thread, |_| own(), |mut subject| lap_mut(&mut subject, calls_per_thread, &op))
}

/// `make` makes what thread `i` brings along, before the barrier.
fn run_laps<T>(
    threads: usize,
    calls_per_thread: u64,
    make: impl Fn(usize) -> T + Sync,
    lap: impl Fn(T) -> Lap + Sync,
) -> Measurement {
    let barrier = SpinBarrier::new(threads);
    let laps: Vec<Lap> = thread::scope(|scope| {
        let worker = |index: usize| {
            let (barrier, make, lap) = (&barrier, &make, &lap);
            scope.spawn(move || {
                pin(index);
                let own = make(index);
                barrier.wait();
                lap(own)
            })
        };
        let workers: Vec<_> = (0..threads).map(worker).collect();
        workers.into_iter().map(|worker| worker.join().expect("the operation under test panicked")).collect()
    });
    let start = laps.iter().map(|lap| lap.start).min();
    let end = laps.iter().map(|lap| lap.end).max();
    Measurement {
        wall: start.zip(end).map_or(Duration::ZERO, |(start, end)| end - start),
        decisions: threads as u64 * calls_per_thread,
        admitted: laps.iter().map(|lap| lap.admitted).sum(),
    }
}

/// The cores that threads are pinned to, in that order; empty where the system does not tell.
#[must_use]
pub fn cores() -> Vec<CoreId> {
    core_affinity::get_core_ids().unwrap_or_default()
}

/// Pins this thread to the `index`th core, counted around.
pub fn pin(index: usize) {
    let cores = cores();
    if !cores.is_empty() {
        core_affinity::set_for_current(cores[index % cores.len()]);
    }
}

/// One thread's loop.
struct Lap {
    start: Instant,
    end: Instant,
    admitted: u64,
}

// Not inlined: the loop of a subject is then the same code at every number of threads.
#[inline(never)]
fn lap<S>(subject: &S, calls: u64, mut op: impl FnMut(&S) -> bool) -> Lap {
    let mut admitted = 0;
    let start = Instant::now();
    for _ in 0..calls {
        admitted += u64::from(black_box(op(black_box(subject))));
    }
    Lap { start, end: Instant::now(), admitted }
}

/// The same on a subject that its calls may change.
#[inline(never)]
fn lap_mut<S>(subject: &mut S, calls: u64, op: impl Fn(&mut S) -> bool) -> Lap {
    let mut admitted = 0;
    let start = Instant::now();
    for _ in 0..calls {
        admitted += u64::from(black_box(op(black_box(subject))));
    }
    Lap { start, end: Instant::now(), admitted }
}

/// Lets nobody through until all have come. Waits on the core, because a thread that sleeps starts late.
#[derive(Debug)]
pub struct SpinBarrier {
    missing: CachePadded<AtomicUsize>,
}

impl SpinBarrier {
    /// For so many.
    #[must_use]
    pub fn new(threads: usize) -> Self {
        Self { missing: CachePadded::new(AtomicUsize::new(threads)) }
    }

    /// Until all have called it.
    pub fn wait(&self) {
        // Ordering: Relaxed; the barrier only aligns the threads in time and publishes nothing.
        self.missing.fetch_sub(1, Ordering::Relaxed);
        let mut spins = 0_u32;
        // Ordering: Relaxed, as above.
        while self.missing.load(Ordering::Relaxed) != 0 {
            spin_loop();
            spins += 1;
            // Where threads share a core, the one that is missing may be waiting for this very core.
            if spins % 1_024 == 0 {
                thread::yield_now();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use core::sync::atomic::{AtomicU64, Ordering};

    use super::{run, run_beside, run_each, run_keyed, run_keyed_each};

    #[test]
    fn makes_every_call_once_and_counts_what_was_admitted() {
        let calls = AtomicU64::new(0);
        let found = run(&calls, 3, 1_000, |calls| calls.fetch_add(1, Ordering::Relaxed) % 4 == 0);
        assert_eq!((found.decisions, found.admitted, calls.into_inner()), (3_000, 750, 3_000));
        assert!(found.nanos_per_decision() > 0.0);
    }

    #[test]
    fn every_other_thread_makes_the_other_call() {
        let calls = (AtomicU64::new(0), AtomicU64::new(0));
        let op = |counter: &AtomicU64| counter.fetch_add(1, Ordering::Relaxed) < u64::MAX;
        let found = run_beside(&calls, 5, 1_000, |calls| op(&calls.0), |calls| op(&calls.1));
        assert_eq!((found.decisions, found.admitted), (5_000, 5_000));
        assert_eq!((calls.0.into_inner(), calls.1.into_inner()), (3_000, 2_000));
    }

    #[test]
    fn every_thread_has_keys_of_its_own() {
        let sums = [const { AtomicU64::new(0) }; 3];
        let keys = |thread: usize| {
            let mut next = thread as u64 * 1_000;
            move || {
                next += 1;
                next
            }
        };
        let found = run_keyed(&sums, 3, 10, keys, |sums, key| {
            sums[key as usize / 1_000].fetch_add(key % 1_000, Ordering::Relaxed) < u64::MAX
        });
        assert_eq!((found.decisions, found.admitted), (30, 30));
        assert_eq!(sums.map(AtomicU64::into_inner), [55; 3]);
    }

    #[test]
    fn every_thread_has_a_subject_of_its_own() {
        let sums = [const { AtomicU64::new(0) }; 3];
        let own = |thread: usize| (&sums[thread], || 7);
        let found = run_keyed_each(3, 10, own, |sum, key| sum.fetch_add(key, Ordering::Relaxed) < u64::MAX);
        assert_eq!((found.decisions, found.admitted), (30, 30));
        assert_eq!(sums.map(AtomicU64::into_inner), [70; 3]);
    }

    #[test]
    fn every_thread_changes_a_subject_of_its_own() {
        let own = || 0_u64;
        let odd = |calls: &mut u64| {
            *calls += 1;
            *calls % 2 == 1
        };
        let found = run_each(3, 10, own, odd);
        assert_eq!((found.decisions, found.admitted), (30, 15));
    }
}
