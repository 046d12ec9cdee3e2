//! What an operator should know about a provider before it runs workers.

use std::collections::BTreeSet;

use crate::machine::{Machine, MachineState, Survey};

/// Whether a provider answers, and what it has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProviderReadiness {
    /// What is missing or failed, in words that name the fix.
    pub missing: Vec<String>,
    /// What works but may be a mistake.
    pub warnings: Vec<String>,
    /// The number of this deployment's machines.
    pub machines: usize,
    /// The number of this deployment's volumes.
    pub volumes: usize,
}

impl ProviderReadiness {
    /// The readiness of a provider that answers with `survey`.
    pub fn of(survey: &Survey) -> Self {
        Self {
            missing: Vec::new(),
            warnings: survey_warnings(survey),
            machines: survey.machines.ours.len(),
            volumes: survey.volumes.ours.len(),
        }
    }

    /// The readiness of a provider for which `missing` has to be fixed first.
    pub fn missing(missing: String) -> Self {
        Self { missing: vec![missing], ..Self::default() }
    }
}

/// What a survey shows that may be a mistake.
pub fn survey_warnings(survey: &Survey) -> Vec<String> {
    let shared = shared_app_warning(survey.machines.foreign, survey.volumes.foreign);
    shared.into_iter().chain(mixed_images_warning(&survey.machines.ours)).collect()
}

/// The warning for an app that holds `machines` and `volumes` of other deployments.
pub fn shared_app_warning(machines: usize, volumes: usize) -> Option<String> {
    (machines + volumes > 0).then(|| {
        format!(
            "the app is shared: {machines} machines and {volumes} volumes in it are not this deployment's, and are left alone"
        )
    })
}

/// The warning for machines that run more than one image.
pub fn mixed_images_warning(machines: &[Machine]) -> Option<String> {
    let existing = machines.iter().filter(|m| m.state != MachineState::Gone);
    let images: BTreeSet<&str> = existing.map(|m| m.image.as_str()).collect();
    (images.len() > 1).then(|| {
        let names: Vec<&str> = images.iter().copied().collect();
        format!("machines run {} images: {}", images.len(), names.join(", "))
    })
}
