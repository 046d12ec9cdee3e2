//! Forbidden content of files: ignored tests, unfinished code, sleeping tests, and paths of one machine.

use std::ops::Range;

use crate::tokens::{self, Token};
use af_tests::workspace::{File, Violation, Workspace};

/// Test files that may wait in real time, each with its reason. All other tests advance the virtual clock.
const SLEEPERS: [(&str, &str); 16] = [
    ("infra/agent/tests/agent/command.rs", "runs real commands and polls the processes that they started"),
    ("infra/agent/tests/agent/openclaw.rs", "runs real processes, and waits for the port that one announces"),
    ("infra/cli/tests/dev/support.rs", "runs the real program and its workers, and polls their state"),
    ("shared/providers/tests/local.rs", "runs real processes, which no virtual clock controls"),
    ("tests/tests/simulation/bindings.rs", PAUSED),
    ("tests/tests/simulation/clock.rs", PAUSED),
    ("tests/tests/simulation/effects.rs", PAUSED),
    ("tests/tests/simulation/queue_operations.rs", PAUSED),
    ("tests/tests/simulation/operators.rs", PAUSED),
    ("tests/tests/simulation/people.rs", PAUSED),
    ("tests/tests/simulation/push.rs", PAUSED),
    ("tests/tests/simulation/reconciler.rs", PAUSED),
    ("tests/tests/simulation/telegram.rs", PAUSED),
    ("tests/tests/simulation/users.rs", PAUSED),
    ("tests/tests/simulation/workers.rs", PAUSED),
    ("tests/tests/simulation/world.rs", PAUSED),
];

/// Why the simulation's actors sleep: every world runs in a runtime whose clock is paused.
const PAUSED: &str = "sleeps in paused time, which jumps to the next timer";

/// Folders at the root of one machine. A path below them works on no other machine.
const MACHINE_FOLDERS: [&str; 3] = ["home", "root", "work"];

/// No test is ignored. A failing test is fixed or removed.
fn no_ignored_tests(workspace: &Workspace) -> Vec<Violation> {
    let ignores = [["#", "[", "ignore"].as_slice(), &[",", "ignore", ")"], &[",", "ignore", "="]];
    in_code(workspace, &ignores, "an ignored test proves nothing")
}

/// A crate with `test = false` in its manifest has no tests in its sources, because cargo would not run them.
fn no_tests_in_untested_crates(workspace: &Workspace) -> Vec<Violation> {
    let untested = workspace.crates.iter().filter(|c| {
        let manifest = format!("{}/Cargo.toml", c.folder);
        workspace
            .files
            .iter()
            .any(|f| f.path == manifest && f.text.lines().any(|line| line.trim() == "test = false"))
    });
    let sources: Vec<_> = untested.map(|c| format!("{}/src/", c.folder)).collect();
    let mut violations = Vec::new();
    for file in workspace.rust().filter(|f| sources.iter().any(|folder| f.path.starts_with(folder))) {
        for line in tokens::find(&tokens::of(file), &["cfg", "(", "test", ")"]) {
            let what = "cargo does not run this test: the manifest says `test = false`";
            violations.push(Violation::new(format!("{}:{line}", file.path), what));
        }
    }
    violations
}

/// No code panics in place of its implementation.
fn no_unfinished_code(workspace: &Workspace) -> Vec<Violation> {
    in_code(workspace, &[&["todo", "!"], &["unimplemented", "!"]], "unfinished code is not declared")
}

fn in_code(workspace: &Workspace, patterns: &[&[&str]], what: &str) -> Vec<Violation> {
    let in_file = |file: &File| -> Vec<Violation> {
        let tokens = tokens::of(file);
        let lines = patterns.iter().flat_map(|pattern| tokens::find(&tokens, pattern));
        lines.map(|line| Violation::new(format!("{}:{line}", file.path), what)).collect()
    };
    workspace.rust().flat_map(in_file).collect()
}

/// Tests advance the clock and do not sleep. Each of `allowed` may sleep, and leaves the list when it no longer does.
fn no_sleeping_tests(workspace: &Workspace, allowed: &[(&str, &str)]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for file in workspace.rust() {
        let sleeps = sleeps_in_tests(file);
        let is_allowed = allowed.iter().any(|(path, _)| *path == file.path);
        match (is_allowed, sleeps.is_empty()) {
            (true, true) => {
                violations.push(Violation::new(&file.path, "no longer sleeps: remove it from the list"))
            }
            (false, false) => violations.extend(sleeps.iter().map(|line| {
                Violation::new(
                    format!("{}:{line}", file.path),
                    "a test that sleeps: advance the clock instead",
                )
            })),
            _ => {}
        }
    }
    violations
}

/// Lines of test code with a `sleep`. Outside test files, test code follows `#[cfg(test)]`. In a test with Tokio's
/// paused clock, a sleep of Tokio advances that clock, and a sleep of the thread is real.
fn sleeps_in_tests(file: &File) -> Vec<usize> {
    let tokens = tokens::of(file);
    let tests_from = if file.is_test() { 0 } else { file.lines_before_tests() };
    let paused = paused_tests(&tokens);
    let is_sleep = |at: &usize| {
        let names_sleep = matches!(tokens[*at].text.as_str(), "sleep" | "sleep_until" | "sleep_ms");
        let real = tokens[..*at].iter().rev().nth(2).is_some_and(|t| t.text == "thread");
        names_sleep && (real || !paused.iter().any(|body| body.contains(at)))
    };
    let lines = (0..tokens.len()).filter(is_sleep).map(|at| tokens[at].line);
    lines.filter(|line| *line > tests_from).collect()
}

/// The bodies, as ranges of tokens, of tests that start with Tokio's clock paused.
fn paused_tests(tokens: &[Token]) -> Vec<Range<usize>> {
    let texts: Vec<&str> = tokens.iter().map(|t| t.text.as_str()).collect();
    let attributes = texts.windows(3).enumerate().filter(|(_, w)| *w == ["start_paused", "=", "true"]);
    attributes.filter_map(|(at, _)| body_after(&texts, at)).collect()
}

/// The first block in braces from `at` on.
fn body_after(texts: &[&str], at: usize) -> Option<Range<usize>> {
    let open = at + texts[at..].iter().position(|t| *t == "{")?;
    let mut depth = 0_usize;
    for (index, text) in texts.iter().enumerate().skip(open) {
        match *text {
            "{" => depth += 1,
            "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(open..index);
        }
    }
    None
}

/// No file contains a path of one machine.
fn no_machine_paths(workspace: &Workspace) -> Vec<Violation> {
    let mut violations = Vec::new();
    for file in workspace.files.iter().filter(|f| f.path != "Cargo.lock") {
        for (at, line) in file.text.lines().enumerate() {
            let folders = MACHINE_FOLDERS.iter().map(|folder| format!("/{folder}/"));
            for folder in folders.filter(|folder| starts_a_path(line, folder)) {
                let location = format!("{}:{}", file.path, at + 1);
                violations.push(Violation::new(location, format!("a path below {folder}")));
            }
        }
    }
    violations
}

/// Whether `folder` is the start of a path in `line`, and not a part of a longer path such as that of a URL.
fn starts_a_path(line: &str, folder: &str) -> bool {
    let inside = |c: char| c.is_ascii_alphanumeric() || "_./-}".contains(c);
    line.match_indices(folder).any(|(at, _)| !line[..at].chars().next_back().is_some_and(inside))
}

#[cfg(test)]
mod tests {
    use super::*;
    use af_tests::workspace::assert_none;

    const TEST: &str = "shared/app/tests/claim.rs";
    const SOURCE: &str = "shared/app/src/claim.rs";

    #[test]
    fn no_test_of_this_workspace_is_ignored() {
        assert_none(&no_ignored_tests(&Workspace::real()));
    }

    #[test]
    fn no_crate_of_this_workspace_has_tests_that_cargo_does_not_run() {
        assert_none(&no_tests_in_untested_crates(&Workspace::real()));
    }

    #[test]
    fn no_code_of_this_workspace_is_unfinished() {
        assert_none(&no_unfinished_code(&Workspace::real()));
    }

    #[test]
    fn no_test_of_this_workspace_sleeps() {
        assert_none(&no_sleeping_tests(&Workspace::real(), &SLEEPERS));
    }

    #[test]
    fn no_file_of_this_workspace_contains_a_path_of_one_machine() {
        assert_none(&no_machine_paths(&Workspace::real()));
    }

    #[test]
    fn an_ignored_test_is_refused() {
        let off = [
            "#[test]\n#[ignore]\nfn f() {}",
            "#[test]\n#[ignore = \"slow\"]\nfn f() {}",
            "#[test]\n#[cfg_attr(windows, ignore)]\nfn f() {}",
            "#[test]\n#[cfg_attr(windows, ignore = \"slow\")]\nfn f() {}",
        ];
        for text in off {
            assert_eq!(no_ignored_tests(&Workspace::of(&[(TEST, text)])).len(), 1, "{text}");
        }
        let on = "// #[ignore]\n#[test]\nfn ignore() { let ignore = 1; }";
        assert_eq!(no_ignored_tests(&Workspace::of(&[(TEST, on)])), []);
    }

    #[test]
    fn a_test_in_a_crate_without_tests_is_refused() {
        let unrun = |manifest: &str| {
            let manifest = format!("[package]\nname = \"af-app\"\n{manifest}");
            let source = "fn f() {}\n#[cfg(test)]\nmod tests {}\n";
            let files = [("shared/app/Cargo.toml", manifest.as_str()), (SOURCE, source)];
            no_tests_in_untested_crates(&Workspace::of(&files)).len()
        };
        assert_eq!(unrun("[lib]\ntest = false\n"), 1);
        assert_eq!(unrun(""), 0);
        assert_eq!(unrun("[lib]\ndoctest = false\n"), 0);
    }

    #[test]
    fn unfinished_code_is_refused() {
        for text in ["fn f() { todo!() }", "fn f() { unimplemented!(\"later\") }"] {
            assert_eq!(no_unfinished_code(&Workspace::of(&[(SOURCE, text)])).len(), 1, "{text}");
        }
        assert_eq!(no_unfinished_code(&Workspace::of(&[(SOURCE, "// todo!()\nfn todo() {}")])), []);
    }

    #[test]
    fn a_sleeping_test_is_refused() {
        let sleeping = [
            "fn f() { std::thread::sleep(D); }",
            "async fn f() { tokio::time::sleep(D).await; }",
            "use tokio::time::{sleep, timeout};",
            "async fn f() { time::sleep_until(T).await; }",
        ];
        for text in sleeping {
            assert_eq!(no_sleeping_tests(&Workspace::of(&[(TEST, text)]), &[]).len(), 1, "{text}");
            assert_eq!(no_sleeping_tests(&Workspace::of(&[(SOURCE, text)]), &[]), [], "no test: {text}");
            let unit = format!("fn g() {{}}\n#[cfg(test)]\nmod tests {{\n{text}\n}}\n");
            assert_eq!(no_sleeping_tests(&Workspace::of(&[(SOURCE, &unit)]), &[]).len(), 1, "{unit}");
        }
    }

    #[test]
    fn a_test_with_a_paused_clock_may_move_it_by_sleeping() {
        let paused = |body: &str| {
            format!("#[tokio::test(start_paused = true)]\nasync fn f() {{ if X {{}} {body} }}\n")
        };
        let sleeps = |text: &str| no_sleeping_tests(&Workspace::of(&[(TEST, text)]), &[]).len();
        let virtually = paused("tokio::time::sleep(D).await;");
        assert_eq!(sleeps(&virtually), 0);
        assert_eq!(sleeps(&paused("std::thread::sleep(D);")), 1, "the thread's sleep is real");
        let after = format!("{virtually}async fn g() {{ tokio::time::sleep(D).await; }}\n");
        assert_eq!(sleeps(&after), 1, "the next function is not paused");
        let running = virtually.replace("true", "false");
        assert_eq!(sleeps(&running), 1);
    }

    #[test]
    fn a_listed_sleeper_may_sleep_and_must() {
        let listed = [(TEST, "drives a real process")];
        let sleeping = Workspace::of(&[(TEST, "fn f() { std::thread::sleep(D); }")]);
        assert_eq!(no_sleeping_tests(&sleeping, &listed), []);
        let awake = Workspace::of(&[(TEST, "fn f() {}")]);
        assert_eq!(no_sleeping_tests(&awake, &listed).len(), 1, "a stale entry is struck off");
    }

    #[test]
    fn a_machine_path_is_refused() {
        for folder in MACHINE_FOLDERS {
            let text = format!("data = \"/{folder}/user/data\"\n");
            assert_eq!(no_machine_paths(&Workspace::of(&[("README.md", &text)])).len(), 1, "{folder}");
        }
        let elsewhere =
            "GET /v1/worker/poll, ./work/x, docs/home/x, https://example.org/root/x, ${base}/work/x\n";
        assert_eq!(no_machine_paths(&Workspace::of(&[("README.md", elsewhere)])), []);
    }
}
