//! Policies: every number that tunes the system.

mod get;
mod put;

use std::collections::BTreeMap;

use af_api::policies::{FieldView, PoliciesView};
use af_app::settings::policies;
use af_domain::policy::Setting;
use serde_json::Value;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Shared;

/// The routes of this domain.
pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(get::get, put::put))
}

/// The policies as JSON.
fn shown(view: policies::PoliciesView) -> PoliciesView {
    let field = |field: policies::FieldView| FieldView {
        value: json(field.value),
        default: json(field.default),
        accepts: field.accepts,
    };
    let group = |group: BTreeMap<&str, policies::FieldView>| {
        group.into_iter().map(|(name, shown)| (name.to_owned(), field(shown))).collect()
    };
    view.into_iter().map(|(name, fields)| (name.to_owned(), group(fields))).collect()
}

fn json(setting: Setting) -> Value {
    match setting {
        Setting::Number(n) => Value::from(n),
        Setting::Ratio(r) => Value::from(r),
        Setting::Word(w) => Value::from(w),
    }
}
