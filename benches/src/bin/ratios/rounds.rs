//! The rounds of one suite at one number of threads.

use core::time::Duration;

use sluicegate_benches::quartiles::Quartiles;
use sluicegate_benches::subjects::{Subject, Suite};

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    pub(crate) rounds: u32,
    /// Of one measurement.
    pub(crate) millis: u32,
}

/// Everybody on one kind of work at one number of threads.
#[derive(Debug)]
pub(crate) struct Cell {
    pub(crate) suite: &'static str,
    pub(crate) threads: usize,
    pub(crate) columns: Vec<Column>,
}

/// One subject's nanoseconds a decision, a value a round.
#[derive(Debug)]
pub(crate) struct Column {
    pub(crate) subject: &'static str,
    pub(crate) nanos: Vec<f64>,
}

impl Cell {
    pub(crate) fn measure(suite: &Suite, threads: usize, effort: Effort) -> Self {
        let subjects = &suite.subjects;
        let calls: Vec<u64> = subjects.iter().map(|subject| calls_for(subject, threads, effort.millis)).collect();
        let column = |subject: &Subject| Column { subject: subject.name(), nanos: Vec::new() };
        let mut columns: Vec<Column> = subjects.iter().map(column).collect();
        for round in 0..effort.rounds as usize {
            for position in 0..subjects.len() {
                // Rotated, so that nobody always comes after the same one.
                let index = (position + round) % subjects.len();
                let found = subjects[index].measure(threads, calls[index]);
                columns[index].nanos.push(found.nanos_per_decision());
            }
        }
        Self { suite: suite.name, threads, columns }
    }

    pub(crate) fn column(&self, subject: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.subject == subject)
    }
}

impl Column {
    pub(crate) fn quartiles(&self) -> Quartiles {
        Quartiles::of(self.nanos.clone())
    }

    /// Of the ratios to `other` in the same round.
    pub(crate) fn against(&self, other: &Self) -> Quartiles {
        Quartiles::of(self.nanos.iter().zip(&other.nanos).map(|(ours, theirs)| ours / theirs).collect())
    }
}

/// The calls a thread that take about `millis`. Warms up, too.
fn calls_for(subject: &Subject, threads: usize, millis: u32) -> u64 {
    let wanted = Duration::from_millis(u64::from(millis));
    let mut calls = 1_000;
    loop {
        let wall = subject.measure(threads, calls).wall;
        if wall * 4 >= wanted {
            let scaled = calls as f64 * wanted.as_secs_f64() / wall.as_secs_f64();
            return (scaled as u64).max(1);
        }
        calls *= 2;
    }
}
