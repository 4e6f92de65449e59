//! What users get with the crate: under licences that it may be used with, and for the compiler that it promises. Of every
//! crate that is compiled with any of its features for any target, as the lock file has it.
//!
//! "Kills" names a change of the manifests that the test was seen to fail on.

use std::collections::HashMap;
use std::env;
use std::process::Command;

use serde_json::Value;

/// The same as in `deny.toml`, which is asked about the tests' own dependencies, too.
const LICENCES: [&str; 4] = ["Apache-2.0", "MIT", "Unicode-3.0", "Zlib"];

/// The packages of the two crates that are published, and all that they need.
fn packages() -> Vec<Value> {
    let cargo = env::var_os("CARGO").expect("run by cargo");
    let output = Command::new(cargo)
        .args(["metadata", "--format-version=1", "--all-features", "--locked"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut metadata: Value = serde_json::from_slice(&output.stdout).expect("it writes JSON");

    let by_id = |list: Value| -> HashMap<String, Value> {
        let of = |value: Value| (text(&value["id"]).to_owned(), value);
        let Value::Array(list) = list else { unreachable!("a list") };
        list.into_iter().map(of).collect()
    };
    let mut packages = by_id(metadata["packages"].take());
    let nodes = by_id(metadata["resolve"]["nodes"].take());
    let is_ours = |package: &Value| ["sluicegate", "sluicegate-macros"].contains(&text(&package["name"]));
    let ours = packages.iter().filter(|(_, package)| is_ours(package));
    let mut open: Vec<String> = ours.map(|(id, _)| id.clone()).collect();
    assert_eq!(open.len(), 2);

    let mut needed = Vec::new();
    while let Some(id) = open.pop() {
        let Some(package) = packages.remove(&id) else { continue };
        needed.push(package);
        let dependencies = nodes[&id]["deps"].as_array().expect("a list");
        let is_compiled = |dependency: &&Value| {
            let kinds = dependency["dep_kinds"].as_array().expect("a list");
            kinds.iter().any(|kind| kind["kind"] != "dev")
        };
        open.extend(dependencies.iter().filter(is_compiled).map(|dependency| text(&dependency["pkg"]).to_owned()));
    }
    needed
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

/// Whether a licence expression is met by the list: `AND` binds more than `OR`, which some still write as `/`.
fn is_met(licence: &str) -> bool {
    let spaced = licence.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let mut words = spaced.split_whitespace().peekable();
    any_of(&mut words)
}

type Words<'a, 'b> = &'a mut std::iter::Peekable<std::str::SplitWhitespace<'b>>;

fn any_of(words: Words<'_, '_>) -> bool {
    let mut met = all_of(words);
    while words.next_if_eq(&"OR").is_some() {
        met |= all_of(words);
    }
    met
}

fn all_of(words: Words<'_, '_>) -> bool {
    let mut met = one(words);
    while words.next_if_eq(&"AND").is_some() {
        met &= one(words);
    }
    met
}

fn one(words: Words<'_, '_>) -> bool {
    if words.next_if_eq(&"(").is_some() {
        let met = any_of(words);
        assert_eq!(words.next(), Some(")"));
        return met;
    }
    let mut licence = words.next().expect("a licence").to_owned();
    if words.next_if_eq(&"WITH").is_some() {
        licence = format!("{licence} WITH {}", words.next().expect("an exception"));
    }
    LICENCES.contains(&licence.as_str())
}

/// As numbers; what is not said is 0.
fn version(text: &str) -> [u32; 3] {
    let mut parts = text.split('.').map(|part| part.parse().expect("a number"));
    [(); 3].map(|()| parts.next().unwrap_or(0))
}

/// Kills: a licence that is not in the list.
#[test]
fn every_licence_may_be_used() {
    for package in packages() {
        let licence = package["license"].as_str().unwrap_or("none");
        assert!(is_met(licence), "{}: {licence}", package["name"]);
    }
}

/// Of those that say which compiler they need, which are most. Kills: a crate in the lock file that needs a later one.
#[test]
fn none_needs_a_later_compiler() {
    let ours = version(env!("CARGO_PKG_RUST_VERSION"));
    let packages = packages();
    let mut known = 0;
    for (package, needed) in packages.iter().filter_map(|package| Some((package, package["rust_version"].as_str()?))) {
        assert!(version(needed) <= ours, "{} needs {needed}", package["name"]);
        known += 1;
    }
    assert!(known * 4 > packages.len() * 3, "only {known} of {} say it", packages.len());
}

#[test]
fn expressions_of_licences() {
    for met in
        ["MIT", "MIT/GPL-3.0", "GPL-3.0 OR (MIT AND Zlib)", "(GPL-3.0 OR MIT) AND Unicode-3.0", "MIT OR A WITH B"]
    {
        assert!(is_met(met), "{met}");
    }
    for unmet in
        ["none", "GPL-3.0", "MIT AND GPL-3.0", "MIT AND (GPL-3.0 OR A)", "Apache-2.0 WITH B", "GPL-3.0 OR MIT AND A"]
    {
        assert!(!is_met(unmet), "{unmet}");
    }
}
