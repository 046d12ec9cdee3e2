//! Documents and their versions, as their editors see them.

use af_domain::document::{Document, Version};
use af_domain::ids::DocumentPath;
use af_domain::refusal::Refusal;
use af_store::Page;

use super::Scope;
use crate::{App, Result};

/// Returns up to `limit` documents by path, after the path `after`. Deleted documents are left out.
///
/// # Errors
/// 404 if there is no such agent.
pub async fn list(app: &App, scope: &Scope, limit: u32, after: Option<&str>) -> Result<Vec<Document>> {
    let set = scope.set(app).await?;
    let all = app.store.documents(&set).await?.into_iter();
    let existing = all.filter(|document| document.content.is_some());
    let rest = existing.filter(|document| after.is_none_or(|after| document.path.as_str() > after));
    Ok(rest.take(limit as usize).collect())
}

/// Returns a document with its text: its current version, or `version`.
///
/// # Errors
/// 404 if there is no such agent or document, or the version is not kept.
pub async fn get(app: &App, scope: &Scope, path: &DocumentPath, version: Option<u64>) -> Result<Version> {
    scope.check(path)?;
    let set = scope.set(app).await?;
    if let Some(version) = version {
        let found = app.store.document_version(&set, path, version).await?;
        let missing = || Refusal::not_found(format!("version {version} of document {path}"));
        return Ok(found.ok_or_else(missing)?);
    }
    let current = app.store.document(&set, path).await?.filter(|current| current.content.is_some());
    let current = current.ok_or_else(|| scope.missing(path))?;
    let found = app.store.document_version(&set, path, current.version).await?;
    Ok(found.ok_or_else(|| scope.missing(path))?)
}

/// Returns one page of the versions of a document, the newest first, starting before the version `before`. A document that
/// never existed has none.
///
/// # Errors
/// 404 if there is no such agent.
pub async fn versions(
    app: &App,
    scope: &Scope,
    path: &DocumentPath,
    limit: u32,
    before: Option<u64>,
) -> Result<Page<Document, u64>> {
    scope.check(path)?;
    let set = scope.set(app).await?;
    Ok(app.store.document_versions(&set, path, i32::try_from(limit).unwrap_or(i32::MAX), before).await?)
}
