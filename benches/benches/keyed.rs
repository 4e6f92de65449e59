//! Criterion suites of the per-key limiter, next to its peers: see [`sluicegate_benches::criterion_suites`].

use criterion::{Criterion, criterion_group, criterion_main};
use sluicegate_benches::criterion_suites::{measure, settings};
use sluicegate_benches::subjects::Family;

fn decisions(criterion: &mut Criterion) {
    for suite in Family::Keyed.suites() {
        measure(criterion, &format!("keyed_{}", suite.name), &suite.subjects, &[1, 2, 8]);
    }
}

criterion_group!(name = suites; config = settings(); targets = decisions);
criterion_main!(suites);
