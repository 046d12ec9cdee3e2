//! Who may import whom: the dependency rule.

use af_tests::workspace::{Violation, Workspace};

/// Where a crate stands in the house.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layer {
    /// Pure rules; imports nothing of ours.
    Domain,
    /// Clock, entropy, cache and environment; imports the domain.
    Runtime,
    /// Wire types of the HTTP API; import the domain.
    Api,
    /// One outside system each; imports the domain and the runtime.
    Adapter,
    /// Use cases; import the domain, the runtime and adapters.
    App,
    /// One deployed function each; imports what is shared.
    Function,
    /// A stand-in for an outside system; imports what no function or use case is part of.
    Emulator,
    /// A program or library beside the functions; imports what is shared, and emulators.
    Tool,
    /// Puts it all together, or tests it; imports anything.
    Top,
}

impl Layer {
    fn of(folder: &str) -> Option<Self> {
        match folder.split_once('/') {
            Some(("shared", "domain")) => Some(Self::Domain),
            Some(("shared", "runtime")) => Some(Self::Runtime),
            Some(("shared", "api")) => Some(Self::Api),
            Some(("shared", "app")) => Some(Self::App),
            Some(("shared", _)) => Some(Self::Adapter),
            Some(("functions", _)) => Some(Self::Function),
            Some(("infra", "cli" | "local")) => Some(Self::Top),
            Some(("infra", other)) if other.starts_with("emulators/") => Some(Self::Emulator),
            Some(("infra", _)) => Some(Self::Tool),
            None if folder == "tests" => Some(Self::Top),
            _ => None,
        }
    }

    fn may_import(self, other: Self) -> bool {
        use Layer::{Adapter, Api, App, Domain, Emulator, Runtime};
        match self {
            Self::Domain => false,
            Self::Runtime | Self::Api => other == Domain,
            Self::Adapter | Self::Emulator => matches!(other, Domain | Runtime),
            Self::App => matches!(other, Domain | Runtime | Adapter),
            Self::Function => matches!(other, Domain | Runtime | Api | Adapter | App),
            Self::Tool => matches!(other, Domain | Runtime | Api | Adapter | App | Emulator),
            Self::Top => true,
        }
    }
}

/// A package that brings 1.2 million lines of C into the first build; TLS is `ring`'s here.
const PACKAGE_BANNED: &str = "aws-lc-sys";
/// Whether the lock file may still have it.
const BANNED_PACKAGE_IS_LEFT: bool = true;

/// The lock file does not have the banned package, by whatever way it would come.
fn banned_package(workspace: &Workspace) -> Vec<Violation> {
    let name = format!("name = \"{PACKAGE_BANNED}\"");
    let locks = workspace.files.iter().filter(|f| f.path == "Cargo.lock" && f.text.contains(&name));
    locks.map(|lock| Violation::new(&lock.path, format!("has {PACKAGE_BANNED}"))).collect()
}

/// Dependencies point inwards, in every kind of dependency: a unit test has no more reach than the code it tests.
fn dependency_rule(workspace: &Workspace) -> Vec<Violation> {
    let mut violations = Vec::new();
    for importer in &workspace.crates {
        let Some(layer) = Layer::of(&importer.folder) else {
            violations.push(Violation::new(&importer.folder, "no layer of the house is in this folder"));
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
    fn dependencies_of_this_workspace_point_inwards() {
        af_tests::workspace::assert_none(&dependency_rule(&Workspace::real()));
    }

    #[test]
    fn every_layer_of_this_workspace_is_seen() {
        let workspace = Workspace::real();
        for folder in [
            "shared/domain",
            "shared/app",
            "shared/store",
            "functions/worker",
            "infra/cli",
            "tests",
            "shared/runtime",
            "shared/api",
        ] {
            assert!(workspace.in_folder(folder).is_some(), "{folder} is not among the crates");
        }
    }

    #[test]
    fn an_import_that_points_outwards_is_refused() {
        let outwards = [
            ["shared/domain", "shared/store"],
            ["shared/store", "shared/telegram"],
            ["shared/http", "shared/app"],
            ["shared/app", "functions/worker"],
            ["shared/app", "infra/local"],
            ["functions/worker", "functions/webhook"],
            ["functions/worker", "infra/local"],
            ["shared/runtime", "shared/app"],
            ["shared/runtime", "shared/store"],
            ["shared/api", "shared/runtime"],
            ["shared/app", "shared/api"],
            ["shared/store", "shared/api"],
            ["infra/emulators/fly", "shared/app"],
            ["infra/emulators/aws", "shared/store"],
            ["infra/emulators/aws", "functions/worker"],
            ["infra/emulators/telegram", "infra/local"],
            ["infra/agent", "functions/worker"],
            ["infra/sam", "functions/worker"],
            ["infra/sam", "infra/local"],
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
            ["shared/store", "shared/domain"],
            ["shared/app", "shared/store"],
            ["functions/worker", "shared/app"],
            ["functions/worker", "shared/http"],
            ["infra/local", "functions/worker"],
            ["shared/runtime", "shared/domain"],
            ["shared/store", "shared/runtime"],
            ["shared/app", "shared/runtime"],
            ["shared/api", "shared/domain"],
            ["functions/worker", "shared/api"],
            ["infra/emulators/fly", "shared/runtime"],
            ["infra/sam", "infra/emulators/aws"],
            ["infra/cli", "shared/api"],
            ["infra/agent", "shared/api"],
            ["tests", "infra/cli"],
        ];
        for folders in inwards {
            assert_eq!(dependency_rule(&importing(folders, "dependencies")), [], "{folders:?}");
        }
    }

    #[test]
    fn the_banned_package_is_not_in_the_lock_file() {
        let found = banned_package(&Workspace::real());
        assert!(found.is_empty() || BANNED_PACKAGE_IS_LEFT, "{found:?}");
    }

    #[test]
    fn the_banned_package_in_the_lock_file_is_refused() {
        let lock = |name: &str| format!("[[package]]\nname = \"{name}\"\nversion = \"1.0.0\"\n");
        let found = |name: &str| banned_package(&Workspace::of(&[("Cargo.lock", &lock(name))])).len();
        assert_eq!(found("aws-lc-sys"), 1);
        assert_eq!(found("ring"), 0);
    }

    #[test]
    fn a_renamed_import_is_still_seen() {
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
    fn a_crate_outside_the_house_is_refused() {
        let workspace = Workspace::of(&[("tools/Cargo.toml", "[package]\nname = \"af-tools\"\n")]);
        assert_eq!(dependency_rule(&workspace).len(), 1);
    }
}
