//! Pages with signed cursors. A cursor is valid for one listing only.

use af_api::pages::{Limit, Page};
use af_app::access::auth::cursor_secret;
use af_app::{App, AppError};
use af_http::{CursorKey, Problem};

/// The position after which the page of `cursor` begins; none when there is no cursor.
pub async fn after(app: &App, listing: &str, cursor: Option<&str>) -> Result<Option<String>, Problem> {
    match cursor {
        Some(cursor) => Ok(Some(key(app).await?.open_in(listing, cursor)?)),
        None => Ok(None),
    }
}

/// The cursor of `listing` for the position `next`.
pub async fn seal(app: &App, listing: &str, next: Option<String>) -> Result<Option<String>, Problem> {
    match next {
        Some(position) => Ok(Some(key(app).await?.seal_in(listing, &position))),
        None => Ok(None),
    }
}

/// A page of `listing` from up to `limit` items and one more, which shows that another page follows. That page begins
/// after the `position` of the last item.
pub async fn page<T>(
    app: &App,
    listing: &str,
    limit: Limit,
    mut items: Vec<T>,
    position: impl Fn(&T) -> String,
) -> Result<Page<T>, Problem> {
    let limit = limit.get() as usize;
    let more = items.len() > limit;
    items.truncate(limit);
    let next = items.last().filter(|_| more).map(position);
    Ok(Page::new(items, seal(app, listing, next).await?))
}

async fn key(app: &App) -> Result<CursorKey, AppError> {
    Ok(CursorKey::new(&cursor_secret(app).await?))
}
