//! Fetching: from Telegram into the bucket.

use af_aws::objects::{Objects, measured};
use af_domain::agent::bot_token_ref;
use af_domain::attachment::{Attachment, AttachmentState, SIZE_BYTES_MAX, WAIT_MAX};
use af_domain::ids::{BotIdentity, ContentType, MessageId, SecretRef, StorageId};
use af_domain::media::Media;
use af_domain::message::{Message, MessageStatus};
use af_domain::time::Millis;
use af_store::StoreError;
use af_store::attachment::to_be_fetched;
use af_telegram::{Bot, Downloaded, Pause, RemoteFile, TelegramError};
use futures::{FutureExt, StreamExt};
use secrecy::SecretString;
use sha2::{Digest, Sha256};
use ulid::Ulid;

use super::settle;
use crate::counting::StreamRecord;
use crate::policies::Settings;
use crate::telegram_bots::telegram;
use crate::{App, AppError, media, policies};

/// Messages whose files are fetched at the same time: of the largest that Telegram hands out, they fill a third of the
/// function's memory.
const AT_ONCE_MAX: usize = 8;
/// Times that one file is asked for.
const TRIES_MAX: usize = 3;
/// How long to wait before it is asked for again, where Telegram does not say.
const RETRY_WAIT: Millis = Millis::from_secs(1);
/// What the effects of a file that was not fetched are counted by.
const FAILED_METRIC: &str = "attachment_failed";

/// Fetches the attachments of the messages in `records`. One message's failure does not stop the others; a record that
/// cannot be read is left out.
///
/// # Errors
/// When table, bucket or secrets cannot answer; the records come again, and what was settled is left alone.
pub async fn fetch(
    app: &App,
    objects: &Objects,
    records: &[StreamRecord],
    pause: &dyn Pause,
) -> Result<(), AppError> {
    let wanted: Vec<MessageId> = records.iter().filter_map(wanted).collect();
    let each = wanted.into_iter().map(|id| of_message(app, objects, id.clone(), pause).map(|end| (end, id)));
    let mut ended = futures::stream::iter(each).buffer_unordered(AT_ONCE_MAX);
    let mut failed = None;
    while let Some((end, message)) = ended.next().await {
        match end {
            Ok(()) => {}
            // Coming again would not mend it; its message goes on without them.
            Err(AppError::Store(error @ StoreError::Malformed { .. })) => {
                tracing::error!(%error, %message, "a message's attachments are not fetched");
            }
            Err(error) => failed = Some(error),
        }
    }
    failed.map_or(Ok(()), Err)
}

fn wanted(record: &StreamRecord) -> Option<MessageId> {
    to_be_fetched(record.dynamodb.new_image.as_ref()).unwrap_or_else(|error| {
        let record = &record.dynamodb.sequence_number;
        tracing::error!(%error, record, "a message's attachments are not fetched");
        None
    })
}

async fn of_message(app: &App, objects: &Objects, id: MessageId, pause: &dyn Pause) -> Result<(), AppError> {
    let Some(message) = app.store.message(&id, app.now(), true).await? else { return Ok(()) };
    let Some(bot) = message.fetched_by.clone() else { return Ok(()) };
    let source = Source { app, objects, message: &message, bot, pause };
    let mut settled = Vec::with_capacity(message.payload.attachments.len());
    for (place, attachment) in message.payload.attachments.iter().cloned().enumerate() {
        settled.push(match attachment.is_pending() {
            true => source.fetched(place, attachment).await?,
            false => attachment,
        });
    }
    settle(app, &message, &settled).await
}

/// Where the files of one message come from, and go to.
struct Source<'a> {
    app: &'a App,
    objects: &'a Objects,
    message: &'a Message,
    bot: BotIdentity,
    pause: &'a dyn Pause,
}

impl Source<'_> {
    /// The attachment as it ends: in the bucket, or failed with the reason.
    async fn fetched(&self, place: usize, attachment: Attachment) -> Result<Attachment, AppError> {
        match self.downloaded(&attachment).await? {
            Ok((file, downloaded)) => self.keep(place, attachment, &file, downloaded).await,
            Err(reason) => {
                let message = &self.message.id;
                tracing::warn!(metric = FAILED_METRIC, %message, %reason, "an attachment was not fetched");
                Ok(attachment.failed(reason))
            }
        }
    }

    /// How long the message still waits.
    fn left(&self) -> Millis {
        (self.message.enqueued_at + WAIT_MAX).since(self.app.now())
    }

    async fn downloaded(
        &self,
        attachment: &Attachment,
    ) -> Result<Result<(RemoteFile, Downloaded), String>, AppError> {
        let mut reason = "its message did not wait for it any longer".to_owned();
        if matches!(self.message.status, MessageStatus::Done | MessageStatus::Cancelled) {
            return Ok(Err(reason));
        }
        for _ in 0..TRIES_MAX {
            if self.left() == Millis::default() {
                break;
            }
            let Some((token_ref, token)) = self.token().await? else {
                return Ok(Err(format!("bot {} has no token", self.bot)));
            };
            let bot = telegram(self.app)?.bot(&token);
            let error = match self.in_time(download(&bot, attachment)).await {
                Some(Ok(downloaded)) => return Ok(Ok(downloaded)),
                Some(Err(error)) => error,
                None => break,
            };
            reason = error.to_string();
            let wait = match error {
                // It may have been replaced since it was read.
                TelegramError::Unauthorized => {
                    self.app.secrets.forget(&token_ref);
                    continue;
                }
                TelegramError::RateLimited { retry_after } => retry_after,
                error if error.is_transient() => RETRY_WAIT,
                _ => break,
            };
            if wait >= self.left() {
                break;
            }
            self.pause.pause(wait).await;
        }
        Ok(Err(reason))
    }

    /// What `work` comes to, unless the message's time is over before.
    async fn in_time<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::time::timeout(std::time::Duration::from_millis(self.left().as_millis()), work).await.ok()
    }

    /// The token of the bot that got the message; that of its agent, which need not be the message's.
    async fn token(&self) -> Result<Option<(SecretRef, SecretString)>, AppError> {
        let Some(bot) = self.app.store.bot(&self.bot).await? else { return Ok(None) };
        let name = bot_token_ref(&bot.agent);
        Ok(self.app.secrets.get(&name, self.app.now()).await?.map(|token| (name, token)))
    }

    /// Puts the file into the bucket, its item first: whoever dies in between leaves nothing that is forgotten.
    async fn keep(
        &self,
        place: usize,
        attachment: Attachment,
        file: &RemoteFile,
        downloaded: Downloaded,
    ) -> Result<Attachment, AppError> {
        let Settings { policies, message } = policies::settings(self.app).await?;
        let kept = message.telegram_attachment_retention().unwrap_or(policies.retention.attachment);
        let now = self.app.now();
        let content_type = content_type(&attachment, file, &downloaded);
        let media = Media {
            id: storage_id(self.message, place),
            conversation: self.message.conversation.clone(),
            worker: None,
            content: measured(&downloaded.content),
            content_type,
            created_at: now,
            expires_at: Media::expiry(now, kept),
        };
        self.app.store.put_media(&media).await?;
        let said = media.content_type.as_ref().map(ContentType::as_str);
        let key = media::object_key(&media.id);
        // An earlier fetch may have put it there: it is the same file.
        self.objects.put_if_absent(&key, downloaded.content, &media.content, said).await?;
        Ok(Attachment {
            content_type: media.content_type,
            size_bytes: Some(media.content.size_bytes),
            state: AttachmentState::Ready { storage: media.id, expires_at: media.expires_at },
            ..attachment
        })
    }
}

async fn download(bot: &Bot, attachment: &Attachment) -> Result<(RemoteFile, Downloaded), TelegramError> {
    let bytes_max = usize::try_from(SIZE_BYTES_MAX).unwrap_or(usize::MAX);
    let file = bot.get_file(&attachment.telegram_file_id).await?;
    let downloaded = bot.download(&file, bytes_max).await?;
    Ok((file, downloaded))
}

/// What the file is: as its sender's Telegram said, else by its name, else as it was downloaded.
fn content_type(attachment: &Attachment, file: &RemoteFile, downloaded: &Downloaded) -> Option<ContentType> {
    let by_name = |name: &Option<String>| mime_guess::from_path(name.as_deref()?).first_raw();
    let guessed = by_name(&attachment.file_name).or_else(|| by_name(&file.file_path));
    let said = guessed.or(downloaded.content_type.as_deref());
    attachment.content_type.clone().or_else(|| ContentType::parse(said?).ok())
}

/// The id of a message's file: the same whenever it is fetched again.
fn storage_id(message: &Message, place: usize) -> StorageId {
    let hash = Sha256::new().chain_update(message.id.as_str()).chain_update(place.to_be_bytes()).finalize();
    let chance = u128::from_be_bytes(hash[..16].try_into().expect("a SHA-256 has 32 bytes"));
    let place = Ulid::from_parts(message.enqueued_at.as_millis(), chance).to_string();
    StorageId::of(&message.key, &place).expect("its place is a ULID")
}
