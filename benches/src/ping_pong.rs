//! How far apart two cores are: the price of moving one cache line there and back.
//!
//! Everything contended is made of this, and on a virtual machine it changes from one hour to the next.

use core::hint::spin_loop;
use core::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use crossbeam_utils::CachePadded;

use crate::harness::{SpinBarrier, cores};
use crate::quartiles::Quartiles;

/// Nanoseconds a round trip between the first two cores, the same that [`run`](crate::harness::run) starts with; the
/// quartiles of `samples` times `trips` of them. `None` where there are not two cores to be had.
///
/// # Panics
/// If a thread cannot be started.
#[must_use]
pub fn round_trip(samples: usize, trips: u64) -> Option<Quartiles> {
    let [here, there, ..] = *cores() else {
        return None;
    };
    let times: Vec<f64> = (0..samples)
        .map(|_| {
            let (ball, barrier) = (CachePadded::new(AtomicU64::new(0)), SpinBarrier::new(2));
            // Each side hits the ball when its count is even or odd.
            let play = |side: u64| {
                barrier.wait();
                let start = Instant::now();
                for hit in (side..2 * trips).step_by(2) {
                    // Ordering: Relaxed; the count is the whole message.
                    while ball.load(Ordering::Relaxed) != hit {
                        spin_loop();
                    }
                    ball.store(hit + 1, Ordering::Relaxed);
                }
                start.elapsed()
            };
            let play = &play;
            thread::scope(|scope| {
                scope.spawn(move || {
                    core_affinity::set_for_current(there);
                    play(1)
                });
                let first = scope.spawn(move || {
                    core_affinity::set_for_current(here);
                    play(0)
                });
                let time = first.join().expect("nothing here panics");
                time.as_nanos() as f64 / trips as f64
            })
        })
        .collect();
    Some(Quartiles::of(times))
}

/// The same in words.
#[must_use]
pub fn in_words() -> String {
    match round_trip(21, 20_000) {
        Some(nanos) => format!("{nanos:.0} ns a round trip between the first two cores"),
        None => "only one core".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::round_trip;

    #[test]
    fn comes_back() {
        assert!(round_trip(3, 100).is_none_or(|found| found.median > 0.0));
    }
}
