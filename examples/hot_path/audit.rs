//! The second phase: every grant is recorded, then every interval is checked for what was promised.

use core::time::Duration;
use std::io;

use indicatif::ProgressBar;

use crate::args::Plan;
use crate::hammer::on_all_threads;
use crate::intervals::Call;
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
    /// Of all windows or intervals: see [`Promise::worst`](crate::promise::Promise::worst).
    pub(crate) worst: f64,
}

/// Records the grants of a phase and checks every interval. The phase ends early when there is no room for more.
pub(crate) fn audit<S: Subject>(subject: &S, plan: &Plan, bar: &ProgressBar) -> io::Result<Audit> {
    let room = MOST / plan.threads;
    let traces = on_all_threads(plan, plan.audit, bar, |signal| {
        let mut trace = Vec::with_capacity(room);
        let mut try_acquire = subject.worker();
        while signal.go() {
            let start = subject.now();
            if try_acquire() {
                // A reading is rounded down, so the call may have ended up to one nanosecond later. And where the
                // thread was moved between cores, their counters may disagree.
                let end = (subject.now() + 1).max(start + 1);
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
    let worst = S::promise(plan.quota).worst(&calls);
    Ok(Audit { granted: calls.len(), time: Duration::from_nanos(last - first), worst })
}
