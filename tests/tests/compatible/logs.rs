//! What is logged of a call whose path is a secret.

use std::io;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use serde_json::{Value, json};
use tracing_subscriber::EnvFilter;

use crate::{TALK, World};

/// All that is logged in this process, at the most talkative level that a deployment can have. The clients of these tests
/// and the stand-in for S3 are no part of one.
const FILTER: &str = "debug,hyper=off,hyper_util=off,reqwest=off,s3s=off";

/// The lines of all tests; each looks for its own.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    fn of_process() -> Self {
        static LINES: OnceLock<Lines> = OnceLock::new();
        LINES.get_or_init(Self::default).clone()
    }

    fn text(&self) -> String {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        String::from_utf8(bytes).unwrap()
    }
}

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Listens to the whole process, from before its first call.
pub fn listen() {
    static LISTENING: OnceLock<()> = OnceLock::new();
    LISTENING.get_or_init(|| {
        let subscriber = tracing_subscriber::fmt().json().flatten_event(true);
        let subscriber = subscriber.with_env_filter(EnvFilter::new(FILTER)).with_writer(Lines::of_process);
        subscriber.init();
    });
}

#[tokio::test]
async fn no_line_has_a_token_or_a_link_and_every_call_has_its_route() {
    let world = World::new().await;
    let (image, job) = world.image_at_work("w-of-the-log").await;
    image.of(&job, "workerComplete", json!({})).await;
    image.mine("workerControlState", json!({})).await;
    image.post(&json!(format!("{}/media", image.base)), b"file".to_vec()).await;
    image.keep("manual", b"files").await;
    let link = image.left_behind("heir-of-the-log").await["downloadUrl"].clone();
    image.fetch(&link).await;
    image.post(&json!(format!("{}/nowhere", image.base)), b"file".to_vec()).await;
    let forged = world.with_token("w", &format!("{}A", image.token));
    forged.call("workerControlState", json!({"workerId": "w"})).await;
    forged.post(&json!(format!("{}/media", forged.base)), b"file".to_vec()).await;

    let log = Lines::of_process().text();
    let link_token = link.as_str().unwrap().rsplit_once('/').unwrap().1;
    for secret in [image.token.as_str(), link_token, image.token.split('.').nth(1).unwrap()] {
        let told = log.lines().find(|line| line.contains(secret));
        assert_eq!(told, None);
    }
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let own: Vec<_> = lines.filter(|line| line["span"]["worker_id"] == "w-of-the-log").collect();
    let has = |route: &str| own.iter().any(|line| line["span"]["route"] == route);
    assert!(
        has("/w/{token}/api/query") && has("/w/{token}/api/mutation") && has("/w/{token}/media"),
        "{own:?}"
    );
    assert!(log.contains("/f/{fileToken}") && log.contains(TALK));
}
