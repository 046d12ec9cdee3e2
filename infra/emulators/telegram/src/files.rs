//! getFile and the download of files.

use std::io;
use std::sync::PoisonError;

use anyhow::Context;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::json;

use super::answer::{ApiError, Success};
use super::journal::unusable;
use super::params::Params;
use super::records::{Event, FileRecord};
use super::{Inner, TelegramEmulator, TelegramEmulatorError};

/// Largest file that a bot can download from Telegram.
const MAX_DOWNLOAD_BYTES: u64 = 20 << 20;
/// The length of a file id, which is about that of real ones.
const FILE_ID_CHARS: usize = 60;
/// The most letters of a stored file extension.
const MAX_EXTENSION_CHARS: usize = 10;

/// A stored file of a user; an update names it by its id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredFile {
    /// Its id.
    pub file_id: String,
    /// The path of its download, after `/file/bot<token>/`.
    pub file_path: String,
    /// Its size.
    pub size_bytes: u64,
}

pub(super) fn get(inner: &Inner, bot: i64, params: &Params) -> Result<Success, ApiError> {
    let id = params.text("file_id").filter(|id| !id.is_empty());
    let id = id.ok_or_else(|| ApiError::bad_request("file_id not specified"))?;
    let core = inner.lock();
    let file = core.state.file(bot, &id).ok_or_else(|| ApiError::bad_request("invalid file_id"))?;
    if file.size_bytes > MAX_DOWNLOAD_BYTES {
        return Err(ApiError::bad_request("file is too big"));
    }
    let unique: String = id.chars().take(15).collect();
    let (size, path) = (file.size_bytes, file.path.as_str());
    Ok(json!({"file_id": id, "file_unique_id": unique, "file_size": size, "file_path": path}).into())
}

pub(super) async fn download(
    State(telegram): State<TelegramEmulator>,
    Path((token, path)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let bot = telegram.authenticate(&token)?;
    let not_found = || ApiError::new(404, "Not Found");
    let file_id = {
        let core = telegram.inner.lock();
        core.state.file_at(bot, &path).ok_or_else(not_found)?.file_id.clone()
    };
    let content = telegram.inner.content(&file_id).await.map_err(|_| not_found())?;
    Ok(([(header::CONTENT_TYPE, "application/octet-stream")], content).into_response())
}

impl TelegramEmulator {
    /// Stores a file that users of `bot` can send: the bot can download a file whose id is in an update.
    ///
    /// # Errors
    /// `UnknownBot`, or when the file or the journal cannot be written.
    pub async fn add_file(
        &self,
        bot: i64,
        name: &str,
        content: Bytes,
    ) -> Result<StoredFile, TelegramEmulatorError> {
        let inner = &self.inner;
        if inner.lock().state.bot(bot).is_none() {
            return Err(TelegramEmulatorError::UnknownBot(bot));
        }
        let file_id = inner.random_text(FILE_ID_CHARS);
        let size_bytes = content.len() as u64;
        inner.keep_content(&file_id, content).await?;
        let mut core = inner.lock();
        let path = format!("documents/file_{}{}", core.state.file_count(), extension(name));
        let stored = StoredFile { file_id: file_id.clone(), file_path: path.clone(), size_bytes };
        core.commit(vec![Event::File(FileRecord { bot_id: bot, file_id, path, size_bytes })])?;
        Ok(stored)
    }
}

impl Inner {
    /// Stores the content of a file under its id: in the data folder, or in memory if there is none.
    async fn keep_content(&self, file_id: &str, content: Bytes) -> anyhow::Result<()> {
        let Some(dir) = &self.files_dir else {
            let mut contents = self.contents.lock().unwrap_or_else(PoisonError::into_inner);
            contents.insert(file_id.to_owned(), content);
            return Ok(());
        };
        let path = dir.join(file_id);
        let written = match tokio::fs::create_dir_all(dir).await {
            Ok(()) => tokio::fs::write(&path, &content).await,
            Err(error) => Err(error),
        };
        written.with_context(|| unusable(&path))
    }

    async fn content(&self, file_id: &str) -> io::Result<Bytes> {
        if let Some(dir) = &self.files_dir {
            return tokio::fs::read(dir.join(file_id)).await.map(Bytes::from);
        }
        let contents = self.contents.lock().unwrap_or_else(PoisonError::into_inner);
        contents.get(file_id).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// Returns `.pdf` of `report.pdf`, and an empty text if the name has no simple extension.
fn extension(name: &str) -> String {
    let plain = |ext: &&str| {
        (1..=MAX_EXTENSION_CHARS).contains(&ext.len()) && ext.bytes().all(|b| b.is_ascii_alphanumeric())
    };
    name.rsplit_once('.').map(|(_, ext)| ext).filter(plain).map(|ext| format!(".{ext}")).unwrap_or_default()
}
