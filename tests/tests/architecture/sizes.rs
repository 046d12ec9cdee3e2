//! The size limits of files and functions.

use af_tests::workspace::{Violation, Workspace};
use proc_macro2::Span;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

/// The `main.rs` of a function connects the adapters and runs; its logic is in `lib.rs`.
const MAX_MAIN_LINES: usize = 80;
/// The limit of a file. Unit tests at its end do not count; a test file counts as a whole.
const MAX_FILE_LINES: usize = 400;
/// From the line of `fn` to its closing brace.
const MAX_FUNCTION_LINES: usize = 70;

/// Every function crate has a short `main.rs`.
fn short_mains(workspace: &Workspace) -> Vec<Violation> {
    let functions = workspace.crates.iter().filter(|c| c.folder.starts_with("functions/"));
    functions
        .filter_map(|function| {
            let path = format!("{}/src/main.rs", function.folder);
            let Some(main) = workspace.files.iter().find(|f| f.path == path) else {
                return Some(Violation::new(path, "is missing"));
            };
            let lines = main.text.lines().count();
            (lines > MAX_MAIN_LINES)
                .then(|| Violation::new(path, format!("{lines} lines, {MAX_MAIN_LINES} are allowed")))
        })
        .collect()
}

/// No file is longer than the limit.
fn short_files(workspace: &Workspace) -> Vec<Violation> {
    let measured = workspace.rust().map(|file| {
        let lines = if file.is_test() { file.text.lines().count() } else { file.lines_before_tests() };
        (file, lines)
    });
    measured
        .filter(|(_, lines)| *lines > MAX_FILE_LINES)
        .map(|(file, lines)| {
            Violation::new(
                &file.path,
                format!("{lines} lines, {MAX_FILE_LINES} are allowed before its tests"),
            )
        })
        .collect()
}

/// No function is longer than the limit, in tests too.
fn short_functions(workspace: &Workspace) -> Vec<Violation> {
    let mut violations = Vec::new();
    for file in workspace.rust() {
        let parsed = syn::parse_file(&file.text).unwrap_or_else(|e| panic!("{} is no Rust: {e}", file.path));
        let mut found = LongFunctions::default();
        found.visit_file(&parsed);
        violations.extend(found.0.into_iter().map(|long| {
            let what = format!("`{}` has {} lines, {MAX_FUNCTION_LINES} are allowed", long.name, long.lines);
            Violation::new(format!("{}:{}", file.path, long.line), what)
        }));
    }
    violations
}

struct LongFunction {
    name: String,
    line: usize,
    lines: usize,
}

#[derive(Default)]
struct LongFunctions(Vec<LongFunction>);

impl LongFunctions {
    fn measure(&mut self, signature: &syn::Signature, body: Span) {
        let first = signature.span().start().line;
        let lines = body.end().line - first + 1;
        if lines > MAX_FUNCTION_LINES {
            self.0.push(LongFunction { name: signature.ident.to_string(), line: first, lines });
        }
    }
}

impl<'ast> Visit<'ast> for LongFunctions {
    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.measure(&function.sig, function.block.span());
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.measure(&function.sig, function.block.span());
        visit::visit_impl_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'ast syn::TraitItemFn) {
        if let Some(body) = &function.default {
            self.measure(&function.sig, body.span());
        }
        visit::visit_trait_item_fn(self, function);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use af_tests::workspace::assert_none;

    const FUNCTION: &str = "[package]\nname = \"af-worker\"\n";

    #[test]
    fn mains_of_this_workspace_are_short() {
        assert_none(&short_mains(&Workspace::real()));
    }

    #[test]
    fn files_of_this_workspace_are_short() {
        assert_none(&short_files(&Workspace::real()));
    }

    #[test]
    fn functions_of_this_workspace_are_short() {
        assert_none(&short_functions(&Workspace::real()));
    }

    #[test]
    fn a_long_or_missing_main_is_refused() {
        let main = |lines: usize| {
            let text = "// wiring\n".repeat(lines);
            Workspace::of(&[
                ("functions/worker/Cargo.toml", FUNCTION),
                ("functions/worker/src/main.rs", &text),
            ])
        };
        assert_eq!(short_mains(&main(MAX_MAIN_LINES)), []);
        assert_eq!(short_mains(&main(MAX_MAIN_LINES + 1)).len(), 1);
        let missing = Workspace::of(&[("functions/worker/Cargo.toml", FUNCTION)]);
        assert_eq!(short_mains(&missing), [Violation::new("functions/worker/src/main.rs", "is missing")]);
    }

    #[test]
    fn a_long_file_is_refused() {
        let file = |path: &str, lines: usize, rest: &str| {
            let text = format!("{}{rest}", "// a line\n".repeat(lines));
            short_files(&Workspace::of(&[(path, &text)])).len()
        };
        let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "// a line\n".repeat(MAX_FILE_LINES));
        assert_eq!(file("shared/app/src/a.rs", MAX_FILE_LINES, ""), 0);
        assert_eq!(file("shared/app/src/a.rs", MAX_FILE_LINES + 1, ""), 1);
        assert_eq!(
            file("shared/app/src/a.rs", MAX_FILE_LINES, &tests),
            0,
            "tests at the end are not counted"
        );
        assert_eq!(file("shared/app/src/a.rs", MAX_FILE_LINES + 1, &tests), 1);
        assert_eq!(file("tests/tests/a.rs", 10, &tests), 1, "a file that is a test counts whole");
        let declared = format!("#[cfg(test)]\nmod tests;\n{}", "// a line\n".repeat(MAX_FILE_LINES));
        assert_eq!(file("shared/app/src/a.rs", 1, &declared), 1, "code after a declared test module counts");
    }

    #[test]
    fn a_long_function_is_refused_in_every_position() {
        let frames = [
            ("", ""),
            ("impl S {", "}"),
            ("trait T {", "}"),
            ("fn outer() {", "}"),
            ("#[cfg(test)]\nmod tests {", "}"),
        ];
        for (before, after) in frames {
            // The line of `fn` and the closing brace count too.
            let function = |lines: usize| {
                let text = format!("{before}\n    fn long() {{\n{}}}\n{after}\n", "();\n".repeat(lines - 2));
                let violations = short_functions(&Workspace::of(&[("shared/app/src/a.rs", &text)]));
                violations.iter().filter(|v| v.what.contains("`long`")).count()
            };
            assert_eq!(function(MAX_FUNCTION_LINES), 0, "in {before:?}");
            assert_eq!(function(MAX_FUNCTION_LINES + 1), 1, "in {before:?}");
        }
    }
}
