//! The modules of a crate with the files they are in, and the paths by which one file uses another.
//!
//! A name that a module re-exports leads to the file that declares it. A module and the modules below it are one unit:
//! the parent declares what its parts share and calls them, so uses between a file and a file below it do not count.

use std::collections::{BTreeMap, BTreeSet};

use af_tests::workspace::{Crate, Workspace};
use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Item, UseTree, Visibility};

/// A chain of re-exports is not followed further: no source has a longer one, and a cycle of them must end.
const MAX_REEXPORTS: usize = 16;

/// One file uses another.
#[derive(Debug)]
pub struct Use {
    /// Path of the file that has the path.
    pub from: String,
    /// Path of the file that declares the target.
    pub to: String,
    /// The line in `from`.
    pub line: usize,
    /// The path as it is written.
    pub path: String,
}

/// The first use of each file by each other in the sources of `member`, without test code.
///
/// # Panics
/// When a file is not valid Rust, which cannot be compiled either.
pub fn uses(workspace: &Workspace, member: &Crate) -> Vec<Use> {
    let roots = ["lib.rs", "main.rs"].map(|root| format!("{}/src/{root}", member.folder));
    let mut uses = BTreeMap::new();
    for root in roots {
        let mut graph = Graph { workspace, modules: Vec::new() };
        if graph.load(&root, None).is_none() {
            continue;
        }
        for at in 0..graph.modules.len() {
            let mut visitor = Visitor { graph: &graph, at, uses: &mut uses };
            for item in &graph.modules[at].items {
                visitor.visit_item(item);
            }
        }
    }
    uses.into_values().collect()
}

struct Graph<'a> {
    workspace: &'a Workspace,
    modules: Vec<Module>,
}

/// A module, which is a file or a block inside a file.
struct Module {
    file: String,
    parent: Option<usize>,
    children: BTreeMap<String, usize>,
    /// Names of the items that are declared here.
    declared: BTreeSet<String>,
    /// Names that `use` imports here, each with its path.
    imports: BTreeMap<String, Vec<String>>,
    /// The imported names that are re-exported.
    reexports: BTreeSet<String>,
    /// Paths whose whole content `use` imports here.
    globs: Vec<Vec<String>>,
    items: Vec<Item>,
}

impl Graph<'_> {
    /// Reads the file and the modules below it. `None` when there is no such file.
    fn load(&mut self, path: &str, parent: Option<usize>) -> Option<usize> {
        let file = self.workspace.files.iter().find(|f| f.path == path)?;
        let parsed = syn::parse_file(&file.text).unwrap_or_else(|e| panic!("{path} is no Rust: {e}"));
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let folder = match name {
            "lib.rs" | "main.rs" | "mod.rs" => folder.to_owned(),
            _ => path.trim_end_matches(".rs").to_owned(),
        };
        Some(self.add(path.to_owned(), folder, parent, parsed.items))
    }

    fn add(&mut self, file: String, folder: String, parent: Option<usize>, items: Vec<Item>) -> usize {
        let at = self.modules.len();
        let items: Vec<Item> = items.into_iter().filter(|item| !is_test(item)).collect();
        let declared = items.iter().filter_map(declared_name).collect();
        let mut module = Module {
            file: file.clone(),
            parent,
            children: BTreeMap::new(),
            declared,
            imports: BTreeMap::new(),
            reexports: BTreeSet::new(),
            globs: Vec::new(),
            items: Vec::new(),
        };
        for import in items.iter().filter_map(as_use) {
            let is_reexport = !matches!(import.vis, Visibility::Inherited);
            for leaf in leaves(&import.tree) {
                module.reexports.extend(leaf.name.clone().filter(|_| is_reexport));
                match leaf.name {
                    Some(name) => drop(module.imports.insert(name, leaf.path)),
                    None => module.globs.push(leaf.path),
                }
            }
        }
        self.modules.push(module);
        for item in &items {
            let Item::Mod(child) = item else { continue };
            let name = child.ident.to_string();
            let below = format!("{folder}/{name}");
            let loaded = match &child.content {
                Some((_, inside)) => Some(self.add(file.clone(), below, Some(at), inside.clone())),
                None => {
                    let paths = [format!("{below}.rs"), format!("{below}/mod.rs")];
                    paths.iter().find_map(|path| self.load(path, Some(at)))
                }
            };
            self.modules[at].children.extend(loaded.map(|loaded| (name, loaded)));
        }
        self.modules[at].items = items;
        at
    }

    /// The module that declares the target of `path` in module `at`. `None` for another crate.
    fn resolve(&self, at: usize, path: &[String], depth: usize) -> Option<usize> {
        let (first, mut rest) = path.split_first()?;
        let mut module = match first.as_str() {
            "crate" => 0,
            "self" => at,
            "super" => self.modules[at].parent?,
            name => match self.modules[at].children.get(name) {
                Some(child) => *child,
                None => {
                    let import = self.modules[at].imports.get(name).filter(|i| *i != path)?;
                    self.follow(at, import, depth)?
                }
            },
        };
        while let Some((_, after)) = rest.split_first().filter(|(name, _)| *name == "super") {
            module = self.modules[module].parent?;
            rest = after;
        }
        self.descend(module, rest, depth)
    }

    fn follow(&self, at: usize, path: &[String], depth: usize) -> Option<usize> {
        if depth >= MAX_REEXPORTS {
            return None;
        }
        self.resolve(at, path, depth + 1)
    }

    fn descend(&self, from: usize, path: &[String], depth: usize) -> Option<usize> {
        let Some((name, rest)) = path.split_first() else { return Some(from) };
        let module = &self.modules[from];
        if let Some(child) = module.children.get(name) {
            return self.descend(*child, rest, depth);
        }
        if module.declared.contains(name) {
            return Some(from);
        }
        if let Some(import) = module.imports.get(name) {
            let target = self.follow(from, import, depth)?;
            return self.descend(target, rest, depth);
        }
        let globs = module.globs.iter().filter_map(|glob| self.follow(from, glob, depth));
        let declares = |target: &usize| {
            let target = &self.modules[*target];
            target.declared.contains(name) || target.children.contains_key(name)
        };
        match globs.into_iter().find(declares) {
            Some(target) => self.descend(target, path, depth),
            None => Some(from),
        }
    }

    fn is_below(&self, module: usize, ancestor: usize) -> bool {
        let mut at = Some(module);
        while let Some(module) = at {
            if module == ancestor {
                return true;
            }
            at = self.modules[module].parent;
        }
        false
    }
}

struct Visitor<'a> {
    graph: &'a Graph<'a>,
    at: usize,
    uses: &'a mut BTreeMap<(String, String), Use>,
}

impl Visitor<'_> {
    fn found(&mut self, path: &[String], line: usize) {
        let Some(target) = self.graph.resolve(self.at, path, 0) else { return };
        let (from, to) = (&self.graph.modules[self.at].file, &self.graph.modules[target].file);
        let is_one_unit = self.graph.is_below(target, self.at) || self.graph.is_below(self.at, target);
        if from == to || is_one_unit {
            return;
        }
        let path = path.join("::");
        self.uses.entry((from.clone(), to.clone())).or_insert(Use {
            from: from.clone(),
            to: to.clone(),
            line,
            path,
        });
    }

    /// A path in code. A name that a private `use` imports is already counted there. A single name counts only when it
    /// is re-exported; otherwise it is declared here or is a variable.
    fn in_code(&mut self, path: &[String], line: usize) {
        let Some(first) = path.first() else { return };
        let module = &self.graph.modules[self.at];
        let is_imported = module.imports.contains_key(first);
        let is_reexported = module.reexports.contains(first);
        if is_reexported || (!is_imported && path.len() > 1) {
            self.found(path, line);
        }
    }

    /// Paths among the tokens of a macro call, which are not parsed.
    fn in_tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let (mut line, mut colons) = (0, 0);
        for tree in tokens {
            match tree {
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        self.ended(&mut path, line);
                    }
                    if path.is_empty() {
                        line = ident.span().start().line;
                    }
                    path.push(ident.to_string());
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                other => {
                    self.ended(&mut path, line);
                    colons = 0;
                    if let TokenTree::Group(group) = other {
                        self.in_tokens(group.stream());
                    }
                }
            }
        }
        self.ended(&mut path, line);
    }

    fn ended(&mut self, path: &mut Vec<String>, line: usize) {
        let names_a_type = path.first().is_some_and(|name| name.starts_with(char::is_uppercase));
        if path.len() > 1 || names_a_type {
            self.in_code(path, line);
        }
        path.clear();
    }
}

impl<'ast> Visit<'ast> for Visitor<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        // Each module is visited separately.
        if !is_test(item) && !matches!(item, Item::Mod(_)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let line = item.use_token.span.start().line;
        for leaf in leaves(&item.tree) {
            self.found(&leaf.path, line);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Vec<String> = path.segments.iter().map(|s| s.ident.to_string()).collect();
        let line = path.segments[0].ident.span().start().line;
        self.in_code(&names, line);
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.in_tokens(call.tokens.clone());
    }

    fn visit_visibility(&mut self, _: &'ast Visibility) {}

    fn visit_attribute(&mut self, _: &'ast syn::Attribute) {}
}

/// One path of a `use`, with the name that it imports; a glob imports no name.
struct Leaf {
    path: Vec<String>,
    name: Option<String>,
}

fn leaves(tree: &UseTree) -> Vec<Leaf> {
    let mut found = Vec::new();
    collect_leaves(tree, &[], &mut found);
    found
}

fn collect_leaves(tree: &UseTree, prefix: &[String], found: &mut Vec<Leaf>) {
    let with = |name: &syn::Ident| match name.to_string() {
        name if name == "self" && !prefix.is_empty() => prefix.to_vec(),
        name => [prefix, &[name]].concat(),
    };
    match tree {
        UseTree::Path(path) => {
            collect_leaves(&path.tree, &[prefix, &[path.ident.to_string()]].concat(), found)
        }
        UseTree::Name(name) => {
            let path = with(&name.ident);
            found.push(Leaf { name: path.last().cloned(), path });
        }
        UseTree::Rename(rename) => {
            found.push(Leaf { name: Some(rename.rename.to_string()), path: with(&rename.ident) });
        }
        UseTree::Glob(_) => found.push(Leaf { path: prefix.to_vec(), name: None }),
        UseTree::Group(group) => group.items.iter().for_each(|item| collect_leaves(item, prefix, found)),
    }
}

fn as_use(item: &Item) -> Option<&syn::ItemUse> {
    match item {
        Item::Use(item) => Some(item),
        _ => None,
    }
}

fn declared_name(item: &Item) -> Option<String> {
    let ident = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::Type(item) => &item.ident,
        Item::Union(item) => &item.ident,
        Item::Macro(item) => item.ident.as_ref()?,
        _ => return None,
    };
    Some(ident.to_string())
}

/// Whether the item is built for tests only.
fn is_test(item: &Item) -> bool {
    let attributes = match item {
        Item::Const(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => return false,
    };
    let is_test = |a: &syn::Attribute| a.parse_args::<syn::Path>().is_ok_and(|p| p.is_ident("test"));
    attributes.iter().any(|a| a.path().is_ident("cfg") && is_test(a))
}
