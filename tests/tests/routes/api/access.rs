use af_domain::time::Millis;
use af_sam::template::EventDef;
use http::Method;
use serde_json::json;

use crate::api::{World, message};

/// Every route with its scope: `a`dmin, `r`ead, or a`p`p; `-` needs no key. An admin key opens every route.
const ROUTES: &[(&str, &str, char)] = &[
    ("GET", "/v1/agents", 'r'),
    ("GET", "/v1/agents/support", 'r'),
    ("PUT", "/v1/agents/support", 'a'),
    ("DELETE", "/v1/agents/support", 'a'),
    ("PUT", "/v1/agents/support/telegram-token", 'a'),
    ("GET", "/v1/agents/support/documents", 'r'),
    ("GET", "/v1/agents/support/documents/SOUL.md", 'r'),
    ("PUT", "/v1/agents/support/documents/SOUL.md", 'a'),
    ("DELETE", "/v1/agents/support/documents/SOUL.md", 'a'),
    ("GET", "/v1/agents/support/document-versions?path=SOUL.md", 'r'),
    ("GET", "/v1/users/u/agents/support/documents", 'p'),
    ("GET", "/v1/users/u/agents/support/documents/memory/2026-01-01.md", 'p'),
    ("PUT", "/v1/users/u/agents/support/documents/memory/2026-01-01.md", 'p'),
    ("DELETE", "/v1/users/u/agents/support/documents/memory/2026-01-01.md", 'p'),
    ("GET", "/v1/users/u/agents/support/document-versions?path=USER.md", 'p'),
    ("POST", "/v1/agents/support/managed-bot/rotate", 'a'),
    ("GET", "/v1/agents/support/required-secrets", 'r'),
    ("GET", "/v1/users/u/agents/support/managed-bot", 'p'),
    ("POST", "/v1/users/u/agents/support/managed-bot", 'p'),
    ("POST", "/v1/users/u/agents/support/managed-bot/rotate", 'p'),
    ("GET", "/v1/bindings?botIdentity=7&telegramUserId=5", 'r'),
    ("POST", "/v1/telegram/webhooks", 'p'),
    ("GET", "/v1/secrets?refs=a", 'r'),
    ("PUT", "/v1/secrets/a", 'a'),
    ("DELETE", "/v1/secrets/a", 'a'),
    ("GET", "/v1/config/ingress", 'r'),
    ("PUT", "/v1/config/ingress", 'a'),
    ("GET", "/v1/config/message", 'r'),
    ("PUT", "/v1/config/message", 'a'),
    ("GET", "/v1/config/policies", 'r'),
    ("PUT", "/v1/config/policies", 'a'),
    ("GET", "/v1/config/prices", 'r'),
    ("PUT", "/v1/config/prices", 'a'),
    ("GET", "/v1/config/provider", 'r'),
    ("PUT", "/v1/config/provider", 'a'),
    ("GET", "/v1/provider", 'r'),
    ("POST", "/v1/provider/cleanup", 'a'),
    ("DELETE", "/v1/provider/volumes/v", 'a'),
    ("POST", "/v1/messages", 'p'),
    ("GET", "/v1/messages/m", 'r'),
    ("POST", "/v1/messages/m/resend", 'a'),
    ("GET", "/v1/outbox", 'r'),
    ("DELETE", "/v1/outbox/7:42", 'a'),
    ("GET", "/v1/queue/stats", 'r'),
    ("GET", "/v1/queue/messages?status=queued", 'r'),
    ("POST", "/v1/queue/recover", 'a'),
    ("POST", "/v1/queue/retry", 'a'),
    ("POST", "/v1/queue/m/retry", 'a'),
    ("POST", "/v1/queue/m/cancel", 'a'),
    ("GET", "/v1/queue/m/why", 'r'),
    ("GET", "/v1/conversations/c", 'r'),
    ("POST", "/v1/conversations/c/free", 'a'),
    ("GET", "/v1/conversations/c/snapshots", 'r'),
    (
        "POST",
        "/v1/conversations/c/snapshots/abcdefghijklmnopqrstuvwx23.1.01KE3N4AZ0000000000000000A/skip",
        'a',
    ),
    ("GET", "/v1/usage", 'r'),
    ("GET", "/v1/workers", 'r'),
    ("POST", "/v1/workers", 'a'),
    ("GET", "/v1/workers/w", 'r'),
    ("POST", "/v1/workers/reconcile", 'a'),
    ("POST", "/v1/keys", 'a'),
    ("GET", "/v1/keys", 'r'),
    ("DELETE", "/v1/keys/k", 'a'),
    ("POST", "/v1/skills", 'a'),
    ("GET", "/v1/skills", 'r'),
    ("GET", "/v1/skills/ab", 'r'),
    ("DELETE", "/v1/skills/ab", 'a'),
    ("PUT", "/v1/skills/ab/status", 'a'),
    ("POST", "/v1/skills/ab/activate", 'a'),
    ("GET", "/v1/skills/ab/versions", 'r'),
    ("GET", "/v1/skills/ab/versions/1.0.0", 'r'),
    ("POST", "/v1/users/u/agents/support/messages", 'p'),
    ("GET", "/v1/users/u/agents/support/conversation", 'p'),
    ("GET", "/v1/users/u/agents/support/snapshots", 'p'),
    ("GET", "/v1/users/u/agents/support/snapshots/latest", 'p'),
    ("GET", "/v1/users/u/agents/support/onboarding", 'p'),
    ("GET", "/v1/users/u/agents/support/pairing", 'p'),
    ("POST", "/v1/users/u/agents/support/pairing", 'p'),
    ("GET", "/v1/users/u/agents/support/readiness", 'p'),
    ("PUT", "/v1/users/u/agents/support/telegram-token", 'p'),
    ("GET", "/v1/users/u/bindings", 'p'),
    ("POST", "/v1/pairing-codes", 'p'),
    ("GET", "/v1/pairing-codes/ABCD", 'p'),
    ("GET", "/v1/users/u/messages/m", 'p'),
    ("DELETE", "/v1/users/u/messages/m", 'p'),
    ("GET", "/v1/users/u/binding", 'p'),
    ("PUT", "/v1/users/u/binding", 'p'),
    ("DELETE", "/v1/users/u/binding", 'p'),
    ("GET", "/v1/users/u/agents/support/push-jobs", 'p'),
    ("POST", "/v1/users/u/agents/support/push-jobs", 'p'),
    ("GET", "/v1/users/u/agents/support/push-jobs/01KE3N4AZ0000000000000000A", 'p'),
    ("PATCH", "/v1/users/u/agents/support/push-jobs/01KE3N4AZ0000000000000000A", 'p'),
    ("DELETE", "/v1/users/u/agents/support/push-jobs/01KE3N4AZ0000000000000000A", 'p'),
    ("POST", "/v1/users/u/agents/support/push-jobs/01KE3N4AZ0000000000000000A/trigger", 'p'),
    ("GET", "/v1/users/u/agents/support/push-dispatches", 'p'),
    ("GET", "/v1/push-templates", 'b'),
    ("POST", "/v1/push-templates", 'a'),
    ("GET", "/v1/push-templates/acme/morning", 'b'),
    ("PUT", "/v1/push-templates/acme/morning", 'a'),
    ("DELETE", "/v1/push-templates/acme/morning", 'a'),
    ("GET", "/v1/push-jobs", 'r'),
    ("POST", "/v1/push-jobs/dispatch", 'a'),
    ("GET", "/v1/push-dispatches", 'r'),
    ("GET", "/v1/push-jobs/01KE3N4AZ0000000000000000A/dispatches", 'r'),
    ("GET", "/v1/broadcasts/01KE3N4AZ0000000000000000A/dispatches", 'r'),
    ("GET", "/v1/broadcasts", 'r'),
    ("POST", "/v1/broadcasts", 'a'),
    ("GET", "/v1/broadcasts/01KE3N4AZ0000000000000000A", 'r'),
    ("POST", "/v1/broadcasts/01KE3N4AZ0000000000000000A/cancel", 'a'),
    ("GET", "/v1/users/u/agents", 'p'),
    ("GET", "/v1/users/u/agents/support", 'p'),
    ("GET", "/v1/users/u/active-agent", 'p'),
    ("GET", "/v1/users/u/overview", 'p'),
    ("GET", "/v1/users/u/agents/support/queue", 'p'),
    ("GET", "/v1/users/u/agents/support/events", 'p'),
    ("POST", "/v1/users/u/tokens", 'p'),
    ("GET", "/v1/users/u/agents/support/usage", 'p'),
    ("GET", "/v1/message-templates", 'r'),
    ("POST", "/v1/message-templates", 'a'),
    ("GET", "/v1/message-templates/good-morning", 'r'),
    ("PUT", "/v1/message-templates/good-morning", 'a'),
    ("DELETE", "/v1/message-templates/good-morning", 'a'),
    ("GET", "/openapi.json", '-'),
    ("GET", "/healthz", '-'),
    ("GET", "/readyz", '-'),
];

#[tokio::test]
async fn every_route_of_the_two_functions_is_in_the_list() {
    let world = World::new().await;
    let functions = world.bundle.template.functions.iter();
    let ours = functions.filter(|f| matches!(f.binary.as_str(), "admin-api" | "user-api"));
    let declared = ours.flat_map(|f| &f.events).filter(|e| matches!(e, EventDef::HttpApi { .. })).count();
    assert_eq!(declared, ROUTES.len());
}

#[tokio::test]
async fn a_call_without_a_valid_key_is_unauthorized_before_its_body_is_checked() {
    let world = World::new().await;
    let admin = world.bundle.admin_key();
    let long_id = format!("afk_{}_x", "1".repeat(3_000));
    let invalid_keys = [
        "afk_bootstrap_wrong",
        "afk_unknown_secret",
        "afk_",
        "nonsense",
        &admin[..admin.len() - 1],
        &long_id,
    ];
    for (method, path, scope) in ROUTES.iter().copied() {
        let method: Method = method.parse().unwrap();
        // The body is invalid too, but an unauthorized caller does not learn that.
        let call = || world.api.call(method.clone(), path).json(&json!({"unknown": 1}));
        if scope == '-' {
            call().anonymous().send().await.body_of(200);
            continue;
        }
        let answer = call().anonymous().send().await;
        assert_eq!(answer.problem(), (401, "unauthorized"), "{method} {path}");
        assert_eq!(answer.headers["www-authenticate"], "Bearer");
        for key in invalid_keys {
            assert_eq!(
                call().key(key).send().await.problem(),
                (401, "unauthorized"),
                "{method} {path} with {key}"
            );
        }
    }
}

#[tokio::test]
pub async fn a_key_opens_the_routes_of_its_scopes_only() {
    let world = World::new().await;
    let (read, app) = (world.api.new_key(&["read"]).await, world.api.new_key(&["app"]).await);
    for (method, path, scope) in ROUTES.iter().copied() {
        let method: Method = method.parse().unwrap();
        for (key, opens) in
            [(&read, matches!(scope, 'r' | 'b' | '-')), (&app, matches!(scope, 'p' | 'b' | '-'))]
        {
            let answer =
                world.api.call(method.clone(), path).json(&json!({"unknown": 1})).key(key).send().await;
            let forbidden = answer.status.as_u16() == 403;
            assert_eq!(forbidden, !opens, "{method} {path}: {}", answer.body);
            if forbidden {
                assert_eq!(answer.problem(), (403, "forbidden"));
            }
        }
    }
}

#[tokio::test]
async fn a_key_is_shown_once_and_is_invalid_after_its_revocation() {
    let world = World::new().await;
    let body = json!({"name": "app one", "scopes": ["app", "read", "app"]});
    let made = world.api.post("/v1/keys", body).send().await.body_of(201);
    let (id, key) = (made["keyId"].as_str().unwrap(), made["key"].as_str().unwrap());
    assert_eq!(made["scopes"], json!(["app", "read"]));
    let secret = key.strip_prefix(&format!("afk_{id}_")).unwrap();
    let listed = world.api.get("/v1/keys").send().await.body_of(200);
    assert_eq!(listed["items"][0]["name"], "app one");
    assert!(!listed.to_string().contains(secret));
    assert!(!format!("{:?}", world.items().await).contains(secret), "only a hash is stored");
    world.api.get("/v1/agents").key(key).send().await.body_of(200);
    world.api.delete(&format!("/v1/keys/{id}")).send().await.body_of(204);
    assert_eq!(world.api.get("/v1/agents").key(key).send().await.problem(), (401, "unauthorized"));
    assert_eq!(world.api.delete(&format!("/v1/keys/{id}")).send().await.problem(), (404, "not_found"));
    let long = world.api.delete(&format!("/v1/keys/{}", "k".repeat(3_000))).send().await;
    assert_eq!(long.problem(), (404, "not_found"));
}

#[tokio::test]
async fn a_key_is_invalid_after_its_expiry() {
    let world = World::new().await;
    let at = af_tests::bundle::START.as_millis();
    let made = json!({"name": "n", "scopes": ["read"], "expiresAt": at + 1_000});
    let made = world.api.post("/v1/keys", made).send().await.body_of(201);
    let key = made["key"].as_str().unwrap();
    world.api.get("/v1/agents").key(key).send().await.body_of(200);
    world.bundle.clock.advance(Millis::from_secs(1));
    assert_eq!(world.api.get("/v1/agents").key(key).send().await.problem(), (401, "unauthorized"));
}

#[tokio::test]
async fn an_invalid_key_request_is_refused_with_its_field() {
    let world = World::new().await;
    for (body, pointer) in [
        (json!({"name": " ", "scopes": ["read"]}), "/name"),
        (json!({"name": "n", "scopes": []}), "/scopes"),
        (json!({"name": "n", "scopes": ["root"]}), "/scopes/0"),
        (json!({"name": "n", "scopes": ["read"], "expiresAt": 1}), "/expiresAt"),
        (json!({"scopes": ["read"]}), "/name"),
    ] {
        let answer = world.refused(world.api.post("/v1/keys", body)).await;
        assert_eq!(answer.problem(), (422, "invalid_field"));
        assert_eq!(answer.pointer(), pointer);
    }
}

#[tokio::test]
async fn an_unknown_field_is_refused_with_its_pointer() {
    let world = World::new().await;
    let mut nested = message("c", "hi");
    nested["payload"]["colour"] = json!("red");
    for (method, path, body, pointer) in [
        ("PUT", "/v1/agents/a", json!({"version": "1", "colour": 1}), "/colour"),
        ("POST", "/v1/messages", nested, "/payload/colour"),
        ("POST", "/v1/users/u/agents/support/messages", json!({"content": "a", "colour": 1}), "/colour"),
        (
            "PUT",
            "/v1/users/u/binding",
            json!({"agentKey": "a", "telegram": {"botIdentity": "1", "x": 1}}),
            "/telegram/x",
        ),
        ("PUT", "/v1/secrets/a", json!({"plaintextValue": "s3cr3t", "metadata": {}}), "/metadata"),
        ("POST", "/v1/workers", json!({"workerId": "w", "colour": 1}), "/colour"),
    ] {
        let method: Method = method.parse().unwrap();
        let answer = world.refused(world.api.call(method, path).json(&body)).await;
        assert_eq!(answer.problem(), (422, "invalid_field"), "{path}");
        assert_eq!(answer.pointer(), pointer, "{path}");
    }
    let answer = world.api.get("/v1/agents?limit=0").send().await;
    assert_eq!((answer.problem(), answer.pointer()), ((422, "invalid_field"), "/limit"));
    let answer = world.api.get("/v1/agents?page=2").send().await;
    assert_eq!((answer.problem(), answer.pointer()), ((422, "invalid_field"), "/page"));
}

#[tokio::test]
async fn an_invalid_id_is_refused_with_its_pointer() {
    let world = World::new().await;
    let mut spaced = message("c", "hi");
    spaced["agentKey"] = json!("a b");
    for (method, path, body, pointer) in [
        ("PUT", "/v1/agents/a%20b", json!({"version": "1"}), "/agentKey"),
        ("PUT", "/v1/agents/a", json!({"version": "1", "secretsRef": ["x", "y z"]}), "/secretsRef/1"),
        ("POST", "/v1/messages", spaced, "/agentKey"),
        (
            "PUT",
            "/v1/users/u/binding",
            json!({"agentKey": "a", "telegram": {"botIdentity": "x"}}),
            "/telegram/botIdentity",
        ),
        ("GET", "/v1/secrets?refs=a,b%20c", json!(null), "/refs"),
        ("GET", "/v1/queue/messages?conversationId=%0a", json!(null), "/conversationId"),
    ] {
        let answer = world.refused(world.api.call(method.parse().unwrap(), path).json(&body)).await;
        assert_eq!(answer.problem(), (422, "invalid_field"), "{path}");
        assert_eq!(answer.pointer(), pointer, "{path}");
    }
}
