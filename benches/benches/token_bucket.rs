//! Criterion suites of the token bucket, next to its peers: see [`sluicegate_benches::criterion_suites`].

use criterion::{Criterion, criterion_group, criterion_main};
use sluicegate_benches::criterion_suites::{measure, settings};
use sluicegate_benches::subjects::{Family, bucket};

fn decisions(criterion: &mut Criterion) {
    for suite in Family::Bucket.suites() {
        measure(criterion, suite.name, &suite.subjects, &[1, 2, 8]);
    }
}

fn stats(criterion: &mut Criterion) {
    measure(criterion, "stats", &bucket::with_and_without_stats(), &[1, 2]);
}

criterion_group!(name = suites; config = settings(); targets = decisions, stats);
criterion_main!(suites);
