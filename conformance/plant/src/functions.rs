//! Finds the functions of a source file, and where their bodies are.

use proc_macro2::Span;
use std::ops::Range;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

/// A function that has a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Function {
    /// Modules, types and functions around it, and its name: `Replica::step`.
    pub(crate) name: String,
    /// In the implementation of a trait, `<Replica as Debug>::fmt`.
    by_trait: Option<String>,
    /// The line with its name, from 1.
    pub(crate) line: usize,
    /// The bytes between the outer braces, without the attributes that the body begins with.
    pub(crate) body: Range<usize>,
    /// Whether it may be called in constants.
    pub(crate) is_const: bool,
}

impl Function {
    /// Whether `wanted` names it: its path, the end of its path, or its path by the trait.
    pub(crate) fn is_called(&self, wanted: &str) -> bool {
        let ends =
            self.name.strip_suffix(wanted).is_some_and(|s| s.is_empty() || s.ends_with("::"));
        ends || self.by_trait.as_deref().map(without_spaces) == Some(without_spaces(wanted))
    }

    /// A name that tells it from others of the same path.
    pub(crate) fn full_name(&self) -> &str {
        self.by_trait.as_deref().unwrap_or(&self.name)
    }

    /// Its own name, without what is around it.
    pub(crate) fn last_name(&self) -> &str {
        self.name.rsplit("::").next().unwrap_or_default()
    }
}

/// All functions of a source file that are not part of its tests, in the order of their beginnings.
pub(crate) fn functions(source: &str) -> syn::Result<Vec<Function>> {
    let mut finder = Finder { source, around: Vec::new(), by_trait: None, found: Vec::new() };
    finder.visit_file(&parsed(source)?);
    Ok(finder.found)
}

/// Where the documentation and the attributes of a whole file end.
pub(crate) fn head(source: &str) -> syn::Result<usize> {
    let file = parsed(source)?;
    Ok(file.attrs.last().map_or(0, |attribute| attribute.span().byte_range().end))
}

fn parsed(source: &str) -> syn::Result<syn::File> {
    if source.starts_with('\u{feff}') {
        // Positions would not count it.
        return Err(syn::Error::new(Span::call_site(), "the file begins with a byte order mark"));
    }
    syn::parse_str(source)
}

fn without_spaces(text: &str) -> String {
    text.split_whitespace().collect()
}

struct Finder<'a> {
    source: &'a str,
    around: Vec<String>,
    by_trait: Option<String>,
    found: Vec<Function>,
}

impl Finder<'_> {
    fn within(&mut self, name: String, by_trait: Option<String>, visit: impl FnOnce(&mut Self)) {
        self.around.push(name);
        let outer = std::mem::replace(&mut self.by_trait, by_trait);
        visit(self);
        self.by_trait = outer;
        self.around.pop();
    }

    fn function(
        &mut self,
        attrs: &[syn::Attribute],
        signature: &syn::Signature,
        block: &syn::Block,
    ) {
        if is_for_tests(attrs) {
            return;
        }
        let ident = signature.ident.to_string();
        let braces = block.brace_token.span;
        let (open, close) = (braces.open().byte_range().end, braces.close().byte_range().start);
        let inner =
            |attribute: &&syn::Attribute| matches!(attribute.style, syn::AttrStyle::Inner(_));
        let ends = attrs.iter().filter(inner).map(|one| one.span().byte_range().end);
        // The line ends with them: it may be a comment.
        let after = |end: usize| {
            self.source.len() - self.source[end..].trim_start_matches(['\r', '\n']).len()
        };
        let start = ends.max().map_or(open, after);
        let name: Vec<&str> = self.around.iter().chain([&ident]).map(String::as_str).collect();
        self.found.push(Function {
            name: name.join("::"),
            by_trait: self.by_trait.as_ref().map(|by_trait| format!("{by_trait}::{ident}")),
            line: signature.ident.span().start().line,
            body: start..close,
            is_const: signature.constness.is_some(),
        });
        self.within(ident, None, |finder| visit::visit_block(finder, block));
    }
}

impl<'ast> Visit<'ast> for Finder<'_> {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if !is_for_tests(&module.attrs) {
            let name = module.ident.to_string();
            self.within(name, None, |finder| visit::visit_item_mod(finder, module));
        }
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        if is_for_tests(&item.attrs) {
            return;
        }
        let ty = &*item.self_ty;
        let name = match ty {
            syn::Type::Path(path) => path.path.segments.last().map(|last| last.ident.to_string()),
            _ => None,
        };
        let name = name.unwrap_or_else(|| source_of(ty));
        let last = item.trait_.as_ref().and_then(|(_, path, _)| path.segments.last());
        let by_trait = last.map(|last| format!("<{} as {}>", source_of(ty), source_of(last)));
        self.within(name, by_trait, |finder| visit::visit_item_impl(finder, item));
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        let name = item.ident.to_string();
        self.within(name, None, |finder| visit::visit_item_trait(finder, item));
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.function(&item.attrs, &item.sig, &item.block);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.function(&item.attrs, &item.sig, &item.block);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(block) = &item.default {
            self.function(&item.attrs, &item.sig, block);
        }
    }
}

fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    let is_test = |attribute: &syn::Attribute| match &attribute.meta {
        syn::Meta::List(list) => list.path.is_ident("cfg") && list.tokens.to_string() == "test",
        meta => meta.path().is_ident("test"),
    };
    attributes.iter().any(is_test)
}

/// A type or the last part of a trait's path, without white space.
fn source_of(part: &impl Spanned) -> String {
    without_spaces(&part.span().source_text().unwrap_or_default())
}
