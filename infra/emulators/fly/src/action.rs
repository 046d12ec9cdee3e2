//! The action that a request asks for, by its method and path.

use http::Method;
use serde::{Deserialize, Serialize};

/// An action of the API. Rate limits and faults are kept for each action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Action {
    /// `GET /apps/{app}`
    GetApp,
    /// `GET /apps/{app}/machines`
    ListMachines,
    /// `POST /apps/{app}/machines`
    CreateMachine,
    /// `GET …/machines/{id}`
    GetMachine,
    /// `DELETE …/machines/{id}`
    DestroyMachine,
    /// `POST …/machines/{id}/cordon`
    CordonMachine,
    /// `POST …/machines/{id}/stop`
    StopMachine,
    /// `GET …/machines/{id}/wait`
    WaitForMachine,
    /// `GET /apps/{app}/volumes`
    ListVolumes,
    /// `POST /apps/{app}/volumes`
    CreateVolume,
    /// `GET …/volumes/{id}`
    GetVolume,
    /// `DELETE …/volumes/{id}`
    DestroyVolume,
}

/// The action of a request, and the app and resource that it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub action: Action,
    pub app: String,
    /// The machine or volume; empty for a list or a creation.
    pub id: String,
}

impl Target {
    /// What `method` and `path` (below `/v1`) ask for; `None` for a route that Fly or this emulator does not have.
    pub fn of(method: &Method, path: &str) -> Option<Self> {
        let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
        let ["apps", app, rest @ ..] = segments.as_slice() else { return None };
        let (action, id) = match (method.as_str(), rest) {
            ("GET", []) => (Action::GetApp, ""),
            ("GET", ["machines"]) => (Action::ListMachines, ""),
            ("POST", ["machines"]) => (Action::CreateMachine, ""),
            ("GET", ["machines", id]) => (Action::GetMachine, *id),
            ("DELETE", ["machines", id]) => (Action::DestroyMachine, *id),
            ("POST", ["machines", id, "cordon"]) => (Action::CordonMachine, *id),
            ("POST", ["machines", id, "stop"]) => (Action::StopMachine, *id),
            ("GET", ["machines", id, "wait"]) => (Action::WaitForMachine, *id),
            ("GET", ["volumes"]) => (Action::ListVolumes, ""),
            ("POST", ["volumes"]) => (Action::CreateVolume, ""),
            ("GET", ["volumes", id]) => (Action::GetVolume, *id),
            ("DELETE", ["volumes", id]) => (Action::DestroyVolume, *id),
            _ => return None,
        };
        Some(Self { action, app: (*app).to_owned(), id: id.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_are_those_of_the_machines_api_and_no_others() {
        let action = |method: Method, path: &str| Target::of(&method, path).map(|t| (t.action, t.id));
        assert_eq!(action(Method::GET, "/apps/a/machines"), Some((Action::ListMachines, String::new())));
        assert_eq!(
            action(Method::POST, "/apps/a/machines/m1/stop"),
            Some((Action::StopMachine, "m1".to_owned()))
        );
        assert_eq!(
            action(Method::DELETE, "/apps/a/volumes/v1"),
            Some((Action::DestroyVolume, "v1".to_owned()))
        );
        for (method, path) in
            [(Method::PUT, "/apps/a/machines"), (Method::GET, "/machines"), (Method::GET, "/")]
        {
            assert_eq!(action(method, path), None, "{path}");
        }
    }
}
