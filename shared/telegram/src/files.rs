//! Files that people send to a bot: `getFile` and the download.
//!
//! The download URL contains the token, so it is neither logged nor returned.

use std::fmt;
use std::time::Duration;

use reqwest::Url;
use reqwest::header::CONTENT_TYPE;
use serde::Deserialize;

use crate::client::{Bot, read_bounded};
use crate::error::{Refusal, TelegramError};

/// The timeout of a download: 20 MB, the largest file that a bot may download, at 1 MB per second.
const DOWNLOAD_TIMEOUT: Duration = Duration::from_secs(20);

/// A file at Telegram, as returned by `getFile`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct RemoteFile {
    /// The path of the download. It is valid for at least one hour.
    #[serde(default)]
    pub file_path: Option<String>,
    /// The size in bytes.
    #[serde(default)]
    pub file_size: Option<u64>,
}

/// A downloaded file. `Debug` does not show its content.
#[derive(Clone, PartialEq, Eq)]
pub struct Downloaded {
    /// The content.
    pub content: Vec<u8>,
    /// The media type, as the server reports it.
    pub content_type: Option<String>,
}

impl fmt::Debug for Downloaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Downloaded").field("bytes", &self.content.len()).finish_non_exhaustive()
    }
}

impl Bot {
    /// Prepares a file for download. Only the bot that received the file can use its id.
    ///
    /// # Errors
    /// Returns `BadRequest` if the bot has no such file, or the file is too large for bots; otherwise see
    /// [`TelegramError`].
    pub async fn get_file(&self, file_id: &str) -> Result<RemoteFile, TelegramError> {
        self.call("getFile", &serde_json::json!({"file_id": file_id})).await
    }

    /// Downloads a file of at most `max_bytes` bytes. Returns `TooLarge`, or `BadRequest` if the file no
    /// longer exists.
    pub async fn download(&self, file: &RemoteFile, max_bytes: usize) -> Result<Downloaded, TelegramError> {
        let token = self.token()?;
        let url = file.file_path.as_deref().and_then(|path| url_of(&self.api.base_url, token, path));
        let url = url.ok_or_else(|| refused("the file has no valid download path"))?;
        let response = self.api.http.get(url).timeout(DOWNLOAD_TIMEOUT).send().await;
        let response = response.map_err(TelegramError::transport)?;
        match response.status().as_u16() {
            200 => {}
            404 => return Err(refused("the file no longer exists")),
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

/// Returns the download URL of the file at `path`; `None` for a path outside the file folder, such as the
/// absolute path of a server that shares its disk with its bots.
fn url_of(base_url: &str, token: &str, path: &str) -> Option<Url> {
    let mut url = Url::parse(&format!("{base_url}/file/bot{token}")).ok()?;
    // A URL parser drops tabs and line ends, so `..` with one of them inside would become `..`.
    let is_unsafe =
        |segment: &str| matches!(segment, "" | "." | "..") || segment.chars().any(char::is_control);
    if path.split('/').any(is_unsafe) {
        return None;
    }
    url.path_segments_mut().ok()?.extend(path.split('/'));
    Some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_cannot_leave_the_file_folder() {
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
