//! The rules for the help of commands, and `docs/cli.md`, which is generated from it.

use std::path::Path;

use clap::Command;

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/cli.md");
/// The name of the variable with which the test writes the document instead of comparing it.
const UPDATE: &str = "UPDATE_DOCS";
const MARK: &str = "Example: ";

/// The examples of all commands.
#[derive(Debug, Default)]
pub struct Examples {
    /// The words of each example.
    pub examples: Vec<Vec<String>>,
    /// The commands whose help breaks a rule.
    pub faults: Vec<String>,
}

/// Collects the examples of a command and of those below it.
pub fn examples(command: &Command) -> Examples {
    let mut found = Examples::default();
    collect(command, command.get_name(), &mut found);
    found
}

fn collect(command: &Command, path: &str, found: &mut Examples) {
    let help = command.get_long_about().map(ToString::to_string).unwrap_or_default();
    let example = help.lines().find_map(|line| line.strip_prefix(MARK));
    match example.and_then(shlex::split) {
        Some(words) if is_of(path, &words) => found.examples.push(words),
        Some(words) => found.faults.push(format!("{path}: the example is of another command: {words:?}")),
        None => found.faults.push(format!("{path}: the help has no line \"{MARK}{path} …\"")),
    }
    for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
        collect(below, &format!("{path} {}", below.get_name()), found);
    }
}

/// Whether an example is of the command at `path`: it has the same noun, and the name of the command. Nouns may share
/// a command, as the configs share `get`.
fn is_of(path: &str, example: &[String]) -> bool {
    let path: Vec<_> = path.split(' ').collect();
    let begins_alike = path.iter().zip(example).take(2).all(|(name, word)| name == word);
    let name = path.last().copied().unwrap_or_default();
    begins_alike && example.iter().any(|word| word == name)
}

/// Compares `docs/cli.md` with the commands, or writes it.
///
/// # Panics
/// If the document differs.
pub fn check(command: Command) {
    let options = clap_markdown::MarkdownOptions::new()
        .title("Command line".to_owned())
        .show_footer(false)
        .show_table_of_contents(true);
    let generated = clap_markdown::help_markdown_command_custom(&command, &options);
    let generated = format!("{}\n", generated.trim_end());
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(DOCUMENT, &generated).expect("the document can be written");
        return;
    }
    let written = std::fs::read_to_string(Path::new(DOCUMENT)).unwrap_or_default();
    assert!(
        written == generated,
        "docs/cli.md differs: run {UPDATE}=1 cargo test -p agent-factory reference"
    );
}

#[test]
fn a_help_without_an_example_or_with_that_of_another_command_is_refused() {
    let command = |about: &'static str| {
        let below = Command::new("list").long_about(about);
        Command::new("top").long_about("A top.\n\nExample: top list").subcommand(below)
    };
    assert_eq!(examples(&command("Lists.\n\nExample: top list 'a b'")).examples[1], ["top", "list", "a b"]);
    for about in ["Lists.", "Lists.\n\nExample: top show"] {
        assert_eq!(examples(&command(about)).faults.len(), 1, "{about}");
    }
}
