//! Planted bugs of edits, albums and commands to stop.

use serde_json::{Value, json};

use crate::mutations::{replace_condition, write_nothing};

/// The field of the message that an edit or a file of an album changes keeps its value.
fn field_kept(writes: &mut [Value], name: &str) -> bool {
    let is_message =
        |w: &&mut Value| w["Update"]["Key"]["pk"]["S"].as_str().is_some_and(|pk| pk.starts_with("M#"));
    let Some(write) = writes.iter_mut().find(is_message) else { return false };
    let update = &mut write["Update"];
    let expression = update["UpdateExpression"].as_str().unwrap_or_default();
    let kept = expression.replace(&format!("#{name} = :set_{name}"), &format!("#{name} = #{name}"));
    let is_revision = expression.contains(":set_pl") && kept != expression;
    if is_revision {
        update["UpdateExpression"] = json!(kept);
        let same = update["ConditionExpression"].as_str().unwrap_or_default().to_owned();
        replace_condition(update, &same);
    }
    is_revision
}

/// An edit leaves the text of its message unchanged.
pub fn edit_forgotten(writes: &mut [Value]) -> bool {
    field_kept(writes, "pl")
}

/// A file of an album is not stored.
pub fn file_of_album_forgotten(writes: &mut [Value]) -> bool {
    field_kept(writes, "fi")
}

/// A command to stop leaves the messages that wait.
pub fn stop_forgets_queue(writes: &mut Vec<Value>) -> bool {
    let status = |w: &Value| w["Update"]["ExpressionAttributeValues"][":set_st"]["S"] == "cancelled";
    let cancels = writes.iter().any(status);
    if cancels {
        write_nothing(writes);
    }
    cancels
}
