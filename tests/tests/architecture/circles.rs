//! No circle of files inside a crate: a file that imports from another one must not be imported by it, also not through
//! further files.
//!
//! A module and the files below it are one tree: a file may use what its parents declare, which is no import here.

use std::collections::{BTreeMap, BTreeSet};

use af_tests::workspace::{File, Violation, Workspace};
use syn::visit::{self, Visit};

/// Crates that still have circles, each with the number of them. A crate without any is struck off.
const KNOWN: [(&str, usize); 4] = [
    ("functions/worker", 1), // compatible/call.rs and compatible/functions
    ("infra/agent", 1),      // api.rs, config.rs and skills.rs
    ("shared/app", 2),       // message config and policies; read models and queue
    ("shared/store", 1),     // messages, conversations and workers
];

/// The path of a module inside its crate; empty for `lib.rs` and `main.rs`.
type Module = Vec<String>;

/// The circles of each crate, one violation for each circle.
fn no_circles(workspace: &Workspace) -> Vec<Violation> {
    let mut violations = Vec::new();
    for of_crate in &workspace.crates {
        let files = modules(workspace, &of_crate.folder);
        let imports: BTreeMap<&Module, BTreeSet<Module>> =
            files.iter().map(|(module, file)| (module, imports(module, file, &files))).collect();
        let reached: BTreeMap<&Module, BTreeSet<&Module>> =
            files.keys().map(|module| (module, reachable(module, &imports))).collect();
        for (module, reaches) in &reached {
            let circle: Vec<&Module> =
                reaches.iter().copied().filter(|other| reached[other].contains(module)).collect();
            // Each circle is reported once, at its first file.
            if circle.first() == Some(module) {
                let paths: Vec<&str> = circle.iter().map(|member| files[*member].path.as_str()).collect();
                let what = format!("a circle of files: {}", paths.join(", "));
                violations.push(Violation::new(&of_crate.folder, what));
            }
        }
    }
    violations
}

/// The files of a crate that are not tests, by their modules.
fn modules<'w>(workspace: &'w Workspace, folder: &str) -> BTreeMap<Module, &'w File> {
    let source = format!("{folder}/src/");
    let in_crate = workspace.rust().filter(|file| !file.is_test());
    let named = in_crate.filter_map(|file| {
        let path = file.path.strip_prefix(&source)?.strip_suffix(".rs")?;
        let mut module: Module = path.split('/').map(str::to_owned).collect();
        if module.last().is_some_and(|last| last == "mod") || path == "lib" || path == "main" {
            module.pop();
        }
        Some((module, file))
    });
    named.collect()
}

/// The modules from which `file` imports. Its own module and the modules around it do not count.
fn imports(module: &Module, file: &File, files: &BTreeMap<Module, &File>) -> BTreeSet<Module> {
    let parsed = syn::parse_file(&file.text).unwrap_or_else(|e| panic!("{} is no Rust: {e}", file.path));
    let mut paths = Paths::default();
    paths.visit_file(&parsed);
    let targets = paths.0.iter().filter_map(|path| target(module, path, files));
    targets.filter(|target| !module.starts_with(target)).collect()
}

/// The module of the crate in which `path` ends; `None` when it leads out of the crate.
fn target(module: &Module, path: &[String], files: &BTreeMap<Module, &File>) -> Option<Module> {
    let mut at = module.clone();
    let mut rest = path;
    match path.first()?.as_str() {
        "crate" => (at, rest) = (Module::new(), &path[1..]),
        "self" => rest = &path[1..],
        "super" => {
            while rest.first().is_some_and(|segment| segment == "super") {
                at.pop()?;
                rest = &rest[1..];
            }
        }
        // Only the name of a child module is a path into this crate.
        first if !files.contains_key(&[module.as_slice(), &[first.to_owned()]].concat()) => return None,
        _ => {}
    }
    for segment in rest {
        at.push(segment.clone());
        if !files.contains_key(&at) {
            at.pop();
            break;
        }
    }
    files.contains_key(&at).then_some(at)
}

/// All modules that `from` imports, directly or through others; `from` itself only when it is on a circle.
fn reachable<'i>(from: &Module, imports: &'i BTreeMap<&Module, BTreeSet<Module>>) -> BTreeSet<&'i Module> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<&Module> = imports[from].iter().collect();
    // Ends: each module is opened once.
    while let Some(module) = open.pop() {
        if reached.insert(module) {
            open.extend(&imports[module]);
        }
    }
    reached
}

/// The paths that a file names outside of its unit tests.
#[derive(Default)]
struct Paths(Vec<Vec<String>>);

impl Paths {
    fn use_tree(&mut self, before: &[String], tree: &syn::UseTree) {
        let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
        match tree {
            syn::UseTree::Path(path) => self.use_tree(&with(&path.ident), &path.tree),
            syn::UseTree::Name(name) => self.0.push(with(&name.ident)),
            syn::UseTree::Rename(name) => self.0.push(with(&name.ident)),
            syn::UseTree::Glob(_) => self.0.push(before.to_vec()),
            syn::UseTree::Group(group) => {
                group.items.iter().for_each(|tree| self.use_tree(before, tree));
            }
        }
    }
}

impl<'ast> Visit<'ast> for Paths {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.use_tree(&[], &item.tree);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.segments.len() > 1 {
            self.0.push(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        }
        visit::visit_path(self, path);
    }

    /// A module in the middle of a file is one of unit tests.
    fn visit_item_mod(&mut self, _: &'ast syn::ItemMod) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn circles(files: &[(&str, &str)]) -> usize {
        let manifest = ("shared/app/Cargo.toml", "[package]\nname = \"af-app\"\n");
        let files: Vec<(String, &str)> =
            files.iter().map(|(path, text)| (format!("shared/app/src/{path}"), *text)).collect();
        let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), *text)).collect();
        no_circles(&Workspace::of(&[&[manifest], files.as_slice()].concat())).len()
    }

    #[test]
    fn this_workspace_has_no_circles_but_the_known_ones() {
        let found = no_circles(&Workspace::real());
        let mut unknown = Vec::new();
        for of_crate in &Workspace::real().crates {
            let known =
                KNOWN.iter().find(|(folder, _)| *folder == of_crate.folder).map_or(0, |known| known.1);
            let circles: Vec<_> = found.iter().filter(|circle| circle.place == of_crate.folder).collect();
            if circles.len() != known {
                let what = format!("{} circles, {known} known: {circles:?}", circles.len());
                unknown.push(Violation::new(&of_crate.folder, what));
            }
        }
        af_tests::workspace::assert_none(&unknown);
    }

    #[test]
    fn files_that_import_each_other_are_refused() {
        let library = ("lib.rs", "mod a;\nmod b;\nmod c;\n");
        let direct = [library, ("a.rs", "use crate::b::B;"), ("b.rs", "use super::a::A;")];
        assert_eq!(circles(&direct), 1);
        let through_a_third = [
            library,
            ("a.rs", "use crate::{b::B, c as other};"),
            ("b.rs", "fn f() { crate::c::f() }"),
            ("c.rs", "use crate::a;"),
        ];
        assert_eq!(circles(&through_a_third), 1, "a circle is reported once");
        let through_a_folder = [
            ("lib.rs", "mod a;\nmod b;\n"),
            ("a/mod.rs", "mod deep;\npub use deep::D;\n"),
            ("a/deep.rs", "use crate::b::B;"),
            ("b.rs", "use crate::a::D;"),
        ];
        assert_eq!(circles(&through_a_folder), 1);
    }

    #[test]
    fn imports_in_one_direction_are_allowed() {
        let downwards = [
            ("lib.rs", "mod a;\nmod b;\npub use a::A;\n"),
            ("a/mod.rs", "mod deep;\nuse deep::D;\nuse crate::b::B;\n"),
            ("a/deep.rs", "use super::Shared;\nuse crate::Error;\n"),
            ("b.rs", "use std::a::A;\nfn f() { other::a::f() }\n"),
        ];
        assert_eq!(circles(&downwards), 0);
    }

    #[test]
    fn imports_of_unit_tests_do_not_count() {
        let tests = [
            ("lib.rs", "mod a;\nmod b;\n"),
            ("a.rs", "use crate::b::B;"),
            ("b.rs", "#[cfg(test)]\nmod tests {\n    use crate::a::A;\n}\n"),
            ("b/tests.rs", "use crate::a::A;"),
        ];
        assert_eq!(circles(&tests), 0);
    }
}
