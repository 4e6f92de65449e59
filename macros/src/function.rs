//! The function under the attribute. Its body is kept as it stands, not parsed.

use proc_macro2::{Delimiter, Group, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::parse::{Parse, ParseStream};
use syn::{Attribute, Error, Result, ReturnType, Signature, Token, Type, Visibility};

pub(crate) struct Function {
    attributes: Vec<Attribute>,
    visibility: Visibility,
    pub(crate) signature: Signature,
    /// Those that stand within the body and must stay the first in it.
    inner_attributes: Vec<Attribute>,
    pub(crate) body: TokenStream,
    braces: Span,
}

impl Parse for Function {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let attributes = input.call(Attribute::parse_outer)?;
        let visibility = input.parse()?;
        if !is_function(input) {
            return Err(input.error("only a function can be limited"));
        }
        let signature: Signature = input.parse()?;
        if let Some(constness) = signature.constness {
            return Err(Error::new(
                constness.span,
                "a `const fn` cannot be limited: it may run when the program is compiled",
            ));
        }
        if input.peek(Token![;]) {
            return Err(Error::new_spanned(
                signature,
                "there is no body to limit; limit the one of the implementation",
            ));
        }
        let body = braces_of(input.parse()?)?;
        let parse_body = |input: ParseStream<'_>| Ok((input.call(Attribute::parse_inner)?, input.parse()?));
        let (inner_attributes, tokens) = syn::parse::Parser::parse2(parse_body, body.stream())?;
        Ok(Self { attributes, visibility, signature, inner_attributes, body: tokens, braces: body.span() })
    }
}

/// The body in its braces.
fn braces_of(token: TokenTree) -> Result<Group> {
    match token {
        TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => Ok(group),
        // What a `macro_rules` matched as a block.
        TokenTree::Group(group) if group.delimiter() == Delimiter::None => braces_of(syn::parse2(group.stream())?),
        other => Err(Error::new(other.span(), "expected the function's body")),
    }
}

/// Whether it is one by its name: `impl Future`, in a `Pin` (what `async_trait` makes of a method), or as the crate `futures`
/// calls it.
fn is_future(returned: &Type) -> bool {
    let names_future = || names("Future", returned.to_token_stream());
    match returned {
        Type::ImplTrait(_) => names_future(),
        Type::Path(path) => path.path.segments.last().is_some_and(|last| match last.ident.to_string().as_str() {
            "BoxFuture" | "LocalBoxFuture" => true,
            "Pin" => names_future(),
            _ => false,
        }),
        Type::Group(group) => is_future(&group.elem),
        Type::Paren(paren) => is_future(&paren.elem),
        _ => false,
    }
}

/// Whether this word is among the tokens.
pub(crate) fn names(word: &str, tokens: TokenStream) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Group(group) => names(word, group.stream()),
        TokenTree::Ident(ident) => ident == word,
        _ => false,
    })
}

/// Whether what follows begins like one.
fn is_function(input: ParseStream<'_>) -> bool {
    input.peek(Token![fn])
        || input.peek(Token![const])
        || input.peek(Token![async])
        || input.peek(Token![unsafe])
        || input.peek(Token![extern])
}

impl Function {
    /// The first and the last token of what it returns; of what it is called with, where it returns nothing.
    pub(crate) fn returned(&self) -> (Span, Span) {
        match &self.signature.output {
            ReturnType::Default => (self.signature.fn_token.span, self.signature.paren_token.span.close()),
            ReturnType::Type(_, returned) => {
                let mut tokens = returned.to_token_stream().into_iter();
                let first = tokens.next().map_or_else(Span::call_site, |token| token.span());
                (first, tokens.last().map_or(first, |token| token.span()))
            }
        }
    }

    /// Refuses one that makes a future and would wait before: that would park the thread that makes it, be it a worker of
    /// a runtime.
    pub(crate) fn refuse_to_wait_for_a_future(&self) -> Result<()> {
        match &self.signature.output {
            ReturnType::Type(_, returned) if self.signature.asyncness.is_none() && is_future(returned) => {
                let message = "waiting would park the thread that makes this future; limit an `async fn` instead";
                Err(Error::new_spanned(returned, message))
            }
            _ => Ok(()),
        }
    }

    /// The same function with another body.
    pub(crate) fn with_body(self, body: TokenStream) -> TokenStream {
        let Self { attributes, visibility, signature, inner_attributes, braces, .. } = self;
        let mut block = Group::new(Delimiter::Brace, quote!(#(#inner_attributes)* #body));
        block.set_span(braces);
        quote!(#(#attributes)* #visibility #signature #block)
    }
}
