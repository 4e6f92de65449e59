//! The one command behind docs/BENCHMARKS.md: measures everything, writes the raw rows, the tables and the plots.
//!
//! ```text
//! cargo run --release -p sluicegate-benches --bin figures
//! cargo run --release -p sluicegate-benches --bin figures -- --only bucket,contended
//! ```
//!
//! Each figure is made by a command of its own, which stands in [`steps`]. What it prints is put into the document, between
//! `<!-- figures: NAME -->` and `<!-- end -->`; what it measured goes to `NAME.csv`. The plots, the comparison with the targets and the
//! speeds in docs/COMPARE.md are made of the rows, old ones where a figure was not made anew.

mod chart;
mod document;
mod plots;
mod rows;
mod speed;
mod steps;
mod targets;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;
use std::{env, fs};

use clap::Parser;

use crate::document::Document;
use crate::steps::{STEPS, Step};

/// Measures everything and writes rows, tables and plots.
#[derive(Debug, Parser)]
#[command(name = "figures")]
struct Args {
    /// Only these figures; without names none, and the plots and the targets are made of the rows that are there.
    #[arg(long, value_delimiter = ',', num_args = 0..=1)]
    only: Option<Vec<String>>,
    /// Only shows that it runs: little of everything, into this directory.
    #[arg(long, value_name = "DIRECTORY")]
    quick: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), Box<dyn Error>> {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let rows = args.quick.clone().unwrap_or_else(|| docs.join("benchmarks"));
    fs::create_dir_all(&rows)?;
    let mut document = Document::read(&docs.join("BENCHMARKS.md"))?;
    let steps = chosen(args.only.as_deref())?;

    build()?;
    for step in &steps {
        let start = Instant::now();
        let printed = step.run(&rows, args.quick.is_some())?;
        document.put(step.name, &printed)?;
        eprintln!("{}: {:.0} s", step.name, start.elapsed().as_secs_f64());
    }
    document.put("targets", &targets::table(&rows)?)?;
    plots::draw(&rows)?;
    let mut comparison = Document::read(&docs.join("COMPARE.md"))?;
    comparison.put("compare-speed", &speed::table(&rows)?)?;

    let documents = args.quick.as_deref().unwrap_or(&docs);
    document.write(&documents.join("BENCHMARKS.md"))?;
    comparison.write(&documents.join("COMPARE.md"))?;
    Ok(())
}

/// All figures, or those that were asked for, in the order of the document.
fn chosen(only: Option<&[String]>) -> Result<Vec<Step>, String> {
    let Some(only) = only else { return Ok(STEPS.into()) };
    let known = |name: &&String| STEPS.iter().any(|step| step.name == **name);
    match only.iter().find(|name| !known(name)) {
        Some(name) => {
            let names: Vec<_> = STEPS.iter().map(|step| step.name).collect();
            Err(format!("--only {name}: there are {}", names.join(", ")))
        }
        None => Ok(STEPS.into_iter().filter(|step| only.iter().any(|name| step.name == name)).collect()),
    }
}

/// All commands that the steps run, beside this one.
fn build() -> Result<(), Box<dyn Error>> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let status = Command::new(cargo).args(["build", "--release", "--bins", "--manifest-path", manifest]).status()?;
    if status.success() { Ok(()) } else { Err("the benchmarks were not built".into()) }
}
