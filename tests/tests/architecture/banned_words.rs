//! Words that the house does not use, in code and in docs: they make a sentence hard to read for a reader whose first
//! language is not English.

use af_tests::workspace::{File, Violation, Workspace, assert_none};

/// Words and phrases, in lower case.
const BANNED: [&[&str]; 8] = [
    &["nobody"],
    &["somebody"],
    &["whoever"],
    &["shall"],
    &["in", "vain"],
    &["for", "good"],
    &["is", "told"],
    &["none", "of", "ours"],
];

/// What may follow `for good` where it is no idiom.
const GOOD: [&str; 4] = ["reason", "reasons", "measure", "practice"];

/// Names of the standard library.
const STANDARD: [&str; 1] = ["fetch_max"];

/// Files that list the words.
const LISTS: [&str; 2] = ["CONTRIBUTING.md", "tests/tests/architecture/banned_words.rs"];

/// Kinds of files that people write.
const WRITTEN: [&str; 7] = [".rs", ".md", ".toml", ".yaml", ".yml", ".sh", ".py"];

/// A word of a text.
struct Word {
    text: String,
    line: usize,
    /// Whether only space, a line break or the mark of a comment stands between this word and the one before it.
    follows: bool,
}

/// No file has a banned word, and no name ends with `_max`: the limit comes first (`max_attempts`).
fn banned_words(workspace: &Workspace) -> Vec<Violation> {
    let written = |file: &&File| {
        WRITTEN.iter().any(|end| file.path.ends_with(end)) && !LISTS.contains(&file.path.as_str())
    };
    workspace.files.iter().filter(written).flat_map(in_file).collect()
}

fn in_file(file: &File) -> Vec<Violation> {
    let words = words(&file.text);
    let at = |line: usize, what: String| Violation::new(format!("{}:{line}", file.path), what);
    let mut violations = Vec::new();
    for start in 0..words.len() {
        for phrase in BANNED {
            if has_phrase(&words[start..], phrase) {
                violations.push(at(words[start].line, format!("`{}` is a banned word", phrase.join(" "))));
            }
        }
    }
    for (line, text) in file.text.lines().enumerate() {
        let names = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let suffixed = names
            .filter(|name| (name.ends_with("_max") || name.ends_with("_MAX")) && !STANDARD.contains(name));
        violations
            .extend(suffixed.map(|name| at(line + 1, format!("`{name}`: `max` comes first in a name"))));
    }
    violations
}

fn has_phrase(words: &[Word], phrase: &[&str]) -> bool {
    let is_there = words.len() >= phrase.len()
        && words.iter().zip(phrase).all(|(word, want)| word.text == *want)
        && words[1..phrase.len()].iter().all(|word| word.follows);
    let next = words.get(phrase.len()).filter(|word| word.follows);
    let is_literal = phrase == ["for", "good"] && next.is_some_and(|word| GOOD.contains(&word.text.as_str()));
    is_there && !is_literal
}

fn words(text: &str) -> Vec<Word> {
    let mut words: Vec<Word> = Vec::new();
    let (mut line, mut inside, mut follows) = (1, false, false);
    for c in text.chars() {
        match c {
            c if c.is_alphanumeric() => {
                if !inside {
                    words.push(Word { text: String::new(), line, follows });
                }
                words.last_mut().expect("one was just pushed").text.extend(c.to_lowercase());
                (inside, follows) = (true, true);
            }
            c => {
                line += usize::from(c == '\n');
                follows = follows && (c.is_whitespace() || "_/!*#>".contains(c));
                inside = false;
            }
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> usize {
        banned_words(&Workspace::of(&[(path, text)])).len()
    }

    #[test]
    fn words_of_this_workspace_are_plain() {
        assert_none(&banned_words(&Workspace::real()));
    }

    #[test]
    fn a_banned_word_is_refused_in_code_comments_and_docs() {
        for phrase in BANNED {
            let text = phrase.join(" ");
            for path in ["README.md", "infra/template.yaml"] {
                assert_eq!(found(path, &format!("# It says {text}.\n")), 1, "{text}");
            }
            for code in [
                format!("// {text}\n"),
                format!("/// {}\n", phrase.join("\n    /// ")),
                format!("fn a_{}_b() {{}}\n", phrase.join("_")),
                format!("const A: &str = \"{}\";\n", text.to_uppercase()),
            ] {
                assert_eq!(found("shared/app/src/a.rs", &code), 1, "{code}");
            }
        }
    }

    #[test]
    fn a_name_with_the_suffix_max_is_refused() {
        for name in ["const ATTEMPTS_MAX: u32 = 1;", "let entry_bytes_max = 1;", "`attempts_max`"] {
            assert_eq!(found("shared/app/src/a.rs", name), 1, "{name}");
        }
        for name in ["const MAX_ATTEMPTS: u32 = 1;", "let max = a.max(b);", "u32::MAX", "let max_bytes = 1;"]
        {
            assert_eq!(found("shared/app/src/a.rs", name), 0, "{name}");
        }
    }

    #[test]
    fn other_words_are_allowed() {
        for text in ["for a good reason", "for good reason", "marshall", "in. Vain", "is it told", "veins"] {
            assert_eq!(found("README.md", text), 0, "{text}");
        }
        assert_eq!(found("LICENSE", "shall"), 0, "the licence is not ours to edit");
    }
}
