//! Texts of other people are shown as text, and no page shows a secret.

use serde_json::json;

use super::{SCREENS, World};

/// Texts that a page must not take for its own markup.
const PAYLOADS: [&str; 6] = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "'><svg/onload=alert(1)>",
    "</p></main><iframe src=//evil.example>",
    "&lt;script&gt;",
    "{{constructor.constructor('alert(1)')()}}<x hx-get=/console>",
];

/// The start of markup that a payload would add.
const ADDED: [&str; 5] = ["<script>alert", "<img", "<svg/onload", "<iframe", "<x hx-get"];

#[tokio::test]
pub async fn a_script_in_a_text_of_a_person_is_shown_as_text() {
    let world = World::new().await;
    let browser = world.browser(&["admin"]).await;
    for (number, payload) in PAYLOADS.iter().enumerate() {
        let conversation = format!("c-{number}");
        let token = world.worker_token(&format!("w-{number}")).await;
        world.enqueue(&conversation, payload).await;
        world.end(&token, &conversation, "fail", json!({"errorMessage": payload, "retryable": false})).await;
        let done = format!("d-{number}");
        let token = world.worker_token(&format!("v-{number}")).await;
        world.enqueue(&done, payload).await;
        world.end(&token, &done, "complete", json!({"reply": {"text": payload}, "history": []})).await;
        let agent = json!({"version": payload, "displayName": payload});
        world.api.put(&format!("/v1/agents/a-{number}"), agent).send().await.body_of(200);
        world.api.post("/v1/keys", json!({"name": payload, "scopes": ["read"]})).send().await.body_of(201);
        let pages = [
            format!("/console/conversations/{conversation}"),
            format!("/console/conversations/{done}"),
            format!("/console/agents/a-{number}"),
            "/console/queue?state=dead_letter".to_owned(),
            "/console/attention".to_owned(),
            "/console/agents".to_owned(),
            "/console/settings".to_owned(),
        ];
        for path in pages {
            let text = browser.page(&path).await;
            let found: Vec<_> = ADDED.iter().filter(|added| text.contains(**added)).collect();
            assert!(found.is_empty(), "{path}: {found:?}");
        }
        let shown = browser.page(&format!("/console/conversations/{conversation}")).await;
        assert!(shown.contains(&escaped(payload)), "{payload} is not shown: {shown}");
        let query = form_urlencoded::byte_serialize(payload.as_bytes()).collect::<String>();
        for path in [
            format!("/console/search?q={query}"),
            format!("/console/queue?state=dead_letter&agent={query}&text={query}"),
            format!("/console/queue?state={query}&done={query}"),
        ] {
            let text = browser.page(&path).await;
            assert!(!ADDED.iter().any(|added| text.contains(added)), "{path}");
        }
        let refused = browser.get(&format!("/console/push?company={query}")).page().await;
        assert!(!ADDED.iter().any(|added| refused.text.contains(added)), "{}", refused.text);
    }
}

/// A text as HTML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[tokio::test]
async fn no_page_shows_a_secret() {
    let world = World::new().await;
    let key = world.api.new_key(&["admin"]).await;
    let browser = super::Browser::with(&world.api, &key).await;
    let secret = json!({"plaintextValue": "the-secret-value-of-a-test"});
    world.api.put("/v1/secrets/tool.key", secret).send().await;
    let agent = json!({"version": "1", "secretsRef": ["tool.key"]});
    world.api.put("/v1/agents/support", agent).send().await.body_of(200);
    let token = world.worker_token("w").await;
    let id = world.dead_letter(&token, "c", "no").await;
    let secrets =
        [key.rsplit_once('_').unwrap().1, &token, "the-secret-value", "the-admin-key", "the-signing-key"];
    let more =
        ["/console/agents/support", "/console/conversations/c", "/console/workers?id=w"].map(str::to_owned);
    let pages = SCREENS.map(str::to_owned).into_iter().chain(more).chain([format!("/console/messages/{id}")]);
    for path in pages {
        let text = browser.page(&path).await;
        for secret in secrets {
            assert!(!text.contains(secret), "{path} shows {secret}");
        }
    }
}
