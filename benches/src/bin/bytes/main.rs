//! Bytes: what each limiter takes, and what each key takes of those that have keys, as counted by the allocator.
//!
//! ```text
//! cargo run --release -p sluicegate-benches --bin bytes -- --csv bytes.csv
//! ```
//!
//! Counted is what was asked for, and not what the allocator makes of it.

mod keys;
mod limiters;

use core::num::NonZeroU32;
use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::Parser;
use sluicegate_benches::counting::Counting;
use sluicegate_benches::machine;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Counts what a key and what a limiter takes and prints it as Markdown.
#[derive(Debug, Parser)]
#[command(name = "bytes")]
struct Args {
    /// How many keys.
    #[arg(long, default_value = "1000000")]
    keys: NonZeroU32,
    /// How many limiters of each kind, at most: fewer of those that are large.
    #[arg(long, default_value = "10000")]
    limiters: NonZeroU32,
    /// Where to put the same as CSV.
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Only shows that it runs: 10,000 keys and 100 limiters, whatever else is said.
    #[arg(long)]
    quick: bool,
}

/// One number for the CSV.
#[derive(Clone)]
struct Row {
    table: &'static str,
    limiter: &'static str,
    measure: &'static str,
    /// Of how many keys or limiters it is the mean.
    count: usize,
    bytes: f64,
}

fn main() -> io::Result<()> {
    let args = Args::parse();
    let mut csv = args.csv.map(File::create).transpose()?;
    let (keys, limiters) = if args.quick { (10_000, 100) } else { (args.keys.get(), args.limiters.get() as usize) };
    let provenance = machine::provenance();
    for (name, value) in &provenance {
        println!("- {name}: {value}");
    }
    let rows = [keys::print(keys), limiters::print(limiters)].concat();
    let Some(csv) = &mut csv else { return Ok(()) };
    for (name, value) in &provenance {
        writeln!(csv, "# {name}: {value}")?;
    }
    writeln!(csv, "table,limiter,measure,count,bytes")?;
    for Row { table, limiter, measure, count, bytes } in rows {
        writeln!(csv, "{table},{limiter},{measure},{count},{bytes:.3}")?;
    }
    Ok(())
}
