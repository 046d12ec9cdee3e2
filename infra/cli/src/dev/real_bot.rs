//! The real bot of `dev --telegram-token-file`.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use af_local::RealBot;
use anyhow::{Context, ensure};

use crate::output;

/// The Bot API of Telegram.
pub const API_URL: &str = "https://api.telegram.org";
/// The longest file that is read. A token has some 50 characters.
const MAX_FILE_BYTES: u64 = 4_096;

/// Reads the token of a bot from `file`, once. The token appears in no output.
pub fn read(file: &Path, api_url: &str) -> anyhow::Result<RealBot> {
    let unreadable = || format!("--telegram-token-file: {} cannot be read", file.display());
    let mode = fs::metadata(file).with_context(unreadable)?.permissions().mode();
    if mode & 0o077 != 0 {
        let file = file.display();
        output::warning(&format!(
            "other users of this machine may read the bot's token in {file}; run: chmod 600 {file}"
        ));
    }
    let mut text = String::new();
    File::open(file)
        .and_then(|f| f.take(MAX_FILE_BYTES).read_to_string(&mut text))
        .with_context(unreadable)?;
    let token = text.trim();
    ensure!(
        af_telegram::is_token(token),
        "--telegram-token-file: {} has no bot token; BotFather issues tokens of the form <digits>:<letters>",
        file.display()
    );
    ensure!(
        is_safe(api_url),
        "--telegram-api-url: the URL must begin with https://, or be on this machine, because it gets the bot's token"
    );
    Ok(RealBot { token: token.to_owned().into(), api_url: api_url.trim_end_matches('/').to_owned() })
}

/// Whether a token may be sent to this URL: encrypted, or to this machine.
fn is_safe(url: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(url) else { return false };
    let is_here = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    url.scheme() == "https" || (url.scheme() == "http" && is_here)
}

#[cfg(test)]
mod tests {
    use super::{is_safe, read};

    #[test]
    fn a_token_is_sent_encrypted_or_to_this_machine() {
        for url in [super::API_URL, "http://127.0.0.1:81", "http://localhost:8081/", "http://[::1]:1"] {
            assert!(is_safe(url), "{url}");
        }
        for url in ["http://api.telegram.org", "http://127.0.0.1.example", "ftp://127.0.0.1", "nonsense", ""]
        {
            assert!(!is_safe(url), "{url}");
        }
    }

    #[test]
    fn a_file_without_a_token_is_refused_without_showing_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        std::fs::write(&file, "not a token, but TOPSECRET").unwrap();
        let refused = format!("{:#}", read(&file, super::API_URL).err().unwrap());
        assert!(refused.contains("<digits>:<letters>") && !refused.contains("TOPSECRET"), "{refused}");
        std::fs::write(&file, "\n 42:abc-DEF_1\n").unwrap();
        assert!(
            read(&file, super::API_URL).is_ok() && read(&dir.path().join("none"), super::API_URL).is_err()
        );
    }
}
