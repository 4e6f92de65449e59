//! More than burst and rate allow, by threads that ask all the time, on each limiter's own clock.

use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use sluicegate_benches::harness::{SpinBarrier, pin};
use sluicegate_benches::machine::with_version;

use crate::Effort;
use crate::guard::{Failure, guarded};
use crate::peers::{Asked, Call, PEERS};
use crate::table::{NOTHING, Table, grouped};
use crate::worst::{self, Grant};

const THREADS: usize = 4;
const RATES: [u64; 4] = [1_000, 100_000, 1_000_000, 1_500_000];

pub(crate) fn table(effort: &Effort) -> Table {
    let heads = RATES.iter().flat_map(|&rate| [format!("{}/s: beyond", grouped(rate)), "share".to_owned()]);
    let mut table = Table::new(
        "contention",
        "Bound under contention",
        "4 threads ask all the time, on the limiter's own clock; the burst is what comes in 10 ms. Beyond: the permits granted beyond \
         burst + rate x T in the worst interval of a run, T being from before a call to after another one; the most of the \
         rounds. A token bucket that keeps its bound has 0 at most, but for its clock: ten millionths between it and the one that \
         measures are 3 permits of the 1.5 M/s in 200 ms. One that refills by the interval may add a refill (leaky_bucket: what \
         comes in 1 ms), and a fixed window a whole limit around its edge (pingora_limits: the burst). Share: granted in the \
         whole run by burst + rate x T, the least of the rounds. pingora_limits is asked when it is new, and when it is a second old.",
        "beyond the bound",
        heads,
    );
    for peer in PEERS {
        let Some(make) = peer.real else { continue };
        let mut row = vec![with_version(peer.name)];
        for rate in RATES {
            let asked = Asked::per_second(rate, rate / 100);
            let (rounds, time) = (effort.rounds, effort.run);
            let run = move || {
                let found = (0..rounds).filter_map(|_| Some(saturate(&make(asked)?, asked, time)));
                found.reduce(|one, other| (f64::max(one.0, other.0), f64::min(one.1, other.1)))
            };
            let cells = match guarded(Duration::from_secs(60), run) {
                Ok(Some((beyond, share))) => [format!("{beyond:+.1}"), format!("{share:.3}")],
                Ok(None) => [NOTHING.to_owned(), NOTHING.to_owned()],
                Err(Failure::Panicked) => ["panic".to_owned(), NOTHING.to_owned()],
                Err(Failure::Hung) => ["hang".to_owned(), NOTHING.to_owned()],
            };
            row.extend(cells);
        }
        table.rows.push(row);
    }
    table
}

/// Beyond the bound in the worst interval, and granted by the bound in all.
fn saturate(call: &Call, asked: Asked, time: Duration) -> (f64, f64) {
    let (barrier, over) = (Arc::new(SpinBarrier::new(THREADS)), AtomicBool::new(false));
    let origin = Instant::now();
    let nanos = || origin.elapsed().as_nanos() as u64;
    let grants: Vec<Grant> = thread::scope(|scope| {
        let worker = |index: usize| {
            let (over, barrier) = (&over, Arc::clone(&barrier));
            scope.spawn(move || {
                pin(index);
                barrier.wait();
                let mut grants = Vec::new();
                // The end of one call is the beginning of the next: half the readings, and no interval is shorter for it.
                let mut before = nanos();
                // Ordering: Relaxed; a flag that publishes nothing.
                while !over.load(Ordering::Relaxed) {
                    let granted = call();
                    let after = nanos();
                    if granted {
                        grants.push((before, after));
                    }
                    before = after;
                }
                grants
            })
        };
        let workers: Vec<_> = (0..THREADS).map(worker).collect();
        thread::sleep(time);
        over.store(true, Ordering::Relaxed);
        workers.into_iter().flat_map(|worker| worker.join().expect("the limiter panicked")).collect()
    });
    let bound = asked.burst as f64 + origin.elapsed().as_secs_f64() / asked.interval();
    let share = grants.len() as f64 / bound;
    (worst::excess(grants, asked.permits) - asked.burst as f64, share)
}
