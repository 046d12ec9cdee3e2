use af_api::pages::Limit;
use af_domain::ids::{AgentKey, ConsumerUserId, MessageId};
use af_http::{ApiPath, ApiQuery};
use axum::Router;
use axum::routing::get as on_get;
use serde::Deserialize;

use crate::support::{Answer, ask, get};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Listing {
    #[serde(default)]
    limit: Limit,
    #[serde(default)]
    cursor: Option<String>,
    #[serde(default)]
    dry_run: bool,
}

async fn listing(ApiQuery(query): ApiQuery<Listing>) -> String {
    let limit = query.limit.get();
    serde_json::json!({ "limit": limit, "cursor": query.cursor, "dryRun": query.dry_run }).to_string()
}

async fn user(ApiPath((user, agent)): ApiPath<(ConsumerUserId, AgentKey)>) -> String {
    serde_json::json!([user.as_str(), agent.as_str()]).to_string()
}

async fn message(ApiPath(id): ApiPath<MessageId>) -> String {
    serde_json::json!(id.as_str()).to_string()
}

async fn key(ApiPath(id): ApiPath<String>) -> String {
    serde_json::json!(id).to_string()
}

async fn response_of(path: &str) -> Answer {
    let router = Router::new()
        .route("/list", on_get(listing))
        .route("/users/{consumerUserId}/agents/{agentKey}", on_get(user))
        .route("/users/{consumerUserId}/messages/{messageId}", on_get(message))
        .route("/keys/{keyId}", on_get(key));
    ask(router, get(path)).await
}

#[tokio::test]
async fn a_query_is_read_and_decoded() {
    assert_eq!(
        response_of("/list").await.body,
        serde_json::json!({ "limit": 50, "cursor": null, "dryRun": false })
    );
    let answer = response_of("/list?limit=200&cursor=a%2Bb&dryRun=true").await;
    assert_eq!(answer.body, serde_json::json!({ "limit": 200, "cursor": "a+b", "dryRun": true }));
}

#[tokio::test]
async fn a_limit_is_1_to_200() {
    for limit in ["0", "201", "-1", "ten", "", "18446744073709551616"] {
        let answer = response_of(&format!("/list?limit={limit}")).await;
        assert_eq!(answer.problem(), (422, "invalid_field"), "{limit}");
        assert_eq!(answer.field(), ("/limit", "must be a whole number from 1 to 200"), "{limit}");
    }
}

#[tokio::test]
async fn unknown_repeated_and_wrong_parameters_are_invalid() {
    for (query, pointer) in
        [("limits=1", "/limits"), ("limit=1&limit=2", "/limit"), ("dryRun=maybe", "/dryRun")]
    {
        let answer = response_of(&format!("/list?{query}")).await;
        assert_eq!(answer.problem(), (422, "invalid_field"), "{query}");
        assert_eq!(answer.field().0, pointer, "{query}: {}", answer.body);
    }
}

#[tokio::test]
async fn path_ids_are_found_by_name_and_decoded_once() {
    let answer = response_of("/users/a%2Fb%2541%20%C3%BC/agents/support").await;
    assert_eq!(answer.body, serde_json::json!(["a/b%41 ü", "support"]));
    assert_eq!(response_of("/users/u/messages/tg:1:2").await.body, "tg:1:2");
    assert_eq!(response_of("/keys/k1").await.body, "k1");
}

#[tokio::test]
async fn an_invalid_id_in_a_path_is_refused_with_its_pointer() {
    let answer = response_of("/users/u/agents/a%20b").await;
    assert_eq!(answer.problem(), (422, "invalid_field"));
    assert_eq!(answer.field(), ("/agentKey", "agentKey must be 1 to 64 letters, digits, '.', '_' or '-'"));
}

#[tokio::test]
async fn a_path_that_is_not_utf8_is_malformed() {
    assert_eq!(response_of("/users/%ff/agents/a").await.problem(), (400, "malformed_request"));
}
