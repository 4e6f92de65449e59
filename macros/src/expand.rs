//! What the attribute writes: the acquire, ahead of the body.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote_spanned};
use syn::{Expr, Path, Result, ReturnType};

use crate::function::{Function, names};
use crate::options::{Limiter, Options, Waiting};

/// Tokens whose variables the function cannot see, and that cannot see those of the function. A `static` or `const` they do see: so
/// the names are none that one has.
macro_rules! ours {
    ($($tokens:tt)*) => {
        quote_spanned!(Span::mixed_site()=> $($tokens)*)
    };
}

pub(crate) fn rate_limit(options: TokenStream, function: TokenStream) -> Result<TokenStream> {
    let options: Options = syn::parse2(options)?;
    let function: Function = syn::parse2(function)?;
    if !matches!(options.waiting, Waiting::Never) {
        function.refuse_to_wait_for_a_future()?;
    }
    let verb = Verb { waiting: &options.waiting, is_async: function.signature.asyncness.is_some() };
    let refuse = refuse(&function);
    let body = &function.body;
    let body = match &options.limiter {
        Limiter::Own(quota) => {
            let bucket = quota.bucket();
            let acquire = verb.call("LIMITER", Span::call_site(), None);
            let acquire = ours!(static LIMITER: ::sluicegate::TokenBucket = #bucket; #acquire);
            match options.waiting {
                // Nobody else knows the bucket: it grants one permit in the end, and its line is never full.
                Waiting::Always => ours!(let _ = { #acquire }; #body),
                _ => ours!(if let ::core::result::Result::Err(__exceeded) = { #acquire } { #refuse } #body),
            }
        }
        Limiter::Shared(path, key) => {
            let limiter = shared(path, &ours!(_));
            let acquire = verb.call("__limiter", place(path), key.as_ref());
            // A composite has `try_acquire` by the trait alone; what stands in the key is not to see that.
            let by_trait = key.is_none().then(|| {
                ours!(
                    #[allow(unused_imports)]
                    use ::sluicegate::Limiter as _;
                )
            });
            ours!(if let ::core::result::Result::Err(__exceeded) = { #by_trait #limiter #acquire } { #refuse } #body)
        }
        Limiter::Adaptive(path) => {
            let limiter = shared(path, &ours!(::sluicegate::AdaptiveRateLimiter<_>));
            let acquire = verb.call("__limiter", place(path), None);
            let run = run(&function);
            ours!(#limiter if let ::core::result::Result::Err(__exceeded) = #acquire { #refuse } #run)
        }
    };
    Ok(function.with_body(body))
}

/// The same where the compiler is to point elsewhere.
fn at(place: Span) -> Span {
    Span::mixed_site().located_at(place)
}

/// Where a mistake about a limiter is shown.
fn place(limiter: &Path) -> Span {
    limiter.segments.last().map_or_else(Span::call_site, |segment| segment.ident.span())
}

/// A limiter that stands elsewhere: in a `static`, for what stands in a `const` would be made anew by each call.
fn shared(limiter: &Path, kind: &TokenStream) -> TokenStream {
    let reference = quote_spanned!(at(place(limiter))=> &#limiter);
    ours!(let __limiter: &'static #kind = #reference;)
}

/// How a permit is taken.
struct Verb<'a> {
    waiting: &'a Waiting,
    is_async: bool,
}

impl Verb<'_> {
    fn call(&self, limiter: &str, place: Span, key: Option<&Expr>) -> TokenStream {
        let place = at(place);
        let limiter = Ident::new(limiter, place);
        let (waits, timeout) = match self.waiting {
            Waiting::Never => (false, None),
            Waiting::Always => (true, None),
            Waiting::AtMost(nanos) => {
                (true, Some(quote_spanned!(place=> 1, ::core::time::Duration::from_nanos(#nanos))))
            }
        };
        let verb = match (waits, self.is_async, &timeout) {
            (false, ..) => "try_acquire",
            (true, false, None) => "blocking_acquire",
            (true, false, Some(_)) => "blocking_acquire_timeout",
            (true, true, None) => "acquire",
            (true, true, Some(_)) => "acquire_timeout",
        };
        let verb = Ident::new(verb, place);
        let arguments = key.map(ToTokens::to_token_stream).into_iter().chain(timeout);
        let awaited = (waits && self.is_async).then(|| quote_spanned!(place=> .await));
        quote_spanned!(place=> #limiter.#verb(#(#arguments),*) #awaited)
    }
}

/// Returns the denial; what is wrong with that is wrong with what the function returns.
fn refuse(function: &Function) -> TokenStream {
    let (first, last) = function.returned();
    let refused = quote_spanned!(at(first)=> return ::sluicegate::_rate_limit::Answer::refused);
    quote_spanned!(at(last)=> #refused(__exceeded);)
}

/// Runs the body, and reports what it returns.
fn run(function: &Function) -> TokenStream {
    let Function { body, signature, .. } = function;
    let (first, last) = function.returned();
    // Where it cannot be named, it is inferred from what the function returns.
    let returned = match &signature.output {
        ReturnType::Type(_, returned) if !names("impl", returned.to_token_stream()) => Some(returned),
        _ => None,
    };
    if signature.asyncness.is_none() {
        let arrow = returned.map(|returned| ours!(-> #returned));
        let arguments = ours!(__limiter, move || #arrow { #body });
        let run = quote_spanned!(at(first)=> ::sluicegate::_rate_limit::run);
        return quote_spanned!(at(last)=> #run(#arguments));
    }
    // An async block has no arrow: so it is told by a `return` that is never run.
    let told = returned.map(|returned| {
        ours! {
            #[allow(unreachable_code)]
            if false {
                let never: #returned = loop {};
                return never;
            }
        }
    });
    let arguments = ours!(__limiter, async move { #told #body });
    let run = quote_spanned!(at(first)=> ::sluicegate::_rate_limit::run_async);
    quote_spanned!(at(last)=> #run(#arguments).await)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(options: &str, function: &str, expansion: &str) {
        let tokens = |text: &str| text.parse::<TokenStream>().unwrap_or_else(|error| panic!("{error}: {text}"));
        let found = rate_limit(tokens(options), tokens(function)).unwrap_or_else(|error| error.into_compile_error());
        // How tokens are spaced is not said.
        let text = |tokens: TokenStream| tokens.to_string().replace(' ', "");
        assert_eq!(text(found), text(tokens(expansion)));
    }

    /// One static and the acquire, or the acquire alone, and nothing else.
    #[test]
    fn a_limit_is_an_acquire_ahead_of_the_body() {
        check(
            "rate = 2.5, per = \"minute\", burst = 20",
            "/// Kept. \n #[kept] pub fn f<T: Copy>(t: T) -> Result<T, E> where T: Sync { #![kept] Ok(t) }",
            "/// Kept. \n #[kept] pub fn f<T: Copy>(t: T) -> Result<T, E> where T: Sync {
                #![kept]
                if let ::core::result::Result::Err(__exceeded) = {
                    static LIMITER: ::sluicegate::TokenBucket = ::sluicegate::TokenBucket::const_new(
                        ::sluicegate::Quota::per(5u64, ::core::time::Duration::from_secs(120u64)).burst(20u64)
                    );
                    LIMITER.try_acquire()
                } {
                    return ::sluicegate::_rate_limit::Answer::refused(__exceeded);
                }
                Ok(t)
            }",
        );
        check(
            "limiter = a::B, key = &user.name",
            "async fn f(user: User) -> R { body }",
            "async fn f(user: User) -> R {
                if let ::core::result::Result::Err(__exceeded) = {
                    let __limiter: &'static _ = &a::B;
                    __limiter.try_acquire(&user.name)
                } {
                    return ::sluicegate::_rate_limit::Answer::refused(__exceeded);
                }
                body
            }",
        );
    }

    /// What has the verb by the trait alone has it, too.
    #[test]
    fn a_limiter_without_a_key_may_be_any() {
        check(
            "limiter = L",
            "fn f() -> R {}",
            "fn f() -> R {
                if let ::core::result::Result::Err(__exceeded) = {
                    #[allow(unused_imports)]
                    use ::sluicegate::Limiter as _;
                    let __limiter: &'static _ = &L;
                    __limiter.try_acquire()
                } {
                    return ::sluicegate::_rate_limit::Answer::refused(__exceeded);
                }
            }",
        );
    }

    #[cfg(feature = "async")]
    #[test]
    fn a_wait_is_the_verb_of_the_function_s_kind() {
        let own = |verb: &str| {
            format!(
                "let _ = {{
                    static LIMITER: ::sluicegate::TokenBucket = ::sluicegate::TokenBucket::const_new(
                        ::sluicegate::Quota::per(1u64, ::core::time::Duration::from_secs(1u64)).burst(1u64)
                    );
                    LIMITER.{verb}
                }};"
            )
        };
        check("rate = 1, wait", "fn f() {}", &format!("fn f() {{ {} }}", own("blocking_acquire()")));
        check("wait, rate = 1.0", "async fn f() {}", &format!("async fn f() {{ {} }}", own("acquire().await")));
        let shared = |verb: &str| {
            format!(
                "if let ::core::result::Result::Err(__exceeded) = {{
                    let __limiter: &'static _ = &L;
                    __limiter.{verb}(k, 1, ::core::time::Duration::from_nanos(100000000u64))
                "
            )
        };
        let refuse = "} { return ::sluicegate::_rate_limit::Answer::refused(__exceeded); }";
        let options = "limiter = L, key = k, timeout = \"100ms\"";
        check(options, "fn f() -> R {}", &format!("fn f() -> R {{ {} {refuse} }}", shared("blocking_acquire_timeout")));
        let acquire = shared("acquire_timeout");
        check(options, "async fn f() -> R {}", &format!("async fn f() -> R {{ {acquire} .await {refuse} }}"));
    }
}
