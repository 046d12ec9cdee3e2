//! Files that people send to a bot: `getFile`, and the download that follows it.
//!
//! The download's URL holds the token as every other does, so it is neither logged nor handed out.

use std::fmt;
use std::time::Duration;

use reqwest::Url;
use reqwest::header::CONTENT_TYPE;
use serde::Deserialize;

use crate::client::{Bot, read_bounded};
use crate::error::{Refusal, TelegramError};

/// Time that a download may take: 20 MB, the most that Telegram lets a bot download, at 1 MB a second.
const DOWNLOAD_TIMEOUT: Duration = Duration::from_secs(20);

/// A file at Telegram, as `getFile` answers.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct RemoteFile {
    /// Where it can be downloaded, for an hour at least.
    #[serde(default)]
    pub file_path: Option<String>,
    /// Its size.
    #[serde(default)]
    pub file_size: Option<u64>,
}

/// A file that was downloaded. `Debug` does not show what is in it.
#[derive(Clone, PartialEq, Eq)]
pub struct Downloaded {
    /// What is in it.
    pub content: Vec<u8>,
    /// What it is, as the server said.
    pub content_type: Option<String>,
}

impl fmt::Debug for Downloaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Downloaded").field("bytes", &self.content.len()).finish_non_exhaustive()
    }
}

impl Bot {
    /// Prepares a file for download. No bot but the one that was sent it knows its id.
    ///
    /// # Errors
    /// `BadRequest` when the bot has no such file, or it is too large for bots; else see [`TelegramError`].
    pub async fn get_file(&self, file_id: &str) -> Result<RemoteFile, TelegramError> {
        self.call("getFile", &serde_json::json!({"file_id": file_id})).await
    }

    /// Downloads a file of at most `max_bytes` bytes.
    ///
    /// # Errors
    /// `TooLarge`; `BadRequest` when it is not there; else see [`TelegramError`].
    pub async fn download(&self, file: &RemoteFile, max_bytes: usize) -> Result<Downloaded, TelegramError> {
        let token = self.token()?;
        let url = file.file_path.as_deref().and_then(|path| url_of(&self.api.base_url, token, path));
        let url = url.ok_or_else(|| refused("the file has no path that it could be downloaded from"))?;
        let response = self.api.http.get(url).timeout(DOWNLOAD_TIMEOUT).send().await;
        let response = response.map_err(TelegramError::transport)?;
        match response.status().as_u16() {
            200 => {}
            404 => return Err(refused("the file is not there any more")),
            status => return Err(Refusal::default().into_error(status, token)),
        }
        let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let content_type = content_type.map(str::to_owned);
        let content = read_bounded(response, max_bytes).await?;
        content
            .map(|content| Downloaded { content, content_type })
            .ok_or(TelegramError::TooLarge { max_bytes })
    }
}

fn refused(description: &str) -> TelegramError {
    TelegramError::BadRequest { description: description.to_owned() }
}

/// Where the file at `path` is downloaded; `None` for a path that leads elsewhere, as that of a server which shares its
/// disk with its bots.
fn url_of(base_url: &str, token: &str, path: &str) -> Option<Url> {
    let mut url = Url::parse(&format!("{base_url}/file/bot{token}")).ok()?;
    // A URL forgets tabs and line ends, so that two points with one of them would be two points.
    let steps_aside =
        |segment: &str| matches!(segment, "" | "." | "..") || segment.chars().any(char::is_control);
    if path.split('/').any(steps_aside) {
        return None;
    }
    url.path_segments_mut().ok()?.extend(path.split('/'));
    Some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_leads_to_the_file_and_nowhere_else() {
        let url = |path| url_of("https://telegram.example/base", "1:a", path).map(String::from);
        let file = "https://telegram.example/base/file/bot1:a/photos/file%201%3F.jpg";
        assert_eq!(url("photos/file 1?.jpg").as_deref(), Some(file));
        for path in
            ["", "/var/lib/file", "../getMe", "photos/../../x", "a//b", ".", "photos/..\t/x", "..\n/x"]
        {
            assert_eq!(url(path), None, "{path}");
        }
    }
}
