//! The Markdown that people read.

use std::io::{self, Write};

use crate::rounds::Cell;

/// One table a suite: a line for each subject, two columns for each number of threads.
pub(crate) fn print(
    provenance: &[(&str, String)],
    cells: &[Cell],
    against: &str,
    out: &mut impl Write,
) -> io::Result<()> {
    for (name, value) in provenance {
        writeln!(out, "- {name}: {value}")?;
    }
    writeln!(out)?;
    writeln!(out, "ns: wall time by the decisions of all threads, median (quartiles) of the rounds.")?;
    writeln!(out, "ratio: to {against} in the same round, median (quartiles); below 1 is faster.")?;
    for suite in cells.chunk_by(|one, other| one.suite == other.suite) {
        let Some(first) = suite.first() else { continue };
        writeln!(out)?;
        write!(out, "| {}", first.suite)?;
        for cell in suite {
            let plural = if cell.threads == 1 { "" } else { "s" };
            write!(out, " | {} thread{plural}, ns | ratio", cell.threads)?;
        }
        writeln!(out, " |")?;
        writeln!(out, "| --- |{}", " ---: | ---: |".repeat(suite.len()))?;
        for column in &first.columns {
            write!(out, "| {}", column.subject)?;
            for cell in suite {
                let Some(ours) = cell.column(column.subject) else { continue };
                // Not everybody is in every suite.
                let ratio = cell.column(against).map(|theirs| format!("{:.2}", ours.against(theirs)));
                write!(out, " | {:.1} | {}", ours.quartiles(), ratio.unwrap_or_default())?;
            }
            writeln!(out, " |")?;
        }
    }
    Ok(())
}
