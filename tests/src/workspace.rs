//! The workspace for the architecture rules: its crates with their dependencies, and its files.
//!
//! A rule is a function from a [`Workspace`] to its violations. A test can therefore also call the rule with an
//! invented workspace and check that the rule fails.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The input of the rules.
#[derive(Debug, Default)]
pub struct Workspace {
    /// Every member.
    pub crates: Vec<Crate>,
    /// Every file that git tracks, and every new file that git does not ignore.
    pub files: Vec<File>,
}

/// One member of the workspace.
#[derive(Debug)]
pub struct Crate {
    /// Its folder from the workspace's root, such as `shared/domain`.
    pub folder: String,
    /// Its package name.
    pub name: String,
    /// The packages that its manifest names.
    pub dependencies: Vec<Dependency>,
}

/// One line of a manifest's dependency tables.
#[derive(Debug)]
pub struct Dependency {
    /// The name of the package, even when the manifest renames it.
    pub package: String,
    /// The kind of build that needs it.
    pub kind: DependencyKind,
}

/// The three dependency tables of a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DependencyKind {
    /// `[dependencies]`, including those of a single target.
    Normal,
    /// `[dev-dependencies]`.
    Dev,
    /// `[build-dependencies]`.
    Build,
}

/// One text file.
#[derive(Debug)]
pub struct File {
    /// Its path from the workspace's root, with `/` between the parts.
    pub path: String,
    /// Its content. Bytes that are no UTF-8 are replaced.
    pub text: String,
}

/// A violation of a rule.
#[derive(Debug, PartialEq, Eq)]
pub struct Violation {
    /// The file or folder, with a line where there is one.
    pub place: String,
    /// The description of the violation.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)
    }
}

impl Violation {
    /// A violation `what` at `place`.
    pub fn new(place: impl Into<String>, what: impl Into<String>) -> Self {
        Self { place: place.into(), what: what.into() }
    }
}

/// Fails the calling test with one line per violation.
///
/// # Panics
/// When there is any.
#[track_caller]
pub fn assert_none(violations: &[Violation]) {
    let lines: Vec<String> = violations.iter().map(Violation::to_string).collect();
    assert!(lines.is_empty(), "{} places break this rule:\n{}", lines.len(), lines.join("\n"));
}

/// The root of the workspace that this crate was built from.
#[must_use]
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("this crate lies one folder below the root").to_path_buf()
}

impl Workspace {
    /// Reads the real workspace.
    ///
    /// # Panics
    /// When git cannot list the files or a manifest is no TOML, because then no rule can be checked.
    #[must_use]
    pub fn real() -> Self {
        let root = root();
        let files: Vec<File> = listed(&root).into_iter().filter_map(|path| File::read(&root, path)).collect();
        let crates = files.iter().filter_map(|f| Crate::from_manifest(&f.path, &f.text)).collect();
        Self { crates, files }
    }

    /// An invented workspace of these files. Each manifest among them becomes a crate.
    #[must_use]
    pub fn of(files: &[(&str, &str)]) -> Self {
        let files: Vec<File> =
            files.iter().map(|(path, text)| File { path: (*path).into(), text: (*text).into() }).collect();
        let crates = files.iter().filter_map(|f| Crate::from_manifest(&f.path, &f.text)).collect();
        Self { crates, files }
    }

    /// The Rust files.
    pub fn rust(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|f| f.path.ends_with(".rs"))
    }

    /// The crate in this folder.
    #[must_use]
    pub fn in_folder(&self, folder: &str) -> Option<&Crate> {
        self.crates.iter().find(|c| c.folder == folder)
    }
}

/// The paths of tracked files and of new files that git does not ignore. Files that are deleted but still in the index
/// are left out when they are read.
fn listed(root: &Path) -> BTreeSet<String> {
    let listing = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"])
        .current_dir(root)
        .output()
        .expect("git runs");
    assert!(listing.status.success(), "git lists no files: {}", String::from_utf8_lossy(&listing.stderr));
    let paths = String::from_utf8(listing.stdout).expect("paths are UTF-8");
    paths.split('\0').filter(|p| !p.is_empty()).map(str::to_owned).collect()
}

impl File {
    fn read(root: &Path, path: String) -> Option<Self> {
        let bytes = fs::read(root.join(&path)).ok()?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Some(Self { path, text })
    }

    /// The number of lines before the file's unit tests, or of all lines when it has none.
    #[must_use]
    pub fn lines_before_tests(&self) -> usize {
        let lines: Vec<&str> = self.text.lines().collect();
        let starts_tests = |at: usize| {
            let next = lines[at + 1..].iter().find(|line| !line.trim().is_empty() && !line.starts_with("#["));
            lines[at] == "#[cfg(test)]"
                && next.is_some_and(|line| line.starts_with("mod ") && line.ends_with('{'))
        };
        (0..lines.len()).find(|at| starts_tests(*at)).unwrap_or(lines.len())
    }

    /// Whether the whole file is test code: an integration test, a helper of integration tests, or a `tests` module.
    #[must_use]
    pub fn is_test(&self) -> bool {
        let path = &self.path;
        path.starts_with("tests/") || path.contains("/tests/") || path.ends_with("/tests.rs")
    }
}

impl Crate {
    /// The crate of this manifest; `None` for other files and for a manifest without a package.
    fn from_manifest(path: &str, text: &str) -> Option<Self> {
        let folder = path.strip_suffix("/Cargo.toml")?;
        let manifest: toml::Table = text.parse().unwrap_or_else(|e| panic!("{path} is no TOML: {e}"));
        let name = manifest.get("package")?.get("name")?.as_str()?.to_owned();
        let mut dependencies = dependencies(&manifest);
        let targets = manifest.get("target").and_then(toml::Value::as_table);
        for target in targets.into_iter().flatten().filter_map(|(_, value)| value.as_table()) {
            dependencies.extend(self::dependencies(target));
        }
        Some(Self { folder: folder.to_owned(), name, dependencies })
    }
}

fn dependencies(tables: &toml::Table) -> Vec<Dependency> {
    let kinds = [
        ("dependencies", DependencyKind::Normal),
        ("dev-dependencies", DependencyKind::Dev),
        ("build-dependencies", DependencyKind::Build),
    ];
    let lines = kinds.into_iter().flat_map(|(table, kind)| {
        let lines = tables.get(table).and_then(toml::Value::as_table);
        lines.into_iter().flatten().map(move |(key, value)| (key, value, kind))
    });
    lines.map(|(key, value, kind)| Dependency { package: package_name(key, value), kind }).collect()
}

fn package_name(key: &str, value: &toml::Value) -> String {
    value.get("package").and_then(toml::Value::as_str).unwrap_or(key).to_owned()
}
