//! The README begins with the start commands, and the target of every link of the documents exists.

use std::path::Path;

use af_tests::workspace::{Violation, Workspace, assert_none, root};

use crate::docs::read;

/// The number of lines at the begin of the README that contain the start commands.
const README_LINES_TO_COMMANDS: usize = 25;
const COMMANDS: [&str; 2] = ["cargo run -- dev", "cargo test --workspace"];

/// Both commands are near the begin.
fn commands_first(readme: &str) -> Vec<Violation> {
    let first: Vec<&str> = readme.lines().take(README_LINES_TO_COMMANDS).collect();
    let missing = COMMANDS.iter().filter(|command| !first.iter().any(|line| line.contains(**command)));
    missing.map(|command| Violation::new("README.md", format!("`{command}` comes late or never"))).collect()
}

/// Every relative link of the Markdown file at `path` leads to a file or folder.
fn broken_links(path: &str, text: &str, exists: impl Fn(&Path) -> bool) -> Vec<Violation> {
    let folder = Path::new(path).parent().unwrap_or(Path::new(""));
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let relative = targets.filter(|t| !t.contains("://") && !t.starts_with('#') && !t.starts_with("mailto:"));
    let files = relative.map(|t| t.split('#').next().unwrap_or_default());
    let broken = files.filter(|file| !exists(&folder.join(file)));
    broken.map(|file| Violation::new(path, format!("the link to {file} is broken"))).collect()
}

#[test]
fn the_readme_begins_with_the_two_commands() {
    assert_none(&commands_first(&read("README.md")));
}

#[test]
fn commands_after_the_limit_are_refused() {
    assert_eq!(commands_first("cargo run -- dev\ncargo test --workspace\n"), []);
    assert_eq!(commands_first("cargo run -- dev\n").len(), 1);
    let late = format!("{}{}", "a line\n".repeat(README_LINES_TO_COMMANDS), COMMANDS.join("\n"));
    assert_eq!(commands_first(&late).len(), 2);
}

#[test]
fn every_relative_link_of_the_documents_exists() {
    let workspace = Workspace::real();
    let documents = workspace.files.iter().filter(|f| f.path == "README.md" || f.path.starts_with("docs/"));
    let documents: Vec<_> = documents.filter(|f| f.path.ends_with(".md")).collect();
    assert!(documents.len() > 2, "the rule finds too few documents");
    let exists = |path: &Path| root().join(path).exists();
    let broken = documents.iter().flat_map(|f| broken_links(&f.path, &f.text, exists));
    assert_none(&broken.collect::<Vec<_>>());
}

#[test]
fn a_broken_link_is_refused() {
    let judged = |text: &str| {
        let exists = |path: &Path| path == Path::new("docs/there.md");
        broken_links("docs/a.md", text, exists).len()
    };
    assert_eq!(judged("[a](there.md), [b](there.md#part), [c](#part), [d](https://example.com/x)"), 0);
    assert_eq!(judged("[a](gone.md) and [b](../there.md)"), 2);
}
