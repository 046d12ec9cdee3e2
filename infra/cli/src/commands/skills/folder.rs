//! A skill's folder as the files that are deployed.

use std::fs;
use std::path::Path;

use af_api::skills::DeployedFile;
use af_domain::ids::SkillSlug;
use af_domain::skill::ModuleFormat;
use af_domain::skill::bundle::{MAX_BUNDLE_BYTES, MAX_FILES, sha256};
use anyhow::{Context, bail};

/// What was read.
#[derive(Debug)]
pub struct Files {
    /// As the API takes them, by path.
    pub files: Vec<DeployedFile>,
    /// By the script that is there.
    pub module_format: ModuleFormat,
}

/// Reads a folder. What cannot be deployed is named here, before anything is sent.
pub fn read(folder: &Path) -> anyhow::Result<Files> {
    let mut found = Vec::new();
    walk(folder, "", &mut found)?;
    found.sort();
    let bytes: usize = found.iter().map(|(_, content)| content.len()).sum();
    if bytes > MAX_BUNDLE_BYTES {
        bail!("the files have {bytes} bytes together, at most {MAX_BUNDLE_BYTES} can be deployed");
    }
    let has = |format: ModuleFormat| found.iter().any(|(path, _)| path == format.script());
    let module_format = match (has(ModuleFormat::Esm), has(ModuleFormat::Cjs)) {
        (false, true) => ModuleFormat::Cjs,
        (true, true) => bail!("there are scripts/index.mjs and scripts/index.cjs; one of them must go"),
        _ => ModuleFormat::Esm,
    };
    let file = |(path, content): (String, String)| {
        let sha256 = sha256(content.as_bytes()).to_string();
        DeployedFile { path, content, sha256 }
    };
    Ok(Files { files: found.into_iter().map(file).collect(), module_format })
}

/// The folder's own name.
pub fn name(folder: &Path) -> anyhow::Result<SkillSlug> {
    let whole = folder.canonicalize().with_context(|| format!("{} cannot be read", folder.display()))?;
    let name = whole.file_name().and_then(|name| name.to_str());
    let name = name.context("the folder has no name that can be the skill's; give --slug")?;
    SkillSlug::parse(name)
        .with_context(|| format!("the folder's name {name} cannot be the skill's; give --slug"))
}

fn walk(folder: &Path, within: &str, found: &mut Vec<(String, String)>) -> anyhow::Result<()> {
    let unreadable = || format!("{} cannot be read", folder.display());
    for entry in fs::read_dir(folder).with_context(unreadable)? {
        let entry = entry.with_context(unreadable)?;
        let at = entry.path();
        let name = entry.file_name();
        let name = name.to_str().with_context(|| format!("the name {} is not UTF-8", at.display()))?;
        if name.starts_with('.') {
            continue;
        }
        let kind = entry.file_type().with_context(unreadable)?;
        let path = format!("{within}{name}");
        if kind.is_dir() {
            walk(&at, &format!("{path}/"), found)?;
        } else if kind.is_file() {
            if found.len() == MAX_FILES {
                bail!("{} has more than {MAX_FILES} files", folder.display());
            }
            let size = entry.metadata()?.len();
            if size > MAX_BUNDLE_BYTES as u64 {
                bail!("{} has {size} bytes, at most {MAX_BUNDLE_BYTES} can be deployed", at.display());
            }
            let content = fs::read_to_string(&at)
                .with_context(|| format!("{} cannot be read as UTF-8 text", at.display()))?;
            found.push((path, content));
        } else {
            bail!("{} is neither a file nor a folder; links are not followed", at.display());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_read_by_path_without_hidden_names() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("scripts")).unwrap();
        fs::create_dir_all(folder.path().join(".git")).unwrap();
        for (path, content) in [("SKILL.md", "# A"), ("scripts/index.cjs", "1"), (".git/HEAD", "x")] {
            fs::write(folder.path().join(path), content).unwrap();
        }
        let read = read(folder.path()).unwrap();
        assert_eq!((read.files.len(), read.module_format), (2, ModuleFormat::Cjs));
        assert_eq!((read.files[0].path.as_str(), read.files[1].content.as_str()), ("SKILL.md", "1"));
        assert_eq!(read.files[0].sha256, sha256(b"# A").as_str());
    }

    #[test]
    fn what_cannot_be_deployed_is_named() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.bin"), [0xff]).unwrap();
        assert!(format!("{:#}", read(folder.path()).unwrap_err()).contains("a.bin cannot be read as UTF-8"));
        fs::write(folder.path().join("a.bin"), "x".repeat(MAX_BUNDLE_BYTES + 1)).unwrap();
        assert!(read(folder.path()).unwrap_err().to_string().contains("204801 bytes"));
        fs::remove_file(folder.path().join("a.bin")).unwrap();
        std::os::unix::fs::symlink("elsewhere", folder.path().join("link")).unwrap();
        assert!(read(folder.path()).unwrap_err().to_string().contains("links are not followed"));
        assert!(read(&folder.path().join("nothing")).is_err());
    }
}
