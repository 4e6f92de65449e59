//! The attribute of [sluicegate](https://docs.rs/sluicegate), which exports it and describes it: use that.

mod expand;
mod function;
mod number;
mod options;
mod quota;

use proc_macro::TokenStream;

/// Exported by the crate `sluicegate`, which the function's crate needs under that name.
#[proc_macro_attribute]
pub fn rate_limit(options: TokenStream, function: TokenStream) -> TokenStream {
    expand::rate_limit(options.into(), function.clone().into()).map_or_else(
        // The function stays, so that whoever calls it is not told that there is none.
        |error| TokenStream::from_iter([error.into_compile_error().into(), function]),
        TokenStream::from,
    )
}
