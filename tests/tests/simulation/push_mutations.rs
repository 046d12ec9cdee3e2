//! Planted bugs of push jobs and broadcasts.

use serde_json::{Value, json};

use crate::mutations::{replace_condition, write_nothing};

fn starts_with(key: &Value, prefix: &str) -> bool {
    key.as_str().is_some_and(|key| key.starts_with(prefix))
}

fn is_record(write: &Value) -> bool {
    starts_with(&write["Put"]["Item"]["pk"]["S"], "PD#")
}

/// A slot that was missed gets no record.
pub fn missed_slot_forgotten(writes: &mut Vec<Value>) -> bool {
    let before = writes.len();
    writes.retain(|w| !(is_record(w) && w["Put"]["Item"]["st"]["S"] == "skipped"));
    writes.len() < before
}

/// A dispatch replaces whatever is stored: the record, the message and the job.
pub fn slot_dispatched_on_any_version(writes: &mut [Value]) -> bool {
    if !writes.iter().any(|w| is_record(w) && starts_with(&w["Put"]["Item"]["rn"]["S"], "scheduled:")) {
        return false;
    }
    for write in writes {
        let is_message = starts_with(&write["Put"]["Item"]["pk"]["S"], "M#");
        if starts_with(&write["Update"]["Key"]["sk"]["S"], "J#") {
            replace_condition(&mut write["Update"], "attribute_exists(#v)");
        } else if (is_message || is_record(write))
            && let Some(put) = write["Put"].as_object_mut()
        {
            for part in ["ConditionExpression", "ExpressionAttributeNames", "ExpressionAttributeValues"] {
                put.remove(part);
            }
        }
    }
    true
}

/// A job that was dispatched waits for the same slot again.
pub fn job_stands_still(writes: &mut [Value]) -> bool {
    let is_dispatch =
        writes.iter().any(|w| is_record(w) && starts_with(&w["Put"]["Item"]["rn"]["S"], "scheduled:"));
    let Some(write) = writes.iter_mut().find(|w| starts_with(&w["Update"]["Key"]["sk"]["S"], "J#")) else {
        return false;
    };
    let update = &mut write["Update"];
    let expression = update["UpdateExpression"].as_str().unwrap_or_default();
    let kept = expression.replace("#nx = :set_nx", "#nx = #nx");
    if !is_dispatch || kept == expression {
        return false;
    }
    update["UpdateExpression"] = json!(kept);
    let same = update["ConditionExpression"].as_str().unwrap_or_default().to_owned();
    replace_condition(update, &same);
    true
}

/// A target of a broadcast is counted, but gets neither a record nor a message.
pub fn target_forgotten(writes: &mut Vec<Value>) -> bool {
    let is_target = |w: &Value| {
        is_record(w)
            && starts_with(&w["Put"]["Item"]["rn"]["S"], "broadcast:")
            && !w["Put"]["Item"]["u"].is_null()
    };
    let is_to_user = writes.iter().any(is_target);
    if is_to_user {
        write_nothing(writes);
    }
    is_to_user
}

/// The cancellation of a broadcast is not stored.
pub fn cancellation_forgotten(writes: &mut Vec<Value>) -> bool {
    let cancels = writes.iter().any(|w| {
        starts_with(&w["Update"]["Key"]["pk"]["S"], "BC#")
            && w["Update"]["ExpressionAttributeValues"][":set_st"]["S"] == "cancelled"
    });
    if cancels {
        write_nothing(writes);
    }
    cancels
}
