//! The tables that people read, within 100 columns.

use core::time::Duration;

use indicatif::HumanCount;
use sluicegate::{ConfigError, Quota};

use crate::Row;
use crate::args::Plan;
use crate::promise::Window;

/// The quota in words.
pub(crate) fn quota(quota: Quota) -> String {
    format!("{} a second, burst {}", counted(quota.permits(), "permit"), HumanCount(quota.capacity()))
}

/// `1 thread`, `2 threads`.
pub(crate) fn counted(number: u64, what: &str) -> String {
    format!("{} {what}{}", HumanCount(number), if number == 1 { "" } else { "s" })
}

/// One table for the speed, against the first row, and one for the limit; then who is in neither.
pub(crate) fn print(plan: &Plan, rows: &[Row], left_out: &[(&str, ConfigError)]) {
    println!("\nSpeed, {} for each. ns: what one caller waits for one decision.", short(plan.speed));
    println!("A grant by the adaptive limiter is reported to it as a success, and that is part of the decision.");
    println!("Of the per-key limiter all threads name one key; by the handle it is looked up once for all calls.");
    println!("Local buckets are of one striped bucket, one a thread.\n");
    println!(
        "{:<28} {:>11} {:>8} {:>12} {:>12} {:>15} {:>6}",
        "limiter", "decisions/s", "ns", "granted", "at most", "rejected", "speed"
    );
    let baseline = rows.first().map_or(f64::NAN, |row| row.speed.decisions_per_second());
    for row in rows {
        let per_second = row.speed.decisions_per_second();
        println!(
            "{:<28} {:>9} M {:>8} {:>12} {:>12} {:>15} {:>5}x",
            row.name,
            grouped(per_second / 1e6, 2),
            grouped(row.speed.nanos_per_decision(plan.threads), 1),
            HumanCount(row.speed.granted).to_string(),
            HumanCount(row.at_most() as u64).to_string(),
            HumanCount(row.speed.denied).to_string(),
            grouped(per_second / baseline, 1),
        );
    }

    println!(
        "\nLimit. In another {} every grant was recorded. Worst: the most in a window, of all windows;",
        short(plan.audit)
    );
    println!("where burst + rate * T is allowed: what came above rate * T, T in seconds, of all intervals.\n");
    println!("{:<28} {:<28} {:>13} {:>18}  limit", "limiter", "allowed", "worst", "recorded");
    for row in rows {
        println!(
            "{:<28} {:<28} {:>13} {:>18}  {}",
            row.name,
            row.promise,
            grouped(row.audit.worst, 3),
            format!("{} in {}", HumanCount(row.audit.granted as u64), short(row.audit.time)),
            if row.kept() { "kept" } else { "EXCEEDED" },
        );
    }

    if !left_out.is_empty() {
        let window = Window::of(plan.quota);
        println!("\nNot there, for {} in {}:", counted(window.limit, "permit"), short(window.length()));
    }
    for (name, error) in left_out {
        println!("{name:<28} {error}");
    }
}

/// `1.5s`, `75.0ms`.
pub(crate) fn short(time: Duration) -> String {
    format!("{time:.1?}")
}

/// With thousands separators and so many decimals.
fn grouped(number: f64, decimals: usize) -> String {
    let text = format!("{number:.decimals$}");
    let digits = text.trim_start_matches('-');
    match digits.split_once('.').map(|(whole, fraction)| (whole.parse(), fraction)) {
        Some((Ok(whole), fraction)) => {
            let sign = if digits.len() < text.len() { "-" } else { "" };
            format!("{sign}{}.{fraction}", HumanCount(whole))
        }
        // Not a number, or one too long to be read anyway.
        _ => text,
    }
}
