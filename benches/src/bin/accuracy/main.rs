//! Accuracy: what every limiter grants, in what order, and what it tells, beside what it should.
//!
//! ```text
//! cargo run --release -p sluicegate-benches --bin accuracy -- --csv accuracy.csv
//! ```
//!
//! Where a limiter lets its clock be moved, time is simulated, and a second run prints the same. On real time are the threads
//! that contend, and those who wait in line: of these only such things are told as hold on a machine that others use, too.

mod contention;
mod guard;
mod honesty;
mod hostile;
mod order;
mod peers;
mod rates;
mod table;
mod worst;

use core::time::Duration;
use std::fs::File;
use std::io::{self, Write};
use std::panic;
use std::path::PathBuf;

use clap::Parser;
use sluicegate_benches::machine;

/// Asks every limiter in turn and prints what it did, a Markdown table for each property.
#[derive(Debug, Parser)]
#[command(name = "accuracy")]
struct Args {
    /// How often the threads contend.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rounds: u32,
    /// How long they do, in milliseconds.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    millis: u32,
    /// Where to put the same as CSV, cell by cell.
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Only shows that it runs: little of everything, whatever else is said.
    #[arg(long)]
    quick: bool,
}

/// How much is done.
#[derive(Clone, Copy, Debug)]
struct Effort {
    /// The most looks in one simulation.
    polls: u64,
    /// Denials that are looked into.
    scenes: u32,
    /// Runs of threads that contend.
    rounds: u32,
    /// Of each.
    run: Duration,
    /// In line.
    waiters: usize,
}

fn main() -> io::Result<()> {
    let args = Args::parse();
    let effort = if args.quick {
        Effort { polls: 100_000, scenes: 20, rounds: 1, run: Duration::from_millis(20), waiters: 40 }
    } else {
        let run = Duration::from_millis(u64::from(args.millis));
        Effort { polls: 6_000_000, scenes: 1_000, rounds: args.rounds, run, waiters: 200 }
    };
    let mut csv = args.csv.map(File::create).transpose()?;
    let mut provenance = machine::provenance();
    provenance.push(("threads that contend", format!("{} rounds of {} ms", effort.rounds, effort.run.as_millis())));
    for (name, value) in provenance {
        println!("- {name}: {value}");
        if let Some(csv) = &mut csv {
            writeln!(csv, "# {name}: {value}")?;
        }
    }
    if let Some(csv) = &mut csv {
        writeln!(csv, "property,row,column,value")?;
    }
    // Panics are results here, and told as such; where they came from is for who wants to know.
    panic::set_hook(Box::new(|info| eprintln!("panic: {}", info.to_string().replace('\n', " "))));
    rates::table(&effort).print(&mut csv)?;
    contention::table(&effort).print(&mut csv)?;
    order::table(&effort).print(&mut csv)?;
    honesty::table(&effort).print(&mut csv)?;
    hostile::table().print(&mut csv)
}
