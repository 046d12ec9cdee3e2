//! Pages whose cursors are signed and good for one listing only.

use af_api::pages::{Limit, Page};
use af_app::access::auth::cursor_secret;
use af_app::{App, AppError};
use af_http::{CursorKey, Problem};

/// A limit as the use cases take it.
pub fn count(limit: Limit) -> u32 {
    u32::try_from(limit.get()).unwrap_or(u32::from(Limit::MAX))
}

/// Where the page begins that `cursor` asks for: after the place it names, or at the beginning when there is none.
pub async fn after(app: &App, listing: &str, cursor: Option<&str>) -> Result<Option<String>, Problem> {
    match cursor {
        Some(cursor) => Ok(Some(key(app).await?.open_in(listing, cursor)?)),
        None => Ok(None),
    }
}

/// A page of `listing` that ends at `next`, when another one follows.
pub async fn page<T>(
    app: &App,
    listing: &str,
    items: Vec<T>,
    next: Option<String>,
) -> Result<Page<T>, Problem> {
    Ok(Page::new(items, seal(app, listing, next).await?))
}

/// The cursor of `listing` that names the place `next`, when there is one.
pub async fn seal(app: &App, listing: &str, next: Option<String>) -> Result<Option<String>, Problem> {
    match next {
        Some(place) => Ok(Some(key(app).await?.seal_in(listing, &place))),
        None => Ok(None),
    }
}

/// Cuts off the one item that was asked for beyond `limit`, and names the last one left when it was there.
pub fn cut<T>(items: &mut Vec<T>, limit: Limit, place: impl Fn(&T) -> String) -> Option<String> {
    let more = items.len() > limit.get();
    items.truncate(limit.get());
    items.last().filter(|_| more).map(place)
}

async fn key(app: &App) -> Result<CursorKey, AppError> {
    Ok(CursorKey::new(&cursor_secret(app).await?))
}
