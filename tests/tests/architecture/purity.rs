//! The domain decides from its arguments only: it uses no clock, no randomness, no waiting and no outside system.

use crate::tokens;
use af_tests::workspace::{DependencyKind, Violation, Workspace};

const DOMAIN: &str = "shared/domain";

/// The dependencies that the domain may have. Each entry needs a reason.
const DEPENDENCIES_ALLOWED: [(&str, DependencyKind); 8] = [
    ("jiff", DependencyKind::Normal), // Calendar and time zones, without its clock.
    ("semver", DependencyKind::Normal), // Only reads a text.
    ("sha2", DependencyKind::Normal), // A function of its input; bundles of skills are named by it.
    ("thiserror", DependencyKind::Normal), // Only derives `Display` and `Error`.
    ("proptest", DependencyKind::Dev), // Finds inputs for the tests of the rules.
    ("chrono", DependencyKind::Dev),  // Together a second implementation of schedules,
    ("chrono-tz", DependencyKind::Dev), // with which the first one is compared.
    ("croner", DependencyKind::Dev),
];

/// Words that the domain must not use, each with the argument that replaces it.
const WORDS_BANNED: [(&str, &str); 12] = [
    ("SystemTime", "take `now` as a parameter"),
    ("Instant", "take `now` as a parameter"),
    ("rand", "take what is random as a parameter"),
    ("getrandom", "take what is random as a parameter"),
    ("RandomState", "use ordered maps: a decision must not depend on hashing"),
    ("async", "decide from loaded state"),
    ("await", "decide from loaded state"),
    ("tokio", "decide from loaded state"),
    ("serde", "wire and item types live in the adapters"),
    ("fs", "the adapters read and write"),
    ("net", "the adapters speak to others"),
    ("env", "configuration is a parameter"),
];

/// The domain's manifest has only allowed dependencies.
fn domain_dependencies(workspace: &Workspace) -> Vec<Violation> {
    let domain = workspace.in_folder(DOMAIN);
    let dependencies = domain.into_iter().flat_map(|domain| &domain.dependencies);
    dependencies
        .filter(|d| !DEPENDENCIES_ALLOWED.contains(&(d.package.as_str(), d.kind)))
        .map(|d| Violation::new(DOMAIN, format!("may not depend on {} ({:?})", d.package, d.kind)))
        .collect()
}

/// The domain's sources, unit tests included, use none of the banned words as code.
fn domain_words(workspace: &Workspace) -> Vec<Violation> {
    let mut violations = Vec::new();
    for file in workspace.rust().filter(|f| f.path.starts_with("shared/domain/")) {
        let tokens = tokens::of(file);
        for (word, instead) in WORDS_BANNED {
            let lines = tokens::find(&tokens, &[word]).into_iter();
            violations.extend(
                lines.map(|line| {
                    Violation::new(format!("{}:{line}", file.path), format!("`{word}`: {instead}"))
                }),
            );
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;
    use af_tests::workspace::assert_none;

    #[test]
    fn the_domain_has_only_listed_dependencies() {
        let workspace = Workspace::real();
        assert!(workspace.in_folder(DOMAIN).is_some(), "the domain is not where this rule looks");
        assert_none(&domain_dependencies(&workspace));
    }

    #[test]
    fn the_domain_uses_no_clock_randomness_or_outside_system() {
        assert_none(&domain_words(&Workspace::real()));
    }

    #[test]
    fn an_unlisted_dependency_of_the_domain_is_refused() {
        let manifest = |lines: &str| {
            let text = format!("[package]\nname = \"af-domain\"\n{lines}");
            domain_dependencies(&Workspace::of(&[("shared/domain/Cargo.toml", &text)])).len()
        };
        assert_eq!(manifest("[dependencies]\nthiserror = \"2\"\n[dev-dependencies]\nproptest = \"1\"\n"), 0);
        for package in ["serde", "tokio", "rand", "axum", "aws-sdk-dynamodb", "chrono"] {
            assert_eq!(manifest(&format!("[dependencies]\n{package} = \"1\"\n")), 1, "{package}");
        }
        assert_eq!(
            manifest("[dependencies]\nproptest = \"1\"\n"),
            1,
            "a test's dependency is for tests only"
        );
    }

    #[test]
    fn a_banned_word_in_the_domain_is_refused() {
        let banned = [
            "fn f() { let _ = std::time::SystemTime::now(); }",
            "use std::time::Instant;",
            "fn f() -> u8 { rand::random() }",
            "async fn f() {}",
            "#[derive(serde::Serialize)] struct S;",
            "#[cfg(test)]\nmod tests {\n    use std::time::SystemTime;\n}",
        ];
        for text in banned {
            let found = domain_words(&Workspace::of(&[("shared/domain/src/lease.rs", text)]));
            assert_eq!(found.len(), 1, "{text}");
            assert!(
                domain_words(&Workspace::of(&[("shared/app/src/lease.rs", text)])).is_empty(),
                "only the domain"
            );
        }
    }

    #[test]
    fn a_banned_word_in_a_comment_or_string_is_no_code() {
        let text = "//! Not `async`, no Instant.\nfn f() -> &'static str { \"SystemTime\" }\n";
        assert_eq!(domain_words(&Workspace::of(&[("shared/domain/src/lib.rs", text)])), []);
    }
}
