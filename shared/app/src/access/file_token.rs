//! Links to files: signed, short-lived, each for one object of the bucket.
//!
//! A token is a signed text (`signed.rs`) with the content `<expiry in ms>|<worker id>|<object key>`. The worker is the one
//! that restores its files with the link; other links have none. Agents write such links into files and history, so a link
//! must not give access to anything else.

use af_aws::objects::Objects;
use af_domain::ids::WorkerId;
use af_domain::refusal::Refusal;
use af_domain::time::{Millis, Timestamp};

use super::signed::{current_key, sign, verified};
use crate::files::snapshots;
use crate::{App, Result};

/// How long a link is valid. An image fetches its files at once.
pub const LINK_GOOD_FOR: Millis = Millis::from_secs(15 * 60);
/// How long the presigned URL behind a link is valid. It is followed at once.
const URL_GOOD_FOR: Millis = Millis::from_secs(60);
/// Separates these signatures from those of worker tokens, which contain no NUL.
const PURPOSE: &[u8] = b"agent-factory file 1\0";

/// Creates the token of a link to the object `object_key`. `restorer` is the worker that restores its files with it.
pub async fn mint(app: &App, object_key: &str, restorer: Option<&WorkerId>) -> Result<String> {
    let expires_at = app.now() + LINK_GOOD_FOR;
    let restorer = restorer.map_or("", WorkerId::as_str);
    Ok(sign(&current_key(app).await?, PURPOSE, &format!("{expires_at}|{restorer}|{object_key}")))
}

/// Returns the presigned URL of a link. The download by which a worker restores its files is recorded. Returns 404 if the
/// link is invalid or has expired.
pub async fn redeem(app: &App, objects: &Objects, token: &str) -> Result<String> {
    let unknown = || Refusal::not_found("file behind this link, or the link has expired");
    let (restorer, object_key) = read(app, token).await?.ok_or_else(unknown)?;
    let url = objects.get_url(&object_key, URL_GOOD_FOR).await?;
    if let Some(worker) = restorer {
        snapshots::fetched(app, &worker, &object_key).await?;
    }
    Ok(url)
}

/// Returns the worker and the object key of a link; `None` if the link is invalid or has expired.
async fn read(app: &App, token: &str) -> Result<Option<(Option<WorkerId>, String)>> {
    let Some(content) = verified(app, PURPOSE, token).await? else { return Ok(None) };
    let mut parts = content.splitn(3, '|');
    let (Some(expires_at), Some(worker), Some(object_key)) = (parts.next(), parts.next(), parts.next())
    else {
        return Ok(None);
    };
    let is_valid = expires_at.parse().is_ok_and(|at| app.now() < Timestamp::from_millis(at));
    Ok(is_valid.then(|| (WorkerId::parse(worker).ok(), object_key.to_owned())))
}
