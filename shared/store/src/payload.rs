//! The payload of a message as it is stored: JSON, compressed with deflate if plain JSON would make the
//! message's item larger than 1 KB. A Telegram update contains its text twice and many field names. Without
//! compression, an update with 300 bytes of text costs two more write units in every transaction on its
//! message.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use miniz_oxide::deflate::compress_to_vec;
use miniz_oxide::inflate::decompress_to_vec_with_limit;
use serde::{Deserialize, Serialize};

use af_domain::message::{MAX_PAYLOAD_BYTES, Payload};

use crate::Result;
use crate::item::{Reader, Value};

/// Largest payload that stays plain JSON. Together with the other attributes the item stays below 1 KB, so
/// compression would save nothing, and plain JSON is readable.
const MAX_PLAIN_BYTES: usize = 512;
/// The compression level, from 1 to 10. Payloads are small, and the usual default is fast.
const DEFLATE_LEVEL: u8 = 6;

/// An encoded payload.
#[derive(Debug, Clone)]
pub(crate) struct Encoded {
    /// The size of the payload as JSON.
    pub json_bytes: usize,
    /// The stored value: a string, or compressed bytes.
    pub value: Value,
}

/// The payload as it is stored.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct StoredPayload {
    provider: String,
    provider_user_id: String,
    message_text: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    external_message_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    raw_update_json: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    metadata: BTreeMap<String, String>,
}

pub(crate) fn encode(payload: &Payload) -> Encoded {
    let stored = StoredPayload {
        provider: payload.provider.clone(),
        provider_user_id: payload.provider_user_id.clone(),
        message_text: payload.message_text.clone(),
        external_message_id: payload.external_message_id.clone(),
        raw_update_json: payload.raw_update_json.clone(),
        metadata: payload.metadata.clone(),
    };
    let json = serde_json::to_string(&stored).expect("strings and maps of strings become JSON");
    let json_bytes = json.len();
    if json_bytes > MAX_PLAIN_BYTES {
        let deflated = compress_to_vec(json.as_bytes(), DEFLATE_LEVEL);
        if deflated.len() < json_bytes {
            return Encoded { json_bytes, value: Value(AttributeValue::B(Blob::new(deflated))) };
        }
    }
    Encoded { json_bytes, value: Value::from(json) }
}

pub(crate) fn decode(reader: &Reader<'_>, value: &AttributeValue) -> Result<Payload> {
    let inflated;
    let json = match value {
        AttributeValue::S(json) => json.as_bytes(),
        AttributeValue::B(deflated) => {
            inflated = decompress_to_vec_with_limit(deflated.as_ref(), MAX_PAYLOAD_BYTES)
                .map_err(|e| reader.malformed("pl", &e.to_string()))?;
            &inflated
        }
        _ => return Err(reader.malformed("pl", "neither a string nor binary")),
    };
    let stored: StoredPayload =
        serde_json::from_slice(json).map_err(|e| reader.malformed("pl", &e.to_string()))?;
    Ok(Payload {
        provider: stored.provider,
        provider_user_id: stored.provider_user_id,
        message_text: stored.message_text,
        external_message_id: stored.external_message_id,
        raw_update_json: stored.raw_update_json,
        metadata: stored.metadata,
        // Attachments change, so they are stored in the message's item.
        attachments: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(text: String) -> Payload {
        let raw = format!(r#"{{"update_id":1,"message":{{"text":"{text}"}}}}"#);
        Payload {
            provider: "telegram".into(),
            provider_user_id: "1".into(),
            message_text: text,
            external_message_id: Some("4711".into()),
            raw_update_json: Some(raw),
            metadata: BTreeMap::from([("providerUserId".into(), "1".into())]),
            attachments: Vec::new(),
        }
    }

    fn stored_and_read(payload: &Payload) -> (Encoded, Payload) {
        let encoded = encode(payload);
        let item = crate::item::Item::new();
        let read = decode(&Reader::of(&item), &encoded.value.0).unwrap();
        (encoded, read)
    }

    #[test]
    fn a_small_payload_stays_readable() {
        let small = payload("hello".into());
        let (encoded, read) = stored_and_read(&small);
        assert!(encoded.value.0.is_s());
        assert_eq!(read, small);
    }

    #[test]
    fn compression_removes_the_cost_of_a_repeated_text() {
        let text: String =
            (0..300).map(|i| char::from(b'a' + u8::try_from(i * i * 31 % 26).unwrap())).collect();
        let long = payload(text);
        let (encoded, read) = stored_and_read(&long);
        let deflated = encoded.value.0.as_b().unwrap().as_ref().len();
        assert!(encoded.json_bytes > 700 && deflated < 450, "{} bytes of {}", deflated, encoded.json_bytes);
        assert_eq!(read, long);
    }

    #[test]
    fn the_largest_payload_round_trips_and_a_larger_one_is_not_decompressed() {
        let largest = payload("ü".repeat(MAX_PAYLOAD_BYTES / 4 - 200));
        assert!(encode(&largest).json_bytes <= MAX_PAYLOAD_BYTES);
        assert_eq!(stored_and_read(&largest).1, largest);
        let bomb = compress_to_vec(&vec![b' '; MAX_PAYLOAD_BYTES + 1], DEFLATE_LEVEL);
        let item = crate::item::Item::new();
        assert!(decode(&Reader::of(&item), &AttributeValue::B(Blob::new(bomb))).is_err());
    }
}
