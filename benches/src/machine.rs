//! Where a result comes from: processor, compiler, commit, versions, and how busy the machine was.

use core::num::NonZero;
use std::env::consts::{ARCH, OS};
use std::fs;
use std::process::Command;
use std::thread;

/// What has to stand beside every number, as names and values. Each is one line.
#[must_use]
pub fn provenance() -> Vec<(&'static str, String)> {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let unknown = || "unknown".to_owned();
    vec![
        ("processor", cpu_model().unwrap_or_else(unknown)),
        ("cores", cores.to_string()),
        ("system", format!("{ARCH} {OS}")),
        ("load average", load_average().unwrap_or_else(unknown)),
        ("compiler", env!("BUILT_BY").to_owned()),
        ("commit", commit().unwrap_or_else(unknown)),
    ]
}

/// The version of a crate that was built in, as `Cargo.lock` has it.
#[must_use]
pub fn version(name: &str) -> Option<&'static str> {
    env!("LOCKED").split(';').find_map(|package| package.strip_prefix(name)?.strip_prefix(' '))
}

fn cpu_model() -> Option<String> {
    if let Ok(info) = fs::read_to_string("/proc/cpuinfo") {
        let line = info.lines().find(|line| line.starts_with("model name"))?;
        return Some(line.split_once(':')?.1.trim().to_owned());
    }
    first_line("sysctl", &["-n", "machdep.cpu.brand_string"])
}

/// Over the last minute. Much above zero before a run means that others disturb it.
fn load_average() -> Option<String> {
    let loads = fs::read_to_string("/proc/loadavg").ok()?;
    Some(loads.split_whitespace().next()?.to_owned())
}

/// The commit of the working tree, `-dirty` if it has changes.
fn commit() -> Option<String> {
    let tree = env!("CARGO_MANIFEST_DIR");
    first_line("git", &["-C", tree, "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"])
}

fn first_line(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).output().ok().filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.lines().next().map(|line| line.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::{provenance, version};

    #[test]
    fn each_value_is_one_line_that_is_not_empty() {
        for (name, value) in provenance() {
            assert_eq!(value.lines().count(), 1, "{name}: {value:?}");
        }
    }

    #[test]
    fn knows_the_version_of_what_was_built_in() {
        assert_eq!(version("sluicegate-benches"), Some(env!("CARGO_PKG_VERSION")));
        assert_eq!(version("sluicegate-bench"), None);
    }
}
