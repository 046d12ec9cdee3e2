//! Keys that are bound to a company.

use http::Method;
use serde_json::{Value, json};

use crate::api::World;

const DISPATCHES: &str = "/v1/users/ann/agents/support/push-dispatches";
const JOBS: &str = "/v1/users/ann/agents/support/push-jobs";

fn daily() -> Value {
    json!({
        "title": "Morning", "text": "What is due today?", "timezone": "Europe/Rome",
        "schedule": {"kind": "daily", "time": "09:30"},
    })
}

/// The path of a job.
fn at(job: &Value) -> String {
    format!("{JOBS}/{}", job["pushJobId"].as_str().unwrap())
}

#[tokio::test]
async fn for_a_key_of_a_company_the_templates_and_jobs_of_others_do_not_exist() {
    let world = World::new().await;
    world.bind("ann", "support").await;
    let key_of = |company: &str, scopes: Value| {
        world.api.post("/v1/keys", json!({"name": "k", "scopes": scopes, "companyId": company})).send()
    };
    let operator = key_of("acme", json!(["app", "admin"])).await;
    assert_eq!((operator.problem(), operator.pointer()), ((422, "invalid_field"), "/companyId"));
    let key = key_of("acme", json!(["app"])).await.body_of(201)["key"].as_str().unwrap().to_owned();
    for company in ["acme", "other"] {
        let template = json!({
            "companyId": company, "templateKey": "t", "title": "t", "text": "t", "periodicity": "manual",
        });
        world.api.post("/v1/push-templates", template).send().await.body_of(201);
    }
    let named = |company: &str| {
        let mut body = daily();
        body["companyId"] = json!(company);
        body
    };
    let foreign = world.api.post(JOBS, named("other")).send().await.body_of(201);
    let own = world.api.post(JOBS, daily()).key(&key).send().await.body_of(201);
    assert_eq!(own["companyId"], "acme");

    let call = |method: Method, path: &str| world.api.call(method, path).key(&key);
    let trigger_path = format!("{}/trigger", at(&foreign));
    for refused in [
        call(Method::GET, "/v1/push-templates/other/t"),
        call(Method::GET, "/v1/push-templates?companyId=other"),
        call(Method::GET, &at(&foreign)),
        call(Method::PATCH, &at(&foreign)).json(&json!({"enabled": false})),
        call(Method::DELETE, &at(&foreign)),
        call(Method::POST, &trigger_path),
        call(Method::POST, JOBS).json(&named("other")),
    ] {
        assert_eq!(world.refused(refused).await.problem(), (404, "not_found"));
    }
    assert_eq!(world.api.get(&at(&foreign)).send().await.body_of(200), foreign);
    let listed = call(Method::GET, JOBS).send().await.body_of(200);
    assert_eq!(listed["items"], json!([own.clone()]));
    let templates = call(Method::GET, "/v1/push-templates").send().await.body_of(200);
    assert_eq!(templates["items"][0]["companyId"], "acme");
    call(Method::GET, "/v1/push-templates/acme/t").send().await.body_of(200);
    for job in [&foreign, &own] {
        world.api.call(Method::POST, &format!("{}/trigger", at(job))).send().await.body_of(202);
    }
    let dispatched = call(Method::GET, DISPATCHES).send().await.body_of(200);
    let jobs: Vec<_> = dispatched["items"].as_array().unwrap().iter().map(|d| &d["jobId"]).collect();
    assert_eq!(jobs, [&own["pushJobId"]]);
    let all = world.api.get(DISPATCHES).send().await.body_of(200);
    assert_eq!(all["items"].as_array().unwrap().len(), 2);
    call(Method::PATCH, &at(&own)).json(&json!({"enabled": false})).send().await.body_of(200);
    call(Method::DELETE, &at(&own)).send().await.body_of(204);
}

#[tokio::test]
async fn a_call_with_the_token_of_one_company_gets_no_job_of_another() {
    let world = World::new().await;
    world.bind("ann", "support").await;
    let mut answers = Vec::new();
    for company in ["acme", "other"] {
        let key = json!({"name": "k", "scopes": ["app"], "companyId": company});
        let key = world.api.post("/v1/keys", key).send().await.body_of(201);
        let token = world.api.post("/v1/users/ann/tokens", json!({})).key(key["key"].as_str().unwrap());
        let token = token.send().await.body_of(201);
        let call = world.api.post(JOBS, daily()).key(token["token"].as_str().unwrap());
        answers.push(call.header("idempotency-key", "first").send().await);
    }
    assert_eq!(answers[0].status.as_u16(), 201);
    assert_eq!(answers[1].problem(), (422, "idempotency_mismatch"));
}
