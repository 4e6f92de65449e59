//! Criterion suites of the token bucket, next to its peers; all numbers are the harness's nanoseconds a decision.
//!
//! For a change against a saved baseline. How we stand against the peers is judged by the binary `ratios`, which
//! measures everybody in turn.

use core::time::Duration;

use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use sluicegate_benches::subjects::{self, Subject, Suite};

fn measure(criterion: &mut Criterion, group: &str, subjects: &[Subject], threads: &[usize]) {
    let mut group = criterion.benchmark_group(group);
    // Samples of one length: with linear sampling the shortest ones would end before the threads get in each
    // other's way.
    group.sampling_mode(SamplingMode::Flat).throughput(Throughput::Elements(1));
    for subject in subjects {
        for &threads in threads {
            group.bench_function(BenchmarkId::new(subject.name(), threads), |bencher| {
                bencher.iter_custom(|decisions| {
                    let found = subject.measure(threads, decisions.div_ceil(threads as u64));
                    // The threads share the decisions evenly, so they may have made a few more.
                    Duration::from_nanos((found.nanos_per_decision() * decisions as f64).round() as u64)
                });
            });
        }
    }
    group.finish();
}

fn decisions(criterion: &mut Criterion) {
    for suite in Suite::ALL {
        measure(criterion, suite.name(), &subjects::all(suite), &[1, 2, 8]);
    }
}

fn stats(criterion: &mut Criterion) {
    measure(criterion, "stats", &subjects::with_and_without_stats(Suite::Allow), &[1, 2]);
}

fn settings() -> Criterion {
    Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2))
}

criterion_group!(name = suites; config = settings(); targets = decisions, stats);
criterion_main!(suites);
