//! Files that agents make or fetch, and that people send: one item each, in the partition of the conversation that they belong to.
//!
//! An item stands in the index of what expires all its life, and is deleted when its object is gone.

use af_domain::ids::{ContentType, ConversationId, ConversationKey, Sha256Hex, StorageId, WorkerId};
use af_domain::media::Media;
use af_domain::snapshot::Stored;
use af_domain::time::Timestamp;

use crate::due::DueCursor;
use crate::item::{Item, Reader, Writer};
use crate::{Store, StoreError, keys};

impl Store {
    /// The file, strongly consistent.
    ///
    /// # Errors
    /// When the table cannot answer, or the item is malformed.
    pub async fn media(&self, id: &StorageId) -> Result<Option<Media>, StoreError> {
        self.get(keys::media(id), true).await?.as_ref().map(media_from).transpose()
    }

    /// Stores what was announced or fetched of a file. Its id is new, or that of the same file which was fetched before.
    ///
    /// # Errors
    /// When the table cannot answer.
    pub async fn put_media(&self, media: &Media) -> Result<(), StoreError> {
        let key = keys::media(&media.id);
        let item = Writer::default()
            .put("pk", key.pk)
            .put("sk", key.sk)
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

    /// One page of the files whose time is over by `now`, longest over first; eventually consistent.
    ///
    /// # Errors
    /// When the table cannot answer, or a key is malformed.
    pub async fn due_media(
        &self,
        now: Timestamp,
        limit: i32,
        after: Option<DueCursor>,
    ) -> Result<(Vec<StorageId>, Option<DueCursor>), StoreError> {
        let (due, after) = self.due(keys::EXPIRING_MEDIA, now, limit, after).await?;
        let ids = due.iter().map(|item| id_in_key(&Reader::of(item))).collect::<Result<_, _>>()?;
        Ok((ids, after))
    }

    /// Forgets a file whose object is gone.
    ///
    /// # Errors
    /// When the table cannot answer.
    pub async fn delete_media(&self, id: &StorageId) -> Result<(), StoreError> {
        self.delete(&keys::media(id)).await
    }
}

fn media_from(item: &Item) -> Result<Media, StoreError> {
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

fn id_in_key(reader: &Reader<'_>) -> Result<StorageId, StoreError> {
    let conversation = ConversationKey::parse(reader.text("pk")?.trim_start_matches("C#"));
    let id = conversation.ok().zip(reader.text("sk")?.strip_prefix("F#"));
    let id = id.and_then(|(conversation, place)| StorageId::of(&conversation, place));
    id.ok_or_else(|| reader.malformed("sk", "not a file's"))
}
