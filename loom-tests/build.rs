//! Builds the crate's sources on loom's atomics, in this package and in no other.

fn main() {
    println!("cargo::rustc-cfg=loom");
    println!("cargo::rerun-if-changed=build.rs");
}
