//! Criterion suites of the per-key limiter, next to its peers, and of its kinds: see [`sluicegate_benches::criterion_suites`].

use criterion::{Criterion, criterion_group, criterion_main};
use sluicegate_benches::criterion_suites::{measure, settings};
use sluicegate_benches::subjects::Family;

fn decisions(criterion: &mut Criterion) {
    for suite in Family::Keyed.suites() {
        measure(criterion, &format!("keyed_{}", suite.name), &suite.subjects, &[1, 2, 8]);
    }
}

fn kinds(criterion: &mut Criterion) {
    for suite in Family::KeyedKinds.suites() {
        measure(criterion, &format!("keyed_kinds_{}", suite.name), &suite.subjects, &[1, 2, 8]);
    }
}

criterion_group!(name = suites; config = settings(); targets = decisions, kinds);
criterion_main!(suites);
