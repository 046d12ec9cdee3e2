//! The dependency rule: the crates that each crate may import.

use af_tests::workspace::{Violation, Workspace, assert_none};

/// The layer of a crate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layer {
    /// Pure rules; imports no crate of this workspace.
    Domain,
    /// Clock, randomness, cache, environment; imports the domain.
    Runtime,
    /// Wire types of the HTTP API; imports the domain.
    Api,
    /// One outside system each; imports the domain and the runtime.
    Adapter,
    /// Conventions of the HTTP API; imports the domain, the runtime and the wire types.
    Http,
    /// Use cases; import the domain, the runtime, the wire types that they answer with, and adapters.
    App,
    /// One deployed function each; imports the shared crates.
    Function,
    /// Replaces one outside system on one machine; imports the domain and the runtime.
    Emulator,
    /// Reads the template and runs it; imports the domain and the runtime.
    Sam,
    /// The reference worker, a client of the API; imports the shared crates except the use cases.
    Agent,
    /// Combines or tests all other crates; imports anything.
    Top,
}

impl Layer {
    fn of(folder: &str) -> Option<Self> {
        let parts: Vec<&str> = folder.split('/').collect();
        match parts[..] {
            ["shared", "domain"] => Some(Self::Domain),
            ["shared", "runtime"] => Some(Self::Runtime),
            ["shared", "api"] => Some(Self::Api),
            ["shared", "http"] => Some(Self::Http),
            ["shared", "app"] => Some(Self::App),
            ["shared", _] => Some(Self::Adapter),
            ["functions", _] => Some(Self::Function),
            ["infra", "emulators", _] => Some(Self::Emulator),
            ["infra", "sam"] => Some(Self::Sam),
            ["infra", "agent"] => Some(Self::Agent),
            ["infra", "cli" | "local"] | ["tests"] => Some(Self::Top),
            _ => None,
        }
    }

    fn may_import(self, other: Self) -> bool {
        use Layer::{Adapter, Api, App, Domain, Http, Runtime};
        match self {
            Self::Domain => false,
            Self::Runtime | Self::Api => other == Domain,
            Self::Adapter | Self::Emulator | Self::Sam => matches!(other, Domain | Runtime),
            Self::Http => matches!(other, Domain | Runtime | Api),
            Self::App => matches!(other, Domain | Runtime | Api | Adapter),
            Self::Agent => matches!(other, Domain | Runtime | Api | Adapter),
            Self::Function => matches!(other, Domain | Runtime | Api | Adapter | Http | App),
            Self::Top => true,
        }
    }
}

/// Dependencies of every kind point inwards: a unit test may import no more than the code that it tests.
fn dependency_rule(workspace: &Workspace) -> Vec<Violation> {
    let mut violations = Vec::new();
    for importer in &workspace.crates {
        let Some(layer) = Layer::of(&importer.folder) else {
            violations.push(Violation::new(&importer.folder, "the folder belongs to no layer"));
            continue;
        };
        for dependency in &importer.dependencies {
            let Some(ours) = workspace.crates.iter().find(|c| c.name == dependency.package) else {
                continue;
            };
            let allowed = Layer::of(&ours.folder).is_some_and(|other| layer.may_import(other));
            if !allowed {
                let what = format!("{layer:?} may not import {} ({:?})", ours.folder, dependency.kind);
                violations.push(Violation::new(&importer.folder, what));
            }
        }
    }
    violations
}

/// A package that may not come in by any way: it brings over a million lines of C into each clean build.
const BANNED_PACKAGE: &str = "aws-lc-sys";

/// The lock file does not have the banned package.
fn banned_package(workspace: &Workspace) -> Vec<Violation> {
    let name = format!("name = \"{BANNED_PACKAGE}\"");
    let locks = workspace.files.iter().filter(|f| f.path == "Cargo.lock" && f.text.contains(&name));
    locks.map(|lock| Violation::new(&lock.path, format!("has {BANNED_PACKAGE}"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A workspace with one crate in each of `folders`, in which the first imports the second.
    fn importing(folders: [&str; 2], table: &str) -> Workspace {
        let manifest = |name: &str, rest: &str| format!("[package]\nname = \"{name}\"\n{rest}");
        let importer = manifest("af-importer", &format!("[{table}]\naf-imported.workspace = true\n"));
        let imported = manifest("af-imported", "");
        let paths = folders.map(|folder| format!("{folder}/Cargo.toml"));
        Workspace::of(&[(&paths[0], &importer), (&paths[1], &imported)])
    }

    #[test]
    fn the_banned_package_is_not_in_the_lock_file() {
        let workspace = Workspace::real();
        assert!(workspace.files.iter().any(|f| f.path == "Cargo.lock"), "the rule sees no lock file");
        assert_none(&banned_package(&workspace));
    }

    #[test]
    fn the_banned_package_in_the_lock_file_is_refused() {
        let lock = |name: &str| format!("[[package]]\nname = \"{name}\"\nversion = \"1.0.0\"\n");
        let found = |name: &str| banned_package(&Workspace::of(&[("Cargo.lock", &lock(name))])).len();
        assert_eq!((found(BANNED_PACKAGE), found("aws-runtime")), (1, 0));
    }

    #[test]
    fn dependencies_of_this_workspace_point_inwards() {
        assert_none(&dependency_rule(&Workspace::real()));
    }

    #[test]
    fn every_layer_of_this_workspace_has_a_crate() {
        let workspace = Workspace::real();
        for folder in [
            "shared/domain",
            "shared/runtime",
            "shared/store",
            "shared/app",
            "functions/worker",
            "infra/emulators/aws",
            "infra/sam",
            "infra/agent",
            "infra/cli",
            "tests",
        ] {
            assert!(workspace.in_folder(folder).is_some(), "{folder} is not among the crates");
        }
    }

    #[test]
    fn an_import_that_points_outwards_is_refused() {
        let outwards = [
            ["shared/domain", "shared/runtime"],
            ["shared/domain", "shared/store"],
            ["shared/runtime", "shared/api"],
            ["shared/runtime", "shared/store"],
            ["shared/api", "shared/runtime"],
            ["shared/api", "shared/http"],
            ["shared/store", "shared/telegram"],
            ["shared/store", "shared/api"],
            ["shared/http", "shared/app"],
            ["shared/http", "shared/store"],
            ["shared/app", "shared/http"],
            ["shared/app", "functions/worker"],
            ["shared/app", "infra/local"],
            ["shared/app", "infra/emulators/aws"],
            ["functions/worker", "functions/webhook"],
            ["functions/worker", "infra/local"],
            ["functions/worker", "infra/sam"],
            ["infra/emulators/aws", "shared/store"],
            ["infra/emulators/fly", "shared/app"],
            ["infra/emulators/fly", "functions/worker"],
            ["infra/emulators/fly", "infra/emulators/aws"],
            ["infra/emulators/aws", "infra/sam"],
            ["infra/sam", "infra/emulators/aws"],
            ["infra/sam", "shared/app"],
            ["infra/sam", "functions/worker"],
            ["infra/agent", "shared/app"],
            ["infra/agent", "functions/worker"],
            ["infra/agent", "infra/emulators/aws"],
        ];
        for folders in outwards {
            for table in
                ["dependencies", "dev-dependencies", "build-dependencies", "target.'cfg(unix)'.dependencies"]
            {
                let violations = dependency_rule(&importing(folders, table));
                assert_eq!(violations.len(), 1, "{folders:?} in {table} is not refused");
                assert_eq!(violations[0].place, folders[0]);
            }
        }
    }

    #[test]
    fn an_import_that_points_inwards_is_allowed() {
        let inwards = [
            ["shared/runtime", "shared/domain"],
            ["shared/api", "shared/domain"],
            ["shared/http", "shared/api"],
            ["shared/app", "shared/api"],
            ["shared/store", "shared/domain"],
            ["shared/store", "shared/runtime"],
            ["shared/app", "shared/store"],
            ["functions/worker", "shared/api"],
            ["functions/worker", "shared/app"],
            ["functions/worker", "shared/http"],
            ["infra/emulators/aws", "shared/domain"],
            ["infra/emulators/aws", "shared/runtime"],
            ["infra/sam", "shared/runtime"],
            ["infra/local", "functions/worker"],
            ["infra/local", "infra/emulators/aws"],
            ["infra/local", "infra/sam"],
            ["infra/cli", "functions/worker"],
            ["tests", "infra/cli"],
        ];
        for folders in inwards {
            assert_eq!(dependency_rule(&importing(folders, "dependencies")), [], "{folders:?}");
        }
    }

    #[test]
    fn a_renamed_import_is_recognized() {
        let workspace = Workspace::of(&[
            (
                "shared/domain/Cargo.toml",
                "[package]\nname = \"af-domain\"\n[dependencies]\nother = { package = \"af-store\" }\n",
            ),
            ("shared/store/Cargo.toml", "[package]\nname = \"af-store\"\n"),
        ]);
        assert_eq!(dependency_rule(&workspace).len(), 1);
    }

    #[test]
    fn a_crate_without_a_layer_is_refused() {
        for folder in ["tools", "infra/tools", "infra/emulators", "shared/store/deeper"] {
            let manifest = format!("{folder}/Cargo.toml");
            let workspace = Workspace::of(&[(&manifest, "[package]\nname = \"af-tools\"\n")]);
            assert_eq!(dependency_rule(&workspace).len(), 1, "{folder}");
        }
    }
}
