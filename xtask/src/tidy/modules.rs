//! A crate's modules and who refers to whom, as far as syntax tells.
//!
//! Paths that begin with `crate`, `self`, `super` or a child module's name are followed through re-exports to the
//! module that owns the item. Test code is left out. Nothing is judged here; see `cycles`.

use super::source::{Source, first_line};
use proc_macro2::{TokenStream, TokenTree};
use std::collections::{BTreeMap, BTreeSet};
use syn::spanned::Spanned as _;
use syn::visit::{self, Visit};

/// Module names from the crate's root, the root itself being empty.
pub(crate) type ModulePath = Vec<String>;

/// Re-exports followed before giving up on a path.
const HOPS: usize = 8;

/// One module.
#[derive(Default)]
pub(crate) struct Module {
    /// File it stands in.
    pub file: String,
    /// What its product code refers to.
    pub references: Vec<Reference>,
    children: BTreeSet<String>,
    items: BTreeSet<String>,
    renamed: BTreeMap<String, ModulePath>,
    globs: Vec<ModulePath>,
}

/// A path as written, made absolute.
pub(crate) struct Reference {
    path: ModulePath,
    reexport: bool,
    /// Line in the module's file.
    pub line: usize,
}

/// What a path leads to.
pub(crate) struct Place {
    /// The module that owns it.
    pub module: ModulePath,
    /// Whether it is something inside the module, not the module itself.
    pub item: bool,
}

/// All modules of one crate.
#[derive(Default)]
pub(crate) struct Modules {
    /// By path.
    pub all: BTreeMap<ModulePath, Module>,
}

impl Modules {
    /// Reads the crate whose files lie under `root` (`crates/wire/src/`).
    pub(crate) fn read(root: &str, sources: &[Source]) -> Self {
        let mut modules = Self::default();
        let files: Vec<(ModulePath, &Source)> = sources
            .iter()
            .filter(|source| !source.test)
            .filter_map(|source| Some((module_path(source.path.strip_prefix(root)?)?, source)))
            .collect();
        let has_library = files.iter().any(|(_, source)| source.path.ends_with("src/lib.rs"));
        for (path, source) in files {
            let beside_library = has_library && source.path == format!("{root}main.rs");
            if !beside_library {
                Reader { modules: &mut modules, source, path }.items(&source.ast.items);
            }
        }
        modules.link();
        modules
    }

    /// Turns recorded names into children, once every module is known.
    fn link(&mut self) {
        let paths: Vec<ModulePath> = self.all.keys().cloned().collect();
        for path in paths {
            if let Some((name, parent)) = path.split_last() {
                self.all.entry(parent.to_vec()).or_default().children.insert(name.clone());
            }
        }
        let children: BTreeMap<ModulePath, BTreeSet<String>> =
            self.all.iter().map(|(path, module)| (path.clone(), module.children.clone())).collect();
        for (path, module) in &mut self.all {
            let own = children.get(path).cloned().unwrap_or_default();
            module.references.retain_mut(|reference| match absolute(&reference.path, path, &own) {
                Some(found) => {
                    reference.path = found;
                    true
                }
                None => false,
            });
            module.globs = module.globs.iter().filter_map(|glob| absolute(glob, path, &own)).collect();
            module.renamed = std::mem::take(&mut module.renamed)
                .into_iter()
                .filter_map(|(name, target)| Some((name, absolute(&target, path, &own)?)))
                .collect();
        }
    }

    /// Where a reference made by module `from` leads; `None` for a module's re-export of its own descendants.
    pub(crate) fn resolve(&self, from: &ModulePath, reference: &Reference) -> Option<Place> {
        let place = self.follow(&reference.path, HOPS);
        (!(reference.reexport && place.module.starts_with(from))).then_some(place)
    }

    fn follow(&self, path: &[String], hops: usize) -> Place {
        let mut depth = 0;
        while path.get(..=depth).is_some_and(|deeper| self.all.contains_key(deeper)) {
            depth += 1;
        }
        let (owner, rest) = path.split_at(depth);
        let here = Place { module: owner.to_vec(), item: !rest.is_empty() };
        let (Some(name), Some(module)) = (rest.first(), self.all.get(owner)) else { return here };
        if hops == 0 || module.items.contains(name) {
            return here;
        }
        if let Some(target) = module.renamed.get(name) {
            return self.follow(target, hops - 1);
        }
        let through_glob = module.globs.iter().find(|glob| {
            self.all
                .get(*glob)
                .is_some_and(|module| module.items.contains(name) || module.renamed.contains_key(name))
        });
        match through_glob {
            Some(glob) => {
                let target: Vec<String> = glob.iter().chain(rest).cloned().collect();
                self.follow(&target, hops - 1)
            }
            None => here,
        }
    }
}

/// `wires/openai_chat/mod.rs` → `[wires, openai_chat]`; `None` for other binaries.
fn module_path(file: &str) -> Option<ModulePath> {
    if file.starts_with("bin/") {
        return None;
    }
    let stem = file.strip_suffix(".rs")?;
    let mut path: ModulePath = stem.split('/').map(str::to_owned).collect();
    if path.len() == 1 && matches!(stem, "lib" | "main") || path.last().is_some_and(|last| last == "mod") {
        path.pop();
    }
    Some(path)
}

/// Makes a written path absolute; `None` when it leaves the crate or begins with an imported name.
fn absolute(written: &[String], module: &[String], children: &BTreeSet<String>) -> Option<ModulePath> {
    let (first, rest) = written.split_first()?;
    let mut base = match first.as_str() {
        "crate" => Vec::new(),
        "self" => module.to_vec(),
        "super" => module.split_last()?.1.to_vec(),
        name if children.contains(name) => module.iter().cloned().chain([name.to_owned()]).collect(),
        _ => return None,
    };
    let mut rest = rest;
    while let Some((first, after)) = rest.split_first().filter(|(first, _)| *first == "super") {
        debug_assert_eq!(first, "super");
        base.pop()?;
        rest = after;
    }
    base.extend(rest.iter().cloned());
    Some(base)
}

struct Reader<'a> {
    modules: &'a mut Modules,
    source: &'a Source,
    path: ModulePath,
}

impl Reader<'_> {
    fn module(&mut self) -> &mut Module {
        let module = self.modules.all.entry(self.path.clone()).or_default();
        module.file.clone_from(&self.source.path);
        module
    }

    fn items(&mut self, items: &[syn::Item]) {
        self.module();
        for item in items {
            self.visit_item(item);
        }
    }

    fn name(&mut self, ident: &syn::Ident) {
        self.module().items.insert(ident.to_string());
    }

    fn refer(&mut self, path: Vec<String>, line: usize, reexport: bool) {
        if !self.source.in_test(line) {
            self.module().references.push(Reference { path, reexport, line });
        }
    }

    fn use_tree(&mut self, tree: &syn::UseTree, prefix: &[String], visible: bool) {
        let line = first_line(tree.span());
        match tree {
            syn::UseTree::Path(path) => {
                let prefix: Vec<String> = prefix.iter().cloned().chain([path.ident.to_string()]).collect();
                self.use_tree(&path.tree, &prefix, visible);
            }
            syn::UseTree::Group(group) => {
                for tree in &group.items {
                    self.use_tree(tree, prefix, visible);
                }
            }
            syn::UseTree::Glob(_) => {
                // The star stands for some item, so that `use super::*` counts as using the parent.
                let path: Vec<String> = prefix.iter().cloned().chain(["*".to_owned()]).collect();
                if visible {
                    self.module().globs.push(prefix.to_vec());
                }
                self.refer(path, line, visible);
            }
            syn::UseTree::Name(name) => self.use_name(prefix, &name.ident, &name.ident, visible),
            syn::UseTree::Rename(rename) => self.use_name(prefix, &rename.ident, &rename.rename, visible),
        }
    }

    fn use_name(&mut self, prefix: &[String], name: &syn::Ident, known_as: &syn::Ident, visible: bool) {
        let itself = name == "self" && !prefix.is_empty();
        let path: Vec<String> = prefix.iter().cloned().chain((!itself).then(|| name.to_string())).collect();
        if visible {
            self.module().renamed.insert(known_as.to_string(), path.clone());
        }
        self.refer(path, first_line(name.span()), visible);
    }

    /// Paths inside a macro's arguments, which `syn` does not parse.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let (mut colons, mut line) = (0, 0);
        for token in tokens {
            match token {
                TokenTree::Ident(ident) if path.is_empty() || colons == 2 => {
                    line = if path.is_empty() { first_line(ident.span()) } else { line };
                    path.push(ident.to_string());
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' && !path.is_empty() && colons < 2 => {
                    colons += 1;
                }
                other => {
                    self.finish_path(&mut path, line);
                    colons = 0;
                    match other {
                        TokenTree::Ident(ident) => {
                            line = first_line(ident.span());
                            path.push(ident.to_string());
                        }
                        TokenTree::Group(group) => self.tokens(group.stream()),
                        TokenTree::Punct(_) | TokenTree::Literal(_) => {}
                    }
                }
            }
        }
        self.finish_path(&mut path, line);
    }

    fn finish_path(&mut self, path: &mut Vec<String>, line: usize) {
        let path = std::mem::take(path);
        if path.len() > 1 {
            self.refer(path, line, false);
        }
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        if self.source.in_test(first_line(item.span())) {
            return;
        }
        match item {
            syn::Item::Const(item) => self.name(&item.ident),
            syn::Item::Enum(item) => self.name(&item.ident),
            syn::Item::Fn(item) => self.name(&item.sig.ident),
            syn::Item::Static(item) => self.name(&item.ident),
            syn::Item::Struct(item) => self.name(&item.ident),
            syn::Item::Trait(item) => self.name(&item.ident),
            syn::Item::Type(item) => self.name(&item.ident),
            _ => {}
        }
        visit::visit_item(self, item);
    }

    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if let Some((_, items)) = &module.content {
            self.path.push(module.ident.to_string());
            self.items(items);
            self.path.pop();
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let visible = !matches!(item.vis, syn::Visibility::Inherited);
        self.use_tree(&item.tree, &[], visible);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.segments.len() > 1 {
            let written = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
            self.refer(written, first_line(path.span()), false);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.visit_path(&call.path);
        self.tokens(call.tokens.clone());
    }

    // `pub(in crate::a)` says who may see it, not what is used.
    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}
}
