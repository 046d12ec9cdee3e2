//! Signing in and out, what ends a session, and what a form needs.

use af_domain::time::Millis;
use http::Method;
use serde_json::json;

use super::{Browser, SCREENS, World, sign_in};

/// The time for which a function may accept a revoked key.
const KEY_CACHE: Millis = Millis::from_secs(61);

#[tokio::test]
async fn a_page_without_a_session_leads_to_the_form_and_back() {
    let world = World::new().await;
    for screen in SCREENS {
        let answer = world.api.get(screen).anonymous().page().await;
        assert_eq!(answer.status, 303, "{screen}");
        assert!(answer.headers["location"].to_str().unwrap().starts_with("/console/sign-in?next=%2Fconsole"));
    }
    let key = world.bundle.admin_key();
    let answer = sign_in(&world.api, &key, "/console/queue?state=dead_letter").await;
    assert_eq!(answer.status, 303);
    assert_eq!(answer.headers["location"], "/console/queue?state=dead_letter");
    for elsewhere in
        ["https://evil.example", "//evil.example", "/console\\evil", "/consoleevil", "/v1/agents"]
    {
        let answer = sign_in(&world.api, &key, elsewhere).await;
        assert_eq!(answer.headers["location"], "/console", "{elsewhere}");
    }
}

#[tokio::test]
async fn the_cookie_of_a_session_is_out_of_reach_of_scripts_and_of_other_sites() {
    let world = World::new().await;
    let answer = sign_in(&world.api, &world.bundle.admin_key(), "").await;
    let cookie = answer.headers["set-cookie"].to_str().unwrap();
    for part in ["HttpOnly", "Secure", "SameSite=Strict", "Path=/console", "Max-Age=43200"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    let form = world.api.get("/console/sign-in").anonymous().header("host", "127.0.0.1:8787").page().await;
    assert!(!form.headers["set-cookie"].to_str().unwrap().contains("Secure"), "dev has no TLS");
}

#[tokio::test]
async fn a_wrong_key_opens_no_session() {
    let world = World::new().await;
    let app_key = world.api.new_key(&["app"]).await;
    let of_company = json!({"name": "acme", "scopes": ["app"], "companyId": "acme"});
    let of_company =
        world.api.post("/v1/keys", of_company).send().await.body["key"].as_str().unwrap().to_owned();
    let wrong = world.bundle.admin_key() + "x";
    for (key, status, says) in [
        ("", 401, "a valid API key is required"),
        ("afk_bootstrap_", 401, "a valid API key is required"),
        (&wrong, 401, "a valid API key is required"),
        (&app_key, 403, "lacks the scope read"),
        (&of_company, 403, "lacks the scope read"),
    ] {
        let answer = sign_in(&world.api, key, "").await;
        assert_eq!(answer.status, status, "{says}");
        assert!(answer.text.contains(says), "{}", answer.text);
        assert!(!answer.headers["set-cookie"].to_str().unwrap().contains("af_console="));
    }
}

#[tokio::test]
async fn another_site_cannot_sign_an_operator_in() {
    let world = World::new().await;
    let post = world.api.call(Method::POST, "/console/sign-in").anonymous();
    let answer = post.form(&[("key", &world.bundle.admin_key()), ("form", "x")]).page().await;
    assert_eq!(answer.status, 403);
}

#[tokio::test]
async fn a_session_ends_after_twelve_hours_with_its_key_and_by_signing_out() {
    let world = World::new().await;
    let key = world.api.new_key(&["read"]).await;
    let (browser, other) = (Browser::with(&world.api, &key).await, world.browser(&["admin"]).await);
    browser.page("/console").await;
    let id = key.split('_').nth(1).unwrap();
    world.api.delete(&format!("/v1/keys/{id}")).send().await;
    world.advance(KEY_CACHE);
    assert_eq!(browser.get("/console").page().await.status, 303, "its key is revoked");
    let fragment = browser.get("/console").header("hx-request", "true").page().await;
    assert_eq!(fragment.headers["hx-redirect"], "/console/sign-in");
    other.page("/console").await;

    let forged =
        world.api.call(Method::POST, "/console/sign-out").anonymous().header("cookie", &other.cookie);
    assert_eq!(forged.form(&[("csrf", "x")]).page().await.status, 403);
    let out = other.post("/console/sign-out", &[]).page().await;
    assert!(out.headers["set-cookie"].to_str().unwrap().contains("Max-Age=0"));

    world.advance(Millis::from_secs(12 * 60 * 60));
    assert_eq!(other.get("/console").page().await.status, 303, "it has expired");
}

#[tokio::test]
async fn a_forged_cookie_is_no_session() {
    let world = World::new().await;
    let mut browser = world.browser(&["admin"]).await;
    let (claims, signature) =
        browser.cookie.rsplit_once('.').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    let token = world.worker_token("w").await;
    let forged = [
        "af_console=".to_owned(),
        "af_console=x.y".to_owned(),
        format!("{claims}A.{signature}"),
        format!("{claims}.{}", signature.chars().rev().collect::<String>()),
        format!("af_console={token}"),
    ];
    for cookie in forged {
        browser.cookie = cookie;
        assert_eq!(browser.get("/console").page().await.status, 303, "{}", browser.cookie);
    }
}

#[tokio::test]
async fn a_change_needs_the_csrf_token_of_its_session_and_the_scope_admin() {
    let world = World::new().await;
    let id = world.enqueue("c", "hello").await;
    let paths = [
        format!("/console/messages/{id}/cancel"),
        format!("/console/messages/{id}/retry"),
        format!("/console/messages/{id}/resend"),
        "/console/conversations/c/free".to_owned(),
        "/console/queue/retry".to_owned(),
        "/console/workers/w/drain".to_owned(),
        "/console/agents/support".to_owned(),
        "/console/settings/policies".to_owned(),
    ];
    let (mut admin, read) = (world.browser(&["admin"]).await, world.browser(&["read"]).await);
    let before = world.items().await;
    for path in &paths {
        let anonymous = world.api.call(Method::POST, path).anonymous().form(&[]).page().await;
        assert_eq!(anonymous.status, 303, "{path}");
        assert_eq!(read.post(path, &[("enabled", "false")]).page().await.status, 403, "{path} with read");
    }
    let button = format!("action=\"{}\"", paths[0]);
    assert!(admin.page(&format!("/console/messages/{id}")).await.contains(&button));
    assert!(!read.page(&format!("/console/messages/{id}")).await.contains(&button), "read has no button");
    let own = std::mem::replace(&mut admin.csrf, read.csrf.clone());
    for path in &paths {
        assert_eq!(admin.post(path, &[]).page().await.status, 403, "{path} with a token of another session");
    }
    admin.csrf.clear();
    for path in &paths {
        assert_eq!(admin.post(path, &[]).page().await.status, 403, "{path} without a token");
    }
    assert_eq!(world.items().await, before, "a refusal writes nothing");
    admin.csrf = own;
    assert_eq!(admin.post(&paths[0], &[]).page().await.status, 303);
    assert_eq!(world.message(&json!(id)).await["status"], "cancelled");
}

#[tokio::test]
async fn every_page_has_the_security_headers() {
    let world = World::new().await;
    let browser = world.browser(&["admin"]).await;
    let mut pages = vec![world.api.get("/console/sign-in").anonymous().page().await];
    pages.push(browser.get("/console/messages/none").page().await);
    for screen in SCREENS {
        pages.push(browser.get(screen).page().await);
    }
    for page in pages {
        let header = |name: &str| page.headers[name].to_str().unwrap().to_owned();
        let policy = header("content-security-policy");
        assert!(
            policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
            "{policy}"
        );
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert_eq!(header("referrer-policy"), "no-referrer");
        assert_eq!(header("cache-control"), "no-store");
        assert!(
            !page.text.contains("style=") && !page.text.contains(" onclick"),
            "the policy would block it"
        );
    }
    let home = browser.page("/console").await;
    let script = super::after(&home, "<script src=\"");
    let asset = world.api.get(script).anonymous().page().await;
    assert_eq!(asset.headers["cache-control"], "public, max-age=31536000, immutable");
    assert_eq!(world.api.get("/console/assets/none.js").anonymous().page().await.status, 404);
}
