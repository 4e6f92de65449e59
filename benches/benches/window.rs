//! Criterion suites of the window counters, next to the token bucket and the counters that people write: see
//! [`sluicegate_benches::criterion_suites`].

use criterion::{Criterion, criterion_group, criterion_main};
use sluicegate_benches::criterion_suites::{measure, settings};
use sluicegate_benches::subjects::Family;

fn decisions(criterion: &mut Criterion) {
    for suite in Family::Window.suites() {
        // Criterion keeps groups by name, and the token bucket has suites of the same ones.
        measure(criterion, &format!("window_{}", suite.name), &suite.subjects, &[1, 2, 8]);
    }
}

criterion_group!(name = suites; config = settings(); targets = decisions);
criterion_main!(suites);
