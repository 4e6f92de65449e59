//! The subjects under criterion, for a change against a saved baseline; all numbers are the harness's nanoseconds a
//! decision.
//!
//! How we stand against others is judged by the binary `ratios`, which measures everybody in turn.

use core::time::Duration;

use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput};

use crate::subjects::Subject;

/// Every subject at every number of threads, as one group.
pub fn measure(criterion: &mut Criterion, group: &str, subjects: &[Subject], threads: &[usize]) {
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

/// What all groups are measured with.
#[must_use]
pub fn settings() -> Criterion {
    Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2))
}
