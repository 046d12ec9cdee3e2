//! Planted bugs. Each changes requests on their way to the table into the requests of code with this bug. The
//! simulation must notice each planted bug; otherwise it would miss real bugs of this kind.

use af_emulator_aws::WireRequest;
use serde_json::{Value, json};

use crate::costs::Operation;
use crate::world::AGENT;
use crate::{binding_mutations, outbox_mutations, people_mutations, push_mutations};

/// A planted bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// No bug.
    None,
    /// Complete does not require that its lease is in force.
    CompleteWithoutLease,
    /// A message whose lease expired is requeued without counting the attempt.
    ExpiryCountsNothing,
    /// A message is stored even when a message with its id exists.
    NoDedupe,
    /// A message that becomes the head of the queue does not change the ready key, and no call repairs the key.
    ReadyKeyKept,
    /// A heartbeat extends any stored lease.
    HeartbeatExtendsAnyLease,
    /// A heartbeat leaves the end of the lease unchanged.
    HeartbeatExtendsNothing,
    /// History is appended under any stored lease.
    AppendUnderAnyLease,
    /// A new message is put at the front of the queue.
    EnqueueInFront,
    /// A dead letter gets no mark.
    NoDeadLetterMark,
    /// A message is requeued into a queue that has changed since the read.
    RequeueOnAnyVersion,
    /// A worker claims a free conversation, but its row does not name the conversation.
    ClaimLeavesRowAlone,
    /// A message is completed although it was cancelled while it ran.
    CompleteThoughCancelled,
    /// A dead letter that is retried keeps its mark.
    RetryKeepsMark,
    /// A dead letter that is retried loses its first claim, so its history has its words twice.
    RetryForgetsFirstClaim,
    /// A conversation is freed, but its worker's row still names it.
    FreeLeavesRowAlone,
    /// A batch of the stream is counted at each delivery.
    CountEachTime,
    /// A revoked binding is deleted under its chat, and stays under its user.
    RevokeKeepsUsersBinding,
    /// A user who is bound to another agent stays bound to the old one.
    RebindKeepsAgent,
    /// A binding replaces what it has not read.
    BindOnAnyVersion,
    /// A claim takes every agent for enabled.
    AgentStateIgnored,
    /// A claim does not look whether its user is bound to another agent.
    BindingIgnored,
    /// A heartbeat does not end a run that has reached its limit.
    RunLimitIgnored,
    /// A sender does not note that its part may be sent.
    SendingNotNoted,
    /// What became of a part is not stored.
    PartForgotten,
    /// The part of a sender that died counts as not sent.
    InterruptedPartSentAgain,
    /// A reply names no user, so it is sent whosever chat it is by then.
    ReplyWithoutUser,
    /// The end of a delivery is not stored with its message.
    EndOfDeliveryForgotten,
    /// An edit leaves the text of its message unchanged.
    EditForgotten,
    /// A file of an album is not stored.
    FileOfAlbumForgotten,
    /// A command to stop leaves the messages that wait.
    StopForgetsQueue,
    /// A slot that was missed gets no record.
    MissedSlotForgotten,
    /// A dispatch does not look whether its slot was dispatched before.
    SlotDispatchedOnAnyVersion,
    /// A job that was dispatched waits for the same slot again.
    JobStandsStill,
    /// A target of a broadcast is counted, but gets no message.
    TargetForgotten,
    /// The cancellation of a broadcast is not stored.
    CancellationForgotten,
}

impl Mutation {
    /// The seed of a world that shows this bug. The tests try it first. When the world no longer shows the bug after a
    /// change of the use cases, its test names the seed that replaces it.
    pub const fn known_seed(self) -> u64 {
        match self {
            Mutation::EditForgotten | Mutation::PartForgotten | Mutation::ReplyWithoutUser => 1,
            Mutation::AgentStateIgnored | Mutation::CompleteWithoutLease | Mutation::TargetForgotten => 2,
            Mutation::AppendUnderAnyLease | Mutation::BindOnAnyVersion => 7,
            Mutation::RunLimitIgnored => 9,
            Mutation::HeartbeatExtendsAnyLease => 26,
            Mutation::CompleteThoughCancelled => 34,
            _ => 0,
        }
    }

    /// The body of `request` of an instance that runs `operation` under this bug; `None` where the bug changes nothing.
    pub fn applied_to(self, request: &WireRequest, operation: Option<Operation>) -> Option<Value> {
        let in_transaction: fn(&mut Vec<Value>) -> bool = match self {
            Mutation::None => return None,
            Mutation::HeartbeatExtendsAnyLease => return heartbeat(request, heartbeat_extends_any_lease),
            Mutation::HeartbeatExtendsNothing => return heartbeat(request, heartbeat_extends_nothing),
            Mutation::CountEachTime => return count_each_time(request),
            Mutation::AgentStateIgnored => return agent_state_ignored(request),
            Mutation::BindingIgnored => return binding_ignored(request, operation),
            Mutation::RunLimitIgnored => run_limit_ignored,
            Mutation::SendingNotNoted => return outbox_mutations::sending_not_noted(request),
            Mutation::PartForgotten => return outbox_mutations::part_forgotten(request),
            Mutation::InterruptedPartSentAgain => {
                return outbox_mutations::interrupted_part_sent_again(request);
            }
            Mutation::ReplyWithoutUser => |writes| outbox_mutations::reply_without_user(writes),
            Mutation::EndOfDeliveryForgotten => outbox_mutations::end_of_delivery_forgotten,
            Mutation::EditForgotten => |writes| people_mutations::edit_forgotten(writes),
            Mutation::FileOfAlbumForgotten => |writes| people_mutations::file_of_album_forgotten(writes),
            Mutation::StopForgetsQueue if operation != Some(Operation::Webhook) => return None,
            Mutation::StopForgetsQueue => people_mutations::stop_forgets_queue,
            Mutation::MissedSlotForgotten => push_mutations::missed_slot_forgotten,
            Mutation::SlotDispatchedOnAnyVersion => {
                |writes| push_mutations::slot_dispatched_on_any_version(writes)
            }
            Mutation::JobStandsStill => |writes| push_mutations::job_stands_still(writes),
            Mutation::TargetForgotten => push_mutations::target_forgotten,
            Mutation::CancellationForgotten => push_mutations::cancellation_forgotten,
            Mutation::RevokeKeepsUsersBinding => binding_mutations::revoke_keeps_users_binding,
            Mutation::RebindKeepsAgent => |writes| binding_mutations::rebind_keeps_agent(writes),
            Mutation::BindOnAnyVersion => |writes| binding_mutations::bind_on_any_version(writes),
            Mutation::CompleteWithoutLease => |writes| complete_without_lease(writes),
            Mutation::ExpiryCountsNothing => |writes| expiry_counts_nothing(writes),
            Mutation::NoDedupe => |writes| no_dedupe(writes),
            Mutation::ReadyKeyKept => |writes| ready_key_kept(writes),
            Mutation::AppendUnderAnyLease => |writes| append_under_any_lease(writes),
            Mutation::EnqueueInFront => |writes| enqueue_in_front(writes),
            Mutation::NoDeadLetterMark => no_dead_letter_mark,
            Mutation::RequeueOnAnyVersion => |writes| requeue_on_any_version(writes),
            Mutation::ClaimLeavesRowAlone => claim_leaves_row_alone,
            Mutation::CompleteThoughCancelled => |writes| complete_though_cancelled(writes),
            Mutation::RetryKeepsMark => retry_keeps_mark,
            Mutation::RetryForgetsFirstClaim => |writes| retry_forgets_first_claim(writes),
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

/// Replaces the condition of the update, and removes the names and values that are no longer used: the table refuses
/// unused names and values.
pub(crate) fn replace_condition(update: &mut Value, condition: &str) {
    let used = format!("{} {condition}", update["UpdateExpression"].as_str().unwrap_or_default());
    update["ConditionExpression"] = json!(condition);
    for (map, prefix) in [("ExpressionAttributeNames", '#'), ("ExpressionAttributeValues", ':')] {
        if let Some(map) = update[map].as_object_mut() {
            map.retain(|name, _| name.starts_with(prefix) && uses(&used, name));
        }
    }
}

fn updates(write: &Value, part: &str) -> bool {
    write["Update"]["UpdateExpression"].as_str().is_some_and(|e| e.contains(part))
}

fn complete_without_lease(writes: &mut [Value]) -> bool {
    let outcome = &writes[0]["Update"]["ExpressionAttributeValues"][":set_la"]["M"]["o"]["S"];
    if outcome != "done" {
        return false;
    }
    replace_condition(&mut writes[0]["Update"], "attribute_exists(#la) OR attribute_not_exists(#la)");
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
    replace_condition(update, "attribute_exists(#ls)");
}

fn heartbeat_extends_nothing(update: &mut Value) {
    let expression = update["UpdateExpression"].as_str().unwrap_or_default();
    update["UpdateExpression"] = json!(expression.replace("#ls.#ex = :set_ls_ex", "#ls.#ex = #ls.#ex"));
    let same = update["ConditionExpression"].as_str().unwrap_or_default().to_owned();
    replace_condition(update, &same);
}

fn append_under_any_lease(writes: &mut [Value]) -> bool {
    if !updates(&writes[0], "#ls.#h") {
        return false;
    }
    replace_condition(&mut writes[0]["Update"], "attribute_exists(#ls)");
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

fn requeue_on_any_version(writes: &mut [Value]) -> bool {
    if !updates(&writes[0], "#la = ") || !updates(&writes[0], "#pe = ") {
        return false;
    }
    replace_condition(&mut writes[0]["Update"], "#ls.#l = :lease");
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
    replace_condition(&mut writes[0]["Update"], "#ls.#l = :lease");
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

fn retry_forgets_first_claim(writes: &mut [Value]) -> bool {
    let status = |w: &&Value| w["Update"]["ExpressionAttributeValues"][":set_st"]["S"] == "queued";
    let Some(retried) = writes.iter().find(status) else { return false };
    let pk = retried["Update"]["Key"]["pk"]["S"].as_str().unwrap_or_default().to_owned();
    let entries = writes[0]["Update"]["ExpressionAttributeValues"][":set_pe"]["L"].as_array_mut();
    let Some(entry) = entries.and_then(|entries| entries.last_mut()) else { return false };
    let mut fields: Vec<&str> = entry["S"].as_str().unwrap_or_default().splitn(8, '|').collect();
    assert_eq!(Some(fields[7]), pk.strip_prefix("M#"), "a retried message is the last one of its queue");
    fields[6] = "0";
    *entry = json!({"S": fields.join("|")});
    true
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

/// The profile that claims know may be a copy, so its read is not strongly consistent. Other reads of it are.
fn agent_state_ignored(request: &WireRequest) -> Option<Value> {
    let key = &request.body["Key"];
    let is_copy = request.body["ConsistentRead"] != true && key["pk"]["S"] == "A" && key["sk"]["S"] == AGENT;
    if request.operation != "GetItem" || !is_copy {
        return None;
    }
    let mut body = request.body.clone();
    body["Key"]["sk"] = json!({"S": "running"});
    Some(body)
}

/// The read of the binding finds none. Other operations than a poll find it.
fn binding_ignored(request: &WireRequest, operation: Option<Operation>) -> Option<Value> {
    let is_binding = request.body["Key"]["pk"]["S"].as_str().is_some_and(|pk| pk.starts_with("U#"));
    if request.operation != "GetItem" || !is_binding || operation != Some(Operation::Poll) {
        return None;
    }
    let mut body = request.body.clone();
    body["Key"]["sk"] = json!({"S": "none"});
    Some(body)
}

/// The transaction writes an item that nothing reads.
fn run_limit_ignored(writes: &mut Vec<Value>) -> bool {
    let error =
        |w: &Value| w["Update"]["ExpressionAttributeValues"][":set_er"]["S"].as_str().map(str::to_owned);
    if !writes.iter().filter_map(error).any(|error| error.starts_with("run_timeout")) {
        return false;
    }
    write_nothing(writes);
    true
}

/// Replaces a transaction by one that writes an item that nothing reads.
pub(crate) fn write_nothing(writes: &mut Vec<Value>) {
    let kind = if writes[0]["Put"].is_null() { "Update" } else { "Put" };
    let table = writes[0][kind]["TableName"].clone();
    *writes = vec![json!({"Put": {"TableName": table, "Item": {"pk": {"S": "none"}, "sk": {"S": "none"}}}})];
}
