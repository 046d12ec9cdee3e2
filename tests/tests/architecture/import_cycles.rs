//! The files of a crate use each other in one direction, because a reader must read a cycle of files as a whole.

use std::collections::{BTreeMap, BTreeSet};

use crate::module_graph::{self, Use};
use af_tests::workspace::{Violation, Workspace};

/// No file of a crate's sources uses a file that uses it, directly or through others.
fn import_cycles(workspace: &Workspace) -> Vec<Violation> {
    let mut violations = Vec::new();
    for member in &workspace.crates {
        let uses = module_graph::uses(workspace, member);
        for cycle in cycles(&uses) {
            let inside =
                uses.iter().filter(|u| cycle.contains(&u.from.as_str()) && cycle.contains(&u.to.as_str()));
            let lines: Vec<String> = inside
                .map(|u| format!("\n    {}:{} uses {} by `{}`", u.from, u.line, u.to, u.path))
                .collect();
            let files: Vec<&str> = cycle.iter().copied().collect();
            let what = format!("cycle of files: {}{}", files.join(", "), lines.concat());
            violations.push(Violation::new(&member.folder, what));
        }
    }
    violations
}

/// The groups of files in which each file reaches every other file.
fn cycles(uses: &[Use]) -> BTreeSet<BTreeSet<&str>> {
    let mut next: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for used in uses {
        next.entry(&used.from).or_default().push(&used.to);
    }
    let reached: BTreeMap<&str, BTreeSet<&str>> =
        next.keys().map(|file| (*file, reach(file, &next))).collect();
    let reaches = |from: &str, to: &str| reached.get(from).is_some_and(|files| files.contains(to));
    let group = |file: &str| reached[file].iter().copied().filter(|other| reaches(other, file)).collect();
    next.keys().filter(|file| reaches(file, file)).map(|file| group(file)).collect()
}

/// All files that are reached from `start`; `start` itself only through another file.
fn reach<'a>(start: &str, next: &BTreeMap<&'a str, Vec<&'a str>>) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut waiting: Vec<&str> = next.get(start).into_iter().flatten().copied().collect();
    while let Some(file) = waiting.pop() {
        if reached.insert(file) {
            waiting.extend(next.get(file).into_iter().flatten().copied());
        }
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::*;
    use af_tests::workspace::assert_none;

    fn found(files: &[(&str, &str)]) -> Vec<Violation> {
        let mut all = vec![("shared/app/Cargo.toml", "[package]\nname = \"af-app\"\n")];
        let paths: Vec<(String, &str)> =
            files.iter().map(|(path, text)| (format!("shared/app/src/{path}"), *text)).collect();
        all.extend(paths.iter().map(|(path, text)| (path.as_str(), *text)));
        import_cycles(&Workspace::of(&all))
    }

    #[test]
    fn files_of_this_workspace_use_each_other_in_one_direction() {
        assert_none(&import_cycles(&Workspace::real()));
    }

    #[test]
    fn a_cycle_of_two_files_is_refused() {
        let root = ("lib.rs", "mod a;\nmod b;\n");
        for b in [
            "use crate::a::A;",
            "use super::a;",
            "use super::{a::{self, A}};",
            "fn f() { crate::a::f() }",
            "fn f() -> crate::a::A { loop {} }",
            "fn f() { println!(\"{}\", super::a::f()) }",
            "fn f() { use crate::a::f; }",
        ] {
            let violations = found(&[root, ("a.rs", "use crate::b::B;"), ("b.rs", b)]);
            assert_eq!(violations.len(), 1, "{b}");
            assert!(violations[0].what.contains("src/b.rs:1 uses shared/app/src/a.rs"), "{}", violations[0]);
        }
    }

    #[test]
    fn a_cycle_through_other_files_is_refused() {
        let files = [
            ("lib.rs", "mod a;\nmod b;\nmod c;\n"),
            ("a.rs", "use crate::b::B;"),
            ("b.rs", "use crate::c::C;"),
            ("c.rs", "use crate::a::A;"),
        ];
        assert_eq!(found(&files).len(), 1);
    }

    #[test]
    fn a_cycle_through_a_reexport_is_refused() {
        let files = [
            ("lib.rs", "mod a;\nmod b;\npub use a::A;\npub use b::*;\n"),
            ("a.rs", "use crate::B;\npub struct A;"),
            ("b.rs", "use crate::A;\npub struct B;"),
        ];
        let violations = found(&files);
        assert_eq!(violations.len(), 1);
        assert!(!violations[0].what.contains("lib.rs"), "the root only re-exports: {}", violations[0]);
    }

    #[test]
    fn a_parent_and_its_child_make_no_cycle() {
        let child = ("a/child.rs", "use super::A;\npub fn f() {}\npub struct C;");
        for parent in [
            "mod child;\npub struct A;\nfn g() { child::f() }",
            "mod child;\npub use child::C;\npub struct A;",
        ] {
            assert_eq!(found(&[("lib.rs", "mod a;"), ("a/mod.rs", parent), child]), [], "{parent}");
        }
    }

    #[test]
    fn a_cycle_of_children_of_different_parents_is_refused() {
        let files = [
            ("lib.rs", "mod a;\nmod b;\n"),
            ("a/mod.rs", "mod child;\npub use child::C;\n"),
            ("a/child.rs", "use crate::b::B;\npub struct C;\n"),
            ("b.rs", "use crate::a::C;\npub struct B;\n"),
        ];
        assert_eq!(found(&files).len(), 1);
    }

    #[test]
    fn test_code_makes_no_cycle() {
        let tests =
            "use crate::b::B;\n#[cfg(test)]\nmod tests {\n    use crate::a::A;\n    use super::*;\n}\n";
        let files =
            [("lib.rs", "mod a;\nmod b;"), ("a.rs", tests), ("b.rs", "#[cfg(test)]\nuse crate::a::A;")];
        assert_eq!(found(&files), []);
    }

    #[test]
    fn modules_of_one_file_make_no_cycle() {
        assert_eq!(found(&[("lib.rs", "mod a { use super::b::B; }\nmod b { use super::a::A; }")]), []);
    }
}
