//! Push templates, and the jobs that are made from them.

use serde_json::{Value, json};

use crate::api::World;
use crate::api::lists::all;

const TEMPLATES: &str = "/v1/push-templates";
const JOBS: &str = "/v1/users/ann/agents/support/push-jobs";

fn morning() -> Value {
    json!({
        "companyId": "acme", "templateKey": "morning", "title": "Morning", "text": "What is due today?",
        "periodicity": "daily",
        "suggestedTimes": [{"kind": "daily", "time": "09:30"}, {"kind": "daily", "time": "08:00"}],
    })
}

async fn create(world: &World, body: Value) -> Value {
    world.api.post(TEMPLATES, body).send().await.body_of(201)
}

#[tokio::test]
async fn a_template_is_created_shown_listed_changed_and_deleted() {
    let world = World::new().await;
    let made = create(&world, morning()).await;
    assert_eq!((&made["templateId"], &made["enabled"]), (&json!("acme:morning"), &json!(true)));
    assert_eq!(made["createdBy"], "bootstrap");
    let path = format!("{TEMPLATES}/acme/morning");
    assert_eq!(world.api.get(&path).send().await.body_of(200), made);
    let again = world.refused(world.api.post(TEMPLATES, morning())).await;
    assert_eq!((again.problem(), again.pointer()), ((409, "already_exists"), "/templateKey"));
    let mut of_another = morning();
    of_another["companyId"] = json!("globex");
    create(&world, of_another).await;
    let listed = world.api.get(&format!("{TEMPLATES}?companyId=acme")).send().await.body_of(200);
    assert_eq!(listed, json!({"items": [made]}));
    assert_eq!(world.api.get(TEMPLATES).send().await.body_of(200), json!({"items": []}));

    let change = json!({"title": "Call", "text": "Call them.", "periodicity": "manual", "enabled": false});
    let changed = world.api.put(&path, change).send().await.body_of(200);
    assert_eq!((&changed["periodicity"], &changed["suggestedTimes"]), (&json!("manual"), &json!([])));
    let app = world.api.new_key(&["app"]).await;
    assert_eq!(world.api.get(&path).key(&app).send().await.body_of(200), changed);
    world.api.delete(&path).send().await.body_of(204);
    assert_eq!(world.api.get(&path).send().await.problem(), (404, "not_found"));
    assert_eq!(world.api.delete(&path).send().await.problem(), (404, "not_found"));
}

#[tokio::test]
async fn templates_are_paged_by_key() {
    let world = World::new().await;
    for key in ["b", "a", "c"] {
        let mut body = morning();
        body["templateKey"] = json!(key);
        create(&world, body).await;
    }
    let (found, pages) = all(&world, &format!("{TEMPLATES}?companyId=acme"), "templateKey").await;
    assert_eq!((found, pages), (["a", "b", "c"].map(str::to_owned).to_vec(), 2));
}

#[tokio::test]
async fn an_invalid_template_is_refused_with_its_field() {
    let world = World::new().await;
    for (change, pointer) in [
        (
            json!({"suggestedTimes": [{"kind": "weekly", "weekday": 1, "time": "09:30"}]}),
            "/suggestedTimes/0/kind",
        ),
        (json!({"suggestedTimes": [{"kind": "daily", "time": "09:61"}]}), "/suggestedTimes/0/time"),
        (json!({"suggestedTimes": [{"kind": "daily"}]}), "/suggestedTimes/0/time"),
        (json!({"periodicity": "manual"}), "/suggestedTimes"),
        (json!({"suggestedTimes": vec![json!({"kind": "daily", "time": "09:30"}); 21]}), "/suggestedTimes"),
        (json!({"periodicity": "minutely"}), "/periodicity"),
        (json!({"title": ""}), "/title"),
        (json!({"text": " "}), "/text"),
        (json!({"templateKey": "a b"}), "/templateKey"),
        (json!({"companyId": ""}), "/companyId"),
    ] {
        let mut body = morning();
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let answer = world.refused(world.api.post(TEMPLATES, body)).await;
        assert_eq!(answer.problem(), (422, "invalid_field"), "{change}");
        assert_eq!(answer.pointer(), pointer, "{change}: {}", answer.body);
    }
}

#[tokio::test]
async fn a_template_is_used_for_several_jobs_and_its_changes_do_not_reach_them() {
    let world = World::new().await;
    create(&world, morning()).await;
    for user in ["ann", "bob"] {
        world.bind(user, "support").await;
        let path = format!("/v1/users/{user}/agents/support/push-jobs");
        let body =
            json!({"companyId": "acme", "sourceTemplateId": "acme:morning", "timezone": "Europe/Rome"});
        let made = world.api.post(&path, body).send().await.body_of(201);
        assert_eq!((&made["title"], &made["text"]), (&json!("Morning"), &json!("What is due today?")));
        assert_eq!(made["schedule"], json!({"kind": "daily", "time": "09:30"}), "the first suggested time");
        assert_eq!(made["sourceTemplateId"], "acme:morning");
    }
    let own = json!({
        "companyId": "acme", "sourceTemplateId": "acme:morning", "timezone": "UTC", "title": "Mine",
        "schedule": {"kind": "daily", "time": "07:00"},
    });
    let made = world.api.post(JOBS, own).send().await.body_of(201);
    assert_eq!((&made["title"], &made["schedule"]["time"]), (&json!("Mine"), &json!("07:00")));
    world.api.delete(&format!("{TEMPLATES}/acme/morning")).send().await.body_of(204);
    let kept = world.api.get("/v1/push-jobs?companyId=acme").send().await.body_of(200);
    assert_eq!(kept["items"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn a_template_that_cannot_be_used_is_refused_with_the_fix() {
    let world = World::new().await;
    world.bind("ann", "support").await;
    create(&world, morning()).await;
    let mut disabled = morning();
    disabled["templateKey"] = json!("old");
    disabled["enabled"] = json!(false);
    create(&world, disabled).await;
    for (company, template, fix) in [
        (json!("globex"), "acme:morning", "must be a template of company globex"),
        (Value::Null, "acme:morning", "must be a template of company default"),
        (json!("acme"), "acme:evening", "GET /v1/push-templates"),
        (json!("acme"), "acme:old", "disabled"),
    ] {
        let body = json!({"companyId": company, "sourceTemplateId": template, "timezone": "UTC"});
        let answer = world.refused(world.api.post(JOBS, body)).await;
        assert_eq!(
            (answer.problem(), answer.pointer()),
            ((422, "invalid_field"), "/sourceTemplateId"),
            "{template}"
        );
        assert!(answer.detail().contains(fix), "{}", answer.body);
    }
    let weekly = json!({
        "companyId": "acme", "sourceTemplateId": "acme:morning", "timezone": "UTC",
        "schedule": {"kind": "weekly", "weekday": 1, "time": "09:30"},
    });
    let answer = world.refused(world.api.post(JOBS, weekly)).await;
    assert_eq!((answer.problem(), answer.pointer()), ((422, "invalid_field"), "/schedule/kind"));
}
