//! Names in the data folder that do not belong to the conversation.

use std::ffi::OsStr;
use std::path::Path;

use af_domain::skill::MARKER as SKILL_MARKER;

use crate::skills::install::STAGING;

/// The file that names the conversation whose files the folder holds.
pub const OWNER_FILE: &str = ".agent-factory.json";
/// Reserved names in the root of the folder: the owner file, and a folder of ext4 in the root of a volume.
const RESERVED: [&str; 2] = [OWNER_FILE, "lost+found"];

/// Whether this name in the root of the folder is reserved.
pub fn is_reserved(name: &OsStr) -> bool {
    RESERVED.iter().any(|reserved| name == *reserved)
}

/// Whether this folder belongs to the deployment: the folder of a global skill, or the staging folder of skills.
pub fn is_of_deployment(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == STAGING) || path.join(SKILL_MARKER).is_file()
}
