//! Media files: one item each, in the partition of their conversation.
//!
//! An item is in the expiry index from its creation, and is deleted after its object.

use af_domain::ids::{ContentType, ConversationId, Sha256Hex, StorageId, WorkerId};
use af_domain::media::Media;
use af_domain::snapshot::Stored;
use af_domain::time::Timestamp;

use crate::conversation::key_from;
use crate::item::{Item, Reader, Writer};
use crate::sweep::SweepCursor;
use crate::{Page, Result, Store, keys};

impl Store {
    /// Returns the media file, strongly consistent.
    pub async fn media(&self, id: &StorageId) -> Result<Option<Media>> {
        self.get(keys::media(id), true).await?.as_ref().map(media_from).transpose()
    }

    /// Stores an announced or fetched file. Its id is new, or the id of the same file from an earlier fetch.
    pub async fn put_media(&self, media: &Media) -> Result<()> {
        let item = Writer::at(keys::media(&media.id))
            .put("cid", media.conversation.as_str())
            .put_some("w", media.worker.as_ref().map(WorkerId::as_str))
            .put("sz", media.content.size_bytes)
            .put("sha", media.content.sha256.as_str())
            .put_some("ct", media.content_type.as_ref().map(ContentType::as_str))
            .put("at", media.created_at)
            .put("xp", keys::EXPIRING_MEDIA)
            .put("xk", media.expires_at);
        self.put(item.build()).await
    }

    /// Returns one page of the files that have expired by `now`, the earliest expiry first. The read is
    /// eventually consistent.
    pub async fn expired_media(
        &self,
        now: Timestamp,
        limit: i32,
        after: Option<SweepCursor>,
    ) -> Result<Page<StorageId, SweepCursor>> {
        self.expired_page(keys::EXPIRING_MEDIA, now, limit, after, id_in_key).await
    }

    /// Deletes the item of a file whose object was deleted.
    pub async fn delete_media(&self, id: &StorageId) -> Result<()> {
        self.delete(&keys::media(id)).await
    }
}

fn media_from(item: &Item) -> Result<Media> {
    let reader = Reader::of(item);
    let content = Stored { size_bytes: reader.number("sz")?, sha256: reader.id("sha", Sha256Hex::parse)? };
    Ok(Media {
        id: id_in_key(&reader)?,
        conversation: reader.id("cid", ConversationId::parse)?,
        worker: reader.id_if("w", WorkerId::parse)?,
        content,
        content_type: reader.id_if("ct", ContentType::parse)?,
        created_at: reader.time("at")?,
        expires_at: reader.time("xk")?,
    })
}

fn id_in_key(reader: &Reader<'_>) -> Result<StorageId> {
    let conversation = key_from(reader)?;
    let id = reader.text("sk")?.strip_prefix("F#").and_then(|place| StorageId::of(&conversation, place));
    id.ok_or_else(|| reader.malformed("sk", "not a file's"))
}
