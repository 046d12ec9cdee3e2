//! Versions of skills as wire types.

use af_api::skills::{PastReleaseBody, VersionBody};
use af_app::skills::VersionView;
use af_domain::skill::{ReleaseChannel, Stamp};

/// A version as it is shown.
pub fn version_body(view: VersionView) -> VersionBody {
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
