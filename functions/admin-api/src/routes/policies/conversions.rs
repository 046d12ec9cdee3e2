//! Policies as wire types.

use af_api::policies::{FieldView, PoliciesView};
use af_app::settings::policies;
use af_domain::policy::Setting;
use serde_json::Value;
use std::collections::BTreeMap;

/// The policies as JSON.
pub fn shown(view: policies::PoliciesView) -> PoliciesView {
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
