//! Workspace documents. A set has one head, one item for each document, and one for each version with its text.
//!
//! A change writes all of them in one transaction, on condition of the head's revision. So a reader of the head
//! sees every change that was acknowledged before.

use af_domain::document::{Change, Document, DocumentSet, Owner, SetHead, Version};
use af_domain::ids::{ConversationKey, DocumentPath, Sha256Hex};
use af_domain::snapshot::Stored;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use miniz_oxide::deflate::compress_to_vec;
use miniz_oxide::inflate::decompress_to_vec_with_limit;

use crate::conversation::{Commit, LeaseRef};
use crate::expression::Update;
use crate::item::{Item, Reader, Value, Writer};
use crate::write::{Committed, Transaction, queried};
use crate::{Page, Result, Store, keys};

/// Pages of 1 MB that are read to list the documents of a set. The largest possible set takes one.
const MAX_PAGES: usize = 4;
/// The largest text that is stored as it is. Together with the other attributes its item stays below 1 KB.
const MAX_PLAIN_BYTES: usize = 512;
/// The compression level, from 1 to 10.
const DEFLATE_LEVEL: u8 = 6;
/// The attributes of a version without its text.
const WITHOUT_TEXT: &str = "pk, sk, dp, ow, sz, sh, nv, up, ub";

/// A version that is read for its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted<'a> {
    /// The set.
    pub set: &'a DocumentSet,
    /// The document.
    pub document: &'a Document,
}

/// The result of a change under a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangedUnderLease {
    /// The change was carried out.
    Done,
    /// The lease is not in force; nothing was written.
    LeaseLost,
    /// The set was changed since it was read; nothing was written.
    Stale,
}

impl Store {
    /// Returns the head of a set, strongly consistent.
    pub async fn documents_head(&self, set: &DocumentSet) -> Result<SetHead> {
        let item = self.get(keys::documents_head(set), true).await?;
        item.as_ref().map_or(Ok(SetHead::default()), |item| head_from(&Reader::of(item)))
    }

    /// Returns the documents of a set by path, deleted ones included, strongly consistent.
    pub async fn documents(&self, set: &DocumentSet) -> Result<Vec<Document>> {
        let (mut found, mut start) = (Vec::new(), None);
        for _ in 0..MAX_PAGES {
            let values = [(":pk", keys::documents_partition(set).into()), (":of", keys::DOCUMENTS.into())];
            let query = self.query("#pk = :pk AND begins_with(#sk, :of)", values).consistent_read(true);
            let page = queried(query.set_exclusive_start_key(start)).await?;
            for item in page.items() {
                found.push(document_from(item)?);
            }
            start = page.last_evaluated_key;
            if start.is_none() {
                break;
            }
        }
        Ok(found)
    }

    /// Returns a document, also a deleted one, strongly consistent.
    pub async fn document(&self, set: &DocumentSet, path: &DocumentPath) -> Result<Option<Document>> {
        self.get(keys::document(set, path), true).await?.as_ref().map(document_from).transpose()
    }

    /// Returns a version with its text, strongly consistent; `None` if there is none or it is not kept any more.
    pub async fn document_version(
        &self,
        set: &DocumentSet,
        path: &DocumentPath,
        version: u64,
    ) -> Result<Option<Version>> {
        let item = self.get(keys::document_version(set, path, version), true).await?;
        item.as_ref().map(version_from).transpose()
    }

    /// Returns one page of the versions of a document without their texts, the newest first, starting before the version
    /// `before`. The cursor is the last version.
    pub async fn document_versions(
        &self,
        set: &DocumentSet,
        path: &DocumentPath,
        limit: i32,
        before: Option<u64>,
    ) -> Result<Page<Document, u64>> {
        let prefix = keys::document_versions(path);
        let before = keys::document_version(set, path, before.unwrap_or(9_999_999_999).saturating_sub(1)).sk;
        let values = [
            (":pk", keys::documents_partition(set).into()),
            (":of", prefix.into()),
            (":before", before.into()),
        ];
        let query = self.query("#pk = :pk AND #sk BETWEEN :of AND :before", values);
        let query = query.scan_index_forward(false).consistent_read(true).limit(limit);
        let page = queried(query.projection_expression(WITHOUT_TEXT)).await?;
        let items = page.items().iter().map(document_from).collect::<Result<Vec<_>>>()?;
        let next = items.last().filter(|_| page.last_evaluated_key.is_some()).map(|last| last.version);
        Ok(Page { items, next })
    }

    /// Returns the texts of these documents, in no particular order, strongly consistent. A version that is not kept any
    /// more is missing.
    pub async fn document_texts(&self, wanted: &[Wanted<'_>]) -> Result<Vec<Version>> {
        let keys = wanted
            .iter()
            .map(|Wanted { set, document }| keys::document_version(set, &document.path, document.version));
        self.batch_get(keys, true).await?.iter().map(version_from).collect()
    }

    /// Commits changes of different documents of a set in one transaction, on condition of the revision of the head that
    /// they were decided on. The head of the last change is the head of the set. A repeated call finds its own result and
    /// returns `Stale`.
    pub async fn change_documents_if_unchanged(
        &self,
        set: &DocumentSet,
        before: &SetHead,
        changes: &[Change],
    ) -> Result<Commit> {
        let Some(last) = changes.last() else { return Ok(Commit::Done) };
        let transaction = self.transaction().update(head_update(set, before, &last.head));
        let transaction = changes.iter().fold(transaction, |t, change| with_change(t, set, change));
        self.commit_or_stale(transaction).await
    }

    /// Commits changes of the documents of a conversation like `change_documents_if_unchanged`, and only while the lease is
    /// in force.
    pub async fn change_documents_if_leased(
        &self,
        held: &LeaseRef<'_>,
        conversation: &ConversationKey,
        before: &SetHead,
        changes: &[Change],
    ) -> Result<ChangedUnderLease> {
        let set = DocumentSet::Conversation(conversation.clone());
        let lease = held.update();
        let mut transaction = self.transaction().require(&lease);
        if let Some(last) = changes.last() {
            transaction = transaction.update(head_update(&set, before, &last.head));
        }
        let transaction = changes.iter().fold(transaction, |t, change| with_change(t, &set, change));
        Ok(match self.commit(transaction).await? {
            Committed::Done => ChangedUnderLease::Done,
            Committed::Refused(failed) if failed.iter().any(|f| f.index == 0) => ChangedUnderLease::LeaseLost,
            Committed::Refused(_) => ChangedUnderLease::Stale,
        })
    }
}

fn head_update(set: &DocumentSet, before: &SetHead, after: &SetHead) -> Update {
    let update = Update::of(keys::documents_head(set))
        .set("v", after.revision)
        .set("sz", after.size_bytes)
        .set("np", after.paths)
        .set("up", after.changed_at);
    match before.revision {
        0 => update.when("attribute_not_exists(#pk)"),
        revision => update.when_is("v", revision),
    }
}

fn with_change(mut transaction: Transaction, set: &DocumentSet, change: &Change) -> Transaction {
    let document = change.document();
    transaction = transaction.put(document_item(keys::document(set, &document.path), document));
    for Version { document, text } in &change.versions {
        let key = keys::document_version(set, &document.path, document.version);
        let item = Writer::from(document_item(key, document)).put_some("c", text.as_deref().map(encoded));
        transaction = transaction.put(item.build());
    }
    let forgotten = change.forgotten.iter();
    forgotten.fold(transaction, |t, old| t.delete(&keys::document_version(set, &document.path, *old)))
}

fn document_item(key: keys::Key, document: &Document) -> Item {
    let Document { path, owner, content, version, updated_at, updated_by } = document;
    Writer::at(key)
        .put("dp", path.as_str())
        .put("ow", owner.as_str())
        .put("nv", *version)
        .put("up", *updated_at)
        .put("ub", updated_by.as_str())
        .put_some("sz", content.as_ref().map(|content| content.size_bytes))
        .put_some("sh", content.as_ref().map(|content| content.sha256.as_str()))
        .build()
}

pub(crate) fn head_from(reader: &Reader<'_>) -> Result<SetHead> {
    Ok(SetHead {
        revision: reader.number("v")?,
        size_bytes: reader.number("sz")?,
        paths: reader.number("np")?,
        changed_at: reader.time("up")?,
    })
}

fn document_from(item: &Item) -> Result<Document> {
    let reader = Reader::of(item);
    let stored = reader.number_if("sz")?.zip(reader.id_if("sh", Sha256Hex::parse)?);
    Ok(Document {
        path: reader.id("dp", DocumentPath::parse)?,
        owner: Owner::parse(reader.text("ow")?).ok_or_else(|| reader.malformed("ow", "not an owner"))?,
        content: stored.map(|(size_bytes, sha256)| Stored { size_bytes, sha256 }),
        version: reader.number("nv")?,
        updated_at: reader.time("up")?,
        updated_by: reader.text("ub")?.to_owned(),
    })
}

fn version_from(item: &Item) -> Result<Version> {
    let document = document_from(item)?;
    let text = document.content.as_ref().map(|content| decoded(item, content.size_bytes)).transpose()?;
    Ok(Version { document, text })
}

/// A text as it is stored: compressed if that is smaller and the text is not short.
fn encoded(text: &str) -> Value {
    if text.len() > MAX_PLAIN_BYTES {
        let deflated = compress_to_vec(text.as_bytes(), DEFLATE_LEVEL);
        if deflated.len() < text.len() {
            return Value(AttributeValue::B(Blob::new(deflated)));
        }
    }
    text.into()
}

fn decoded(item: &Item, size_bytes: u64) -> Result<String> {
    let reader = Reader::of(item);
    let Some(AttributeValue::B(deflated)) = item.get("c") else { return reader.text("c").map(str::to_owned) };
    let limit = usize::try_from(size_bytes).unwrap_or(usize::MAX);
    let bytes = decompress_to_vec_with_limit(deflated.as_ref(), limit);
    let bytes = bytes.map_err(|error| reader.malformed("c", &error.to_string()))?;
    String::from_utf8(bytes).map_err(|_| reader.malformed("c", "not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_read_as_it_was_stored() {
        let long = "It is a long text, in which words repeat. ".repeat(1_000);
        for text in ["", "short", &long] {
            let stored = encoded(text);
            let Value(AttributeValue::S(_) | AttributeValue::B(_)) = &stored else { panic!("{stored:?}") };
            let item = Item::from([("c".to_owned(), stored.0)]);
            assert_eq!(decoded(&item, text.len() as u64).unwrap(), text);
        }
        assert!(matches!(encoded(&long).0, AttributeValue::B(stored) if stored.as_ref().len() < 1_000));
    }
}
