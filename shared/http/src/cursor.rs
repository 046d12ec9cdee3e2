//! Cursors that callers carry from page to page: signed, so that a page begins only where one of ours ended.

use std::fmt;

use af_domain::refusal::Refusal;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Bytes of signature in a cursor: 128 bits of HMAC-SHA256 cannot be guessed and keep cursors short.
const TAG_BYTES: usize = 16;

/// The longest cursor that is looked at, in characters. Ours hold a table key or two, some hundred bytes.
const MAX_CURSOR_CHARS: usize = 4_096;

/// Keeps these signatures apart from others that the same key material may make.
const PURPOSE: &[u8] = b"agent-factory cursor 1\0";

/// The key that cursors are signed with.
#[derive(Clone)]
pub struct CursorKey(Hmac<Sha256>);

impl CursorKey {
    /// Signs with `key`, of any length (32 random bytes are best).
    pub fn new(key: &[u8]) -> Self {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of every length");
        mac.update(PURPOSE);
        Self(mac)
    }

    /// The cursor that says `position`. It is signed, not hidden: no secrets in it. A position should begin with
    /// the name of its listing, so that another listing's cursor is recognised.
    pub fn seal(&self, position: &str) -> String {
        let tag = self.mac(position.as_bytes()).finalize().into_bytes();
        let bytes: Vec<u8> = tag.iter().take(TAG_BYTES).copied().chain(position.bytes()).collect();
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// What the cursor says.
    ///
    /// # Errors
    /// `invalid_field` at `/cursor` when it is not one that this key sealed.
    pub fn open(&self, cursor: &str) -> Result<String, Refusal> {
        self.read(cursor)
            .ok_or_else(|| Refusal::field("/cursor", "cursor must be a nextCursor that this API answered"))
    }

    /// [`seal`](Self::seal) for a listing: everything that decides what is listed, in words of the caller's choice.
    pub fn seal_in(&self, listing: &str, position: &str) -> String {
        self.seal(&format!("{}:{listing}{position}", listing.len()))
    }

    /// What a cursor of this very listing says.
    ///
    /// # Errors
    /// `invalid_field` at `/cursor` when it is not one, or is of another listing.
    pub fn open_in(&self, listing: &str, cursor: &str) -> Result<String, Refusal> {
        let said = self.open(cursor)?;
        let position = said.strip_prefix(&format!("{}:{listing}", listing.len()));
        let other =
            || Refusal::field("/cursor", "cursor is of another listing: ask for the same as it came with");
        position.map(str::to_owned).ok_or_else(other)
    }

    fn read(&self, cursor: &str) -> Option<String> {
        if cursor.len() > MAX_CURSOR_CHARS {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let (tag, position) = bytes.split_at_checked(TAG_BYTES)?;
        self.mac(position).verify_truncated_left(tag).ok()?; // In constant time.
        String::from_utf8(position.to_vec()).ok()
    }

    fn mac(&self, position: &[u8]) -> Hmac<Sha256> {
        self.0.clone().chain_update(position)
    }
}

impl fmt::Debug for CursorKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CursorKey(..)")
    }
}
