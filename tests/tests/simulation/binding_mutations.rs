//! Planted bugs of bindings.

use serde_json::{Value, json};

use crate::bindings::OTHER_AGENT;
use crate::world::AGENT;

/// Whether a write puts or deletes the active binding of a user.
fn is_of_user(write: &Value) -> bool {
    let key = if write["Put"].is_null() { &write["Delete"]["Key"] } else { &write["Put"]["Item"] };
    key["pk"]["S"].as_str().is_some_and(|pk| pk.starts_with("U#")) && key["sk"]["S"] == "B"
}

/// A revoked binding is deleted under its chat, and stays under its user.
pub fn revoke_keeps_users_binding(writes: &mut Vec<Value>) -> bool {
    let is_revoke = !writes.iter().any(|w| is_of_user(w) && w["Delete"].is_null());
    let before = writes.len();
    writes.retain(|w| !(is_revoke && is_of_user(w)));
    writes.len() < before
}

/// A user who is bound to another agent stays bound to the old one.
pub fn rebind_keeps_agent(writes: &mut [Value]) -> bool {
    let is_rebind = |w: &&mut Value| is_of_user(w) && w["Put"]["Item"]["ag"]["S"] == OTHER_AGENT;
    let Some(write) = writes.iter_mut().find(is_rebind) else { return false };
    let item = &mut write["Put"]["Item"];
    for name in ["ag", "cid"] {
        let old = item[name]["S"].as_str().unwrap_or_default().replace(OTHER_AGENT, AGENT);
        item[name] = json!({"S": old});
    }
    true
}

/// A binding replaces what it has not read.
pub fn bind_on_any_version(writes: &mut [Value]) -> bool {
    if !writes.iter().any(is_of_user) {
        return false;
    }
    for write in writes {
        for kind in ["Put", "Delete"] {
            let Some(write) = write[kind].as_object_mut() else { continue };
            for part in ["ConditionExpression", "ExpressionAttributeNames", "ExpressionAttributeValues"] {
                write.remove(part);
            }
        }
    }
    true
}
