//! The second phase: every grant is recorded, then every interval is checked.

use core::time::Duration;
use std::io;

use indicatif::ProgressBar;

use crate::args::Plan;
use crate::hammer::on_all_threads;
use crate::intervals::{self, Call};
use crate::subjects::Subject;

/// The most grants that are recorded, by all threads together; the check needs some 100 bytes for each.
const MOST: usize = 1 << 19;

/// What the second phase found.
#[derive(Debug)]
pub(crate) struct Audit {
    /// Grants that were recorded.
    pub(crate) granted: usize,
    /// From the start of the first of them to the end of the last one.
    pub(crate) time: Duration,
    /// The largest of `granted - rate * (T + 1 ns)` over every interval: at most the burst, if the limit was kept.
    pub(crate) worst_excess: f64,
}

/// Records the grants of a phase and checks every interval. The phase ends early when there is no room for more.
pub(crate) fn audit<S: Subject>(subject: &S, plan: &Plan, bar: &ProgressBar) -> io::Result<Audit> {
    let room = MOST / plan.threads;
    let traces = on_all_threads(plan, plan.audit, bar, |signal| {
        let mut trace = Vec::with_capacity(room);
        while signal.go() {
            let start = subject.now();
            if subject.try_acquire() {
                // A reading is rounded down, so the call may have ended up to one nanosecond later. And where the
                // thread was moved between cores, their counters may disagree.
                let end = (subject.now() + 1).max(start);
                trace.push(Call { start, end, permits: 1 });
                if trace.len() == room {
                    signal.stop();
                }
            }
        }
        trace
    })?;
    let calls = traces.concat();
    let first = calls.iter().map(|call| call.start).min().unwrap_or(0);
    let last = calls.iter().map(|call| call.end).max().unwrap_or(0);
    let worst_excess = intervals::worst_excess(&calls, plan.quota.permits(), plan.quota.period().as_nanos() as u64);
    Ok(Audit { granted: calls.len(), time: Duration::from_nanos(last - first), worst_excess })
}
