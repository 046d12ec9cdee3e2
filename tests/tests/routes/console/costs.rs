//! What pages and polls cost: requests to the table, and bytes.

use af_emulator_aws::Meter;
use af_tests::calls::Page;
use axum::Router;
use serde_json::json;

use super::{Browser, SCREENS, World};

/// Most requests of a page.
const MAX_PAGE_REQUESTS: u32 = 6;
/// Most bytes of a page with its lists, without compression.
const MAX_PAGE_BYTES: usize = 200_000;

/// A function of its own, whose requests are counted.
struct Measured {
    router: Router,
    meter: Meter,
}

impl Measured {
    async fn of(world: &World) -> Self {
        let (boot, meter) = world.bundle.metered_boot("console");
        Self { router: af_console::build(&boot).await.unwrap(), meter }
    }

    /// A page with warm caches, its requests and its read units.
    async fn page(&self, browser: &Browser, path: &str, tag: Option<&str>) -> (Page, u32, f64) {
        let call = || match tag {
            None => browser.get(path).to(self.router.clone()),
            Some(tag) => {
                let call = browser.get(path).to(self.router.clone());
                call.header("hx-request", "true").header("if-none-match", tag)
            }
        };
        call().page().await;
        self.meter.take();
        let page = call().page().await;
        let used = self.meter.take();
        (page, used.requests, used.read_units)
    }
}

/// A deployment in which messages wait, run and are dead letters.
async fn busy(world: &World) -> String {
    let token = world.worker_token("w").await;
    let mut dead = String::new();
    for number in 0..3 {
        dead = world.dead_letter(&token, "c", "no").await;
        world.enqueue(&format!("waiting-{number}"), "hello").await;
    }
    world.enqueue("c", "this one runs").await;
    world.api.post("/v1/worker/poll", json!({"conversationId": "c"})).key(&token).send().await.body_of(200);
    dead
}

#[tokio::test]
async fn a_page_costs_at_most_six_requests() {
    let world = World::new().await;
    let browser = world.browser(&["admin"]).await;
    let dead = busy(&world).await;
    let measured = Measured::of(&world).await;
    let more = [
        "/console/attention".to_owned(),
        "/console/queue?state=processing".to_owned(),
        "/console/queue?state=dead_letter".to_owned(),
        "/console/conversations/c".to_owned(),
        "/console/conversations/waiting-1".to_owned(),
        format!("/console/messages/{dead}"),
        "/console/agents/support".to_owned(),
        "/console/workers?id=w".to_owned(),
    ];
    let mut costs = Vec::new();
    for path in SCREENS.map(str::to_owned).into_iter().chain(more) {
        let (page, requests, _) = measured.page(&browser, &path, None).await;
        assert_eq!(page.status, 200, "{path}");
        assert!(page.text.len() < MAX_PAGE_BYTES, "{path}: {} bytes", page.text.len());
        costs.push((path, requests));
    }
    let dear: Vec<_> = costs.iter().filter(|(_, requests)| *requests > MAX_PAGE_REQUESTS).collect();
    assert!(dear.is_empty(), "{dear:?}");
}

#[tokio::test]
async fn an_unchanged_poll_costs_one_request_and_a_change_is_seen() {
    let world = World::new().await;
    let browser = world.browser(&["admin"]).await;
    busy(&world).await;
    let measured = Measured::of(&world).await;
    for path in ["/console", "/console/queue", "/console/workers", "/console/conversations/c"] {
        let (page, ..) = measured.page(&browser, path, None).await;
        let tag = page.headers["etag"].to_str().unwrap().to_owned();
        assert!(page.text.contains("every 2s"), "{path} is polled");
        let (unchanged, requests, read_units) = measured.page(&browser, path, Some(&tag)).await;
        assert_eq!((unchanged.status.as_u16(), unchanged.text.as_str()), (304, ""), "{path}");
        assert!(requests <= 1 && read_units <= 2.0, "{path}: {requests} requests, {read_units} units");
    }
    let path = "/console/conversations/c";
    let (page, ..) = measured.page(&browser, path, None).await;
    let tag = page.headers["etag"].to_str().unwrap().to_owned();
    world.enqueue("c", "one more").await;
    let (changed, ..) = measured.page(&browser, path, Some(&tag)).await;
    assert_eq!(changed.status, 200);
    assert!(changed.text.contains("one more") && !changed.text.contains("<html"), "only the live part");
}

#[tokio::test]
async fn all_files_of_a_page_are_below_60_kb_compressed() {
    let world = World::new().await;
    let browser = world.browser(&["admin"]).await;
    let mut all = browser.page("/console").await;
    for name in ["console.css", "console.js", "htmx.min.js"] {
        all += &browser.page(&format!("/console/assets/{name}")).await;
    }
    let mut compressed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut compressed, all.as_bytes()).unwrap();
    let bytes = compressed.finish().unwrap().len();
    assert!(bytes < 60_000, "{bytes} bytes");
}
