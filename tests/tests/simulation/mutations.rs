//! Deliberate bugs, put into the requests on their way to the table: what the code would send if it had them. The
//! simulation must notice each, or it would not notice the real ones.

use af_local::aws::{Fault, WireRequest};
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
}

impl Mutation {
    /// What becomes of `request` under this bug; `None` where it changes nothing.
    pub fn applied_to(self, request: &WireRequest) -> Option<Fault> {
        let mut body = request.body.clone();
        let changed = match self {
            Mutation::None => false,
            Mutation::CompleteWithoutLease => transaction(request, &mut body, complete_without_lease),
            Mutation::ExpiryCountsNothing => transaction(request, &mut body, expiry_counts_nothing),
            Mutation::NoDedupe => transaction(request, &mut body, no_dedupe),
            Mutation::ReadyKeyKept => transaction(request, &mut body, ready_key_kept),
            Mutation::HeartbeatExtendsAnyLease => {
                request.operation == "UpdateItem" && heartbeat_extends_any_lease(&mut body)
            }
        };
        changed.then_some(Fault::Rewrite(body))
    }
}

fn transaction(request: &WireRequest, body: &mut Value, change: fn(&mut [Value]) -> bool) -> bool {
    request.operation == "TransactWriteItems"
        && body["TransactItems"].as_array_mut().is_some_and(|writes| change(writes))
}

fn updates(write: &Value, what: &str) -> bool {
    write["Update"]["UpdateExpression"].as_str().is_some_and(|e| e.contains(what))
}

fn complete_without_lease(writes: &mut [Value]) -> bool {
    let outcome = &writes[0]["Update"]["ExpressionAttributeValues"][":set_la"]["M"]["o"]["S"];
    if outcome != "done" {
        return false;
    }
    let update = &mut writes[0]["Update"];
    update["ConditionExpression"] = json!("attribute_exists(#la) OR attribute_not_exists(#la)");
    for placeholder in [":lease", ":worker", ":message"] {
        update["ExpressionAttributeValues"].as_object_mut().map(|v| v.remove(placeholder));
    }
    // The names that only the condition used must go as well: the table refuses what it does not need.
    let expression = update["UpdateExpression"].as_str().unwrap_or_default().to_owned();
    if let Some(names) = update["ExpressionAttributeNames"].as_object_mut() {
        names.retain(|name, _| name == "#la" || uses(&expression, name));
    }
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

fn heartbeat_extends_any_lease(body: &mut Value) -> bool {
    let is_heartbeat = body["UpdateExpression"].as_str().is_some_and(|e| e.contains("#ls.#ex"));
    if !is_heartbeat {
        return false;
    }
    body["ConditionExpression"] = json!("attribute_exists(#ls)");
    for placeholder in [":lease", ":worker", ":message"] {
        body["ExpressionAttributeValues"].as_object_mut().map(|v| v.remove(placeholder));
    }
    let expression = format!("{} #ls", body["UpdateExpression"].as_str().unwrap_or_default());
    if let Some(names) = body["ExpressionAttributeNames"].as_object_mut() {
        names.retain(|name, _| uses(&expression, name));
    }
    true
}
