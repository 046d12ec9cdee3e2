//! Bundles: the checked files of one version of a skill.
//!
//! Workers write these files to their disks, so every rule is checked again there, by the same code.

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};

use super::definition::{MARKER, ModuleFormat};
use crate::ids::Sha256Hex;
use crate::refusal::{Code, Refusal};

/// Most bytes of all files of a bundle. They are stored in one item, which holds 400 KB.
pub const MAX_BUNDLE_BYTES: usize = 200 * 1024;
/// Most files of a bundle. Even with the longest paths they fit into one item.
pub const MAX_FILES: usize = 200;
/// Longest path of a file in bytes. Some file systems limit a whole path or a folder name to about this
/// length.
const MAX_PATH_BYTES: usize = 200;
/// The file that tells agents what the skill is for.
pub const SKILL_FILE: &str = "SKILL.md";

/// A file of a request, not yet checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenFile {
    /// The path in the skill's folder.
    pub path: String,
    /// The content.
    pub content: String,
    /// The claimed SHA-256.
    pub sha256: String,
}

/// A file of a bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkillFile {
    /// The path in the skill's folder.
    pub path: String,
    /// The content.
    pub content: String,
    /// The SHA-256.
    pub sha256: Sha256Hex,
}

/// The files of a version, ordered by path. A value of this type satisfies every rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    files: Vec<SkillFile>,
    sha256: Sha256Hex,
    bytes: usize,
}

impl Bundle {
    /// Checks the files and makes a bundle of them. A refusal names the first invalid file and the rule that it
    /// breaks.
    pub fn of(given: Vec<GivenFile>, format: ModuleFormat) -> Result<Self, Refusal> {
        if given.len() > MAX_FILES {
            let detail =
                format!("files must contain at most {MAX_FILES} files, but contains {}", given.len());
            return Err(Refusal::field("/files", detail));
        }
        check_paths(&given)?;
        let bytes = given.iter().map(|file| file.content.len()).sum();
        if bytes > MAX_BUNDLE_BYTES {
            let detail =
                format!("the files have {bytes} bytes together, but at most {MAX_BUNDLE_BYTES} are allowed");
            return Err(Refusal { code: Code::PayloadTooLarge, ..Refusal::field("/files", detail) });
        }
        for required in [SKILL_FILE, format.script()] {
            if !given.iter().any(|file| file.path == required) {
                let detail =
                    format!("{required} is needed: a skill of format {} must have it", format.as_str());
                return Err(Refusal::field("/files", detail));
            }
        }
        let checked = given.into_iter().enumerate().map(|(at, file)| checked(at, file));
        let mut files = checked.collect::<Result<Vec<_>, _>>()?;
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let parts: Vec<_> =
            files.iter().map(|f| format!("{}\n{}\n{}", f.path, f.sha256, f.content)).collect();
        let sha256 = sha256(parts.join("\n---\n").as_bytes());
        Ok(Self { files, sha256, bytes })
    }

    /// The files, ordered by the bytes of their paths.
    pub fn files(&self) -> &[SkillFile] {
        &self.files
    }

    /// Returns the files.
    pub fn into_files(self) -> Vec<SkillFile> {
        self.files
    }

    /// The digest of the bundle: the SHA-256 of all files by path, each as `path
    /// sha256
    /// content`, joined by `
    /// ---
    /// `.
    pub fn sha256(&self) -> &Sha256Hex {
        &self.sha256
    }

    /// The total bytes of the files.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

/// Returns the SHA-256 of `bytes`.
pub fn sha256(bytes: &[u8]) -> Sha256Hex {
    let digits: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    Sha256Hex::parse(digits).expect("32 bytes in hex")
}

fn checked(at: usize, file: GivenFile) -> Result<SkillFile, Refusal> {
    let sha256 = sha256(file.content.as_bytes());
    if sha256.as_str() != file.sha256 {
        let detail = format!("sha256 must be the digest of content in lower-case hex, which is {sha256}");
        return Err(Refusal::field(format!("/files/{at}/sha256"), detail));
    }
    Ok(SkillFile { path: file.path, content: file.content, sha256 })
}

/// Checks that every path is valid by itself, and that no two paths mean the same place on a case-insensitive
/// file system.
fn check_paths(files: &[GivenFile]) -> Result<(), Refusal> {
    let refused = |at: usize, rule: &str| {
        let detail = format!("path must {rule}, such as scripts/index.mjs");
        Err(Refusal::field(format!("/files/{at}/path"), detail))
    };
    let mut taken = BTreeSet::new();
    for (at, file) in files.iter().enumerate() {
        if let Some(rule) = broken_rule(&file.path) {
            return refused(at, rule);
        }
        if !taken.insert(file.path.to_lowercase()) {
            return refused(at, "differ from another path, even in lower case");
        }
    }
    for (at, file) in files.iter().enumerate() {
        let path = file.path.to_lowercase();
        let mut folders = path.match_indices('/').map(|(end, _)| &path[..end]);
        if folders.any(|folder| taken.contains(folder)) {
            return refused(at, "not lie in a folder that is a file of this skill");
        }
    }
    Ok(())
}

/// Returns the rule that `path` breaks, if any.
fn broken_rule(path: &str) -> Option<&'static str> {
    let segments = || path.split('/');
    let rules = [
        ((1..=MAX_PATH_BYTES).contains(&path.len()), "have 1 to 200 bytes"),
        (!path.chars().any(char::is_control), "have no control characters"),
        (!path.contains(['\\', ':']), "have neither '\\' nor ':'; folders are separated by '/'"),
        (!path.starts_with('/'), "be relative, without '/' in front"),
        // Published images treat `a../b` as path traversal and then reject all skills.
        (
            segments().all(|s| !matches!(s, "." | "..")) && !path.contains("../"),
            "have no segment '.' or '..', nor '../' in it",
        ),
        (segments().all(|s| !s.is_empty()), "name a file, without '//' and without '/' at its end"),
        (
            segments().all(|s| !s.eq_ignore_ascii_case(MARKER)),
            "not be .af-global-skill.json, which is reserved",
        ),
    ];
    rules.into_iter().find_map(|(kept, rule)| (!kept).then_some(rule))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, content: &str) -> GivenFile {
        let sha256 = sha256(content.as_bytes()).to_string();
        GivenFile { path: path.into(), content: content.into(), sha256 }
    }

    fn with(more: &[&str]) -> Result<Bundle, Refusal> {
        let needed = [file("scripts/index.mjs", "export default 1;\n"), file("SKILL.md", "# A\n")];
        let files = needed.into_iter().chain(more.iter().map(|path| file(path, "x"))).collect();
        Bundle::of(files, ModuleFormat::Esm)
    }

    #[test]
    fn files_are_ordered_by_path_and_the_digest_covers_their_text() {
        let bundle = with(&[]).unwrap();
        let paths: Vec<_> = bundle.files().iter().map(|f| f.path.as_str()).collect();
        assert_eq!((paths, bundle.bytes()), (vec!["SKILL.md", "scripts/index.mjs"], 22));
        let [skill, script] = ["# A\n", "export default 1;\n"].map(|c| sha256(c.as_bytes()));
        let text = format!("SKILL.md\n{skill}\n# A\n\n---\nscripts/index.mjs\n{script}\nexport default 1;\n");
        assert_eq!(*bundle.sha256(), sha256(text.as_bytes()));
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(sha256(b"").as_str(), empty);
    }

    #[test]
    fn an_unsafe_path_is_refused_with_a_pointer_to_it() {
        let long = "a".repeat(201);
        for (path, words) in [
            ("", "1 to 200 bytes"),
            (long.as_str(), "1 to 200 bytes"),
            ("a\0b", "control"),
            ("a\nb", "control"),
            ("a\\b", "neither"),
            ("c:/x", "neither"),
            ("/etc/passwd", "relative"),
            ("../x", "'..'"),
            ("a/../../x", "'..'"),
            ("./a", "'..'"),
            ("a../b", "'../'"),
            ("a//b", "'//'"),
            ("a/", "at its end"),
            (".af-global-skill.json", "reserved"),
            ("a/.AF-Global-Skill.json", "reserved"),
            ("SKILL.md", "differ from another"),
            ("skill.MD", "lower case"),
            ("scripts", "not lie in a folder"),
            ("Scripts/Index.mjs/x", "not lie in a folder"),
        ] {
            let refusal = with(&[path]).unwrap_err();
            // The path `scripts` is valid, but it makes the file inside it invalid.
            let at = if path == "scripts" { 0 } else { 2 };
            assert_eq!(refusal.pointer, Some(format!("/files/{at}/path")), "{path:?}");
            assert!(refusal.detail.contains(words), "{path:?}: {}", refusal.detail);
        }
        for valid in ["a b.md", "..a", "a..b/c", ".hidden", "übersicht.md", "scripts2", "a/SKILL.md"] {
            assert!(with(&[valid]).is_ok(), "{valid}");
        }
    }

    #[test]
    fn a_bundle_that_is_too_large_wrong_or_incomplete_is_refused_with_the_reason() {
        let mut files = vec![file("SKILL.md", "a"), file("scripts/index.cjs", "b")];
        let cjs = Bundle::of(files.clone(), ModuleFormat::Cjs).unwrap();
        assert_eq!(cjs.bytes(), 2);
        let refusal = Bundle::of(files.clone(), ModuleFormat::Esm).unwrap_err();
        assert!(refusal.detail.starts_with("scripts/index.mjs is needed"), "{}", refusal.detail);
        let refusal = Bundle::of(files.split_off(1), ModuleFormat::Cjs).unwrap_err();
        assert!(refusal.detail.starts_with("SKILL.md is needed"), "{}", refusal.detail);
        let mut wrong = vec![file("SKILL.md", "a"), file("scripts/index.cjs", "b")];
        wrong[1].sha256 = wrong[1].sha256.to_uppercase();
        let refusal = Bundle::of(wrong, ModuleFormat::Cjs).unwrap_err();
        assert_eq!(refusal.pointer.as_deref(), Some("/files/1/sha256"));
        assert!(refusal.detail.contains(sha256(b"b").as_str()));
        let sized = |bytes: usize| {
            let files = vec![file("SKILL.md", &"ü".repeat(bytes / 2)), file("scripts/index.mjs", "")];
            Bundle::of(files, ModuleFormat::Esm)
        };
        assert_eq!(sized(MAX_BUNDLE_BYTES).unwrap().bytes(), MAX_BUNDLE_BYTES);
        let refusal = sized(MAX_BUNDLE_BYTES + 2).unwrap_err();
        assert_eq!((refusal.code, refusal.pointer.as_deref()), (Code::PayloadTooLarge, Some("/files")));
        assert!(refusal.detail.contains("204802 bytes"), "{}", refusal.detail);
        let many = (0..=MAX_FILES).map(|n| file(&format!("f{n}"), "")).collect();
        assert_eq!(Bundle::of(many, ModuleFormat::Esm).unwrap_err().pointer.as_deref(), Some("/files"));
    }
}
