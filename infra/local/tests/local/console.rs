//! What the console of `dev` has and no other: the link that signs in once, the phone and the clock.

use af_domain::time::Millis;
use af_local::{Stack, StackOptions};
use af_runtime::clock::Clock;
use af_runtime::virtual_clock::VirtualClock;
use reqwest::redirect::Policy;
use reqwest::{Client, Response};

/// A stack with its demo, and the clock of it.
async fn stack() -> (Stack, VirtualClock) {
    let template = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../template.yaml")).unwrap();
    let clock = VirtualClock::running(Millis::default());
    let options = StackOptions { demo: true, ..StackOptions::in_memory(template, clock.clone()) };
    (Stack::start(options).await.unwrap(), clock)
}

fn client() -> Client {
    Client::builder().no_proxy().redirect(Policy::none()).build().unwrap()
}

fn header<'r>(response: &'r Response, name: &str) -> &'r str {
    response.headers()[name].to_str().unwrap()
}

#[tokio::test]
async fn the_link_signs_in_once_and_the_phone_needs_its_session() {
    let (stack, clock) = stack().await;
    let url = |path: &str| format!("{}{path}", stack.url);
    let root = client().get(url("/")).send().await.unwrap();
    assert_eq!(header(&root, "location"), "/console");
    let anonymous = client().get(url("/console/phone")).send().await.unwrap();
    assert_eq!(header(&anonymous, "location"), "/console/sign-in?next=%2Fconsole%2Fphone");
    let wrong = client().get(url("/console/enter?token=x")).send().await.unwrap();
    assert_eq!(wrong.status(), 403);

    let link = stack.console_link.clone().unwrap();
    let first = client().get(&link).send().await.unwrap();
    assert_eq!(header(&first, "location"), "/console/phone");
    let session = header(&first, "set-cookie").split(';').next().unwrap().to_owned();
    assert_eq!(client().get(&link).send().await.unwrap().status(), 403, "the link was used");

    let page = client().get(url("/console/phone")).header("cookie", &session).send().await.unwrap();
    assert_eq!(header(&page, "x-frame-options"), "DENY");
    let text = page.text().await.unwrap();
    let csrf = text.split("name=\"csrf\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    let post = |path: &str, body: String| {
        let request = client().post(url(path)).header("cookie", &session);
        request.header("content-type", "application/x-www-form-urlencoded").body(body).send()
    };
    let forged = post("/console/phone/send", "text=hello".to_owned()).await.unwrap();
    assert_eq!(forged.status(), 403, "without the token of the session");
    let sent = post("/console/phone/send", format!("csrf={csrf}&text=hello+there")).await.unwrap();
    assert_eq!(header(&sent, "location"), "/console/phone?done=sent");
    let page = client().get(url("/console/phone")).header("cookie", &session).send().await.unwrap();
    assert!(page.text().await.unwrap().contains("hello there"));
    let queue = client().get(url("/console/queue")).header("cookie", &session).send().await.unwrap();
    assert!(queue.text().await.unwrap().contains("hello there"), "the function knows the same session");

    let before = clock.now();
    let moved = post("/console/phone/clock", format!("csrf={csrf}&seconds=1800")).await.unwrap();
    assert_eq!(header(&moved, "location"), "/console/phone?done=moved");
    assert!(clock.now().since(before) >= Millis::from_secs(1_800));
    let other = post("/console/phone/clock", format!("csrf={csrf}&seconds=5")).await.unwrap();
    assert_eq!(other.status(), 422);
    stack.stop().await;
}

#[tokio::test]
async fn without_a_demo_the_link_leads_to_the_console() {
    let template = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../template.yaml")).unwrap();
    let options = StackOptions::in_memory(template, VirtualClock::running(Millis::default()));
    let stack = Stack::start(options).await.unwrap();
    let entered = client().get(stack.console_link.clone().unwrap()).send().await.unwrap();
    assert_eq!(header(&entered, "location"), "/console");
    let session = header(&entered, "set-cookie").split(';').next().unwrap().to_owned();
    let home = client().get(format!("{}/console", stack.url)).header("cookie", session).send().await.unwrap();
    assert!(!home.text().await.unwrap().contains("/console/phone"), "there is no phone");
    stack.stop().await;
}
