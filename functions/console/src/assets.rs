//! The files that pages load: one style sheet, htmx, and the script of the console. Their URLs have the hash of all files, so
//! that browsers keep them forever.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use sha2::{Digest, Sha256};

/// The files by name, with their content types.
const FILES: [(&str, &str, &str); 4] = [
    ("console.css", "text/css; charset=utf-8", include_str!("assets/console.css")),
    ("console.js", "text/javascript; charset=utf-8", include_str!("assets/console.js")),
    ("htmx.min.js", "text/javascript; charset=utf-8", include_str!("assets/htmx.min.js")),
    ("icon.svg", "image/svg+xml", include_str!("assets/icon.svg")),
];

/// The version of the files in their URLs.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let digest = FILES.iter().fold(Sha256::new(), |hash, (_, _, text)| hash.chain_update(text)).finalize();
    digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect()
});

/// The URL of the file `name`.
pub(crate) fn url(name: &str) -> String {
    format!("/console/assets/{name}?v={}", *VERSION)
}

/// `GET /console/assets/{name}`
pub(crate) async fn get(Path(name): Path<String>) -> Response {
    let Some((_, kind, text)) = FILES.iter().find(|(known, _, _)| *known == name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let headers = [(CONTENT_TYPE, *kind), (CACHE_CONTROL, "public, max-age=31536000, immutable")];
    (headers, *text).into_response()
}
