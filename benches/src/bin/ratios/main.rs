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

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use sluicegate_benches::machine;
use sluicegate_benches::ping_pong;
use sluicegate_benches::subjects::{Family, Subject, Suite};

use crate::rounds::{Cell, Effort};

/// Measures every limiter in turn and prints medians and ratios as Markdown.
#[derive(Debug, Parser)]
#[command(name = "ratios")]
struct Args {
    /// Which limiters.
    #[arg(long, value_enum, default_value = "bucket")]
    family: Family,
    /// How often everybody is measured.
    #[arg(long, default_value_t = 31, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rounds: u32,
    /// How long one measurement takes, about, in milliseconds. Threads that share a core need many time slices.
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    millis: u32,
    /// Numbers of threads.
    #[arg(long, value_delimiter = ',', default_value = "1,2,8", value_parser = clap::value_parser!(u16).range(1..=512))]
    threads: Vec<u16>,
    /// Kinds of work [default: all of the family].
    #[arg(long, value_delimiter = ',')]
    suites: Vec<String>,
    /// Whom everybody is compared with [default: governor, or the token bucket].
    #[arg(long)]
    against: Option<String>,
    /// Where to put what was measured, row by row.
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Only shows that it runs: 3 rounds of 2 ms each, whatever else is said.
    #[arg(long)]
    quick: bool,
}

impl Args {
    /// The suites, in the order that was asked for, and whom everybody in them is compared with.
    fn plan(&self) -> Result<(Vec<Suite>, &str), String> {
        let mut suites = self.family.suites();
        if !self.suites.is_empty() {
            let known: Vec<&str> = suites.iter().map(|suite| suite.name).collect();
            let suite = |name: &String| {
                let found = self.family.suites().into_iter().find(|suite| suite.name == name.replace('-', "_"));
                found.ok_or_else(|| format!("--suites {name}: there are {}", known.join(", ")))
            };
            suites = self.suites.iter().map(suite).collect::<Result<_, _>>()?;
        }
        let against = self.against.as_deref().unwrap_or(self.family.reference());
        let mut names: Vec<&str> = suites.iter().flat_map(|suite| &suite.subjects).map(Subject::name).collect();
        if !names.contains(&against) {
            names.sort_unstable();
            names.dedup();
            return Err(format!("--against {against}: there are {}", names.join(", ")));
        }
        Ok((suites, against))
    }
}

fn main() -> ExitCode {
    let args = Args::parse();
    let (suites, against) = match args.plan() {
        Ok(plan) => plan,
        Err(message) => Args::command().error(ErrorKind::InvalidValue, message).exit(),
    };
    match judge(&args, &suites, against) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn judge(args: &Args, suites: &[Suite], against: &str) -> io::Result<()> {
    let effort =
        if args.quick { Effort { rounds: 3, millis: 2 } } else { Effort { rounds: args.rounds, millis: args.millis } };
    // Opened first: nobody wants to hear after minutes that the file cannot be written.
    let file = args.csv.as_ref().map(|path| {
        File::create(path).map_err(|error| io::Error::new(error.kind(), format!("--csv {}: {error}", path.display())))
    });
    let file = file.transpose()?;

    let mut provenance = machine::provenance();
    provenance.push(("rounds", format!("{} of about {} ms for each subject", effort.rounds, effort.millis)));
    provenance.push(("ping-pong before", ping_pong::in_words()));
    let mut cells: Vec<Cell> = Vec::new();
    for suite in suites {
        for &threads in &args.threads {
            eprintln!("{}, threads: {threads}", suite.name);
            cells.push(Cell::measure(suite, usize::from(threads), effort));
        }
    }
    provenance.push(("ping-pong after", ping_pong::in_words()));

    table::print(&provenance, &cells, against, &mut io::stdout().lock())?;
    match file {
        Some(file) => csv::write(&provenance, &cells, BufWriter::new(file)),
        None => Ok(()),
    }
}
