//! How long single calls take while a million idle keys are being swept.
//!
//! ```text
//! cargo run --release -p sluicegate-benches --bin stalls -- --csv stalls.csv
//! ```
//!
//! Callers go around 64 hot keys and note how long each call took. Beside them are the idle keys: nobody sweeps them,
//! or they are swept and stay, or they are swept and dropped. Our callers sweep while they call; the keys of all others
//! are swept by a thread of its own on the last core, which with as many callers as cores
//! has one of them for company. With more callers than cores the longest calls are those of a caller who was not running.

mod scene;
mod table;

use core::time::Duration;
use std::fs::File;
use std::io::{self, BufWriter};
use std::path::PathBuf;

use clap::Parser;
use governor::DefaultKeyedRateLimiter;
use sluicegate::PerKeyRateLimiter;
use sluicegate_benches::histogram::Histogram;
use sluicegate_benches::mutex_keyed::MutexKeyed;
use sluicegate_benches::mutex_sharded::ShardedKeyed;
use sluicegate_benches::subjects::keyed::{GOVERNOR, MUTEX, OURS, RATE_NET, SHARDED_MONOTONIC};
use sluicegate_benches::{machine, ping_pong};

use crate::scene::{Scene, Setting};

/// Measures single calls while keys are swept and prints percentiles as Markdown.
#[derive(Debug, Parser)]
#[command(name = "stalls")]
struct Args {
    /// How often everybody is measured.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rounds: u32,
    /// How many idle keys.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
    keys: u32,
    /// How long one measurement takes, in milliseconds; where keys are dropped, one pass over them.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    millis: u32,
    /// Numbers of callers.
    #[arg(long, value_delimiter = ',', default_value = "1,2,8", value_parser = clap::value_parser!(u16).range(1..=512))]
    threads: Vec<u16>,
    /// What becomes of the idle keys [default: all of it].
    #[arg(long, value_enum, value_delimiter = ',')]
    scenes: Vec<Scene>,
    /// Where to put what was measured, row by row.
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Only shows that it runs: one round of 20 ms with 20,000 keys, whatever else is said.
    #[arg(long)]
    quick: bool,
}

/// Everybody in one scene with one number of callers.
struct Cell {
    scene: Scene,
    threads: usize,
    columns: Vec<Column>,
}

/// One subject's calls, a histogram a round.
struct Column {
    subject: &'static str,
    rounds: Vec<Histogram>,
}

type Measure = fn(&Setting) -> Histogram;

const EVERYBODY: [(&str, Measure); 5] = [
    (OURS, scene::measure::<PerKeyRateLimiter<u64>>),
    (GOVERNOR, scene::measure::<DefaultKeyedRateLimiter<u64>>),
    (MUTEX, scene::measure::<MutexKeyed<u64>>),
    (SHARDED_MONOTONIC, scene::measure::<ShardedKeyed<u64>>),
    (RATE_NET, scene::measure::<rate_net::RateLimiter>),
];

fn main() -> io::Result<()> {
    let args = Args::parse();
    // Opened first: nobody wants to hear after minutes that the file cannot be written.
    let file = args.csv.as_ref().map(|path| {
        File::create(path).map_err(|error| io::Error::new(error.kind(), format!("--csv {}: {error}", path.display())))
    });
    let file = file.transpose()?;
    let (rounds, keys, millis) = if args.quick { (1, 20_000, 20) } else { (args.rounds, args.keys, args.millis) };
    let scenes = if args.scenes.is_empty() { Scene::ALL.to_vec() } else { args.scenes };

    let mut provenance = machine::provenance();
    provenance.push(("keys", format!("{} hot, {keys} idle", scene::HOT)));
    provenance.push(("rounds", format!("{rounds} of {millis} ms, or of one pass, for each subject")));
    provenance.push(("ping-pong before", ping_pong::in_words()));
    let mut cells = Vec::new();
    for scene in scenes {
        for &threads in &args.threads {
            eprintln!("{}, threads: {threads}", scene.name());
            let length = Duration::from_millis(u64::from(millis));
            let setting = Setting { scene, threads: usize::from(threads), keys, length };
            cells.push(Cell::measure(&setting, rounds as usize));
        }
    }
    provenance.push(("ping-pong after", ping_pong::in_words()));

    table::print(&provenance, &cells, &mut io::stdout().lock())?;
    match file {
        Some(file) => table::write_csv(&provenance, &cells, BufWriter::new(file)),
        None => Ok(()),
    }
}

impl Cell {
    fn measure(setting: &Setting, rounds: usize) -> Self {
        let mut columns: Vec<Column> =
            EVERYBODY.iter().map(|&(subject, _)| Column { subject, rounds: Vec::new() }).collect();
        for round in 0..rounds {
            for position in 0..EVERYBODY.len() {
                // Rotated, so that nobody always comes after the same one.
                let index = (position + round) % EVERYBODY.len();
                let (_, measure) = EVERYBODY[index];
                columns[index].rounds.push(measure(setting));
            }
        }
        Self { scene: setting.scene, threads: setting.threads, columns }
    }
}
