//! The permissions of the template and the requests of the functions. The functions behind the HTTP API of a bundle, and all
//! functions of the local stack, have only the permissions of the template, so that a test fails when its function lacks
//! one. The test here fails when a function has a permission that it does not use.

use std::collections::BTreeSet;

use af_app::push::run_due::{SCHEDULE_RUNS_FOR, run_due};
use af_domain::ids::AgentKey;
use af_domain::time::Millis;
use af_emulator_aws::{Permission, Permissions, Statement};
use af_tests::bundle::Bundle;
use af_tests::calls::Api;
use af_tests::push::{bind, job, store};
use af_tests::world::agent_settings;
use serde_json::json;

use crate::{api, console, metrics, snapshots, stream, worker};

/// Permissions that no request of the tests below needs, each with its reason: function, action, end of the resource.
const ELSEWHERE: [(&str, &str, &str, &str); 10] = [
    (
        "console",
        "dynamodb:PutItem",
        TABLE,
        "a run that is freed may end as a dead letter, which has an item of its own",
    ),
    (
        "console",
        "secretsmanager:GetSecretValue",
        "fly.apiToken-*",
        "the settings page shows the readiness of Fly",
    ),
    (
        "effects",
        "secretsmanager:RestoreSecret",
        "telegram.botToken.*",
        "the token of a managed bot may have been deleted",
    ),
    ("reconcile", "dynamodb:ConditionCheckItem", TABLE, "a lease that has ended may have to be repaired"),
    (
        "reconcile",
        "secretsmanager:BatchGetSecretValue",
        "*",
        "a spawn reads the global secrets of the bridge",
    ),
    (
        "reconcile",
        "secretsmanager:GetSecretValue",
        "/*",
        "a spawn reads the signing key and the token of the provider",
    ),
    (
        "user-api",
        "secretsmanager:RestoreSecret",
        "telegram.botToken.*",
        "the token of a bot may have been deleted",
    ),
    ("user-api", "s3:GetObject", "snapshots/*", "a presigned URL has the permissions of its signer"),
    ("worker", "s3:PutObject", "media/*", "a presigned URL has the permissions of its signer"),
    ("worker", "s3:PutObject", "snapshots/*", "a presigned URL has the permissions of its signer"),
];
/// The end of the ARN of the table.
const TABLE: &str = ":table/agent-factory-Table";

/// Tests of this folder that together use the permissions. Each one has a deployment of its own.
fn run_tests() {
    api::access::a_key_opens_the_routes_of_its_scopes_only();
    api::validity::after_a_rebind_to_another_chat_the_old_chat_gets_nothing();
    console::pages::many_dead_letters_are_shown_page_by_page_and_retried_together();
    api::onboarding::onboarding_names_the_next_step_until_the_person_can_chat();
    api::pairing::a_new_pairing_of_a_telegram_user_ends_the_binding_of_the_user_before();
    api::secrets::a_secret_is_imported_rotated_and_deleted_and_its_value_is_never_shown();
    api::skills::a_deleted_skill_leaves_no_items_and_its_versions_can_be_deployed_again();
    api::user_tokens::a_user_token_opens_the_routes_of_its_user_only();
    snapshots::expiry::uploads_that_were_not_finalized_or_failed_are_cleaned_up();
    api::bridge::a_bundle_has_every_bridge_value_and_the_secret_ref_of_its_key();
    api::onboarding::readiness_and_required_secrets_name_what_is_missing();
    api::pairing::the_texts_of_the_deployment_and_of_the_agent_replace_the_defaults_and_an_empty_one_sends_none();
    api::recover::a_conversation_of_a_worker_without_a_row_is_found_and_repaired();
    console::escaping::a_script_in_a_text_of_a_person_is_shown_as_text();
    console::pages::a_policy_is_set_refused_and_returned_to_its_default();
    worker::attachments::a_photo_is_fetched_before_its_message_is_claimed_and_downloaded_byte_for_byte();
    worker::documents::an_edit_beside_a_run_stays_and_the_text_of_the_agent_is_a_version();
    worker::ingress::an_edit_of_a_message_that_waits_replaces_its_text();
    worker::drafts::the_progress_of_a_heartbeat_is_the_text_of_the_draft_at_most_once_a_second();
    api::managed_bots::a_person_who_creates_a_bot_with_a_link_is_bound_and_answered();
    api::managed_bots::a_rotated_token_is_used_and_the_old_one_ends();
    snapshots::expiry::after_eight_days_the_latest_snapshot_is_kept_and_replaced_ones_have_expired();
    worker::media::media_expire_after_seven_days();
    stream::a_stream_shows_a_message_from_queued_to_done_and_goes_on_after_its_last_event();
    metrics::the_life_of_messages_records_its_metrics();
}

fn described(function: &str, permission: &Permission) -> String {
    format!("{function}: {} on {}", permission.action, permission.resource)
}

/// The permissions of a function that are neither used nor in the list, and those of the list that are used.
fn mistakes(function: &str, role: &Permissions) -> Vec<String> {
    let used = role.used();
    let elsewhere = |permission: &Permission| {
        ELSEWHERE.iter().any(|(of, action, end, _)| {
            *of == function && *action == permission.action && permission.resource.ends_with(end)
        })
    };
    let surplus = role.granted().difference(&used).filter(|permission| !elsewhere(permission));
    let mut wrong: Vec<_> = surplus.map(|p| format!("{} is not used", described(function, p))).collect();
    wrong.extend(role.missing().iter().map(|p| format!("{} is missing", described(function, p))));
    wrong
}

#[test]
fn every_permission_of_a_function_is_used() {
    run_tests();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let permissions = runtime.block_on(async {
        let bundle = Bundle::fresh().await;
        dispatch_pushes(&bundle).await;
        bundle.permissions.clone()
    });
    let wrong: Vec<_> = permissions.iter().flat_map(|(function, role)| mistakes(function, role)).collect();
    assert_eq!(wrong, [""; 0]);
}

/// Lets push-dispatch send the message of a job, and a broadcast.
async fn dispatch_pushes(bundle: &Bundle) {
    let (app, agent) = (bundle.app("admin-api"), AgentKey::parse("demo").unwrap());
    af_app::agents::profiles::configure(&app, &agent, agent_settings()).await.unwrap();
    bind(&app, &agent, 1).await;
    store(&app, &job(&agent, 1, "daily 09:30", app.now())).await;
    let news = json!({"title": "News", "text": "We have moved.", "requestedBy": "marketing"});
    Api::of(bundle).await.post("/v1/broadcasts", news).send().await.body_of(202);
    bundle.clock.advance(Millis::from_days(1));
    let done = Box::pin(run_due(&bundle.restricted_app("push-dispatch"), SCHEDULE_RUNS_FOR)).await.unwrap();
    assert_eq!((done.enqueued, done.targets, done.errors), (1, 1, 0));
}

#[test]
fn a_permission_that_is_not_used_and_one_that_is_missing_are_noticed() {
    let permission = |action: &str| Permission { action: action.to_owned(), resource: "r".to_owned() };
    let statement =
        |action: &str| Statement { actions: vec![action.to_owned()], resources: vec!["r".to_owned()] };
    let role = Permissions::of([statement("a:Used"), statement("a:Surplus")]);
    assert!(role.allow(&permission("a:Used")));
    assert_eq!(mistakes("f", &role), ["f: a:Surplus on r is not used"]);
    assert!(!role.allow(&permission("a:Missing")));
    assert_eq!(mistakes("f", &role), ["f: a:Surplus on r is not used", "f: a:Missing on r is missing"]);
}

#[test]
fn the_list_of_other_permissions_names_permissions_of_the_template() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let permissions = runtime.block_on(Bundle::fresh()).permissions.clone();
    let unknown = ELSEWHERE.iter().filter(|(function, action, end, _)| {
        let mut granted = permissions[*function].granted().iter();
        !granted.any(|permission| permission.action == *action && permission.resource.ends_with(end))
    });
    assert_eq!(unknown.collect::<BTreeSet<_>>(), BTreeSet::new());
}
