//! What must not compile does not, and the compiler's words tell why.

/// An unusable quota, limit or window in a `static`: what `const_new` and `const_strict` promise, in the words of the error.
#[test]
fn an_unusable_static_does_not_compile() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/compile_fail/*.rs");
}

/// What is wrong with `#[rate_limit]`, said where it is wrong.
#[cfg(all(feature = "macros", feature = "async", feature = "per-key"))]
#[test]
fn an_unusable_attribute_does_not_compile() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/compile_fail/rate_limit/*.rs");
}
