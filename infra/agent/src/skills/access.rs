//! Skills to which the agent's program has denied access, for a worker without the rights of root.

use std::fs;
use std::path::Path;
use std::time::Duration;

use af_domain::ids::SkillSlug;
use af_domain::skill::bundle::{SkillFile, sha256};
use af_domain::skill::{MANAGED_BY, MARKER};

use super::install::{Report, install};
use super::manifest::Folder;
use crate::config::SkillsConfig;
use crate::unprivileged::{deny, without_rights};

const SLUG: &str = "notes";

fn config(data_dir: &Path) -> SkillsConfig {
    SkillsConfig {
        dir: data_dir.join("workspace/skills"),
        data_dir: Some(data_dir.to_owned()),
        volume: None,
        bundled_dir: None,
        channel: "stable".to_owned(),
        required: true,
        timeout: Duration::from_secs(1),
        remove_unmanaged: false,
    }
}

fn skill(script: &str) -> Folder {
    let marker = format!(r#"{{"managedBy": "{MANAGED_BY}", "slug": "{SLUG}"}}"#);
    let file = |path: &str, content: &str| {
        let sha256 = sha256(content.as_bytes());
        SkillFile { path: path.to_owned(), content: content.to_owned(), sha256 }
    };
    let files = vec![file("SKILL.md", "notes"), file("scripts/run.mjs", script), file(MARKER, &marker)];
    Folder { name: SkillSlug::parse(SLUG).unwrap(), files }
}

#[test]
fn skills_without_access_are_installed_again_and_removed() {
    let dir = tempfile::tempdir().unwrap();
    deny(dir.path(), 0o700);
    let config = config(dir.path());
    let of_skill = |path: &str| config.dir.join(SLUG).join(path);
    let installed = |folders: &[Folder]| without_rights(|| install(&config, folders)).unwrap();
    assert_eq!(installed(&[skill("1")]).written, 1);
    for path in ["scripts/run.mjs", "scripts", MARKER, ""] {
        deny(&of_skill(path), 0);
        deny(&config.dir, 0);
        deny(config.dir.parent().unwrap(), 0);
        let report = installed(&[skill("1")]);
        assert_eq!(report.written + report.unchanged, 1, "{path}: {report:?}");
        let read = without_rights(|| fs::read_to_string(of_skill("scripts/run.mjs")));
        assert_eq!(read.unwrap(), "1", "{path}");
    }
    deny(&of_skill("scripts"), 0);
    deny(&of_skill(""), 0);
    assert_eq!(installed(&[]), Report { removed: 1, ..Report::default() });
    assert!(!of_skill("").exists());
}
