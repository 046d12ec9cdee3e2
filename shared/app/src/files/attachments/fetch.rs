//! Fetches attachments from Telegram into the bucket.
//!
//! The stream batch with a message waits for its files, and later batches of the same shard wait for the
//! batch. The files of a message therefore have `MAX_FETCH` for all attempts, and a bot that must wait for
//! long is not called again in the same batch. Only a failure of the table fails the batch, which is then
//! delivered again. Any other failure marks the attachment as failed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use af_aws::objects::{Objects, measured};
use af_domain::agent::bot_token_ref;
use af_domain::attachment::{Attachment, AttachmentState, MAX_SIZE_BYTES, MAX_WAIT, TOO_LATE, too_large};
use af_domain::ids::{BotIdentity, ContentType, MessageId, StorageId};
use af_domain::media::Media;
use af_domain::message::{Message, MessageStatus};
use af_domain::snapshot::Stored;
use af_domain::time::{Millis, Timestamp};
use af_runtime::metric::Metric;
use af_store::StoreError;
use af_store::attachment::to_be_fetched;
use af_telegram::{Downloaded, Pause, RemoteFile, TelegramError};
use futures::{FutureExt, StreamExt};
use sha2::{Digest, Sha256};
use ulid::Ulid;

use super::store_results::store_unless_changed;
use crate::files::media;
use crate::queue::counters::StreamRecord;
use crate::settings::message_settings::Settings;
use crate::settings::policies;
use crate::telegram::bots::telegram;
use crate::{App, AppError, Result};

/// Most messages whose files are fetched at the same time. With the largest files of Telegram they take 160
/// MB.
const MAX_AT_ONCE: usize = 8;
/// The time limit for all files and attempts of one message: 20 MB at 1 MB per second.
const MAX_FETCH: Millis = Millis::from_secs(20);
/// How often one file is requested.
const MAX_TRIES: usize = 3;
/// How often the files of a message are fetched again because files were added. An album has at most ten, and an edit may
/// replace one.
const MAX_CHANGES: usize = 16;
/// The wait before a file is requested again, if Telegram names none, and the longest wait that is accepted.
const RETRY_WAIT: Millis = Millis::from_secs(1);
const MAX_RETRY_WAIT: Millis = Millis::from_secs(5);

/// Fetches the attachments of the messages in `records`. The failure of one message does not affect the others. A
/// malformed record is skipped. After an error the batch is delivered again, and stored results are kept.
pub async fn fetch(app: &App, objects: &Objects, records: &[StreamRecord], pause: &dyn Pause) -> Result<()> {
    // The pictures of an album are added to one message.
    let wanted: BTreeSet<MessageId> = records.iter().filter_map(wanted_by).collect();
    let fetcher = Fetcher { app, objects, pause, must_wait: Mutex::default() };
    let each = wanted.into_iter().map(|id| fetcher.of_message(id.clone()).map(|end| (end, id)));
    let mut ended = futures::stream::iter(each).buffer_unordered(MAX_AT_ONCE);
    let mut failed = None;
    while let Some((end, message)) = ended.next().await {
        match end {
            Ok(()) => {}
            // A repetition would fail again. The message runs without its attachments.
            Err(AppError::Store(error @ StoreError::Malformed { .. })) => {
                tracing::error!(%error, %message, "a message's attachments are not fetched");
            }
            Err(error) => failed = Some(error),
        }
    }
    failed.map_or(Ok(()), Err)
}

fn wanted_by(record: &StreamRecord) -> Option<MessageId> {
    to_be_fetched(record.dynamodb.new_image.as_ref()).unwrap_or_else(|error| {
        let record = &record.dynamodb.sequence_number;
        tracing::error!(%error, record, "a message's attachments are not fetched");
        None
    })
}

/// The state shared by the messages of one batch.
struct Fetcher<'a> {
    app: &'a App,
    objects: &'a Objects,
    pause: &'a dyn Pause,
    /// Bots for which Telegram has requested a wait longer than the batch's limit, and the end of that wait.
    must_wait: Mutex<BTreeMap<BotIdentity, Timestamp>>,
}

/// A message whose files are fetched.
struct Job<'a> {
    message: &'a Message,
    bot: BotIdentity,
    /// When the fetch is abandoned.
    ends_at: Timestamp,
}

/// The reason why an attempt did not fetch the file.
enum FetchError {
    /// Another attempt may succeed, after this wait.
    Transient { reason: String, wait: Millis },
    /// No further attempt will succeed.
    Permanent(String),
    /// The table failed, so the batch fails.
    Table(AppError),
}

impl From<AppError> for FetchError {
    /// An internal failure of the bucket or the secrets is only logged.
    fn from(error: AppError) -> Self {
        match error {
            AppError::Store(_) => Self::Table(error),
            error => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "an attachment could not be fetched or stored");
                Self::Transient { reason: "it could not be fetched and stored".to_owned(), wait: RETRY_WAIT }
            }
        }
    }
}

impl Fetcher<'_> {
    async fn of_message(&self, id: MessageId) -> Result<()> {
        let mut settled: Vec<Attachment> = Vec::new();
        let latest = self.app.now() + MAX_FETCH;
        for _ in 0..MAX_CHANGES {
            let found = self.app.store.message(&id, self.app.now(), true).await?;
            let Some(message) = found else { return Ok(()) };
            let Some(bot) = message.fetched_by.clone() else { return Ok(()) };
            let ends_at = (message.enqueued_at + MAX_WAIT).min(latest);
            let job = Job { message: &message, bot, ends_at };
            let mut results = Vec::with_capacity(message.payload.attachments.len());
            for (index, attachment) in message.payload.attachments.iter().cloned().enumerate() {
                let known = settled.iter().find(|s| s.telegram_file_id == attachment.telegram_file_id);
                results.push(match known {
                    _ if !attachment.is_pending() => attachment,
                    Some(known) => known.clone(),
                    None => self.fetched(&job, index, attachment).await?,
                });
            }
            if store_unless_changed(self.app, &message, &results).await? {
                return Ok(());
            }
            settled = results;
        }
        Err(AppError::Overtaken("fetching the attachments of a message"))
    }

    /// Returns the attachment after all attempts: in the bucket, or failed with the reason.
    async fn fetched(&self, job: &Job<'_>, index: usize, attachment: Attachment) -> Result<Attachment> {
        let mut reason = TOO_LATE.to_owned();
        if matches!(job.message.status, MessageStatus::Done | MessageStatus::Cancelled) {
            return Ok(attachment.failed(reason));
        }
        for tries in 1..=MAX_TRIES {
            let left = job.ends_at.since(self.app.now());
            if left == Millis::default() {
                break;
            }
            let trying = self.once(job, index, &attachment);
            let wait = match tokio::time::timeout(Duration::from_millis(left.as_millis()), trying).await {
                Ok(Ok(fetched)) => return Ok(fetched),
                Ok(Err(FetchError::Table(error))) => return Err(error),
                Ok(Err(FetchError::Transient { reason: why, wait })) => {
                    reason = why;
                    wait
                }
                Ok(Err(FetchError::Permanent(why))) => {
                    reason = why;
                    break;
                }
                Err(_) => {
                    "it took too long".clone_into(&mut reason);
                    break;
                }
            };
            if tries == MAX_TRIES || wait >= job.ends_at.since(self.app.now()) {
                break;
            }
            if wait > Millis::default() {
                self.pause.pause(wait).await;
            }
        }
        let message = &job.message.id;
        Metric::AttachmentFailed.count();
        tracing::warn!(%message, %reason, "an attachment was not fetched");
        Ok(attachment.failed(reason))
    }

    async fn once(
        &self,
        job: &Job<'_>,
        index: usize,
        attachment: &Attachment,
    ) -> Result<Attachment, FetchError> {
        let (file, downloaded) = self.downloaded(job, attachment).await?;
        Ok(self.keep(job.message, index, attachment, &file, downloaded).await?)
    }

    async fn downloaded(
        &self,
        job: &Job<'_>,
        attachment: &Attachment,
    ) -> Result<(RemoteFile, Downloaded), FetchError> {
        let app = self.app;
        let until = self.waits().get(&job.bot).copied().filter(|until| *until > app.now());
        if let Some(until) = until {
            return Err(FetchError::Permanent(format!("Telegram asks to wait until {until}")));
        }
        // The token belongs to the agent of the bot. The message may be for another agent.
        let agent = app.store.bot(&job.bot).await.map_err(AppError::from)?;
        let Some(name) = agent.map(|bot| bot_token_ref(&bot.agent)) else {
            return Err(FetchError::Permanent(format!("bot {} no longer exists", job.bot)));
        };
        let token = app.secrets.get(&name, app.now()).await.map_err(AppError::from)?;
        let Some(token) = token else {
            return Err(FetchError::Permanent(format!("bot {} has no token", job.bot)));
        };
        let bot = telegram(app)?.bot(&token);
        let download = async {
            let file = bot.get_file(&attachment.telegram_file_id).await?;
            if let Some(bytes) = file.file_size.filter(|bytes| *bytes > MAX_SIZE_BYTES) {
                return Err(TelegramError::BadRequest { description: too_large(bytes) });
            }
            let max_bytes = usize::try_from(MAX_SIZE_BYTES).unwrap_or(usize::MAX);
            Ok((file.clone(), bot.download(&file, max_bytes).await?))
        };
        download.await.map_err(|error| {
            let reason = error.to_string();
            match error {
                // The token may have been replaced since it was read.
                TelegramError::Unauthorized => {
                    app.secrets.forget(&name);
                    FetchError::Transient { reason, wait: Millis::default() }
                }
                TelegramError::RateLimited { retry_after } if retry_after > MAX_RETRY_WAIT => {
                    self.waits().insert(job.bot.clone(), app.now() + retry_after);
                    FetchError::Permanent(reason)
                }
                TelegramError::RateLimited { retry_after } => {
                    FetchError::Transient { reason, wait: retry_after }
                }
                error if error.is_transient() => FetchError::Transient { reason, wait: RETRY_WAIT },
                _ => FetchError::Permanent(reason),
            }
        })
    }

    fn waits(&self) -> std::sync::MutexGuard<'_, BTreeMap<BotIdentity, Timestamp>> {
        self.must_wait.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores the file in the bucket, its item first. If the function fails in between, the item still
    /// expires.
    async fn keep(
        &self,
        message: &Message,
        index: usize,
        attachment: &Attachment,
        file: &RemoteFile,
        downloaded: Downloaded,
    ) -> Result<Attachment> {
        let settings: Settings = policies::settings(self.app).await?;
        let kept = settings.message.telegram_attachment_retention;
        let kept = kept.unwrap_or(settings.policies.retention.attachment);
        let now = self.app.now();
        let content = measured(&downloaded.content);
        let media = Media {
            id: storage_id(message, index, &content),
            conversation: message.conversation.clone(),
            worker: None,
            content,
            content_type: content_type(attachment, file, &downloaded),
            created_at: now,
            expires_at: Media::expiry(now, kept),
        };
        self.app.store.put_media(&media).await?;
        let said = media.content_type.as_ref().map(ContentType::as_str);
        let key = media::object_key(&media.id);
        // The object may exist from an earlier fetch. Its id shows that it is the same.
        self.objects.put_if_absent(&key, downloaded.content, &media.content, said).await?;
        Ok(Attachment {
            content_type: media.content_type,
            size_bytes: Some(media.content.size_bytes),
            state: AttachmentState::Ready { storage: media.id, expires_at: media.expires_at },
            ..attachment.clone()
        })
    }
}

/// Returns the media type: as reported by Telegram, otherwise by the file name, otherwise from the download.
fn content_type(attachment: &Attachment, file: &RemoteFile, downloaded: &Downloaded) -> Option<ContentType> {
    let by_name = |name: &Option<String>| mime_guess::from_path(name.as_deref()?).first_raw();
    let guessed = by_name(&attachment.file_name).or_else(|| by_name(&file.file_path));
    let said = guessed.or(downloaded.content_type.as_deref());
    attachment.content_type.clone().or_else(|| ContentType::parse(said?).ok())
}

/// Returns the storage id of a message's file with this content. A repeated fetch gets the same id.
fn storage_id(message: &Message, index: usize, content: &Stored) -> StorageId {
    let hash = Sha256::new()
        .chain_update(message.id.as_str())
        .chain_update(index.to_be_bytes())
        .chain_update(content.sha256.as_str())
        .finalize();
    let chance = u128::from_be_bytes(hash[..16].try_into().expect("a SHA-256 has 32 bytes"));
    let place = Ulid::from_parts(message.enqueued_at.as_millis(), chance).to_string();
    StorageId::of(&message.key, &place).expect("its place is a ULID")
}
