//! Remembers which compiler built the benchmarks, so that their results can name it.

use std::env;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = Command::new(rustc).arg("--version").output().ok().map(|output| output.stdout);
    let version = String::from_utf8(version.unwrap_or_default()).unwrap_or_default();
    let known = if version.trim().is_empty() { "unknown" } else { version.trim() };
    println!("cargo::rustc-env=BUILT_BY={known}");
}
