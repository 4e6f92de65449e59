//! The judge: measures all subjects in turn, round by round, and tells how they stand against one of them.
//!
//! ```text
//! cargo run --release -p sluicegate-benches --bin ratios -- --csv ratios.csv
//! ```
//!
//! On a machine that others use, a nanosecond measured now cannot be compared with one measured a minute later. So
//! each round measures everybody, in an order that rotates, and gives one ratio for each; told are the medians.

mod csv;
mod rounds;
mod table;

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::PossibleValuesParser;
use clap::{Parser, ValueEnum};
use sluicegate_benches::machine;
use sluicegate_benches::ping_pong;
use sluicegate_benches::subjects::{self, GOVERNOR, Suite};

use crate::rounds::{Cell, Effort};

/// Measures every limiter in turn and prints medians and ratios as Markdown.
#[derive(Debug, Parser)]
#[command(name = "ratios")]
struct Args {
    /// How often everybody is measured.
    #[arg(long, default_value_t = 31, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rounds: u32,
    /// How long one measurement takes, about, in milliseconds. Threads that share a core need many time slices.
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    millis: u32,
    /// Numbers of threads.
    #[arg(long, value_delimiter = ',', default_value = "1,2,8", value_parser = clap::value_parser!(u16).range(1..=512))]
    threads: Vec<u16>,
    /// Kinds of work.
    #[arg(long, value_delimiter = ',', value_enum, default_value = "allow,allow-full,deny,deny-retry-after")]
    suites: Vec<Work>,
    /// Whom everybody is compared with.
    #[arg(long, default_value = GOVERNOR, value_parser = PossibleValuesParser::new(subjects::names()))]
    against: String,
    /// Where to put what was measured, row by row.
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Only shows that it runs: 3 rounds of 2 ms each, whatever else is said.
    #[arg(long)]
    quick: bool,
}

/// [`Suite`], as the command line knows it.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Work {
    Allow,
    AllowFull,
    Deny,
    DenyRetryAfter,
}

impl From<Work> for Suite {
    fn from(work: Work) -> Self {
        match work {
            Work::Allow => Self::Allow,
            Work::AllowFull => Self::AllowFull,
            Work::Deny => Self::Deny,
            Work::DenyRetryAfter => Self::DenyRetryAfter,
        }
    }
}

fn main() -> ExitCode {
    let args = Args::parse();
    match judge(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn judge(args: &Args) -> io::Result<()> {
    let effort =
        if args.quick { Effort { rounds: 3, millis: 2 } } else { Effort { rounds: args.rounds, millis: args.millis } };
    // Opened first: nobody wants to hear after minutes that the file cannot be written.
    let file = args.csv.as_ref().map(|path| {
        File::create(path).map_err(|error| io::Error::new(error.kind(), format!("--csv {}: {error}", path.display())))
    });
    let file = file.transpose()?;

    let mut provenance = machine::provenance();
    provenance.push(("rounds", format!("{} of about {} ms for each subject", effort.rounds, effort.millis)));
    provenance.push(("ping-pong before", ping_pong()));
    let mut cells: Vec<Cell> = Vec::new();
    for &work in &args.suites {
        for &threads in &args.threads {
            let suite = Suite::from(work);
            eprintln!("{}, threads: {threads}", suite.name());
            cells.push(Cell::measure(suite, usize::from(threads), effort));
        }
    }
    provenance.push(("ping-pong after", ping_pong()));

    table::print(&provenance, &cells, &args.against, &mut io::stdout().lock())?;
    match file {
        Some(file) => csv::write(&provenance, &cells, BufWriter::new(file)),
        None => Ok(()),
    }
}

fn ping_pong() -> String {
    match ping_pong::round_trip(21, 20_000) {
        Some(nanos) => format!("{nanos:.0} ns a round trip between the first two cores"),
        None => "only one core".to_owned(),
    }
}
