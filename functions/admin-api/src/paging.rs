//! Pages with signed cursors. A cursor is valid for one listing only.

use af_api::pages::{Limit, Page};
use af_app::access::auth::cursor_secret;
use af_app::{App, AppError};
use af_http::{CursorKey, Problem};

/// The limit as a number for use cases.
pub fn count(limit: Limit) -> u32 {
    u32::try_from(limit.get()).unwrap_or(u32::from(Limit::MAX))
}

/// The position after which the page of `cursor` begins; none when there is no cursor.
pub async fn after(app: &App, listing: &str, cursor: Option<&str>) -> Result<Option<String>, Problem> {
    match cursor {
        Some(cursor) => Ok(Some(key(app).await?.open_in(listing, cursor)?)),
        None => Ok(None),
    }
}

/// A page of `listing`. `next` is the position where it ends, when another page follows.
pub async fn page<T>(
    app: &App,
    listing: &str,
    items: Vec<T>,
    next: Option<String>,
) -> Result<Page<T>, Problem> {
    Ok(Page::new(items, seal(app, listing, next).await?))
}

/// The cursor of `listing` for the position `next`.
pub async fn seal(app: &App, listing: &str, next: Option<String>) -> Result<Option<String>, Problem> {
    match next {
        Some(position) => Ok(Some(key(app).await?.seal_in(listing, &position))),
        None => Ok(None),
    }
}

/// Removes the one item beyond `limit`. Answers the position of the last item left, when more items follow.
pub fn cut<T>(items: &mut Vec<T>, limit: Limit, position: impl Fn(&T) -> String) -> Option<String> {
    let more = items.len() > limit.get();
    items.truncate(limit.get());
    items.last().filter(|_| more).map(position)
}

async fn key(app: &App) -> Result<CursorKey, AppError> {
    Ok(CursorKey::new(&cursor_secret(app).await?))
}
