//! Where a result comes from: processor, compiler, commit, versions, and how busy the machine was.

use core::num::NonZero;
use std::env::consts::{ARCH, OS};
use std::fs;
use std::process::Command;
use std::thread;

/// The crates that are measured.
const MEASURED: [&str; 8] =
    ["better-bucket", "governor", "leaky-bucket", "pingora-limits", "rate-net", "ratelimit", "sluicegate", "tokio"];

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
        ("versions", MEASURED.map(with_version).join(", ")),
    ]
}

/// The name of a limiter, with the version of its crate if it starts with that crate's name.
#[must_use]
pub fn with_version(name: &str) -> String {
    let of = |package: &&&str| name.replace('_', "-").starts_with(**package);
    let version = MEASURED.iter().find(of).and_then(|package| version(package));
    version.map_or_else(|| name.to_owned(), |version| format!("{name} {version}"))
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

/// The commit of the working tree, `-dirty` if it has changes outside of `docs`, where figures are being written.
fn commit() -> Option<String> {
    let tree = env!("CARGO_MANIFEST_DIR");
    let commit = first_line("git", &["-C", tree, "describe", "--always", "--abbrev=12", "--exclude=*"])?;
    let difference = ["-C", tree, "diff-index", "--quiet", "HEAD", "--", ":(top)", ":(top,exclude)docs"];
    let is_clean = Command::new("git").args(difference).status().is_ok_and(|status| status.success());
    Some(if is_clean { commit } else { commit + "-dirty" })
}

fn first_line(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).output().ok().filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.lines().next().map(|line| line.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::{MEASURED, provenance, version, with_version};

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

    #[test]
    fn names_the_version_of_all_that_is_measured() {
        assert!(MEASURED.iter().all(|package| with_version(package).starts_with(&format!("{package} "))));
        let ours = version("sluicegate").unwrap_or_default();
        assert_eq!(with_version("sluicegate_striped"), format!("sluicegate_striped {ours}"));
        assert_eq!(with_version("std_mutex"), "std_mutex");
    }
}
