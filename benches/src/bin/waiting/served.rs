//! Tasks that join an empty limiter, and are all served.

use core::num::NonZeroUsize;
use core::sync::atomic::{AtomicUsize, Ordering};
use core::time::Duration;
use std::sync::Arc;
use std::time::Instant;

use sluicegate_benches::cpu_time;
use tokio::runtime::Builder;

use crate::subjects::{Load, Waiting};

/// What runs the tasks.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Runtime {
    CurrentThread,
    /// Of two workers.
    MultiThread,
}

impl Runtime {
    pub(crate) const ALL: [Self; 2] = [Self::CurrentThread, Self::MultiThread];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::CurrentThread => "current_thread",
            Self::MultiThread => "multi_thread_2",
        }
    }

    fn build(self) -> tokio::runtime::Runtime {
        let mut builder = match self {
            Self::CurrentThread => Builder::new_current_thread(),
            Self::MultiThread => Builder::new_multi_thread(),
        };
        builder.worker_threads(2).enable_time().build().expect("a runtime needs nothing that is scarce")
    }
}

/// What one run found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Served {
    /// From before the first task was made until the last one was served.
    pub(crate) wall: Duration,
    /// Of the processors, by all threads meanwhile, a waiter: task, line, timers and waking. `None` where the system
    /// does not tell.
    pub(crate) cpu_each: Option<Duration>,
    /// The share of waiters who were not served in the order in which they came.
    pub(crate) out_of_order: f64,
}

/// How many may be granted beyond rate x time: what one refill or one window brings at its edge.
const EDGE: f64 = Load::BUSY.burst as f64;

/// # Panics
/// If not everybody is served, or more are than permits came.
pub(crate) fn serve<W: Waiting>(runtime: Runtime, waiters: usize) -> Served {
    let runtime = runtime.build();
    let line = Arc::new(Line::new(waiters));
    let (start, cpu) = (Instant::now(), cpu_time::used());
    runtime.block_on(async {
        let limiter = Arc::new(W::spent(Load::BUSY));
        let task = |_| {
            let (line, waiting) = (Arc::clone(&line), Arc::clone(&limiter).wait());
            tokio::spawn(async move {
                let arrival = line.arrive();
                waiting.await;
                line.leave(arrival);
            })
        };
        let tasks: Vec<_> = (0..waiters).map(task).collect();
        if let Some(feeding) = limiter.feed(waiters) {
            tokio::spawn(feeding);
        }
        for task in tasks {
            task.await.expect("the limiter panicked");
        }
    });
    let (wall, cpu) = (start.elapsed(), cpu.zip(cpu_time::used()).map(|(before, after)| after - before));
    let served = line.served();
    assert_eq!(served.len(), waiters, "everybody is served");
    let came = wall.as_secs_f64() / Load::BUSY.interval.as_secs_f64();
    assert!(waiters as f64 <= came + EDGE, "{waiters} served, of {came:.0} permits");
    Served { wall, cpu_each: cpu.map(|cpu| cpu / waiters as u32), out_of_order: out_of_order(&served) }
}

/// Who came, and who was served, in that order.
struct Line {
    came: AtomicUsize,
    left: AtomicUsize,
    /// One more than the number of the one who left then; 0 for nobody.
    order: Box<[AtomicUsize]>,
}

impl Line {
    fn new(waiters: usize) -> Self {
        let order = (0..waiters).map(|_| AtomicUsize::new(0)).collect();
        Self { came: AtomicUsize::new(0), left: AtomicUsize::new(0), order }
    }

    // Ordering: Relaxed, here and below; tasks are joined before anybody reads what they wrote.
    fn arrive(&self) -> usize {
        self.came.fetch_add(1, Ordering::Relaxed)
    }

    fn leave(&self, arrival: usize) {
        let place = self.left.fetch_add(1, Ordering::Relaxed);
        self.order[place].store(arrival + 1, Ordering::Relaxed);
    }

    fn served(&self) -> Vec<usize> {
        let number = |at: &AtomicUsize| NonZeroUsize::new(at.load(Ordering::Relaxed));
        self.order.iter().filter_map(number).map(|number| number.get() - 1).collect()
    }
}

/// The smallest share that has to be left out so that the rest was served in the order in which it came: all but the
/// longest rising subsequence. One who is served far too early counts once, and not all those who were passed.
fn out_of_order(served: &[usize]) -> f64 {
    // With which number a rising subsequence of each length can end at best.
    let mut ends: Vec<usize> = Vec::new();
    for &number in served {
        let length = ends.partition_point(|&end| end < number);
        match ends.get_mut(length) {
            Some(end) => *end = number,
            None => ends.push(number),
        }
    }
    (served.len() - ends.len()) as f64 / served.len() as f64
}

#[cfg(test)]
mod tests {
    use super::out_of_order;

    #[test]
    fn counts_those_who_are_out_of_place() {
        assert_eq!(out_of_order(&[0, 1, 2, 3]), 0.0);
        assert_eq!(out_of_order(&[3, 0, 1, 2]), 0.25);
        assert_eq!(out_of_order(&[1, 0, 3, 2]), 0.5);
        assert_eq!(out_of_order(&[3, 2, 1, 0]), 0.75);
    }
}
