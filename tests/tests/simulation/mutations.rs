//! Deliberate bugs, put into the requests on their way to the table: what the code would send if it had them. The
//! simulation must notice each, or it would not notice the real ones.

use af_emulator_aws::WireRequest;
use serde_json::{Value, json};

/// A deliberate bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// None.
    None,
    /// Complete does not require that its lease is in force.
    CompleteWithoutLease,
    /// A message that comes back from an expired lease has its attempt uncounted.
    ExpiryCountsNothing,
    /// A message is put whether or not one with its id is there.
    NoDedupe,
    /// A message that is enqueued before all that waits does not change its conversation's ready key, and nobody
    /// repairs it.
    ReadyKeyKept,
    /// A heartbeat extends whatever lease is there.
    HeartbeatExtendsAnyLease,
    /// A heartbeat leaves the lease's end where it was.
    HeartbeatExtendsNothing,
    /// History is appended whoever holds the lease by now.
    AppendUnderAnyLease,
    /// A new message is put before all that waits.
    EnqueueInFront,
    /// A dead letter gets no mark.
    NoDeadLetterMark,
    /// A message is given back to a queue that has changed since it was read.
    GiveBackOnAnyVersion,
    /// A worker claims a free conversation and does not note it in its row.
    ClaimLeavesRowAlone,
    /// A message that was cancelled while it ran is completed all the same.
    CompleteThoughCancelled,
    /// A dead letter that is retried keeps its mark.
    RetryKeepsMark,
    /// A conversation is freed and stays in its worker's row.
    FreeLeavesRowAlone,
    /// A batch of the stream counts whenever it comes.
    CountEachTime,
}

impl Mutation {
    /// The seed of a world that notices this bug. The tests try it first; where a change of the use cases has made it
    /// useless, they print the seed that took its place.
    pub fn known_seed(self) -> u64 {
        match self {
            Mutation::None
            | Mutation::CompleteWithoutLease
            | Mutation::ExpiryCountsNothing
            | Mutation::NoDedupe
            | Mutation::ReadyKeyKept
            | Mutation::HeartbeatExtendsAnyLease
            | Mutation::HeartbeatExtendsNothing
            | Mutation::AppendUnderAnyLease
            | Mutation::EnqueueInFront
            | Mutation::NoDeadLetterMark
            | Mutation::GiveBackOnAnyVersion
            | Mutation::ClaimLeavesRowAlone
            | Mutation::CompleteThoughCancelled
            | Mutation::RetryKeepsMark
            | Mutation::FreeLeavesRowAlone
            | Mutation::CountEachTime => 0,
        }
    }

    /// What becomes of `request` under this bug; `None` where it changes nothing.
    pub fn applied_to(self, request: &WireRequest) -> Option<Value> {
        let in_transaction: fn(&mut Vec<Value>) -> bool = match self {
            Mutation::None => return None,
            Mutation::HeartbeatExtendsAnyLease => return heartbeat(request, heartbeat_extends_any_lease),
            Mutation::HeartbeatExtendsNothing => return heartbeat(request, heartbeat_extends_nothing),
            Mutation::CountEachTime => return count_each_time(request),
            Mutation::CompleteWithoutLease => |writes| complete_without_lease(writes),
            Mutation::ExpiryCountsNothing => |writes| expiry_counts_nothing(writes),
            Mutation::NoDedupe => |writes| no_dedupe(writes),
            Mutation::ReadyKeyKept => |writes| ready_key_kept(writes),
            Mutation::AppendUnderAnyLease => |writes| append_under_any_lease(writes),
            Mutation::EnqueueInFront => |writes| enqueue_in_front(writes),
            Mutation::NoDeadLetterMark => no_dead_letter_mark,
            Mutation::GiveBackOnAnyVersion => |writes| give_back_on_any_version(writes),
            Mutation::ClaimLeavesRowAlone => claim_leaves_row_alone,
            Mutation::CompleteThoughCancelled => |writes| complete_though_cancelled(writes),
            Mutation::RetryKeepsMark => retry_keeps_mark,
            Mutation::FreeLeavesRowAlone => free_leaves_row_alone,
        };
        if request.operation != "TransactWriteItems" {
            return None;
        }
        let mut body = request.body.clone();
        in_transaction(body["TransactItems"].as_array_mut()?).then_some(body)
    }
}

fn heartbeat(request: &WireRequest, change: fn(&mut Value)) -> Option<Value> {
    let is_heartbeat = request.body["UpdateExpression"].as_str().is_some_and(|e| e.contains("#ls.#ex"));
    if request.operation != "UpdateItem" || !is_heartbeat {
        return None;
    }
    let mut body = request.body.clone();
    change(&mut body);
    Some(body)
}

/// Puts `condition` in the place of the update's own, and takes away the names and values that nothing uses any
/// more: the table refuses what it does not need.
fn condition(update: &mut Value, condition: &str) {
    let used = format!("{} {condition}", update["UpdateExpression"].as_str().unwrap_or_default());
    update["ConditionExpression"] = json!(condition);
    for (map, prefix) in [("ExpressionAttributeNames", '#'), ("ExpressionAttributeValues", ':')] {
        if let Some(map) = update[map].as_object_mut() {
            map.retain(|name, _| name.starts_with(prefix) && uses(&used, name));
        }
    }
}

fn updates(write: &Value, what: &str) -> bool {
    write["Update"]["UpdateExpression"].as_str().is_some_and(|e| e.contains(what))
}

fn complete_without_lease(writes: &mut [Value]) -> bool {
    let outcome = &writes[0]["Update"]["ExpressionAttributeValues"][":set_la"]["M"]["o"]["S"];
    if outcome != "done" {
        return false;
    }
    condition(&mut writes[0]["Update"], "attribute_exists(#la) OR attribute_not_exists(#la)");
    true
}

fn uses(expression: &str, name: &str) -> bool {
    expression
        .match_indices(name)
        .any(|(at, _)| !expression[at + name.len()..].starts_with(|c: char| c.is_ascii_alphanumeric()))
}

fn expiry_counts_nothing(writes: &mut [Value]) -> bool {
    let recovered = &writes[0]["Update"]["ExpressionAttributeValues"][":set_la"]["M"]["rc"]["BOOL"];
    if recovered != true {
        return false;
    }
    let entries = &mut writes[0]["Update"]["ExpressionAttributeValues"][":set_pe"]["L"];
    let Some(front) = entries.get_mut(0) else { return false };
    let mut fields: Vec<String> =
        front["S"].as_str().unwrap_or_default().splitn(8, '|').map(str::to_owned).collect();
    let attempts: u32 = fields[3].parse().unwrap_or_default();
    fields[3] = attempts.saturating_sub(1).to_string();
    *front = json!({"S": fields.join("|")});
    true
}

fn no_dedupe(writes: &mut [Value]) -> bool {
    let put = &mut writes[0]["Put"];
    if !put["Item"]["pk"]["S"].as_str().is_some_and(|pk| pk.starts_with("M#")) {
        return false;
    }
    put.as_object_mut().is_some_and(|put| {
        put.remove("ExpressionAttributeNames");
        put.remove("ConditionExpression").is_some()
    })
}

fn ready_key_kept(writes: &mut [Value]) -> bool {
    let Some(write) = writes.iter_mut().find(|w| updates(w, "#rk = :ready")) else { return false };
    let update = &mut write["Update"];
    let expression = update["UpdateExpression"].as_str().unwrap_or_default();
    update["UpdateExpression"] = json!(expression.replace("#rk = :ready", "#rk = #rk"));
    true
}

fn heartbeat_extends_any_lease(update: &mut Value) {
    condition(update, "attribute_exists(#ls)");
}

fn heartbeat_extends_nothing(update: &mut Value) {
    let expression = update["UpdateExpression"].as_str().unwrap_or_default();
    update["UpdateExpression"] = json!(expression.replace("#ls.#ex = :set_ls_ex", "#ls.#ex = #ls.#ex"));
    let same = update["ConditionExpression"].as_str().unwrap_or_default().to_owned();
    condition(update, &same);
}

fn append_under_any_lease(writes: &mut [Value]) -> bool {
    if !updates(&writes[0], "#ls.#h") {
        return false;
    }
    condition(&mut writes[0]["Update"], "attribute_exists(#ls)");
    true
}

fn enqueue_in_front(writes: &mut [Value]) -> bool {
    let Some(write) = writes.iter_mut().find(|w| updates(w, "list_append(#pe, :entry)")) else {
        return false;
    };
    let update = &mut write["Update"];
    let expression = update["UpdateExpression"].as_str().unwrap_or_default();
    let in_front = expression.replace("list_append(#pe, :entry)", "list_append(:entry, #pe)");
    update["UpdateExpression"] = json!(in_front);
    true
}

fn no_dead_letter_mark(writes: &mut Vec<Value>) -> bool {
    let before = writes.len();
    writes.retain(|w| !w["Put"]["Item"]["pk"]["S"].as_str().is_some_and(|pk| pk.starts_with("DL#")));
    writes.len() < before
}

fn give_back_on_any_version(writes: &mut [Value]) -> bool {
    if !updates(&writes[0], "#la = ") || !updates(&writes[0], "#pe = ") {
        return false;
    }
    condition(&mut writes[0]["Update"], "#ls.#l = :lease");
    true
}

fn claim_leaves_row_alone(writes: &mut Vec<Value>) -> bool {
    let is_claim = updates(&writes[0], "#ls = ") && writes.len() == 2;
    writes.truncate(if is_claim { 1 } else { writes.len() });
    is_claim
}

fn complete_though_cancelled(writes: &mut [Value]) -> bool {
    let outcome = &writes[0]["Update"]["ExpressionAttributeValues"][":set_la"]["M"]["o"]["S"];
    if outcome != "done" {
        return false;
    }
    condition(&mut writes[0]["Update"], "#ls.#l = :lease");
    true
}

fn retry_keeps_mark(writes: &mut Vec<Value>) -> bool {
    let status = |w: &Value| w["Update"]["ExpressionAttributeValues"][":set_st"]["S"] == "queued";
    let is_retry = writes.iter().any(status);
    let before = writes.len();
    let is_mark = |w: &Value| w["Delete"]["Key"]["pk"]["S"].as_str().is_some_and(|pk| pk.starts_with("DL#"));
    writes.retain(|w| !(is_retry && is_mark(w)));
    writes.len() < before
}

fn free_leaves_row_alone(writes: &mut Vec<Value>) -> bool {
    let expression = writes[0]["Update"]["UpdateExpression"].as_str().unwrap_or_default();
    let removed = expression.split("REMOVE ").nth(1).unwrap_or_default();
    let is_free = ["#ls", "#ow"].iter().all(|name| removed.split(", ").any(|r| r == *name));
    let before = writes.len();
    writes.retain(|w| !(is_free && w["Update"]["Key"]["pk"]["S"] == "W"));
    writes.len() < before
}

fn count_each_time(request: &WireRequest) -> Option<Value> {
    let of = &request.body["TransactItems"][0]["Update"]["Key"]["pk"]["S"];
    if of != "CNT" {
        return None;
    }
    let mut body = request.body.clone();
    body.as_object_mut()?.remove("ClientRequestToken")?;
    Some(body)
}
