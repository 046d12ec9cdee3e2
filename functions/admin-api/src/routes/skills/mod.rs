//! Global skills.

mod activate;
mod delete;
mod deploy;
mod get;
mod list;
mod status;
mod version;
mod versions;

use af_api::skills::{PastReleaseBody, VersionBody};
use af_app::skills::VersionView;
use af_domain::skill::{ReleaseChannel, Stamp};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Shared;

/// The routes of this domain.
pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(list::list, deploy::deploy))
        .routes(routes!(get::get, delete::delete))
        .routes(routes!(status::put))
        .routes(routes!(activate::activate))
        .routes(routes!(versions::list))
        .routes(routes!(version::get))
}

/// A version as it is shown.
fn version_body(view: VersionView) -> VersionBody {
    let VersionView { deployed, active_on } = view;
    let release = |(channel, stamp): (ReleaseChannel, Stamp)| {
        let (released_at, released_by) = (stamp.at.as_millis(), stamp.by);
        let active = active_on.contains(&channel);
        (channel.as_str().to_owned(), PastReleaseBody { released_at, released_by, active })
    };
    VersionBody {
        edition: deployed.edition.into(),
        file_count: deployed.files,
        deployed_at: deployed.deployed.at.as_millis(),
        deployed_by: deployed.deployed.by,
        releases: deployed.released.into_iter().map(release).collect(),
    }
}
