//! Workspace documents of agents and of their users.

use serde_json::{Value, json};

use crate::api::{World, each};

const AGENT: &str = "/v1/agents/support/documents";
const ANN: &str = "/v1/users/ann/agents/support/documents";

async fn put(world: &World, base: &str, path: &str, content: &str) -> Value {
    world.api.put(&format!("{base}/{path}"), json!({"content": content})).send().await.body_of(200)
}

async fn text(world: &World, base: &str, path: &str) -> Value {
    world.api.get(&format!("{base}/{path}")).send().await.body_of(200)["content"].clone()
}

#[tokio::test]
async fn a_document_is_stored_listed_shown_and_deleted() {
    let world = World::new().await;
    let stored = put(&world, AGENT, "SOUL.md", "be kind").await;
    let by = stored["updatedBy"].clone();
    assert_eq!(
        stored,
        json!({
            "path": "SOUL.md", "owner": "operator", "sizeBytes": 7, "version": 1, "deleted": false,
            "sha256": af_tests::world::sha256(b"be kind"), "updatedAt": 1_767_225_600_000_u64, "updatedBy": by,
        })
    );
    assert_eq!(by, "key:bootstrap");
    put(&world, AGENT, "memory/2026-01-01.md", "the first day").await;
    put(&world, AGENT, "USER.md", "a person").await;
    let listed = world.api.get(AGENT).send().await.body_of(200);
    assert_eq!(each(&listed, "path"), ["SOUL.md", "USER.md", "memory/2026-01-01.md"]);
    assert_eq!(each(&listed, "owner"), ["operator", "agent", "agent"]);
    assert_eq!(listed["items"][0]["content"], Value::Null, "a list has no texts");
    assert_eq!(text(&world, AGENT, "memory/2026-01-01.md").await, "the first day");
    assert_eq!(text(&world, AGENT, "memory%2F2026-01-01.md").await, "the first day");

    world.api.delete(&format!("{AGENT}/SOUL.md")).send().await.body_of(204);
    for answer in [
        world.api.get(&format!("{AGENT}/SOUL.md")).send().await,
        world.api.delete(&format!("{AGENT}/SOUL.md")).send().await,
        world.api.get("/v1/agents/unknown/documents").send().await,
        world.api.put("/v1/agents/unknown/documents/SOUL.md", json!({"content": "x"})).send().await,
    ] {
        assert_eq!(answer.problem(), (404, "not_found"));
    }
    assert_eq!(each(&world.api.get(AGENT).send().await.body_of(200), "path").len(), 2);
}

#[tokio::test]
async fn the_list_of_documents_has_pages() {
    let world = World::new().await;
    for day in 1..=5 {
        put(&world, AGENT, &format!("memory/2026-01-0{day}.md"), "x").await;
    }
    let (mut paths, mut cursor) = (Vec::new(), String::new());
    for _ in 0..3 {
        let page = world.api.get(&format!("{AGENT}?limit=2{cursor}")).send().await.body_of(200);
        paths.extend(each(&page, "path").into_iter().map(str::to_owned));
        cursor = page["nextCursor"].as_str().map(|next| format!("&cursor={next}")).unwrap_or_default();
    }
    assert_eq!((paths.len(), &*cursor), (5, ""));
    assert!(paths.is_sorted(), "{paths:?}");
}

#[tokio::test]
async fn every_change_is_a_version_that_can_be_shown_and_restored() {
    let world = World::new().await;
    for content in ["one", "two", "two"] {
        put(&world, AGENT, "SOUL.md", content).await;
    }
    world.api.delete(&format!("{AGENT}/SOUL.md")).send().await.body_of(204);
    let versions =
        |query: &str| world.api.get(&format!("/v1/agents/support/document-versions?path=SOUL.md{query}"));
    let listed = versions("").send().await.body_of(200);
    let numbers: Vec<_> = listed["items"].as_array().unwrap().iter().map(|v| v["version"].as_u64()).collect();
    assert_eq!(numbers, [Some(3), Some(2), Some(1)], "an equal text is no version");
    assert_eq!((&listed["items"][0]["deleted"], &listed["items"][0]["sha256"]), (&json!(true), &Value::Null));
    let page = versions("&limit=2").send().await.body_of(200);
    let cursor = page["nextCursor"].as_str().unwrap();
    let last = versions(&format!("&limit=2&cursor={cursor}")).send().await.body_of(200);
    assert_eq!((last["items"].as_array().unwrap().len(), &last["items"][0]["version"]), (1, &json!(1)));

    let first = world.api.get(&format!("{AGENT}/SOUL.md?version=1")).send().await.body_of(200);
    assert_eq!(first["content"], "one");
    let restored = world.api.put(&format!("{AGENT}/SOUL.md"), json!({"restoreVersion": 1})).send().await;
    assert_eq!(restored.body_of(200)["version"], 4);
    assert_eq!(text(&world, AGENT, "SOUL.md").await, "one");
    let deletion = world.api.put(&format!("{AGENT}/SOUL.md"), json!({"restoreVersion": 3}));
    assert_eq!(world.refused(deletion).await.problem(), (409, "conflict"));
    let unknown = world.api.put(&format!("{AGENT}/SOUL.md"), json!({"restoreVersion": 9}));
    assert_eq!(world.refused(unknown).await.problem(), (404, "not_found"));
}

#[tokio::test]
async fn the_newest_fifty_versions_are_kept() {
    let world = World::new().await;
    for n in 1..=52 {
        put(&world, AGENT, "SOUL.md", &n.to_string()).await;
    }
    let listed = world.api.get("/v1/agents/support/document-versions?path=SOUL.md&limit=200").send().await;
    let listed = listed.body_of(200);
    let items = listed["items"].as_array().unwrap();
    assert_eq!((items.len(), &items[0]["version"], &items[49]["version"]), (50, &json!(52), &json!(3)));
    let forgotten = world.api.get(&format!("{AGENT}/SOUL.md?version=2")).send().await;
    assert_eq!(forgotten.problem(), (404, "not_found"));
}

#[tokio::test]
async fn bad_paths_and_texts_are_refused_with_their_field_and_write_nothing() {
    let world = World::new().await;
    for path in
        ["README.md", "soul.md", "memory/2026-02-30.md", "memory/x.md", "..%2FSOUL.md", "memory/a/b.md"]
    {
        let answer = world.refused(world.api.put(&format!("{AGENT}/{path}"), json!({"content": "x"}))).await;
        assert_eq!((answer.problem(), answer.pointer()), ((422, "invalid_field"), "/path"), "{path}");
        assert!(answer.detail().contains("memory/YYYY-MM-DD.md"), "{}", answer.detail());
    }
    let soul = world.refused(world.api.put(&format!("{ANN}/SOUL.md"), json!({"content": "x"}))).await;
    assert_eq!((soul.problem(), soul.pointer()), ((422, "invalid_field"), "/path"));
    let long = "x".repeat(65_537);
    for (body, status, pointer) in [
        (json!({"content": long}), 413, "/content"),
        (json!({"content": "a\u{0}"}), 422, "/content"),
        (json!({}), 422, "/content"),
        (json!({"content": "x", "restoreVersion": 1}), 422, "/restoreVersion"),
        (json!({"content": "x", "owner": "app"}), 422, "/owner"),
        (json!({"content": "x", "ifVersion": 3}), 409, "/ifVersion"),
    ] {
        let answer = world.refused(world.api.put(&format!("{AGENT}/SOUL.md"), body)).await;
        assert_eq!((answer.status.as_u16(), answer.pointer()), (status, pointer), "{}", answer.body);
    }
}

#[tokio::test]
async fn a_set_of_documents_has_a_limit() {
    let world = World::new().await;
    let full = "x".repeat(65_536);
    for path in ["AGENTS", "SOUL", "IDENTITY", "TOOLS", "HEARTBEAT", "USER", "MEMORY"] {
        put(&world, AGENT, &format!("{path}.md"), &full).await;
    }
    put(&world, AGENT, "memory/2026-01-01.md", &full).await;
    let more = world.api.put(&format!("{AGENT}/memory/2026-01-02.md"), json!({"content": "x"}));
    let refused = world.refused(more).await;
    assert_eq!(refused.problem(), (413, "payload_too_large"));
    assert!(refused.detail().contains("524288"), "{}", refused.detail());
    put(&world, ANN, "USER.md", &full).await;
}

#[tokio::test]
async fn an_edit_of_an_outdated_version_is_refused() {
    let world = World::new().await;
    let edit = |content: &str, version: u64| {
        world.api.put(&format!("{AGENT}/SOUL.md"), json!({"content": content, "ifVersion": version}))
    };
    edit("one", 0).send().await.body_of(200);
    edit("two", 1).send().await.body_of(200);
    assert_eq!(world.refused(edit("other", 1)).await.problem(), (409, "conflict"));
    assert_eq!(edit("two", 1).send().await.body_of(200)["version"], 2, "a repetition of the call");
}

#[tokio::test]
async fn the_documents_of_a_user_are_seen_by_no_other_user() {
    let world = World::new().await;
    put(&world, ANN, "USER.md", "secret of ann").await;
    put(&world, ANN, "memory/2026-01-01.md", "secret of ann").await;
    let body = json!({"ttlSeconds": 60});
    let token = |user: &str| world.api.post(&format!("/v1/users/{user}/tokens"), body.clone());
    let (ann, bob) = (token("ann").send().await, token("bob").send().await);
    let (ann, bob) = (ann.body_of(201)["token"].clone(), bob.body_of(201)["token"].clone());
    let (ann, bob) = (ann.as_str().unwrap(), bob.as_str().unwrap());
    let shown = world.api.get(&format!("{ANN}/USER.md")).key(ann).send().await.body_of(200);
    assert_eq!(shown["content"], "secret of ann");
    let edit = world.api.put(&format!("{ANN}/USER.md"), json!({"content": "by ann"})).key(ann).send().await;
    assert_eq!(edit.body_of(200)["updatedBy"], "user:ann");

    let of_bob = "/v1/users/bob/agents/support/documents";
    assert_eq!(world.api.get(&format!("{of_bob}/USER.md")).send().await.problem(), (404, "not_found"));
    assert_eq!(each(&world.api.get(of_bob).key(bob).send().await.body_of(200), "path"), [""; 0]);
    assert_eq!(each(&world.api.get(AGENT).send().await.body_of(200), "path"), [""; 0]);
    let versions = "/v1/users/ann/agents/support/document-versions?path=USER.md";
    for path in [ANN, &format!("{ANN}/USER.md"), &format!("{ANN}/USER.md?version=1"), versions] {
        let answer = world.api.get(path).key(bob).send().await;
        assert!(answer.status.is_client_error(), "{path}: {}", answer.body);
        assert!(!answer.body.to_string().contains("secret of ann"), "{path}");
    }
    let write = world.api.put(&format!("{ANN}/USER.md"), json!({"content": "by bob"})).key(bob).send().await;
    assert!(write.status.is_client_error(), "{}", write.body);
    assert_eq!(text(&world, ANN, "USER.md").await, "by ann");
}
