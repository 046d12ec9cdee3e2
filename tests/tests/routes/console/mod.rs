//! The console as a browser sees it: over the gateway, with the routes of the template.

mod costs;
pub mod escaping;
pub mod pages;
mod sessions;

use std::ops::Deref;

use af_tests::bundle::Bundle;
use af_tests::calls::{Api, Call, Page};
use http::Method;
use serde_json::{Value, json};

/// The screens that every deployment has.
const SCREENS: [&str; 6] = [
    "/console",
    "/console/queue",
    "/console/workers",
    "/console/agents",
    "/console/push",
    "/console/settings",
];

/// A deployment with the agent `support`.
struct World(af_tests::world::World);

impl Deref for World {
    type Target = af_tests::world::World;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

/// A browser that has signed in.
struct Browser {
    api: Api,
    cookie: String,
    csrf: String,
}

/// The value that follows `begin` in a text, up to a quotation mark or a semicolon.
fn after<'t>(text: &'t str, begin: &str) -> &'t str {
    let (_, rest) = text.split_once(begin).unwrap_or_else(|| panic!("no {begin} in {text}"));
    rest.split(['"', ';']).next().unwrap()
}

/// Signs in with `key` and returns the answer.
async fn sign_in(api: &Api, key: &str, next: &str) -> Page {
    let form = api.get("/console/sign-in").anonymous().page().await;
    let token = after(&form.text, "name=\"form\" value=\"").to_owned();
    let post = api.call(Method::POST, "/console/sign-in").anonymous();
    let post = post.header("cookie", &format!("af_console_form={token}"));
    post.form(&[("key", key), ("form", &token), ("next", next)]).page().await
}

impl World {
    async fn new() -> Self {
        let world = af_tests::world::World::over(Bundle::fresh().await).await;
        world.agent("support").await;
        Self(world)
    }

    /// A browser that has signed in with a key of these scopes.
    async fn browser(&self, scopes: &[&str]) -> Browser {
        Browser::with(&self.api, &self.api.new_key(scopes).await).await
    }

    /// Enqueues a message of the user `ann` with this text.
    async fn enqueue(&self, conversation: &str, text: &str) -> String {
        let payload = json!({"provider": "app", "providerUserId": "ann", "messageText": text});
        let body = json!({"conversationId": conversation, "agentKey": "support", "payload": payload});
        self.enqueue_body(body).await
    }

    /// Lets the worker of `token` claim the next message of `conversation`, and end it with the call `verb`.
    async fn end(&self, token: &str, conversation: &str, verb: &str, more: Value) {
        let poll = self.api.post("/v1/worker/poll", json!({"conversationId": conversation})).key(token);
        let job = poll.send().await.body_of(200)["job"].clone();
        let mut body = json!({"leaseId": job["leaseId"], "fence": job["fence"]});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let path = format!("/v1/worker/messages/{}/{verb}", job["messageId"].as_str().unwrap());
        self.api.post(&path, body).key(token).send().await.body_of(200);
    }

    /// A message that is a dead letter with this error.
    async fn dead_letter(&self, token: &str, conversation: &str, error: &str) -> String {
        let id = self.enqueue(conversation, "hello").await;
        self.end(token, conversation, "fail", json!({"errorMessage": error, "retryable": false})).await;
        id
    }
}

impl Browser {
    async fn with(api: &Api, key: &str) -> Self {
        let answer = sign_in(api, key, "").await;
        assert_eq!(answer.status, 303, "{}", answer.text);
        let cookie = answer.headers["set-cookie"].to_str().unwrap();
        let cookie = format!("af_console={}", after(cookie, "af_console="));
        let mut browser = Self { api: api.clone(), cookie, csrf: String::new() };
        let home = browser.get("/console").page().await;
        browser.csrf = after(&home.text, "name=\"csrf\" value=\"").to_owned();
        browser
    }

    fn get(&self, path: &str) -> Call {
        self.api.get(path).anonymous().header("cookie", &self.cookie)
    }

    /// The text of a page that exists.
    async fn page(&self, path: &str) -> String {
        let page = self.get(path).page().await;
        assert_eq!(page.status, 200, "{path}: {}", page.text);
        page.text
    }

    /// A form with the CSRF token of this session.
    fn post(&self, path: &str, fields: &[(&str, &str)]) -> Call {
        let fields: Vec<_> = fields.iter().copied().chain([("csrf", self.csrf.as_str())]).collect();
        self.api.call(Method::POST, path).anonymous().header("cookie", &self.cookie).form(&fields)
    }
}
