//! Every single measurement, for whoever wants to look behind the medians.

use std::io::{self, Write};

use crate::rounds::Cell;

/// The provenance as comments, then one row a measurement.
pub(crate) fn write(provenance: &[(&str, String)], cells: &[Cell], mut out: impl Write) -> io::Result<()> {
    for (name, value) in provenance {
        writeln!(out, "# {name}: {value}")?;
    }
    writeln!(out, "suite,subject,threads,round,ns")?;
    for cell in cells {
        for column in &cell.columns {
            for (round, nanos) in column.nanos.iter().enumerate() {
                writeln!(out, "{},{},{},{round},{nanos:.3}", cell.suite, column.subject, cell.threads)?;
            }
        }
    }
    out.flush()
}
