//! Planted bugs of deliveries.

use af_emulator_aws::WireRequest;
use serde_json::{Value, json};

use crate::mutations::replace_condition;

/// Whether `key` is that of an outbox.
fn is_outbox(key: &Value) -> bool {
    key["pk"]["S"].as_str().is_some_and(|pk| pk.starts_with("O#"))
}

/// The update of an outbox in `request`, changed by `change`.
fn outbox_update(request: &WireRequest, change: fn(&mut Value) -> bool) -> Option<Value> {
    if request.operation != "UpdateItem" || !is_outbox(&request.body["Key"]) {
        return None;
    }
    let mut body = request.body.clone();
    change(&mut body).then_some(body)
}

/// A sender notes its part although another sender is at work.
pub fn send_beside_another(request: &WireRequest) -> Option<Value> {
    outbox_update(request, |update| {
        if update["ExpressionAttributeValues"][":set_sd"].is_null() {
            return false;
        }
        replace_condition(update, "attribute_exists(#q)");
        true
    })
}

/// What became of a part is not stored.
pub fn part_forgotten(request: &WireRequest) -> Option<Value> {
    outbox_update(request, |update| {
        let values = &mut update["ExpressionAttributeValues"];
        if values[":after"].is_null() {
            return false;
        }
        values[":after"] = values[":head"].clone();
        true
    })
}

/// The part of a sender that died counts as not sent.
pub fn interrupted_part_sent_again(request: &WireRequest) -> Option<Value> {
    outbox_update(request, |update| {
        let after = &mut update["ExpressionAttributeValues"][":after"]["S"];
        let Some(text) = after.as_str() else { return false };
        let Ok(mut entry) = serde_json::from_str::<Value>(text) else { return false };
        let Some(parts) = entry["p"].as_array_mut() else { return false };
        if parts.last() != Some(&json!("u")) {
            return false;
        }
        parts.pop();
        *after = json!(entry.to_string());
        true
    })
}

/// A reply names no user, so it is sent whosever chat it is by then.
pub fn reply_without_user(writes: &mut [Value]) -> bool {
    let Some(write) = writes.iter_mut().find(|w| is_outbox(&w["Update"]["Key"])) else { return false };
    let entry = &mut write["Update"]["ExpressionAttributeValues"][":entry"]["L"][0]["S"];
    let Some(text) = entry.as_str() else { return false };
    let Ok(mut stored) = serde_json::from_str::<Value>(text) else { return false };
    let removed = stored.as_object_mut().and_then(|stored| stored.remove("u")).is_some();
    *entry = json!(stored.to_string());
    removed
}

/// The end of a delivery deletes the outbox although more waits there.
pub fn outbox_deleted_too_early(writes: &mut [Value]) -> bool {
    let Some(write) = writes.iter_mut().find(|w| is_outbox(&w["Delete"]["Key"])) else { return false };
    let delete = &mut write["Delete"];
    replace_condition(delete, "attribute_exists(#q)");
    if let Some(delete) = delete.as_object_mut() {
        delete.remove("ExpressionAttributeValues");
    }
    true
}
