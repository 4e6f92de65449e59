//! The table: phase by phase, both laws side by side, within 100 columns.

use crate::service::total;
use crate::{DEMAND, Run, STORY};

pub(crate) fn print(runs: &[Run]) {
    println!("{DEMAND} calls a second, one window a second. rate: permits/s; errors: share of the requests sent;");
    println!("goodput: requests served, as a share of what the service could do. All are means of the phase.\n");
    print!("{:<17} {:>9} {:>10} ", "", "", "");
    runs.iter().for_each(|run| print!("  {:^27}", format!("-------- {} --------", run.name)));
    print!("\n{:<17} {:>9} {:>10} ", "phase", "seconds", "capacity");
    runs.iter().for_each(|_| print!("  {:>9} {:>8} {:>8}", "rate", "errors", "goodput"));
    println!();
    for phase in &STORY {
        let seconds = format!("{} - {}", phase.from, phase.to);
        print!("{:<17} {seconds:>9} {:>8.1}/s ", phase.name, phase.capacity);
        for run in runs {
            let sum = total(&run.intervals, phase.from, phase.to);
            let goodput = match sum.capacity {
                0.0 => "-".to_owned(),
                capacity => format!("{:.1} %", 100.0 * sum.goodput as f64 / capacity),
            };
            print!("  {:>7.1}/s {:>6.1} % {goodput:>8}", sum.mean_rate(), 100.0 * sum.error_share());
        }
        println!();
    }
}
