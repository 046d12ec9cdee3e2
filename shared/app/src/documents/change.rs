//! Changes of one document by an operator, an app or a user.

use af_api::documents::PutDocumentRequest;
use af_domain::document::{Document, Edit, Owner, apply};
use af_domain::ids::DocumentPath;
use af_domain::refusal::{Code, Refusal};
use af_store::conversation::Commit;

use super::{MAX_CHANGE_TRIES, Scope};
use crate::{App, AppError, Result};

/// Carries out a request: stores its text, or makes the text of an earlier version the newest one.
///
/// # Errors
/// 404 if there is no such agent or version; 409 if `ifVersion` is not the current version, or the version is a deletion;
/// 413 or 422 for a text over a limit, a request without a text or with two, and an unknown owner.
pub async fn put(
    app: &App,
    scope: &Scope,
    path: &DocumentPath,
    request: PutDocumentRequest,
    by: &str,
) -> Result<Document> {
    scope.check(path)?;
    let PutDocumentRequest { content, restore_version, owner, if_version } = request;
    let unknown = || Refusal::field("/owner", "owner must be operator or agent");
    let owner = owner.map(|name| Owner::parse(name).ok_or_else(unknown)).transpose()?;
    let text = match (content, restore_version) {
        (Some(text), None) => text,
        (None, Some(version)) => text_of(app, scope, path, version).await?,
        (Some(_), Some(_)) => {
            return Err(Refusal::field("/restoreVersion", "give content or restoreVersion, not both").into());
        }
        (None, None) => return Err(Refusal::field("/content", "give content or restoreVersion").into()),
    };
    let edit = Edit { path: path.clone(), text: Some(text), owner };
    let changed = change(app, scope, edit, if_version, by).await?;
    changed.ok_or_else(|| scope.missing(path).into())
}

async fn text_of(app: &App, scope: &Scope, path: &DocumentPath, version: u64) -> Result<String> {
    let set = scope.set(app).await?;
    let found = app.store.document_version(&set, path, version).await?;
    let missing = || Refusal::not_found(format!("version {version} of document {path}"));
    Ok(found.ok_or_else(missing)?.text.ok_or_else(|| {
        let detail =
            format!("version {version} of document {path} is its deletion; send DELETE to delete it");
        Refusal::new(Code::Conflict, detail)
    })?)
}

/// Deletes a document. Its versions stay.
///
/// # Errors
/// 404 if there is no such agent or document.
pub async fn delete(app: &App, scope: &Scope, path: &DocumentPath, by: &str) -> Result<()> {
    scope.check(path)?;
    let edit = Edit { path: path.clone(), text: None, owner: None };
    let deleted = change(app, scope, edit, None, by).await?;
    deleted.map(drop).ok_or_else(|| scope.missing(path).into())
}

/// Commits an edit and returns the document after it; `None` if the edit deletes a document that does not exist.
async fn change(
    app: &App,
    scope: &Scope,
    edit: Edit,
    if_version: Option<u64>,
    by: &str,
) -> Result<Option<Document>> {
    let set = scope.set(app).await?;
    for _ in 0..MAX_CHANGE_TRIES {
        // The head comes first: a change between the two reads then makes the commit stale.
        let head = app.store.documents_head(&set).await?;
        let current = app.store.document(&set, &edit.path).await?;
        let Some(change) = apply(&head, current.as_ref(), edit.clone(), by, app.now())? else {
            return Ok(current.filter(|current| current.content.is_some()));
        };
        expect_version(&edit.path, current.as_ref(), if_version)?;
        let committed = app.store.change_documents_if_unchanged(&set, &head, std::slice::from_ref(&change));
        if let Commit::Done = committed.await? {
            let Document { path, version, .. } = change.document();
            tracing::info!(agent_key = %scope.agent, path = path.as_str(), version, by, "document changed");
            return Ok(Some(change.document().clone()));
        }
    }
    Err(AppError::Overtaken("the change of a document"))
}

fn expect_version(
    path: &DocumentPath,
    current: Option<&Document>,
    if_version: Option<u64>,
) -> Result<(), Refusal> {
    let version = current.map_or(0, |current| current.version);
    match if_version {
        Some(expected) if expected != version => {
            let detail =
                format!("document {path} has version {version}, not {expected}; read it and edit that");
            Err(Refusal { pointer: Some("/ifVersion".into()), ..Refusal::new(Code::Conflict, detail) })
        }
        _ => Ok(()),
    }
}
