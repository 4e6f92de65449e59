//! What people read, and every single measurement for whoever wants to look behind it.

use core::time::Duration;
use std::io::{self, Write};

use sluicegate_benches::machine::with_version;
use sluicegate_benches::quartiles::Quartiles;

use crate::Column;
use crate::served::{Runtime, Served};
use crate::standing::Standing;
use crate::subjects::{Load, SEMAPHORE};

/// One table for those who are served, one for those who stand.
pub(crate) fn print(
    provenance: &[(&str, String)],
    columns: &[Column],
    waiters: usize,
    out: &mut impl Write,
) -> io::Result<()> {
    for (name, value) in provenance {
        writeln!(out, "- {name}: {value}")?;
    }
    writeln!(out)?;
    writeln!(
        out,
        "{waiters} tasks join an empty limiter of 100,000 permits a second and burst {}. late: after {} ms, when the last of \
         the permits is due, or before that where a window ends; processor: time of all threads a waiter, with its task; out \
         of order: the smallest share without which the rest was served in the order of coming. With two workers tasks do not \
         run in the order in which they are served: {SEMAPHORE}, which has a line, shows how much of it is the runtime's. \
         Medians (quartiles) of the rounds.",
        Load::BUSY.burst,
        due(waiters).as_millis(),
    )?;
    writeln!(out)?;
    write!(out, "| served")?;
    for runtime in Runtime::ALL {
        write!(out, " | {}: late, ms | processor, us | out of order", runtime.name())?;
    }
    writeln!(out, " |")?;
    writeln!(out, "| --- |{}", " ---: | ---: | ---: |".repeat(Runtime::ALL.len()))?;
    for Column { subject, served, .. } in columns {
        write!(out, "| {}", with_version(subject.name))?;
        for rounds in served {
            let quartiles = |of: &dyn Fn(&Served) -> f64| Quartiles::of(rounds.iter().map(of).collect());
            let late = quartiles(&|found| late(found, waiters));
            write!(out, " | {late:.1}")?;
            match rounds.iter().all(|found| found.cpu_each.is_some()) {
                true => write!(out, " | {:.2}", quartiles(&|found| micros(found).unwrap_or(f64::NAN)))?,
                false => write!(out, " | —")?,
            }
            write!(out, " | {:.2} %", quartiles(&|found| found.out_of_order * 100.0).median)?;
        }
        writeln!(out, " |")?;
    }
    writeln!(out)?;
    writeln!(
        out,
        "{waiters} futures join a limiter from which nothing comes, on one thread, and are dropped in the order in which they \
         joined; each is in a box. Medians (quartiles). bytes: all that is allocated a waiter, and of these its future; the \
         most of the rounds, because what a thread keeps for timers is allocated once."
    )?;
    writeln!(out)?;
    writeln!(out, "| standing | join, ns | cancel, ns | bytes | future |")?;
    writeln!(out, "| --- | ---: | ---: | ---: | ---: |")?;
    for Column { subject, standing, .. } in columns {
        let quartiles = |of: fn(&Standing) -> f64| Quartiles::of(standing.iter().map(of).collect());
        let (join, cancel) = (quartiles(|found| found.join), quartiles(|found| found.cancel));
        let bytes = standing.iter().map(|found| found.bytes).fold(0.0, f64::max);
        let future = standing.iter().map(|found| found.future).max().unwrap_or_default();
        writeln!(out, "| {} | {join:.0} | {cancel:.0} | {bytes:.0} | {future} |", with_version(subject.name))?;
    }
    Ok(())
}

/// The provenance as comments, then one row a number.
pub(crate) fn write_csv(
    provenance: &[(&str, String)],
    columns: &[Column],
    waiters: usize,
    mut out: impl Write,
) -> io::Result<()> {
    for (name, value) in provenance {
        writeln!(out, "# {name}: {value}")?;
    }
    writeln!(out, "scene,subject,waiters,round,measure,value")?;
    for Column { subject, served, standing } in columns {
        let mut row = |scene: &str, round: usize, measure: &str, value: f64| {
            writeln!(out, "{scene},{},{waiters},{round},{measure},{value:.4}", subject.name)
        };
        for (runtime, rounds) in Runtime::ALL.iter().zip(served) {
            for (round, found) in rounds.iter().enumerate() {
                row(runtime.name(), round, "wall_ms", found.wall.as_secs_f64() * 1e3)?;
                row(runtime.name(), round, "late_ms", late(found, waiters))?;
                if let Some(micros) = micros(found) {
                    row(runtime.name(), round, "cpu_us", micros)?;
                }
                row(runtime.name(), round, "out_of_order", found.out_of_order)?;
            }
        }
        for (round, found) in standing.iter().enumerate() {
            row("standing", round, "join_ns", found.join)?;
            row("standing", round, "cancel_ns", found.cancel)?;
            row("standing", round, "bytes", found.bytes)?;
            row("standing", round, "future_bytes", found.future as f64)?;
        }
    }
    out.flush()
}

/// When the last permit has come.
fn due(waiters: usize) -> Duration {
    Load::BUSY.interval * waiters as u32
}

/// By how many milliseconds the last one was served after that; before it, where windows end, below zero.
fn late(found: &Served, waiters: usize) -> f64 {
    (found.wall.as_secs_f64() - due(waiters).as_secs_f64()) * 1e3
}

fn micros(found: &Served) -> Option<f64> {
    found.cpu_each.map(|each| each.as_secs_f64() * 1e6)
}
