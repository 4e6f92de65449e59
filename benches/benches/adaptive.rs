//! Criterion suites of the adaptive limiter, next to the token bucket and the adaptive limiters that people write: see
//! [`sluicegate_benches::criterion_suites`].

use criterion::{Criterion, criterion_group, criterion_main};
use sluicegate_benches::criterion_suites::{measure, settings};
use sluicegate_benches::subjects::Family;

fn decisions(criterion: &mut Criterion) {
    for suite in Family::Adaptive.suites() {
        // Criterion keeps groups by name, and the other families have suites of the same ones.
        measure(criterion, &format!("adaptive_{}", suite.name), &suite.subjects, &[1, 2, 8]);
    }
}

criterion_group!(name = suites; config = settings(); targets = decisions);
criterion_main!(suites);
