//! The bodies that the Machines API accepts, after its OpenAPI document: names, types and values of fields. In one
//! respect the emulator is stricter than Fly: it refuses a field that the document does not name, because such a field
//! can only be a mistake in this project.

use serde_json::Value;

/// One field of an object.
pub(super) struct Field {
    name: &'static str,
    required: bool,
    kind: Kind,
}

/// The type and range of a value.
pub(super) enum Kind {
    Bool,
    /// A whole number between the two, both included.
    Int(i64, i64),
    Text(fn(&str) -> bool, &'static str),
    /// An object whose values are text.
    Map,
    Object(&'static [Field]),
    /// A list of objects, with its greatest length.
    List(usize, &'static [Field]),
}

const fn needed(name: &'static str, kind: Kind) -> Field {
    Field { name, required: true, kind }
}

const fn optional(name: &'static str, kind: Kind) -> Field {
    Field { name, required: false, kind }
}

/// `POST /apps/{app}/machines`
pub(super) const CREATE_MACHINE: &[Field] = &[
    optional("name", Kind::Text(is_machine_name, "a name of letters, digits and hyphens, at most 63")),
    optional("region", REGION),
    optional("skip_launch", Kind::Bool),
    optional("skip_service_registration", Kind::Bool),
    needed("config", Kind::Object(CONFIG)),
];

const REGION: Kind = Kind::Text(is_region, "a region, three letters");

const CONFIG: &[Field] = &[
    needed("image", Kind::Text(is_image, "an image")),
    optional("guest", Kind::Object(GUEST)),
    optional("env", Kind::Map),
    optional("metadata", Kind::Map),
    // Fly mounts at most one volume in a machine.
    optional("mounts", Kind::List(1, MOUNT)),
    optional("auto_destroy", Kind::Bool),
    optional("restart", Kind::Object(RESTART)),
    optional("stop_config", Kind::Object(STOP)),
];

const GUEST: &[Field] = &[
    optional("cpu_kind", Kind::Text(|t| matches!(t, "shared" | "performance"), "shared or performance")),
    optional("cpus", Kind::Int(1, 16)),
    optional("memory_mb", Kind::Int(256, 131_072)),
];

const MOUNT: &[Field] = &[
    needed("volume", Kind::Text(|t| t.starts_with("vol_"), "the id of a volume")),
    needed("path", Kind::Text(|t| t.starts_with('/'), "an absolute path")),
];

const RESTART: &[Field] = &[
    optional(
        "policy",
        Kind::Text(|t| matches!(t, "no" | "always" | "on-failure"), "no, always or on-failure"),
    ),
    optional("max_retries", Kind::Int(0, 1_000)),
];

/// `stop_config`, and the body of `POST …/stop`.
pub(super) const STOP: &[Field] = &[
    optional("signal", Kind::Text(is_signal, "a signal such as SIGTERM")),
    optional("timeout", Kind::Text(is_duration, "a duration such as 300s")),
];

/// `POST /apps/{app}/volumes`
pub(super) const CREATE_VOLUME: &[Field] = &[
    needed("name", Kind::Text(is_volume_name, "1 to 30 of a-z, 0-9 and _")),
    optional("region", REGION),
    optional("size_gb", Kind::Int(1, 500)),
    optional("encrypted", Kind::Bool),
    optional("snapshot_retention", Kind::Int(1, 60)),
];

fn is_machine_name(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    (1..=63).contains(&text.len()) && text.bytes().all(fits) && !text.starts_with(['-', '_'])
}

fn is_volume_name(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    (1..=30).contains(&text.len()) && text.bytes().all(fits)
}

fn is_region(text: &str) -> bool {
    text.len() == 3 && text.bytes().all(|b| b.is_ascii_lowercase())
}

fn is_image(text: &str) -> bool {
    !text.is_empty() && text.len() <= 500 && text.bytes().all(|b| b.is_ascii_graphic())
}

fn is_signal(text: &str) -> bool {
    matches!(text, "SIGHUP" | "SIGINT" | "SIGQUIT" | "SIGKILL" | "SIGUSR1" | "SIGUSR2" | "SIGTERM")
}

/// A duration as Go writes it, of one unit.
fn is_duration(text: &str) -> bool {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
    unit.len() < text.len() && matches!(unit, "ns" | "us" | "ms" | "s" | "m" | "h")
}

/// Checks a body; the error names the field at fault.
pub(super) fn check(body: &Value, fields: &[Field]) -> Result<(), String> {
    object(body, fields, "")
}

fn object(value: &Value, fields: &[Field], at: &str) -> Result<(), String> {
    let Some(object) = value.as_object() else { return Err(wrong(at, "an object")) };
    if let Some(unknown) = object.keys().find(|name| !fields.iter().any(|f| f.name == name.as_str())) {
        return Err(format!("unknown field {at}{unknown}"));
    }
    for field in fields {
        match object.get(field.name) {
            None | Some(Value::Null) if field.required => {
                return Err(format!("{at}{} is missing", field.name));
            }
            None | Some(Value::Null) => {}
            Some(value) => one(value, &field.kind, &format!("{at}{}", field.name))?,
        }
    }
    Ok(())
}

fn one(value: &Value, kind: &Kind, at: &str) -> Result<(), String> {
    match kind {
        Kind::Bool if value.is_boolean() => Ok(()),
        Kind::Bool => Err(wrong(at, "true or false")),
        Kind::Int(from, to) => match value.as_i64() {
            Some(number) if (*from..=*to).contains(&number) => Ok(()),
            _ => Err(wrong(at, &format!("a whole number from {from} to {to}"))),
        },
        Kind::Text(fits, what) => match value.as_str() {
            Some(text) if fits(text) => Ok(()),
            _ => Err(wrong(at, what)),
        },
        Kind::Map => match value.as_object() {
            Some(map) if map.values().all(Value::is_string) => Ok(()),
            _ => Err(wrong(at, "an object of strings")),
        },
        Kind::Object(fields) => object(value, fields, &format!("{at}.")),
        Kind::List(most, fields) => match value.as_array() {
            Some(items) if items.len() <= *most => {
                items.iter().try_for_each(|item| object(item, fields, &format!("{at}[].")))
            }
            _ => Err(wrong(at, &format!("a list of at most {most}"))),
        },
    }
}

fn wrong(at: &str, what: &str) -> String {
    format!("{} must be {what}", if at.is_empty() { "the body" } else { at.trim_end_matches('.') })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn machine() -> Value {
        json!({
            "name": "w-1", "region": "fra", "skip_launch": false,
            "config": {
                "image": "registry.fly.io/app:1",
                "guest": {"cpu_kind": "shared", "cpus": 1, "memory_mb": 512},
                "mounts": [{"volume": "vol_1", "path": "/data"}],
                "env": {"A": "b"}, "metadata": {"m": "n"}, "auto_destroy": false,
                "restart": {"policy": "no"}, "stop_config": {"signal": "SIGTERM", "timeout": "300s"},
            },
        })
    }

    fn refused(pointer: &str, value: Value) -> String {
        let mut body = machine();
        *body.pointer_mut(pointer).unwrap() = value;
        check(&body, CREATE_MACHINE).unwrap_err()
    }

    #[test]
    fn a_machine_with_every_field_is_taken() {
        assert_eq!(check(&machine(), CREATE_MACHINE), Ok(()));
        assert_eq!(check(&json!({"config": {"image": "i"}}), CREATE_MACHINE), Ok(()));
    }

    #[test]
    fn every_wrong_field_is_named() {
        for (pointer, value, expected) in [
            ("/name", json!("a b"), "name must be"),
            ("/region", json!("Frankfurt"), "region must be"),
            ("/skip_launch", json!("no"), "skip_launch must be"),
            ("/config", json!({"img": "x"}), "unknown field config.img"),
            ("/config", json!({}), "config.image is missing"),
            ("/config/guest/cpu_kind", json!("fast"), "config.guest.cpu_kind must be"),
            ("/config/guest/cpus", json!(0), "config.guest.cpus must be"),
            ("/config/mounts", json!([{}, {}]), "config.mounts must be a list of at most 1"),
            ("/config/mounts/0/path", json!("data"), "config.mounts[].path must be"),
            ("/config/env", json!({"A": 1}), "config.env must be"),
            ("/config/restart/policy", json!("never"), "config.restart.policy must be"),
            ("/config/stop_config/timeout", json!("5 minutes"), "config.stop_config.timeout must be"),
            ("/config/stop_config/timeout", json!(300), "config.stop_config.timeout must be"),
            ("/config/stop_config/signal", json!("TERM"), "config.stop_config.signal must be"),
        ] {
            let error = refused(pointer, value);
            assert!(error.starts_with(expected), "{pointer}: {error}");
        }
        assert_eq!(check(&json!([]), CREATE_MACHINE).unwrap_err(), "the body must be an object");
    }

    #[test]
    fn a_volume_has_a_name_that_fly_takes() {
        assert_eq!(check(&json!({"name": "data_1", "size_gb": 1}), CREATE_VOLUME), Ok(()));
        for bad in ["", "Data", "a-b", "a234567890123456789012345678901"] {
            assert!(check(&json!({"name": bad}), CREATE_VOLUME).is_err(), "{bad}");
        }
        assert!(check(&json!({"name": "a", "size_gb": 0}), CREATE_VOLUME).is_err());
    }
}
