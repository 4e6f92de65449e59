//! What the attribute is told: each option checked, and that they agree.

use proc_macro2::{Ident, Span};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::{Error, Expr, ExprPath, Path, Result, Token};

use crate::number;
use crate::quota::Quota;

/// How a function is limited.
pub(crate) struct Options {
    pub(crate) limiter: Limiter,
    pub(crate) waiting: Waiting,
}

pub(crate) enum Limiter {
    /// One of the function's own.
    Own(Quota),
    /// One that stands elsewhere, per key if there is one.
    Shared(Path, Option<Expr>),
    /// One that stands elsewhere and is told what came of the call.
    Adaptive(Path),
}

/// How long for a permit.
pub(crate) enum Waiting {
    Never,
    Always,
    /// For so many nanoseconds at most.
    AtMost(u64),
}

/// An option that takes a value, as it was given.
struct Given {
    name: Ident,
    value: Expr,
}

/// All of them as they were given.
#[derive(Default)]
struct Written {
    rate: Option<Given>,
    burst: Option<Given>,
    per: Option<Given>,
    wait: Option<Ident>,
    timeout: Option<Given>,
    limiter: Option<Given>,
    key: Option<Given>,
    adaptive: Option<Given>,
}

impl Parse for Options {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let mut written = Written::default();
        while !input.is_empty() {
            written.read(input)?;
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        let waiting = written.waiting()?;
        Ok(Self { limiter: written.limiter()?, waiting })
    }
}

impl Written {
    fn read(&mut self, input: ParseStream<'_>) -> Result<()> {
        let name = input.call(Ident::parse_any)?;
        let (option, example) = match name.to_string().as_str() {
            "rate" => (&mut self.rate, "10.0"),
            "burst" => (&mut self.burst, "20"),
            "per" => (&mut self.per, "\"minute\""),
            "timeout" => (&mut self.timeout, "\"100ms\""),
            "limiter" => (&mut self.limiter, "LIMITER"),
            "key" => (&mut self.key, "user"),
            "adaptive" => (&mut self.adaptive, "LIMITER"),
            "wait" if input.peek(Token![=]) => return Err(input.error("`wait` takes no value")),
            "wait" => return set(&mut self.wait, &name, name.clone()),
            _ => return Err(Error::new(name.span(), OPTIONS)),
        };
        let has_value = input.parse::<Option<Token![=]>>()?.is_some() && !input.is_empty() && !input.peek(Token![,]);
        if !has_value {
            return Err(Error::new(name.span(), format!("`{name}` takes a value: `{name} = {example}`")));
        }
        let given = Given { name: name.clone(), value: input.parse()? };
        set(option, &name, given)
    }

    fn waiting(&self) -> Result<Waiting> {
        let (waiting, option) = match (&self.wait, &self.timeout) {
            (None, None) => return Ok(Waiting::Never),
            (Some(_), Some(timeout)) => {
                let message = "`timeout` waits so long at most, `wait` as long as it takes: give one";
                return Err(Error::new(timeout.name.span(), message));
            }
            (Some(wait), None) => (Waiting::Always, wait),
            (None, Some(timeout)) => (Waiting::AtMost(number::timeout(&timeout.value)?), &timeout.name),
        };
        if cfg!(feature = "async") {
            Ok(waiting)
        } else {
            Err(Error::new(option.span(), format!("`{option}` needs the feature `async` of sluicegate")))
        }
    }

    fn limiter(self) -> Result<Limiter> {
        self.agree()?;
        let Self { rate, burst, per, limiter, key, adaptive, .. } = self;
        match (rate, limiter, adaptive) {
            (Some(rate), ..) => quota(&rate.value, burst, per).map(Limiter::Own),
            (_, Some(limiter), _) => Ok(Limiter::Shared(path(limiter)?, key.map(|key| key.value))),
            (.., Some(adaptive)) => path(adaptive).map(Limiter::Adaptive),
            _ => Err(Error::new(
                Span::call_site(),
                "there is no limit: give a `rate`, a `limiter`, or one that is `adaptive`",
            )),
        }
    }

    /// One limiter, and nothing that goes with another one.
    fn agree(&self) -> Result<()> {
        let (rate, limiter, adaptive) = (name(&self.rate), name(&self.limiter), name(&self.adaptive));
        let mut limiters = [rate, limiter, adaptive].into_iter().flatten();
        if let (Some(first), Some(second)) = (limiters.next(), limiters.next()) {
            return Err(Error::new(second.span(), format!("`{first}` and `{second}` are two limits: give one")));
        }
        let with =
            [("rate", rate, name(&self.burst)), ("rate", rate, name(&self.per)), ("limiter", limiter, name(&self.key))];
        for (owner, is_given, option) in with {
            if let (None, Some(option)) = (is_given, option) {
                return Err(Error::new(option.span(), format!("`{option}` goes with `{owner}` alone")));
            }
        }
        Ok(())
    }
}

const OPTIONS: &str =
    "there is no such option; there are `rate`, `burst`, `per`, `wait`, `timeout`, `limiter`, `key` and `adaptive`";

fn name(option: &Option<Given>) -> Option<&Ident> {
    option.as_ref().map(|given| &given.name)
}

fn set<T>(option: &mut Option<T>, name: &Ident, value: T) -> Result<()> {
    match option.replace(value) {
        None => Ok(()),
        Some(_) => Err(Error::new(name.span(), format!("`{name}` is given twice"))),
    }
}

fn quota(rate: &Expr, burst: Option<Given>, per: Option<Given>) -> Result<Quota> {
    let (rate, from) = number::rate(rate)?;
    let burst = burst.map(|burst| number::burst(&burst.value)).transpose()?;
    let seconds = per.map_or(Ok(1), |per| number::per(&per.value))?;
    let to = burst.map_or(from, |(_, to)| to);
    let burst = burst.map(|(permits, _)| permits);
    Quota::new(rate, seconds, burst, (from, to)).ok_or_else(|| Error::new(from, number::RATE_FITS))
}

/// Where a limiter stands.
fn path(Given { name, value }: Given) -> Result<Path> {
    match value {
        Expr::Path(ExprPath { qself: None, path, .. }) => Ok(path),
        // What a `macro_rules` matched.
        Expr::Group(group) => path(Given { name, value: *group.expr }),
        other => Err(Error::new_spanned(other, format!("`{name}` is the path of a `static`"))),
    }
}

#[cfg(all(test, not(feature = "async")))]
mod tests {
    use super::*;

    #[test]
    fn to_wait_needs_the_feature() {
        for option in ["wait", "timeout = \"1s\""] {
            let options = syn::parse_str::<Options>(&format!("rate = 1, {option}"));
            let message = options.err().map(|error| error.to_string()).unwrap_or_default();
            assert!(message.ends_with("needs the feature `async` of sluicegate"), "{message}");
        }
        assert!(syn::parse_str::<Options>("rate = 1").is_ok());
    }
}
