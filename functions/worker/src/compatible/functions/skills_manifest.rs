//! `workerGlobalSkillsManifest {workspaceId?, workerId?, releaseChannel?}` → the manifest

use af_app::AppError;
use af_app::skills::{Fetched, manifest};
use af_app::worker::may_still_ask;
use af_domain::skill::ReleaseChannel;
use af_http::Id;
use serde::Deserialize;
use serde_json::Value;

use super::json;
use crate::compatible::call::Call;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Args {
    #[serde(default)]
    release_channel: Option<Id<ReleaseChannel>>,
}

/// All skills of a channel, with their files. Images ask for them before they start their gateway, which takes longer than
/// a worker may be silent that has spoken once: this is no sign of life.
///
/// # Errors
/// 422 for a channel that there is not.
pub async fn run(mut call: Call) -> Result<Value, AppError> {
    let args: Args = call.args()?;
    let channel = args.release_channel.map_or_else(ReleaseChannel::default, |channel| channel.0);
    let (living, fetched) =
        tokio::join!(may_still_ask(&call.app, &call.worker), manifest(&call.app, channel, |_| false));
    living?;
    match fetched? {
        Fetched::Manifest(manifest) => json(&manifest, "the manifest of skills"),
        // Nothing was said to be known.
        Fetched::Unchanged { .. } => Ok(Value::Null),
    }
}
