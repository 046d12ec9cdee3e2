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

/// A sender does not note that its part may be sent.
pub fn sending_not_noted(request: &WireRequest) -> Option<Value> {
    outbox_update(request, |update| {
        let expression = update["UpdateExpression"].as_str().unwrap_or_default();
        let without = expression.replace("#sd = :set_sd, ", "");
        if without == expression {
            return false;
        }
        update["UpdateExpression"] = json!(without);
        let same = update["ConditionExpression"].as_str().unwrap_or_default().to_owned();
        replace_condition(update, &same);
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
        let text = after.as_str().unwrap_or_default();
        let only = text.strip_suffix(r#","p":["u"]}"#).map(|rest| format!("{rest}}}"));
        let Some(without) = only.or_else(|| Some(format!("{}]}}", text.strip_suffix(r#","u"]}"#)?))) else {
            return false;
        };
        *after = json!(without);
        true
    })
}

/// A reply names no user, so it is sent whosever chat it is by then.
pub fn reply_without_user(writes: &mut [Value]) -> bool {
    let Some(write) = writes.iter_mut().find(|w| is_outbox(&w["Update"]["Key"])) else { return false };
    let entry = &mut write["Update"]["ExpressionAttributeValues"][":entry"]["L"][0]["S"];
    let text = entry.as_str().unwrap_or_default();
    let Some((before, user)) = text.split_once(r#""u":""#) else { return false };
    let Some((_, after)) = user.split_once(r#"","#) else { return false };
    *entry = json!(format!("{before}{after}"));
    true
}

/// The end of a delivery is not stored with its message.
pub fn end_of_delivery_forgotten(writes: &mut Vec<Value>) -> bool {
    let ends = is_outbox(&writes[0]["Delete"]["Key"]) || is_outbox(&writes[0]["Update"]["Key"]);
    let is_of_message =
        writes.len() == 2 && !writes[1]["Update"]["ExpressionAttributeValues"][":set_dl"].is_null();
    if ends && is_of_message {
        writes.truncate(1);
    }
    ends && is_of_message
}
