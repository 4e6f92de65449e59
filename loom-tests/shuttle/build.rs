//! Builds the crate's sources on shuttle's atomics, in this package and in no other.

fn main() {
    println!("cargo::rustc-cfg=shuttle");
    println!("cargo::rerun-if-changed=build.rs");
}
