//! The marks of this deployment: metadata on machines, the name of a volume.

use std::collections::BTreeMap;

use af_domain::ids::WorkerId;
use data_encoding::{Encoding, Specification};
use sha2::{Digest, Sha256};

use crate::machine::Scope;

/// Metadata of every machine that we create: the deployment that it belongs to.
pub(super) const DEPLOYMENT: &str = "agent_factory_deployment";
/// Metadata of every machine that we create: the worker that it was created for.
pub(super) const WORKER: &str = "agent_factory_worker";

/// The longest name of a volume. Fly accepts only `[a-z0-9_]`.
const MAX_NAME_LEN: usize = 30;
/// Characters of a deployment's hash, 5 bits each.
const DEPLOYMENT_LEN: usize = 8;
/// Characters of a worker's hash: 50 bits, so that among a thousand workers two are equal with a chance of 1 in 2 billion.
const WORKER_LEN: usize = 10;
/// What is left for the operator's prefix.
const MAX_PREFIX_LEN: usize = MAX_NAME_LEN - DEPLOYMENT_LEN - WORKER_LEN - 2;
/// The prefix when the operator's has no character that Fly accepts.
const DEFAULT_PREFIX: &str = "worker";

/// The worker that a machine belongs to, by its metadata.
pub(super) fn worker_of(metadata: &BTreeMap<String, String>, deployment_id: &str) -> Option<WorkerId> {
    if metadata.get(DEPLOYMENT).map(String::as_str) != Some(deployment_id) {
        return None;
    }
    WorkerId::parse(metadata.get(WORKER)?).ok()
}

/// The name of a worker's volume. Volumes carry no metadata, so the end of the name is the mark. The prefix is for
/// people and may change.
pub(super) fn volume_name(scope: &Scope, worker: &WorkerId) -> String {
    let mut prefix: String = scope
        .volume_name
        .to_ascii_lowercase()
        .chars()
        .filter(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '_')
        .take(MAX_PREFIX_LEN)
        .collect();
    if prefix.is_empty() {
        DEFAULT_PREFIX.clone_into(&mut prefix);
    }
    format!("{prefix}_{}", mark(&scope.deployment_id, worker))
}

/// Whether a volume of this name is the worker's, whatever prefix the operator had at that time.
pub(super) fn is_volume_of(name: &str, deployment_id: &str, worker: &WorkerId) -> bool {
    name.ends_with(&format!("_{}", mark(deployment_id, worker)))
}

/// Whether a volume of this name belongs to the deployment.
pub(super) fn is_volume_of_deployment(name: &str, deployment_id: &str) -> bool {
    let mut parts = name.rsplitn(3, '_');
    let (worker, deployment, prefix) = (parts.next(), parts.next(), parts.next());
    prefix.is_some()
        && worker.is_some_and(|w| w.len() == WORKER_LEN)
        && deployment == Some(&hash(deployment_id, DEPLOYMENT_LEN))
}

fn mark(deployment_id: &str, worker: &WorkerId) -> String {
    format!("{}_{}", hash(deployment_id, DEPLOYMENT_LEN), hash(worker.as_str(), WORKER_LEN))
}

fn hash(text: &str, len: usize) -> String {
    let mut encoded = base32().encode(&Sha256::digest(text));
    encoded.truncate(len);
    encoded
}

fn base32() -> Encoding {
    let mut specification = Specification::new();
    specification.symbols.push_str("abcdefghijklmnopqrstuvwxyz234567");
    specification.encoding().expect("32 different symbols are an encoding")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(volume_name: &str, deployment: &str) -> Scope {
        Scope {
            app_name: "app".to_owned(),
            deployment_id: deployment.to_owned(),
            volume_name: volume_name.to_owned(),
        }
    }

    fn worker(id: &str) -> WorkerId {
        WorkerId::parse(id).unwrap()
    }

    #[test]
    fn a_volume_name_is_valid_for_fly_with_any_prefix() {
        for prefix in ["data", "", "Agent-Factory Volumes", "ünïcödé", "a_very_long_name_of_a_volume"] {
            let name = volume_name(&scope(prefix, "prod"), &worker("w-01arz3ndektsv4rrffq69g5fav"));
            let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            assert!(name.len() <= MAX_NAME_LEN && name.chars().all(fits), "{name}");
        }
    }

    #[test]
    fn a_worker_always_has_the_same_volume_name_and_no_other_worker_has_it() {
        let first = volume_name(&scope("data", "prod"), &worker("w-1"));
        assert_eq!(first, "data_m5kk7frs_abs2xuajpa");
        assert_ne!(first, volume_name(&scope("data", "prod"), &worker("w-2")));
        assert_ne!(first, volume_name(&scope("data", "staging"), &worker("w-1")));
    }

    #[test]
    fn a_volume_keeps_its_mark_after_the_prefix_has_changed() {
        let name = volume_name(&scope("old_prefix", "prod"), &worker("w-1"));
        assert!(is_volume_of(&name, "prod", &worker("w-1")) && is_volume_of_deployment(&name, "prod"));
        assert!(!is_volume_of(&name, "prod", &worker("w-2")) && !is_volume_of(&name, "dev", &worker("w-1")));
        assert!(!is_volume_of_deployment(&name, "dev"));
        assert!(!is_volume_of_deployment("data", "prod") && !is_volume_of_deployment("pg_data", "prod"));
    }

    #[test]
    fn a_machine_belongs_to_the_deployment_only_with_both_marks() {
        let marks = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
        };
        let ours = marks(&[(DEPLOYMENT, "prod"), (WORKER, "w-1")]);
        assert_eq!(worker_of(&ours, "prod"), Some(worker("w-1")));
        assert_eq!(worker_of(&ours, "dev"), None);
        assert_eq!(worker_of(&marks(&[(WORKER, "w-1")]), "prod"), None);
        assert_eq!(worker_of(&marks(&[(DEPLOYMENT, "prod")]), "prod"), None);
        assert_eq!(worker_of(&marks(&[(DEPLOYMENT, "prod"), (WORKER, "../x")]), "prod"), None);
    }
}
