//! Signatures of requests: SigV4, in the `Authorization` header or in a presigned URL.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use af_runtime::clock::{Clock, SystemClock};
use aws_credential_types::Credentials;
use aws_sigv4::sign::v4::{calculate_signature, generate_signing_key};
use aws_smithy_types::date_time::{DateTime, Format};
use data_encoding::HEXLOWER;
use http::header::{AUTHORIZATION, HOST};
use http::request::Parts;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::REGION;

/// The start of the headers of AWS.
pub(super) const AMZ: &str = "x-amz-";
const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// The payload hash of a request whose body is not signed, such as one by a presigned URL.
pub(super) const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";
/// How far the date of a request may be from this machine's clock: the limit of S3.
const MAX_SKEW: Duration = Duration::from_secs(15 * 60);
/// The longest time that a presigned URL may work: the limit of S3.
const MAX_EXPIRY: Duration = Duration::from_secs(7 * 24 * 3600);

/// The bytes that SigV4 encodes in the values of a query.
pub(super) const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// The bytes that SigV4 encodes in a path.
const PATH: &AsciiSet = &QUERY.remove(b'/');

/// The signers whose requests are accepted.
pub(super) struct Signer<'a> {
    pub credentials: &'a Credentials,
    /// The names of the services in the scope of the credentials.
    pub services: &'a [&'static str],
}

/// The reason why a request is not accepted, with the code of S3.
pub(super) struct Unsigned {
    pub code: &'static str,
    pub message: String,
}

impl Unsigned {
    fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    fn denied(message: impl Into<String>) -> Self {
        Self::new("AccessDenied", message)
    }

    fn unknown_key() -> Self {
        Self::new("InvalidAccessKeyId", "the credential is not the one of this emulator")
    }
}

/// This machine's clock, because clients sign with it.
pub(super) fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(SystemClock.now().as_millis())
}

/// The parts of a signature, wherever they stand in the request.
struct Signature {
    credential: String,
    date: String,
    signed_headers: String,
    payload_hash: String,
    signature: String,
    /// How long the request may be sent after its date; `None` for a signature in the header.
    expires: Option<Duration>,
}

/// Checks only whether the request names the key id, for callers that have not read the body yet.
pub(super) fn check_key_id(request: &Parts, credentials: &Credentials) -> Result<(), Unsigned> {
    let signature = of_header(request, Some(String::new()));
    let signature = signature.ok_or_else(|| Unsigned::denied("the request is not signed"))?;
    let key_id = signature.credential.split('/').next();
    if key_id == Some(credentials.access_key_id()) { Ok(()) } else { Err(Unsigned::unknown_key()) }
}

/// Checks that the request is signed by `signer`, completely and not too long ago. `query` has the decoded parameters
/// of the URL, and `body_sha256` the hash of the body in hex if the caller knows it. Without it, the hash is the one of
/// the header, and the caller compares it with the body.
pub(super) fn verify(
    request: &Parts,
    query: &[(String, String)],
    now: SystemTime,
    signer: &Signer<'_>,
    body_sha256: Option<String>,
) -> Result<(), Unsigned> {
    let signature = match request.headers.get(AUTHORIZATION) {
        Some(_) => of_header(request, body_sha256),
        None => of_query(query),
    };
    let signature = signature.ok_or_else(|| Unsigned::denied("the request is not signed"))?;
    let signed_at = check_date(&signature, now)?;
    check_headers(request, &signature)?;

    let day = signature.date.get(..8).unwrap_or_default();
    let key_id = signer.credentials.access_key_id();
    let scope_of = |service: &str| format!("{day}/{REGION}/{service}/aws4_request");
    let mut services = signer.services.iter();
    let service = services.find(|service| signature.credential == format!("{key_id}/{}", scope_of(service)));
    let service = service.ok_or_else(Unsigned::unknown_key)?;
    let scope = scope_of(service);
    let canonical = HEXLOWER.encode(&Sha256::digest(canonical_request(request, query, &signature)));
    let to_sign = format!("{ALGORITHM}\n{}\n{scope}\n{canonical}", signature.date);
    let key = generate_signing_key(signer.credentials.secret_access_key(), signed_at, REGION, service);
    let expected = calculate_signature(key, to_sign.as_bytes());
    if bool::from(expected.as_bytes().ct_eq(signature.signature.as_bytes())) {
        Ok(())
    } else {
        Err(Unsigned::new("SignatureDoesNotMatch", "the signature belongs to another request"))
    }
}

fn of_header(request: &Parts, body_sha256: Option<String>) -> Option<Signature> {
    let text = |name: &str| Some(request.headers.get(name)?.to_str().ok()?.to_owned());
    let authorization = text(AUTHORIZATION.as_str())?;
    let fields = authorization.strip_prefix(ALGORITHM)?;
    let field = |name: &str| {
        let mut fields = fields.split(',').filter_map(|field| field.trim().split_once('='));
        fields.find(|(found, _)| *found == name).map(|(_, value)| value.to_owned())
    };
    Some(Signature {
        credential: field("Credential")?,
        date: text("x-amz-date")?,
        signed_headers: field("SignedHeaders")?,
        payload_hash: body_sha256.or_else(|| text("x-amz-content-sha256"))?,
        signature: field("Signature")?,
        expires: None,
    })
}

fn of_query(query: &[(String, String)]) -> Option<Signature> {
    let text = |name: &str| query.iter().find(|(found, _)| found == name).map(|(_, value)| value.clone());
    text("X-Amz-Algorithm").filter(|algorithm| algorithm == ALGORITHM)?;
    Some(Signature {
        credential: text("X-Amz-Credential")?,
        date: text("X-Amz-Date")?,
        signed_headers: text("X-Amz-SignedHeaders")?,
        payload_hash: UNSIGNED_PAYLOAD.to_owned(),
        signature: text("X-Amz-Signature")?,
        expires: Some(Duration::from_secs(text("X-Amz-Expires")?.parse().ok()?)),
    })
}

/// Checks the date of a request, such as `20260101T120000Z`, and returns it.
fn check_date(signature: &Signature, now: SystemTime) -> Result<SystemTime, Unsigned> {
    let date =
        read_date(&signature.date).ok_or_else(|| Unsigned::denied("the date is not an ISO 8601 date"))?;
    let is_early = date.duration_since(now).is_ok_and(|ahead| ahead > MAX_SKEW);
    let age = now.duration_since(date).unwrap_or_default();
    match signature.expires {
        None if is_early || age > MAX_SKEW => {
            let message = "the date of the request is too far from this machine's clock";
            Err(Unsigned::new("RequestTimeTooSkewed", message))
        }
        Some(_) if is_early => Err(Unsigned::denied("Request is not valid yet")),
        Some(expires) if age > expires => Err(Unsigned::denied("Request has expired")),
        Some(expires) if expires > MAX_EXPIRY => Err(Unsigned::denied("X-Amz-Expires is more than a week")),
        _ => Ok(date),
    }
}

fn read_date(date: &str) -> Option<SystemTime> {
    let part = |range: std::ops::Range<usize>| date.get(range);
    let (day, time) = (part(0..8)?, date.get(8..)?.strip_prefix('T')?);
    let day = format!("{}-{}-{}", day.get(..4)?, day.get(4..6)?, day.get(6..)?);
    let time = format!("{}:{}:{}", time.get(..2)?, time.get(2..4)?, time.get(4..)?);
    DateTime::from_str(&format!("{day}T{time}"), Format::DateTime).ok()?.try_into().ok()
}

/// The host and all headers of AWS must be signed. Otherwise the holder of a presigned URL could change what is stored
/// with an object.
fn check_headers(request: &Parts, signature: &Signature) -> Result<(), Unsigned> {
    let is_signed = |name: &str| signature.signed_headers.split(';').any(|signed| signed == name);
    let mut unsigned = request.headers.keys().filter(|name| name.as_str().starts_with(AMZ));
    match unsigned.find(|name| !is_signed(name.as_str())) {
        Some(name) => Err(Unsigned::denied(format!("the header {name} is not signed"))),
        None if !is_signed(HOST.as_str()) => Err(Unsigned::denied("the host is not signed")),
        None => Ok(()),
    }
}

fn canonical_request(request: &Parts, query: &[(String, String)], signature: &Signature) -> String {
    let encode = |text: &str| utf8_percent_encode(text, QUERY).to_string();
    let parameters = query.iter().filter(|(name, _)| name != "X-Amz-Signature");
    let mut parameters: Vec<_> =
        parameters.map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
    parameters.sort();
    let headers: String = signature
        .signed_headers
        .split(';')
        .map(|name| {
            let values = request.headers.get_all(name).iter();
            let values: Vec<_> = values.map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
            let values: Vec<_> = values.iter().map(|value| value.trim()).collect();
            format!("{name}:{}\n", values.join(","))
        })
        .collect();
    let path = percent_decode_str(request.uri.path()).decode_utf8_lossy();
    format!(
        "{}\n{}\n{}\n{headers}\n{}\n{}",
        request.method,
        utf8_percent_encode(&path, PATH),
        parameters.join("&"),
        signature.signed_headers,
        signature.payload_hash,
    )
}
