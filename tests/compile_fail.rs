//! An unusable quota, limit or window in a `static` does not compile, and the compiler's words are those of the error:
//! what `const_new` and `const_strict` promise.

#[test]
fn an_unusable_static_does_not_compile() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/compile_fail/*.rs");
}
