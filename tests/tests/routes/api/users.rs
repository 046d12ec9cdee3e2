use serde_json::json;

use crate::api::World;

#[tokio::test]
async fn a_binding_is_created_shown_and_deleted() {
    let world = World::new().await;
    let path = "/v1/users/ann%20b/binding";
    assert_eq!(world.api.get(path).send().await.problem(), (404, "not_found"));
    let made =
        world.api.put(path, json!({"agentKey": "support", "source": "manual"})).send().await.body_of(200);
    let expected = json!({
        "consumerUserId": "ann b", "agentKey": "support", "conversationId": "user-agent:support:ann b",
        "status": "active", "source": "manual", "boundAt": af_tests::bundle::START.as_millis(),
    });
    assert_eq!(made, expected);
    assert_eq!(world.api.get(path).send().await.body_of(200), expected);
    world.api.delete(path).send().await.body_of(204);
    assert_eq!(world.api.get(path).send().await.problem(), (404, "not_found"));
    assert_eq!(world.api.delete(path).send().await.problem(), (404, "not_found"));
}

#[tokio::test]
async fn every_binding_of_a_user_is_listed_with_its_end() {
    let world = World::new().await;
    world.agent("sales").await;
    let start = af_tests::bundle::START.as_millis();
    let tick = || world.bundle.clock.advance(af_domain::time::Millis::new(1));
    world.bind("ann", "support").await;
    tick();
    world.bind("ann", "sales").await;
    tick();
    world.api.delete("/v1/users/ann/binding").send().await.body_of(204);
    tick();
    world.bind("ann", "support").await;
    let (mut query, mut listed) = (String::new(), Vec::new());
    for _ in 0..4 {
        let page = world.api.get(&format!("/v1/users/ann/bindings?limit=1{query}")).send().await.body_of(200);
        listed.extend(page["items"].as_array().unwrap().clone());
        let Some(cursor) = page["nextCursor"].as_str() else { break };
        query = format!("&cursor={cursor}");
    }
    let shown: Vec<_> =
        listed.iter().map(|b| (&b["agentKey"], &b["status"], &b["boundAt"], &b["revokedAt"])).collect();
    let expected = [
        (json!("support"), json!("active"), json!(start + 3), json!(null)),
        (json!("sales"), json!("revoked"), json!(start + 1), json!(start + 2)),
        (json!("support"), json!("revoked"), json!(start), json!(start + 1)),
    ];
    assert_eq!(shown, expected.iter().map(|(a, s, b, r)| (a, s, b, r)).collect::<Vec<_>>());
    let foreign = world.api.get(&format!("/v1/users/bob/bindings?limit=1{query}")).send().await;
    assert_eq!((foreign.problem(), foreign.pointer()), ((422, "invalid_field"), "/cursor"));
    let unknown = world.api.get("/v1/users/bob/bindings").send().await.body_of(200);
    assert_eq!(unknown, json!({"items": []}));
}

#[tokio::test]
async fn a_binding_from_before_bindings_had_ids_is_replaced_and_revoked() {
    let world = World::new().await;
    world.agent("sales").await;
    let forget_id = async || {
        let update = json!({
            "TableName": world.bundle.template.tables[0].name,
            "Key": {"pk": {"S": "U#ann"}, "sk": {"S": "B"}}, "UpdateExpression": "REMOVE id",
        });
        world.bundle.aws.engine().call("UpdateItem", update).await;
    };
    for agent in ["support", "sales"] {
        world.bind("ann", agent).await;
        forget_id().await;
        world.bundle.clock.advance(af_domain::time::Millis::new(1));
    }
    world.api.delete("/v1/users/ann/binding").send().await.body_of(204);
    let listed = world.api.get("/v1/users/ann/bindings").send().await.body_of(200);
    let shown: Vec<_> =
        listed["items"].as_array().unwrap().iter().map(|b| (&b["agentKey"], &b["status"])).collect();
    let revoked = json!("revoked");
    assert_eq!(shown, [(&json!("sales"), &revoked), (&json!("support"), &revoked)]);
}

#[tokio::test]
async fn an_invalid_binding_is_refused_with_its_reason() {
    let world = World::new().await;
    world.api.put("/v1/agents/asleep", json!({"version": "1", "enabled": false})).send().await.body_of(200);
    let telegram = |telegram| json!({"agentKey": "support", "telegram": telegram});
    for (body, problem) in [
        (json!({"agentKey": "unknown"}), (404, "not_found")),
        (json!({"agentKey": "asleep"}), (409, "agent_disabled")),
        (json!({"agentKey": "support", "source": "telegram_pairing"}), (422, "invalid_field")),
        (telegram(json!({"botIdentity": "7", "chatId": "1"})), (409, "bot_conflict")),
        (telegram(json!({"botIdentity": "7", "chatId": "one"})), (422, "invalid_field")),
        (telegram(json!({"botIdentity": "7", "userId": "1".repeat(20)})), (422, "invalid_field")),
        (telegram(json!({"botIdentity": "7", "userId": "005006"})), (422, "invalid_field")),
        (telegram(json!({"botIdentity": "7", "chatId": "-4001"})), (422, "invalid_field")),
        (telegram(json!({"botIdentity": "007", "chatId": "1"})), (422, "invalid_field")),
    ] {
        let answer = world.refused(world.api.put("/v1/users/ann/binding", body)).await;
        assert_eq!(answer.problem(), problem, "{}", answer.body);
    }
}

#[tokio::test]
async fn a_user_id_of_blanks_or_with_blanks_at_an_end_is_refused() {
    let world = World::new().await;
    for user in ["%20", "%20%20", "%20ann", "ann%20"] {
        let bind = world.api.put(&format!("/v1/users/{user}/binding"), json!({"agentKey": "support"}));
        let answer = world.refused(bind).await;
        assert_eq!(
            (answer.problem(), answer.pointer()),
            ((422, "invalid_field"), "/consumerUserId"),
            "{user}"
        );
    }
}

#[tokio::test]
async fn a_provider_user_id_is_stored_without_blanks_at_its_ends() {
    let world = World::new().await;
    let mut body = crate::api::message("c", "hello");
    body["payload"]["providerUserId"] = json!("  1001 ");
    let id = world.enqueue_body(body).await;
    let payload = world.message(&json!(id)).await["payload"].clone();
    assert_eq!(
        (&payload["providerUserId"], &payload["metadata"]["providerUserId"]),
        (&json!("1001"), &json!("1001"))
    );
}

#[tokio::test]
async fn a_user_sends_a_message_to_the_bound_agent() {
    let world = World::new().await;
    world.bind("ann", "support").await;
    let path = "/v1/users/ann/agents/support/messages";
    let body = json!({"content": "hello", "metadata": {"page": "7"}, "priority": 60});
    let sent = world.api.post(path, body).send().await.body_of(202);
    assert_eq!(sent.as_object().unwrap().len(), 1);
    let id = sent["messageId"].as_str().unwrap();
    let shown = world.api.get(&format!("/v1/users/ann/messages/{id}")).send().await.body_of(200);
    assert_eq!(shown["conversationId"], "user-agent:support:ann");
    assert_eq!(shown["priority"], 60);
    let payload = json!({
        "provider": "system_push", "providerUserId": "ann", "messageText": "hello",
        "metadata": {"consumerUserId": "ann", "page": "7", "providerUserId": "ann"}, "attachments": [],
    });
    assert_eq!(shown["payload"], payload);
}

#[tokio::test]
async fn a_message_without_a_binding_to_that_agent_is_refused_with_the_fix() {
    let world = World::new().await;
    world.agent("sales").await;
    let path = "/v1/users/ann/agents/support/messages";
    let send = || world.api.post(path, json!({"content": "hello"}));
    let unbound = world.refused(send()).await;
    assert_eq!(unbound.problem(), (404, "not_found"));
    assert!(unbound.detail().contains("PUT /v1/users/{consumerUserId}/binding"), "{}", unbound.detail());
    world.bind("ann", "sales").await;
    let elsewhere = world.refused(send()).await;
    assert_eq!(elsewhere.problem(), (409, "conflict"));
    assert!(elsewhere.detail().contains("sales"), "{}", elsewhere.detail());
    world.bind("ann", "support").await;
    let blank = world.refused(world.api.post(path, json!({"content": " \n"}))).await;
    assert_eq!((blank.problem(), blank.pointer()), ((422, "invalid_field"), "/content"));
    let long = world.refused(world.api.post(path, json!({"content": "x".repeat(256 * 1024)}))).await;
    assert_eq!((long.problem(), long.pointer()), ((413, "payload_too_large"), "/content"));
    send().send().await.body_of(202);
}

#[tokio::test]
async fn an_idempotency_key_is_for_one_message_of_one_user() {
    let world = World::new().await;
    world.bind("ann", "support").await;
    let path = "/v1/users/ann/agents/support/messages";
    let send = |content| world.api.post(path, json!({"content": content})).header("idempotency-key", "k");
    let first = send("hello").send().await.body_of(202);
    assert_eq!(send("hello").send().await.body_of(202), first);
    assert_eq!(world.refused(send("bye")).await.problem(), (422, "idempotency_mismatch"));
    world.bind("bob", "support").await;
    let others = world.api.post("/v1/users/bob/agents/support/messages", json!({"content": "hello"}));
    let others = world.refused(others.header("idempotency-key", "k")).await;
    assert_eq!(others.problem(), (422, "idempotency_mismatch"));
}

#[tokio::test]
async fn a_message_of_another_user_is_not_found() {
    let world = World::new().await;
    world.bind("ann", "support").await;
    world.bind("bob", "support").await;
    let id = world.say("ann", "hello").await;
    world.api.get(&format!("/v1/users/ann/messages/{id}")).send().await.body_of(200);
    let others = world.api.get(&format!("/v1/users/bob/messages/{id}")).send().await;
    let missing = world.api.get("/v1/users/bob/messages/tg:1:1").send().await;
    assert_eq!(others.problem(), (404, "not_found"));
    assert_eq!(
        others.detail().replace(&id, "tg:1:1"),
        missing.detail(),
        "a foreign message looks like a missing one"
    );
    let of_no_user = world.enqueue("without-user", "hello").await;
    let answer = world.api.get(&format!("/v1/users/ann/messages/{of_no_user}")).send().await;
    assert_eq!(answer.problem(), (404, "not_found"));
}

#[tokio::test]
async fn a_bound_user_without_messages_has_an_empty_conversation() {
    let world = World::new().await;
    let view =
        |user: &str, agent: &str| world.api.get(&format!("/v1/users/{user}/agents/{agent}/conversation"));
    assert_eq!(view("ann", "support").send().await.problem(), (404, "not_found"), "ann is not bound");
    world.bind("ann", "support").await;
    let empty = json!({
        "conversationId": "user-agent:support:ann", "contextHistory": [], "pendingToolCalls": [], "queueItems": [],
        "hasQueuedJobs": false,
    });
    let mut shown = view("ann", "support").send().await.body_of(200);
    shown.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    assert_eq!(shown, empty);
    world.agent("sales").await;
    assert_eq!(
        view("ann", "sales").send().await.problem(),
        (404, "not_found"),
        "ann is bound to another agent"
    );
    assert_eq!(view("bob", "support").send().await.problem(), (404, "not_found"), "bob is not bound");
}

#[tokio::test]
async fn a_conversation_shows_its_history_and_its_queue() {
    let world = World::new().await;
    world.bind("ann", "support").await;
    let path = "/v1/users/ann/agents/support/conversation";
    let first = world.say("ann", "hello").await;
    let token = world.worker("w").await;
    let history = json!([
        {"role": "user", "content": "hello", "at": 5}, {"role": "assistant", "content": "hi there", "at": 6},
    ]);
    world.complete_one(&token, None, history.clone()).await;
    world.bundle.clock.advance(af_domain::time::Millis::new(1));
    let second = world.say("ann", "and now?").await;
    let view = world.api.get(path).send().await.body_of(200);
    assert_eq!(view["conversationId"], "user-agent:support:ann");
    assert_eq!(view["contextHistory"], history);
    assert_eq!(view["pendingToolCalls"], json!([]));
    let items = view["queueItems"].as_array().unwrap();
    assert_eq!(items.iter().map(|i| i["messageId"].as_str().unwrap()).collect::<Vec<_>>(), [&second, &first]);
    assert_eq!(items[1]["status"], "done");
    assert_eq!((&view["hasQueuedJobs"], &view["latestMessageId"]), (&json!(true), &json!(second)));
    assert_eq!((&view["lastUserMessageAt"], &view["lastAssistantMessageAt"]), (&json!(5), &json!(6)));
    assert!(view["nextHistoryCursor"].is_null() && view["nextQueueCursor"].is_null());
}

#[tokio::test]
async fn both_lists_of_a_conversation_are_paged() {
    let world = World::new().await;
    world.bind("ann", "support").await;
    let token = world.worker("w").await;
    let conversation = "user-agent:support:ann";
    for n in 0..3 {
        world.say("ann", &format!("question {n}")).await;
        let history_entries = json!([
            {"role": "user", "content": format!("question {n}"), "at": 2 * n},
            {"role": "assistant", "content": format!("answer {n}"), "at": 2 * n + 1},
        ]);
        world.complete_one(&token, (n > 0).then_some(conversation), history_entries).await;
        world.bundle.clock.advance(af_domain::time::Millis::new(1));
    }
    let path = "/v1/users/ann/agents/support/conversation?limit=2";
    let (mut query, mut history, mut items) = (String::new(), Vec::new(), Vec::new());
    for _ in 0..4 {
        let page = world.api.get(&format!("{path}{query}")).send().await.body_of(200);
        assert_eq!(page["lastAssistantMessageAt"], 5, "every page has the time of the newest entry");
        let entries = page["contextHistory"].as_array().unwrap().iter();
        history.splice(0..0, entries.map(|e| e["at"].as_u64().unwrap()));
        items.extend(
            page["queueItems"].as_array().unwrap().iter().map(|i| i["payload"]["messageText"].clone()),
        );
        let cursor = |name: &str| page[name].as_str().unwrap_or_default().to_owned();
        let (older, earlier) = (cursor("nextHistoryCursor"), cursor("nextQueueCursor"));
        if older.is_empty() {
            break;
        }
        query = format!("&historyCursor={older}");
        if !earlier.is_empty() {
            query = format!("{query}&queueCursor={earlier}");
        }
    }
    assert_eq!(history, [0, 1, 2, 3, 4, 5]);
    assert_eq!(items[..3], ["question 2", "question 1", "question 0"]);
    let forged = world.api.get(&format!("{path}&historyCursor=AAAA")).send().await;
    assert_eq!((forged.problem(), forged.pointer()), ((422, "invalid_field"), "/historyCursor"));
}
