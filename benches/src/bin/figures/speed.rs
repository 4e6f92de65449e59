//! The speed of the peers' buckets beside ours, in one small table.

use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;

use sluicegate_benches::machine::with_version;

use crate::rows::Rows;

/// Ours, the peers that do the same work, and the mutexes that people write.
const SUBJECTS: [&str; 13] = [
    "sluicegate",
    "sluicegate_coarse",
    "sluicegate_striped",
    "sluicegate_local",
    "governor",
    "ratelimit",
    "better_bucket",
    "rate_net",
    "leaky_bucket",
    "std_mutex_instant",
    "std_mutex_monotonic",
    "parking_lot_instant",
    "parking_lot_monotonic",
];

/// As Markdown, from the rows in `directory`: medians of the ratios to governor in the same round.
pub(crate) fn table(directory: &Path) -> Result<String, Box<dyn Error>> {
    let rows = Rows::read(directory, "bucket")?;
    let mut table = "| x governor, by threads | granted, 1 | 2 | 8 | denied, 1 | 2 | 8 |\n".to_owned();
    table += "| --- | ---: | ---: | ---: | ---: | ---: | ---: |\n";
    for subject in SUBJECTS {
        write!(table, "| {}", with_version(subject))?;
        for suite in ["allow", "deny"] {
            for threads in ["1", "2", "8"] {
                let ratio = rows.ratio(&[("suite", suite), ("threads", threads)], subject, "governor", "ns")?;
                write!(table, " | {ratio:.2}")?;
            }
        }
        table += " |\n";
    }
    Ok(table)
}
