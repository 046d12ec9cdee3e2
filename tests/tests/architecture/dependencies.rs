//! Who may import whom: the dependency rule.

use af_tests::workspace::{Violation, Workspace};

/// Where a crate stands in the house.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layer {
    /// Pure rules; imports nothing of ours.
    Domain,
    /// One outside system each; imports the domain.
    Adapter,
    /// Use cases; import the domain and adapters.
    App,
    /// One deployed function each; imports what is shared.
    Function,
    /// Puts it all together, or tests it; imports anything.
    Top,
}

impl Layer {
    fn of(folder: &str) -> Option<Self> {
        match folder.split_once('/') {
            Some(("shared", "domain")) => Some(Self::Domain),
            Some(("shared", "app")) => Some(Self::App),
            Some(("shared", _)) => Some(Self::Adapter),
            Some(("functions", _)) => Some(Self::Function),
            Some(("infra", _)) => Some(Self::Top),
            None if folder == "tests" => Some(Self::Top),
            _ => None,
        }
    }

    fn may_import(self, other: Self) -> bool {
        match self {
            Self::Domain => false,
            Self::Adapter => other == Self::Domain,
            Self::App => matches!(other, Self::Domain | Self::Adapter),
            Self::Function => matches!(other, Self::Domain | Self::Adapter | Self::App),
            Self::Top => true,
        }
    }
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
        for folder in
            ["shared/domain", "shared/app", "shared/store", "functions/worker", "infra/cli", "tests"]
        {
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
            ["tests", "infra/cli"],
        ];
        for folders in inwards {
            assert_eq!(dependency_rule(&importing(folders, "dependencies")), [], "{folders:?}");
        }
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
