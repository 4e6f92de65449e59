//! The tables that people read, within 100 columns.

use core::time::Duration;

use indicatif::HumanCount;
use sluicegate::Quota;

use crate::Row;
use crate::args::Plan;

/// The quota in words.
pub(crate) fn quota(quota: Quota) -> String {
    format!("{} a second, burst {}", counted(quota.permits(), "permit"), HumanCount(quota.capacity()))
}

/// `1 thread`, `2 threads`.
pub(crate) fn counted(number: u64, what: &str) -> String {
    format!("{} {what}{}", HumanCount(number), if number == 1 { "" } else { "s" })
}

/// One table for the speed, against the first row, and one for the limit.
pub(crate) fn print(plan: &Plan, rows: &[Row]) {
    println!("\nSpeed, {} for each. ns: what one caller waits for one decision.\n", short(plan.speed));
    println!(
        "{:<24} {:>14} {:>10} {:>14} {:>18} {:>9}",
        "limiter", "decisions/s", "ns", "granted", "rejected", "speed"
    );
    let baseline = rows.first().map_or(f64::NAN, |row| row.speed.decisions_per_second());
    for row in rows {
        let per_second = row.speed.decisions_per_second();
        println!(
            "{:<24} {:>12} M {:>10} {:>14} {:>18} {:>8}x",
            row.name,
            grouped(per_second / 1e6, 2),
            grouped(row.speed.nanos_per_decision(plan.threads), 1),
            HumanCount(row.speed.granted).to_string(),
            HumanCount(row.speed.denied).to_string(),
            grouped(per_second / baseline, 1),
        );
    }

    let (burst, rate) = (HumanCount(plan.quota.capacity()), HumanCount(plan.quota.permits()));
    println!("\nLimit. Allowed within T seconds: {burst} + {rate} * T. In another {} every grant", short(plan.audit));
    println!("was recorded; worst interval: what came above {rate} * T in the worst of all intervals.\n");
    println!(
        "{:<24} {:>12} {:>14} {:>19} {:>15}  limit",
        "limiter", "granted", "allowed", "recorded", "worst interval"
    );
    for row in rows {
        println!(
            "{:<24} {:>12} {:>14} {:>19} {:>15}  {}",
            row.name,
            HumanCount(row.speed.granted).to_string(),
            grouped(row.speed.bound(plan.quota), 1),
            format!("{} in {}", HumanCount(row.audit.granted as u64), short(row.audit.time)),
            grouped(row.audit.worst_excess, 3),
            if row.kept(plan) { "kept" } else { "EXCEEDED" },
        );
    }
}

/// `1.5s`, `75.0ms`.
fn short(time: Duration) -> String {
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
