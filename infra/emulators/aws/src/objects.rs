//! The embedded S3: `s3s` parses requests and checks their signatures; `s3s-fs` stores a bucket as a folder and an
//! object as a file in it.
//!
//! The template declares the buckets. A request for another bucket is refused, and so is the creation or deletion of
//! a bucket. A bucket that the template no longer declares is not accessible, but its folder stays.
//!
//! A request must be signed with [`ACCESS_KEY_ID`] (SigV4, by header or presigned URL). **Signatures expire by the
//! machine's clock**, because `s3s` uses no other. A move of the virtual clock expires no presigned URL, and a URL
//! that was signed by a virtual clock more than 15 minutes ahead is refused. Sign with the SDK's own time.
//!
//! Bodies are streamed in both directions, so that only the disk limits the size of an object. `s3s-fs` differs from
//! S3 in these points:
//!
//! - A key cannot be both an object and the prefix of others (`a` and `a/b`), and is shorter: [`key_fits`].
//! - A body that contradicts its checksum is refused (400), but is already stored in the object, with the attributes
//!   and checksums of the previous object, or none.
//! - `If-None-Match` and `If-Match` are checked before the write, not atomically with it.
//! - Lifecycle rules, versions, tags, encryption and policies have no effect or are not implemented.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, ensure};
use async_trait::async_trait;
use http::header::HOST;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::SimpleAuth;
use s3s::path::check_bucket_name;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{Body, S3Error, S3Result, s3_error};
use s3s_fs::FileSystem;
use tempfile::TempDir;

use super::{ACCESS_KEY_ID, SECRET_ACCESS_KEY, empty};

/// The longest name of a file on the supported systems.
const MAX_FILE_NAME_BYTES: usize = 255;

/// An embedded S3. Clones share the same objects.
#[derive(Clone)]
pub struct Objects {
    service: S3Service,
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
        let create = |dir: &Path| {
            std::fs::create_dir_all(dir)
                .with_context(|| format!("cannot create the folder {}", dir.display()))
        };
        for bucket in buckets {
            ensure!(check_bucket_name(bucket), "{bucket} cannot be the name of a bucket");
            create(&dir.join(bucket))?;
        }
        create(dir)?;
        let files = FileSystem::new(dir).map_err(S3Error::from);
        let files = files.with_context(|| format!("cannot store objects in {}", dir.display()))?;
        let mut builder = S3ServiceBuilder::new(files);
        builder.set_auth(SimpleAuth::from_single(ACCESS_KEY_ID, SECRET_ACCESS_KEY));
        builder.set_access(DeclaredBuckets(buckets.iter().map(|&bucket| bucket.to_owned()).collect()));
        Ok(Self { service: builder.build(), _temporary: None })
    }

    /// Answers one request as S3 does, path-style.
    pub(super) async fn call(&self, mut request: Request<Body>) -> Response<Body> {
        name_host(&mut request);
        // A response to HEAD has no body. In process, no server removes it.
        let has_body = request.method() != Method::HEAD;
        match self.service.call(request).await {
            Ok(response) if has_body => response,
            Ok(response) => response.map(|_| Body::empty()),
            Err(error) => {
                tracing::error!(?error, "a request for objects could not be answered");
                empty(StatusCode::INTERNAL_SERVER_ERROR)
            }
        }
    }
}

/// The host is part of the signature, but without a connection no client sets its header.
fn name_host(request: &mut Request<Body>) {
    let authority = request.uri().authority().map(|authority| HeaderValue::from_str(authority.as_str()));
    if let Some(Ok(host)) = authority {
        request.headers_mut().entry(HOST).or_insert(host);
    }
}

/// Accepts only signed requests for buckets of the template. `s3s-fs` itself would create a missing bucket when an
/// object is put.
struct DeclaredBuckets(BTreeSet<String>);

#[async_trait]
impl S3Access for DeclaredBuckets {
    async fn check(&self, context: &mut S3AccessContext<'_>) -> S3Result<()> {
        if context.credentials().is_none() {
            return Err(s3_error!(AccessDenied, "the request is not signed"));
        }
        if matches!(context.s3_op().name(), "CreateBucket" | "DeleteBucket") {
            return Err(s3_error!(AccessDenied, "the template declares the buckets"));
        }
        let Some(bucket) = context.s3_path().get_bucket_name() else { return Ok(()) };
        if !self.0.contains(bucket) {
            return Err(s3_error!(NoSuchBucket, "the template declares no such bucket"));
        }
        if context.s3_path().get_object_key().is_some_and(|key| !key_fits(bucket, key)) {
            return Err(s3_error!(KeyTooLongError, "the key is too long for this machine's file names"));
        }
        Ok(())
    }
}

/// Whether `s3s-fs` can store this key. It stores the attributes of an object in files beside the buckets, and the
/// names of these files contain bucket and key in Base64. So a key can have about 150 bytes, and about 115 in a
/// multipart upload.
fn key_fits(bucket: &str, key: &str) -> bool {
    const AROUND_BYTES: usize = ".bucket-.object-.metadata.json".len();
    let in_base64 = |name: &str| (name.len() * 4).div_ceil(3);
    AROUND_BYTES + in_base64(bucket) + in_base64(key) <= MAX_FILE_NAME_BYTES
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
