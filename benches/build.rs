//! Remembers which compiler built the benchmarks, and of which version each crate in them is, so that results can name it.

use std::env;
use std::fs;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = Command::new(rustc).arg("--version").output().ok().map(|output| output.stdout);
    let version = String::from_utf8(version.unwrap_or_default()).unwrap_or_default();
    let known = if version.trim().is_empty() { "unknown" } else { version.trim() };
    println!("cargo::rustc-env=BUILT_BY={known}");
    println!("cargo::rerun-if-changed=../Cargo.lock");
    println!("cargo::rustc-env=LOCKED={}", locked());
}

/// All that `Cargo.lock` locks: `name version`, separated by semicolons.
fn locked() -> String {
    let lock = fs::read_to_string("../Cargo.lock").unwrap_or_default();
    let field = |package: &str, field: &str| {
        let value = package.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(" = "));
        value.map(|value| value.trim_matches('"').to_owned())
    };
    let packages = lock
        .split("[[package]]")
        .filter_map(|package| Some(format!("{} {}", field(package, "name")?, field(package, "version")?)));
    packages.collect::<Vec<_>>().join(";")
}
