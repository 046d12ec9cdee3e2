//! The search for secrets in everything that a test has stored. It runs at the end of each test with a
//! [`Bundle`](crate::bundle::Bundle).

use std::fs;
use std::path::Path;

use af_emulator_aws::LocalAws;

/// A shorter secret of a test may be part of other text.
const MIN_SECRET_BYTES: usize = 12;
/// Texts that only secrets contain: an API key, and the path of a file of the Bot API, which contains the token.
const PATTERNS: [&str; 2] = ["afk_", "/file/bot"];

/// Searches for secrets when it is dropped.
pub(crate) struct SecretScan(pub LocalAws);

impl Drop for SecretScan {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let found = found(&self.0);
        assert!(found.is_empty(), "stored in the table or the bucket: {found:?}");
    }
}

/// The names of the secrets, and the patterns, that the table, its stream or the bucket contains.
fn found(aws: &LocalAws) -> Vec<String> {
    let mut stored = aws.engine().stored_bytes().expect("the engine reads its own database");
    if let Some(objects) = aws.objects() {
        append_files(objects.dir(), &mut stored);
    }
    let stored = String::from_utf8_lossy(&stored);
    let secrets = aws.secrets().values().into_iter().filter(|(_, value)| value.len() >= MIN_SECRET_BYTES);
    let secrets = secrets.filter(|(_, value)| stored.contains(value.as_str())).map(|(name, _)| name);
    let patterns = PATTERNS.iter().filter(|pattern| stored.contains(**pattern)).map(|p| (*p).to_owned());
    secrets.chain(patterns).collect()
}

fn append_files(dir: &Path, to: &mut Vec<u8>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            append_files(&entry.path(), to);
        } else {
            to.extend(fs::read(entry.path()).unwrap_or_default());
        }
    }
}
