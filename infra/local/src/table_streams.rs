//! The streams of the embedded DynamoDB, for the mappings of the template.

use af_emulator_aws::Engine;
use af_sam::stream::StreamSource;
use serde_json::Value;
use tokio::sync::watch;

/// The stream records of an embedded DynamoDB.
#[derive(Clone)]
pub struct TableStreams(pub Engine);

impl StreamSource for TableStreams {
    fn records(&self, table: &str, after: Option<&str>, limit: usize) -> anyhow::Result<Vec<Value>> {
        self.0.records(table, after, limit)
    }

    fn trim(&self, table: &str, through: &str) -> anyhow::Result<()> {
        self.0.trim(table, through)
    }

    fn writes(&self) -> watch::Receiver<u64> {
        self.0.writes()
    }
}
