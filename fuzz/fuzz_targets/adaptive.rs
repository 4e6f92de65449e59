//! The adaptive limiter beside a bucket in plain numbers that is given the rates as they are told: every decision, every
//! window's reports, each change by the law, closings.
//!
//! Kills: a change that fills the bucket; a threshold that counts as above itself; a closing that is ignored.
#![no_main]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use sluicegate::{AdaptiveRateLimiter, Law, ManualClock, Outcome, Quota, RateChange, RateLimitExceeded};
use sluicegate_fuzz::{Amount, Beside, Magnitude, Step, Time};

#[derive(Debug, Arbitrary)]
struct Case {
    is_cubic: bool,
    base: Magnitude<14>,
    /// Of the base rate, in 256ths; and the most, in multiples.
    min: u8,
    max: u8,
    threshold: u8,
    window: Magnitude<33>,
    min_samples: u8,
    ops: Vec<Op>,
}

#[derive(Debug, Arbitrary)]
enum Op {
    Forward(Magnitude<33>),
    Back(Magnitude<33>),
    /// To the end of a window from now.
    Window(Beside),
    Take(Amount),
    Wait(Amount),
    Refund(Amount),
    Report(u8, u8),
    /// The server says so.
    Close(Magnitude<34>),
}

struct Pair {
    time: Time,
    limiter: AdaptiveRateLimiter<ManualClock>,
    told: Arc<Mutex<Vec<RateChange>>>,
    /// When the bucket is full, in nanoseconds.
    full: f64,
    rate: f64,
    closed: u64,
    changed: u64,
    // Since the window began.
    reports: (u64, u64),
    settings: Settings,
}

#[derive(Clone, Copy)]
struct Settings {
    law: Law,
    min: f64,
    max: f64,
    threshold: f64,
    window: u64,
    min_samples: u64,
}

fn burst(rate: f64) -> f64 {
    (2.0 * rate).floor().max(1.0)
}

impl Pair {
    /// Time counts from the last change.
    fn time(&self) -> f64 {
        self.time.now.max(self.changed) as f64
    }

    fn level(&self) -> f64 {
        burst(self.rate) - (self.full - self.time()).max(0.0) * self.rate / 1e9
    }

    /// The rates that were told since the last look, and what follows from them.
    fn look(&mut self) {
        let (rate, stats) = (self.limiter.current_rate(), self.limiter.stats());
        let told = std::mem::take(&mut *self.told.lock().expect("no panic"));
        assert!(told.len() <= 1, "{told:?} at once");
        for change in told {
            let Settings { law, min, max, threshold, window, min_samples } = self.settings;
            assert_eq!(change.old_rate, self.rate);
            assert!(self.time.now >= self.changed + window, "two changes in a window");
            assert!(change.samples >= min_samples && (change.samples, change.errors) == self.reports, "{change:?}");
            let is_overloaded = change.samples > 0 && change.errors as f64 / change.samples as f64 > threshold;
            if law == Law::ErrorRate {
                assert_eq!(change.new_rate, (self.rate * if is_overloaded { 0.5 } else { 1.5 }).clamp(min, max));
            }
            let level = self.level().min(burst(change.new_rate));
            self.rate = change.new_rate;
            self.full = self.time.now as f64 + (burst(self.rate) - level) / self.rate * 1e9;
            self.changed = self.time.now;
        }
        assert!(rate == self.rate && rate >= self.settings.min && rate <= self.settings.max);
        let seen = (stats.window_samples, stats.window_errors);
        assert!(seen == self.reports || seen == (0, 0) && self.time.now >= self.settings.window, "{seen:?} counted");
        self.reports = seen;
        let (level, available) = (self.level(), self.limiter.available() as f64);
        let is_near = available <= level.max(0.0) + 1e-3 && available > level - 1.0 - 1e-3;
        assert!(if self.time.now < self.closed { available == 0.0 } else { is_near }, "{available} of {level}");
        assert_eq!(self.limiter.quota(), Quota::from_rate(rate).burst(burst(rate) as u64));
    }

    /// Takes them; or tells when they will be there.
    fn take(&mut self, n: u64) -> Option<u64> {
        let (level, before) = (self.level(), self.limiter.available());
        match self.limiter.try_acquire_n(n) {
            Ok(()) => {
                assert!(n == 0 || self.time.now >= self.closed && level >= n as f64 - 1e-3, "{n} of {level}");
                if n > 0 {
                    self.full = self.full.max(self.time()) + n as f64 / self.rate * 1e9;
                }
                None
            }
            Err(RateLimitExceeded::Denied { retry_after }) => {
                assert!(self.time.now < self.closed || level < n as f64 + 1e-3, "{n} of {level} denied");
                assert_eq!(self.limiter.available(), before, "something was charged");
                self.time.after(retry_after)
            }
            Err(error) => {
                let capacity = burst(self.rate) as u64;
                assert!(n > capacity && error == RateLimitExceeded::ExceedsCapacity { requested: n, capacity });
                None
            }
        }
    }

    fn run(&mut self, op: Op) {
        let (now, capacity) = (self.time.now, burst(self.rate) as u64);
        match op {
            Op::Forward(by) => self.time.step(Step::Forward(Magnitude(by.0.min(1 << 32)))),
            Op::Back(by) => self.time.step(Step::Back(by)),
            Op::Window(by) => self.time.go((now + self.settings.window).saturating_add_signed(by.0)),
            Op::Take(n) => _ = self.take(n.of(capacity)),
            Op::Wait(n) => {
                if let Some(due) = self.take(n.of(capacity)) {
                    let rate = self.rate;
                    self.time.go(due - 1);
                    self.look();
                    if self.rate == rate {
                        assert!(self.take(n.of(capacity)) == Some(due), "not before");
                    }
                    self.time.go(due);
                    self.look();
                    if self.rate == rate {
                        assert_eq!(self.take(n.of(capacity)), None);
                    }
                }
            }
            Op::Refund(n) => {
                let (n, before) = (n.of(capacity), self.limiter.available());
                let missing = burst(self.rate) - self.level();
                // How much has room is not asked where a rounding decides.
                if (n as f64) < missing - 1e-3 || missing < 0.5 {
                    self.limiter.refund(n);
                    self.full = (self.full - n as f64 / self.rate * 1e9).max(self.full.min(self.time()));
                }
                assert!(self.limiter.available() >= before);
            }
            Op::Report(good, bad) => {
                (0..good).for_each(|_| self.limiter.record_success());
                (0..bad).for_each(|_| self.limiter.record_error());
                self.reports = (self.reports.0 + u64::from(good) + u64::from(bad), self.reports.1 + u64::from(bad));
            }
            Op::Close(nanos) => {
                self.limiter.record(Outcome::Throttled(Some(Duration::from_nanos(nanos.0))));
                self.closed = self.closed.max(now + nanos.0);
                self.reports = (self.reports.0 + 1, self.reports.1 + 1);
            }
        }
    }
}

fuzz_target!(|case: Case| {
    let (time, told) = (Time::from(0), Arc::<Mutex<Vec<RateChange>>>::default());
    let (writer, base) = (Arc::clone(&told), case.base.0 as f64);
    let settings = Settings {
        law: if case.is_cubic { Law::Cubic } else { Law::ErrorRate },
        min: base * (f64::from(case.min) + 1.0) / 256.0,
        max: base * (1.0 + f64::from(case.max) / 16.0),
        // Shares that a few reports may meet exactly.
        threshold: f64::from(case.threshold % 7 + 1) / 8.0,
        window: case.window.0.max(1_000_000),
        min_samples: u64::from(case.min_samples % 32),
    };
    let limiter = AdaptiveRateLimiter::builder()
        .law(settings.law)
        .base_rate(base)
        .min_rate(settings.min)
        .max_rate(settings.max)
        .error_threshold(settings.threshold)
        .recovery_factor(1.5)
        .window(Duration::from_nanos(settings.window))
        .min_samples(settings.min_samples)
        .on_change(move |change| writer.lock().expect("no panic").push(*change))
        .clock(time.clock.clone())
        .build()
        .expect("valid settings");
    let mut pair =
        Pair { time, limiter, told, full: 0.0, rate: base, closed: 0, changed: 0, reports: (0, 0), settings };
    pair.look();
    for op in case.ops {
        pair.run(op);
        pair.look();
    }
});
