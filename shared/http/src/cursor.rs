//! Cursors that callers carry from page to page. They are signed, so that a page begins only where an earlier page
//! ended.

use std::fmt;

use af_domain::refusal::Refusal;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Bytes of signature in a cursor: 128 bits of HMAC-SHA256 cannot be guessed and keep cursors short.
const TAG_BYTES: usize = 16;

/// The longest cursor that is read, in characters. A cursor holds one or two table keys, a few hundred bytes.
const MAX_CURSOR_CHARS: usize = 4_096;

/// Separates these signatures from other uses of the same key material.
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

    /// The cursor of `position`. It is signed, not encrypted, so a position must hold no secret. A position begins with
    /// the name of its listing, so that a cursor of another listing is recognised.
    pub fn seal(&self, position: &str) -> String {
        let tag = self.mac(position.as_bytes()).finalize().into_bytes();
        let bytes: Vec<u8> = tag.iter().take(TAG_BYTES).copied().chain(position.bytes()).collect();
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The position of the cursor.
    ///
    /// # Errors
    /// `invalid_field` at `/cursor` when this key did not sign it.
    pub fn open(&self, cursor: &str) -> Result<String, Refusal> {
        self.read(cursor).ok_or_else(|| Refusal::field("/cursor", "cursor must be a nextCursor of this API"))
    }

    /// [`seal`](Self::seal) for a listing. Its name holds everything that decides what is listed.
    pub fn seal_in(&self, listing: &str, position: &str) -> String {
        self.seal(&format!("{}:{listing}{position}", listing.len()))
    }

    /// The position of a cursor of this listing.
    ///
    /// # Errors
    /// `invalid_field` at `/cursor` when it is invalid or belongs to another listing.
    pub fn open_in(&self, listing: &str, cursor: &str) -> Result<String, Refusal> {
        let said = self.open(cursor)?;
        let position = said.strip_prefix(&format!("{}:{listing}", listing.len()));
        let other =
            || Refusal::field("/cursor", "cursor is of another listing: ask for the same as it came with");
        position.map(str::to_owned).ok_or_else(other)
    }

    /// The position of a cursor of this listing, as `read` parses it. A refusal names the parameter at `pointer`.
    ///
    /// # Errors
    /// `invalid_field` at `pointer` when the cursor is invalid, belongs to another listing, or is of an earlier version of
    /// this program.
    pub fn open_at<T>(
        &self,
        pointer: &str,
        listing: &str,
        cursor: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, Refusal> {
        let position = self.open_in(listing, cursor);
        let position =
            position.map_err(|refusal| Refusal { pointer: Some(pointer.to_owned()), ..refusal })?;
        let name = pointer.trim_start_matches('/');
        let outdated = || Refusal::field(pointer, format!("{name} is out of date; begin again without one"));
        read(&position).ok_or_else(outdated)
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
