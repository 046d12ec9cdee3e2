//! The embedded S3: the four operations that this project calls, with an object as one file of a folder.
//!
//! The template declares the buckets. A request for another bucket is refused. A bucket that the template no longer
//! declares is not accessible, but its folder stays.
//!
//! A request must be signed with the credentials of its [`LocalAws`](crate::LocalAws) (SigV4, by header or presigned
//! URL).
//! **Signatures expire by the machine's clock**, because the SDK signs with it. A move of the virtual clock expires no
//! presigned URL.
//!
//! Bodies are streamed in both directions, so that only the disk limits the size of an object. An upload is written to
//! a file of its own, which replaces the object only when its size, its digests and its condition are right. A
//! parameter or header that this emulator does not know is refused with 501, so that a new use of S3 is noticed. There
//! are no lists, ranges, versions, tags, encryption or lifecycle rules, and a key has at most 255 bytes when it is
//! percent-encoded.

mod file;

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, ensure};
use axum::body::Body;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG, HOST, IF_NONE_MATCH};
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use percent_encoding::{percent_decode_str, utf8_percent_encode};
use tempfile::TempDir;

use file::{Attributes, Expected, UPLOAD_PREFIX};

use crate::signature::{self, AMZ, Signer, Unsigned};
use crate::{Credentials, Permissions};

/// The headers of AWS that this emulator knows, and the one that only says which SDK sends the request.
const KNOWN_HEADERS: [&str; 8] = [
    "x-amz-checksum-crc32",
    "x-amz-checksum-mode",
    "x-amz-checksum-sha256",
    "x-amz-content-sha256",
    "x-amz-date",
    "x-amz-sdk-checksum-algorithm",
    "x-amz-security-token",
    "x-amz-user-agent",
];
/// The parameters that carry no signature: the name of the operation, which the SDK adds.
const OPERATION_PARAMETER: &str = "x-id";
/// The code of a failure of the disk.
const DISK_ERROR: &str = "InternalError";
/// The longest name of a file on the supported systems.
const MAX_FILE_NAME_BYTES: usize = 255;
/// The lengths of the name of a bucket that S3 allows.
const BUCKET_NAME_BYTES: std::ops::RangeInclusive<usize> = 3..=63;

/// An embedded S3. Clones share the same objects.
#[derive(Clone)]
pub struct Objects {
    dir: Arc<Path>,
    buckets: Arc<BTreeSet<String>>,
    /// The temporary folder, which is removed with the last clone.
    _temporary: Option<Arc<TempDir>>,
}

impl Objects {
    /// Opens empty `buckets` in a temporary folder, which is removed with the last clone.
    ///
    /// # Errors
    /// As [`Objects::open`].
    pub fn temporary(buckets: &[&str]) -> anyhow::Result<Self> {
        let dir = tempfile::Builder::new().prefix("af-objects-").tempdir();
        let dir = dir.context("cannot create a temporary folder")?;
        let objects = Self::open(dir.path(), buckets)?;
        Ok(Self { _temporary: Some(Arc::new(dir)), ..objects })
    }

    /// Opens `buckets` with the objects stored in the folder `dir`. Missing folders are created. Only one process at
    /// a time may use the folder.
    ///
    /// # Errors
    /// Returns an error if the name of a bucket is invalid or the folder cannot be used.
    pub fn open(dir: &Path, buckets: &[&str]) -> anyhow::Result<Self> {
        for bucket in buckets {
            ensure!(is_bucket_name(bucket), "{bucket} cannot be the name of a bucket");
            let path = dir.join(bucket);
            let opened = std::fs::create_dir_all(&path).and_then(|()| remove_unfinished_uploads(&path));
            opened.with_context(|| format!("cannot use the folder {}", path.display()))?;
        }
        let buckets = buckets.iter().map(|&bucket| bucket.to_owned()).collect();
        Ok(Self { dir: dir.into(), buckets: Arc::new(buckets), _temporary: None })
    }

    /// The folder with one folder for each bucket.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Answers one request as S3 does, path-style. Without permissions, every request is allowed.
    pub(super) async fn call(
        &self,
        request: Request<Body>,
        credentials: &Credentials,
        permissions: Option<&Permissions>,
    ) -> Response<Body> {
        let (mut parts, body) = request.into_parts();
        name_host(&mut parts);
        let path = percent_decode_str(parts.uri.path()).decode_utf8_lossy().into_owned();
        let answered = match self.object_of(&parts, credentials) {
            Ok(_) if permissions.is_some_and(|role| !role.allow_object(&parts.method, &path)) => {
                Err(Refusal::denied())
            }
            Ok(object) => execute(&parts, body, &object).await.map_err(|refusal| refusal.at(&object)),
            Err(refusal) => Err(refusal),
        };
        let answered = answered.map_err(|refusal| match permissions {
            Some(role) if refusal.is_absence() && !role.allow_absence(&path) => Refusal::denied(),
            _ => refusal,
        });
        let response = answered.unwrap_or_else(Refusal::into_response);
        // A response to HEAD has no body. In process, no server removes it.
        if parts.method == Method::HEAD { response.map(|_| Body::empty()) } else { response }
    }

    /// Checks the request and returns the file of its object.
    fn object_of(&self, request: &Parts, credentials: &Credentials) -> Result<PathBuf, Refusal> {
        let query = request.uri.query().unwrap_or_default();
        let query: Vec<_> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let signer = Signer { credentials, services: &["s3"] };
        signature::verify(request, &query, signature::now(), &signer, None)?;
        let path = percent_decode_str(request.uri.path()).decode_utf8_lossy();
        let (bucket, key) = path.trim_start_matches('/').split_once('/').unwrap_or((&path, ""));
        if !self.buckets.contains(bucket.trim_matches('/')) {
            return Err(Refusal::new(404, "NoSuchBucket", "the template declares no such bucket"));
        }
        let unknown = query.iter().map(|(name, _)| name.as_str());
        let unknown = unknown.filter(|name| *name != OPERATION_PARAMETER && !name.starts_with("X-Amz-"));
        let headers = request.headers.keys().map(http::HeaderName::as_str);
        let headers = headers.filter(|name| name.starts_with(AMZ) && !KNOWN_HEADERS.contains(name));
        if key.is_empty() || unknown.chain(headers).next().is_some() {
            return Err(Refusal::not_implemented());
        }
        let name = utf8_percent_encode(key, signature::QUERY).to_string();
        if name.len() > MAX_FILE_NAME_BYTES {
            let message = "the key is too long for this machine's file names";
            return Err(Refusal::new(400, "KeyTooLongError", message));
        }
        Ok(self.dir.join(bucket).join(name))
    }
}

async fn execute(request: &Parts, body: Body, object: &Path) -> Result<Response<Body>, Refusal> {
    match request.method {
        Method::PUT => {
            let attributes = file::put(object, body, &expected(request)?).await?;
            Ok(response(&attributes, false))
        }
        Method::GET | Method::HEAD => {
            let (attributes, contents) = file::get(object).await?;
            Ok(response(&attributes, true).map(|_| contents))
        }
        Method::DELETE => {
            file::delete(object).await?;
            let mut deleted = Response::new(Body::empty());
            *deleted.status_mut() = StatusCode::NO_CONTENT;
            Ok(deleted)
        }
        _ => Err(Refusal::not_implemented()),
    }
}

/// What a request says of its body.
fn expected(request: &Parts) -> Result<Expected, Refusal> {
    let text = |name: &str| Some(request.headers.get(name)?.to_str().ok()?.to_owned());
    let payload = text("x-amz-content-sha256").filter(|hash| hash != signature::UNSIGNED_PAYLOAD);
    if payload.as_ref().is_some_and(|hash| hash.starts_with("STREAMING-")) {
        return Err(Refusal::not_implemented());
    }
    let condition = text(IF_NONE_MATCH.as_str());
    if condition.as_ref().is_some_and(|condition| condition != "*") {
        return Err(Refusal::not_implemented());
    }
    Ok(Expected {
        content_type: text(CONTENT_TYPE.as_str()),
        size: text(CONTENT_LENGTH.as_str()).and_then(|size| size.parse().ok()),
        payload_sha256: payload,
        sha256: text("x-amz-checksum-sha256"),
        crc32: text("x-amz-checksum-crc32"),
        must_be_absent: condition.is_some(),
    })
}

/// A response with the attributes of an object; its size and type only if it is the object's own response.
fn response(attributes: &Attributes, is_object: bool) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    let mut set = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(name, value);
        }
    };
    set(ETAG.as_str(), &format!("\"{}\"", attributes.sha256));
    set("x-amz-checksum-sha256", &attributes.sha256);
    if is_object {
        set(CONTENT_LENGTH.as_str(), &attributes.size.to_string());
        set(CONTENT_TYPE.as_str(), attributes.content_type.as_deref().unwrap_or("binary/octet-stream"));
    }
    response
}

/// Whether S3 accepts this name of a bucket. This emulator does not allow dots, which S3 advises against.
fn is_bucket_name(name: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    BUCKET_NAME_BYTES.contains(&name.len())
        && name.bytes().all(is_allowed)
        && !name.starts_with('-')
        && !name.ends_with('-')
}

/// Removes what a killed process has left.
fn remove_unfinished_uploads(bucket: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(bucket)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(UPLOAD_PREFIX) {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// The host is part of the signature, but without a connection no client sets its header.
fn name_host(request: &mut Parts) {
    let authority = request.uri.authority().map(|authority| HeaderValue::from_str(authority.as_str()));
    if let Some(Ok(host)) = authority {
        request.headers.entry(HOST).or_insert(host);
    }
}

/// A response that refuses a request, as S3 sends it.
struct Refusal {
    status: u16,
    code: &'static str,
    message: String,
}

impl Refusal {
    fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    /// Adds the path to an error of the disk, and logs it.
    fn at(mut self, path: &Path) -> Self {
        if self.code == DISK_ERROR {
            self.message = format!("{}: {}", path.display(), self.message);
            tracing::error!(error = self.message, "a request for objects could not be answered");
        }
        self
    }

    fn denied() -> Self {
        Self::new(403, "AccessDenied", "the role is not allowed to do this")
    }

    /// Whether the object does not exist.
    fn is_absence(&self) -> bool {
        self.status == 404
    }

    fn not_implemented() -> Self {
        Self::new(501, "NotImplemented", "this emulator does not have this operation or parameter")
    }

    fn into_response(self) -> Response<Body> {
        let message = self.message.replace('&', "&amp;").replace('<', "&lt;");
        let xml = format!("<Error><Code>{}</Code><Message>{message}</Message></Error>", self.code);
        let mut response = Response::new(Body::from(xml));
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
        response
    }
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::NotFound {
            return Self::new(404, "NoSuchKey", "there is no such object");
        }
        Self::new(500, DISK_ERROR, error.to_string())
    }
}

impl From<Unsigned> for Refusal {
    fn from(Unsigned { code, message }: Unsigned) -> Self {
        Self::new(403, code, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_temporary_folder_is_removed_with_the_last_clone() {
        let objects = Objects::temporary(&["a-bucket"]).unwrap();
        let dir = objects._temporary.as_ref().map(|dir| dir.path().to_owned()).unwrap();
        let clone = objects.clone();
        drop(objects);
        assert!(dir.join("a-bucket").is_dir());
        drop(clone);
        assert!(!dir.exists());
    }

    #[test]
    fn an_invalid_name_of_a_bucket_is_refused() {
        for name in ["", "ab", "Upper", "../up", "with/slash"] {
            let refused = Objects::temporary(&[name]).err().unwrap().to_string();
            assert_eq!(refused, format!("{name} cannot be the name of a bucket"));
        }
    }
}
