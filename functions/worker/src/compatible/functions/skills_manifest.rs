//! `workerGlobalSkillsManifest {workspaceId?, workerId?, releaseChannel?}` → the manifest

use af_api::worker::compatible::SkillsManifestArgs;
use af_api::worker::skills::Manifest;
use af_app::AppError;
use af_app::skills::{Fetched, manifest};
use af_app::worker::may_still_ask;
use af_domain::skill::ReleaseChannel;

use crate::compatible::call::Call;

/// All skills of a channel, with their files. The call is not a sign of life: an image makes it before it starts its
/// gateway, and that start takes longer than the allowed silence of a worker that has already called.
///
/// # Errors
/// 401 when the caller has stopped, 422 for an unknown channel.
pub async fn run(mut call: Call) -> Result<Option<Manifest>, AppError> {
    let args: SkillsManifestArgs = call.args()?;
    let channel = args.release_channel.map_or_else(ReleaseChannel::default, |channel| channel.0);
    let (living, fetched) =
        tokio::join!(may_still_ask(&call.app, &call.worker), manifest(&call.app, channel, |_| false));
    living?;
    Ok(match fetched? {
        Fetched::Manifest(manifest) => Some(manifest),
        // Unreachable: the call accepts no known version.
        Fetched::Unchanged { .. } => None,
    })
}
