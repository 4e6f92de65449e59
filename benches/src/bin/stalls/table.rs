//! What people read, and every single measurement for whoever wants to look behind it.

use std::io::{self, Write};

use sluicegate_benches::histogram::Histogram;
use sluicegate_benches::quartiles::Quartiles;
use sluicegate_benches::subjects::keyed::{GOVERNOR, OURS};

use crate::{Cell, Column};

const SHARES: [(&str, f64); 4] = [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999), ("p99.99", 0.9999)];
/// Those that are compared.
const TAIL: f64 = 0.9999;
/// A call of so many nanoseconds waited for somebody.
const STALL: u64 = 10_000;

/// One table a scene and number of callers, a line for each subject.
pub(crate) fn print(provenance: &[(&str, String)], cells: &[Cell], out: &mut impl Write) -> io::Result<()> {
    for (name, value) in provenance {
        writeln!(out, "- {name}: {value}")?;
    }
    writeln!(out)?;
    writeln!(out, "ns a call, a reading of the clock included: medians of the rounds, and the longest of all rounds.")?;
    writeln!(
        out,
        "stalled: share of the callers' time in calls of {} us or longer. Who waits makes no calls meanwhile, so \
         that long waits can hide from percentiles.",
        STALL / 1_000
    )?;
    writeln!(
        out,
        "Keys of all but {OURS} are swept by a thread on the last core: with as many callers as cores it gets half of one \
         and stalls them less often, for longer. With more callers than cores, the longest calls \
         are those of a caller who was not running."
    )?;
    writeln!(out, "ratio: of p99.99 to {GOVERNOR}'s in the same round, median (quartiles); below 1 is faster.")?;
    for cell in cells {
        let plural = if cell.threads == 1 { "" } else { "s" };
        writeln!(out)?;
        write!(out, "| {}, {} caller{plural} | calls", cell.scene.name(), cell.threads)?;
        for (name, _) in SHARES {
            write!(out, " | {name}")?;
        }
        writeln!(out, " | longest | stalled | ratio |")?;
        writeln!(out, "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")?;
        let theirs = cell.columns.iter().find(|column| column.subject == GOVERNOR);
        for column in &cell.columns {
            write!(out, "| {} | {:.0}", column.subject, column.median(|calls| calls.calls() as f64))?;
            for (_, share) in SHARES {
                write!(out, " | {:.0}", column.median(|calls| calls.quantile(share) as f64))?;
            }
            let longest = column.rounds.iter().map(Histogram::max).max().unwrap_or_default();
            let ratio = theirs.map(|theirs| format!("{:.4}", column.against(theirs)));
            let stalled = column.median(|calls| calls.time_in(STALL)) * 100.0;
            writeln!(out, " | {longest} | {stalled:.1} % | {} |", ratio.unwrap_or_default())?;
        }
    }
    Ok(())
}

/// The provenance as comments, then one row a measurement.
pub(crate) fn write_csv(provenance: &[(&str, String)], cells: &[Cell], mut out: impl Write) -> io::Result<()> {
    for (name, value) in provenance {
        writeln!(out, "# {name}: {value}")?;
    }
    writeln!(out, "scene,subject,threads,round,calls,p50,p99,p99.9,p99.99,max,stalled")?;
    for cell in cells {
        for column in &cell.columns {
            for (round, calls) in column.rounds.iter().enumerate() {
                let (scene, subject, threads) = (cell.scene.name(), column.subject, cell.threads);
                write!(out, "{scene},{subject},{threads},{round},{}", calls.calls())?;
                for (_, share) in SHARES {
                    write!(out, ",{}", calls.quantile(share))?;
                }
                writeln!(out, ",{},{:.5}", calls.max(), calls.time_in(STALL))?;
            }
        }
    }
    out.flush()
}

impl Column {
    fn median(&self, of: impl Fn(&Histogram) -> f64) -> f64 {
        Quartiles::of(self.rounds.iter().map(of).collect()).median
    }

    /// Of the ratios of the tail to that of `other` in the same round.
    fn against(&self, other: &Self) -> Quartiles {
        let pairs = self.rounds.iter().zip(&other.rounds);
        Quartiles::of(pairs.map(|(ours, theirs)| ours.quantile(TAIL) as f64 / theirs.quantile(TAIL) as f64).collect())
    }
}
