//! Ten thousand waiters of one limiter: what each costs, how many bytes it takes, who is served first, and what leaving costs.
//!
//! ```text
//! cargo run --release -p sluicegate-benches --bin waiting -- --csv waiting.csv
//! ```
//!
//! Measured twice. Served: tasks of a tokio runtime join an empty limiter of 100,000 permits a second, and all of them are
//! served. Standing: on one thread and without tasks, waiters join a limiter of one permit an hour and leave again; each is a
//! future that is polled once by hand. Who has no line sleeps and looks again.

mod served;
mod standing;
mod subjects;
mod table;

use std::fs::File;
use std::io;
use std::path::PathBuf;

use clap::Parser;
use sluicegate_benches::counting::Counting;
use sluicegate_benches::machine;

use crate::served::{Runtime, Served};
use crate::standing::Standing;
use crate::subjects::{SUBJECTS, Subject};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Lets waiters join, be served and leave, and prints what it cost as Markdown.
#[derive(Debug, Parser)]
#[command(name = "waiting")]
struct Args {
    /// How often everybody is measured.
    #[arg(long, default_value_t = 11, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rounds: u32,
    /// How many wait.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(2..=10_000_000))]
    waiters: u32,
    /// Where to put what was measured, row by row.
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Only shows that it runs: one round with 200 waiters, whatever else is said.
    #[arg(long)]
    quick: bool,
}

/// What was found of one subject, a value a round.
#[derive(Debug)]
struct Column {
    subject: &'static Subject,
    served: [Vec<Served>; Runtime::ALL.len()],
    standing: Vec<Standing>,
}

fn main() -> io::Result<()> {
    let args = Args::parse();
    // Opened first: nobody wants to hear after minutes that the file cannot be written.
    let file = args.csv.as_ref().map(|path| {
        File::create(path).map_err(|error| io::Error::new(error.kind(), format!("--csv {}: {error}", path.display())))
    });
    let file = file.transpose()?;
    let (rounds, waiters) = if args.quick { (1, 200) } else { (args.rounds as usize, args.waiters as usize) };
    let columns = measure(rounds, waiters);

    let mut provenance = machine::provenance();
    provenance.push(("waiters", waiters.to_string()));
    provenance.push(("rounds", rounds.to_string()));
    table::print(&provenance, &columns, waiters, &mut io::stdout().lock())?;
    match file {
        Some(file) => table::write_csv(&provenance, &columns, waiters, io::BufWriter::new(file)),
        None => Ok(()),
    }
}

fn measure(rounds: usize, waiters: usize) -> Vec<Column> {
    let column = |subject| Column { subject, served: Default::default(), standing: Vec::new() };
    let mut columns: Vec<Column> = SUBJECTS.iter().map(column).collect();
    for round in 0..rounds {
        for position in 0..SUBJECTS.len() {
            // Rotated, so that nobody always comes after the same one.
            let column = &mut columns[(position + round) % SUBJECTS.len()];
            for (runtime, found) in Runtime::ALL.into_iter().zip(&mut column.served) {
                found.push((column.subject.serve)(runtime, waiters));
            }
            column.standing.push((column.subject.stand)(waiters));
        }
    }
    columns
}

#[cfg(test)]
mod tests {
    use crate::served::{Runtime, serve};
    use crate::standing::Standing;
    use crate::subjects::{Fed, SUBJECTS};

    /// One test, because the allocator counts for the whole process.
    ///
    /// 3,000 permits are three times the edge, so that not serving by the rate would be seen. Kills: waiters that are not
    /// counted, futures that are served, permits that come from nowhere, an order that is not recorded.
    #[test]
    fn everybody_stands_in_line_and_is_served() {
        for subject in &SUBJECTS {
            // The most of some rounds, as in the table: on a busy machine a thread may still give back what was before.
            let rounds = [(); 3].map(|()| (subject.stand)(500));
            assert!(rounds.iter().all(|found| found.join > 0.0 && found.cancel > 0.0), "{subject:?}: {rounds:?}");
            let whole = |found: &Standing| found.future > 0 && found.bytes > 0.99 * found.future as f64;
            assert!(rounds.iter().any(whole), "{subject:?}: {rounds:?}");
            for runtime in Runtime::ALL {
                let found = (subject.serve)(runtime, 3_000);
                assert!(found.wall.as_millis() >= 20, "{subject:?}: {found:?}");
            }
        }
        assert_eq!(serve::<Fed>(Runtime::CurrentThread, 500).out_of_order, 0.0);
    }
}
