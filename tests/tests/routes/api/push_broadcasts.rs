//! Broadcasts, as an operator sees them.

use http::Method;
use serde_json::{Value, json};

use crate::api::World;

const BROADCASTS: &str = "/v1/broadcasts";

fn news() -> Value {
    json!({"title": "News", "text": "We have moved.", "requestedBy": "marketing"})
}

async fn dispatch(world: &World) -> Value {
    world.api.call(Method::POST, "/v1/push-jobs/dispatch").send().await.body_of(200)
}

#[tokio::test]
async fn a_broadcast_is_accepted_at_once_and_ends_with_one_dispatch_for_each_target() {
    let world = World::new().await;
    world.bind("ann", "support").await;
    world.bind("bob", "support").await;
    world.agent("alone").await;
    let sent = world.api.post(BROADCASTS, news()).send().await.body_of(202);
    assert_eq!((&sent["status"], &sent["totalTargets"]), (&json!("running"), &json!(0)));
    assert_eq!((&sent["requestedBy"], &sent["companyId"]), (&json!("marketing"), &json!("default")));
    let path = format!("{BROADCASTS}/{}", sent["broadcastId"].as_str().unwrap());
    assert_eq!(dispatch(&world).await["targets"], 3);
    let done = world.api.get(&path).send().await.body_of(200);
    assert_eq!(
        (&done["status"], &done["totalTargets"], &done["enqueuedCount"], &done["failedCount"]),
        (&json!("done"), &json!(3), &json!(3), &json!(0))
    );
    assert!(done["completedAt"].is_u64());
    assert_eq!(world.api.get(BROADCASTS).send().await.body_of(200), json!({"items": [done]}));
    let query = format!("{path}/dispatches");
    let records = world.api.get(&query).send().await.body_of(200);
    assert_eq!(records["items"].as_array().unwrap().len(), 3);
    let anns = world.api.get("/v1/users/ann/agents/support/push-dispatches").send().await.body_of(200);
    assert_eq!(anns["items"][0]["broadcastId"], sent["broadcastId"]);
    let message = world.message(&anns["items"][0]["enqueuedMessageId"]).await;
    assert_eq!(message["payload"]["messageText"], "News\n\nWe have moved.");
    assert_eq!(message["conversationId"], "user-agent:support:ann");
    let alone = world.api.get("/v1/push-dispatches?agentKey=alone").send().await.body_of(200);
    let message = world.message(&alone["items"][0]["enqueuedMessageId"]).await;
    assert_eq!(message["conversationId"], "broadcast:agent:alone");
    assert_eq!(dispatch(&world).await["targets"], 0, "it is sent once");

    let cancel = world.api.call(Method::POST, &format!("{path}/cancel"));
    assert_eq!(world.refused(cancel).await.problem(), (409, "conflict"));
}

#[tokio::test]
async fn a_cancelled_broadcast_sends_nothing_more() {
    let world = World::new().await;
    let sent = world.api.post(BROADCASTS, news()).send().await.body_of(202);
    let path = format!("{BROADCASTS}/{}/cancel", sent["broadcastId"].as_str().unwrap());
    let cancelled = world.api.call(Method::POST, &path).send().await.body_of(200);
    assert_eq!(cancelled["status"], "cancelled");
    assert_eq!(world.api.call(Method::POST, &path).send().await.body_of(200), cancelled, "a repetition");
    assert_eq!(dispatch(&world).await["targets"], 0);
    let unknown = format!("{BROADCASTS}/01KE3N4AZ0000000000000000A");
    assert_eq!(world.api.get(&unknown).send().await.problem(), (404, "not_found"));
    let unknown = world.api.call(Method::POST, &format!("{unknown}/cancel"));
    assert_eq!(unknown.send().await.problem(), (404, "not_found"));
}

#[tokio::test]
async fn a_repeated_broadcast_is_one_and_an_invalid_one_is_refused() {
    let world = World::new().await;
    let keyed = |body: Value| world.api.post(BROADCASTS, body).header("idempotency-key", "k");
    let first = keyed(news()).send().await.body_of(202);
    assert_eq!(keyed(news()).send().await.body_of(202), first);
    for (change, pointer) in [
        (json!({"title": " "}), "/title"),
        (json!({"text": ""}), "/text"),
        (json!({"requestedBy": " "}), "/requestedBy"),
        (json!({"companyId": "a b"}), "/companyId"),
        (json!({"colour": 1}), "/colour"),
    ] {
        let mut body = news();
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let answer = world.refused(world.api.post(BROADCASTS, body)).await;
        assert_eq!((answer.problem(), answer.pointer()), ((422, "invalid_field"), pointer), "{change}");
    }
    let mut other = news();
    other["title"] = json!("Other");
    assert_eq!(world.refused(keyed(other)).await.problem(), (422, "idempotency_mismatch"));
}
