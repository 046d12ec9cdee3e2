//! The log lines of calls whose path contains a secret.

use std::io;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use serde_json::{Value, json};
use tracing_subscriber::EnvFilter;

use crate::{CONVERSATION, World};

/// All log lines of this process, at the most verbose level of a deployment. The HTTP clients of these tests and the S3
/// emulator are not part of a deployment.
const FILTER: &str = "debug,hyper=off,hyper_util=off,reqwest=off";

/// The lines of all tests; each test looks for its own lines.
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

/// Captures the log of the whole process, before the first call.
pub fn capture() {
    static CAPTURING: OnceLock<()> = OnceLock::new();
    CAPTURING.get_or_init(|| {
        let subscriber = tracing_subscriber::fmt().json().flatten_event(true);
        let subscriber = subscriber.with_env_filter(EnvFilter::new(FILTER)).with_writer(Lines::of_process);
        subscriber.init();
    });
}

#[tokio::test]
async fn no_log_line_has_a_token_or_a_link_and_each_call_has_its_route() {
    let world = World::new().await;
    let (image, job) = world.image_at_work("w-of-the-log").await;
    image.of(&job, "workerComplete", json!({})).await;
    image.own("workerControlState", json!({})).await;
    image.post(&json!(format!("{}/media", image.base)), b"file".to_vec()).await;
    image.upload_snapshot("manual", b"files").await;
    let link = image.latest_for_successor("successor-of-the-log").await["downloadUrl"].clone();
    image.fetch(&link).await;
    image.post(&json!(format!("{}/nowhere", image.base)), b"file".to_vec()).await;
    let forged = world.with_token("w", &format!("{}A", image.token));
    forged.call("workerControlState", json!({"workerId": "w"})).await;
    forged.post(&json!(format!("{}/media", forged.base)), b"file".to_vec()).await;

    let log = Lines::of_process().text();
    let link_token = link.as_str().unwrap().rsplit_once('/').unwrap().1;
    for secret in [image.token.as_str(), link_token, image.token.split('.').nth(1).unwrap()] {
        let leak = log.lines().find(|line| line.contains(secret));
        assert_eq!(leak, None);
    }
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let own: Vec<_> = lines.filter(|line| line["span"]["worker_id"] == "w-of-the-log").collect();
    let has = |route: &str| own.iter().any(|line| line["span"]["route"] == route);
    assert!(
        has("/w/{token}/api/query") && has("/w/{token}/api/mutation") && has("/w/{token}/media"),
        "{own:?}"
    );
    assert!(log.contains("/f/{fileToken}") && log.contains(CONVERSATION));
}
