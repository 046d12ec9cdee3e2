//! Routes of handlers and wire types are declared in one place.

use std::collections::BTreeMap;

use af_tests::workspace::{Violation, Workspace, assert_none};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Attribute, Expr, Lit, Meta, Token};

/// The crate of the wire types.
const WIRE_TYPES: &str = "shared/api/";
/// A type that is read or written as JSON and is part of the OpenAPI document is declared in the crate of wire types.
fn wire_types(workspace: &Workspace) -> Vec<Violation> {
    let mut violations = Vec::new();
    for file in workspace.rust().filter(|f| !f.path.starts_with(WIRE_TYPES) && !f.is_test()) {
        let mut found = Found::in_text(&file.path, &file.text);
        violations.extend(found.wire_types.drain(..).map(|(name, line)| {
            Violation::new(
                format!("{}:{line}", file.path),
                format!("wire type `{name}` outside {WIRE_TYPES}"),
            )
        }));
    }
    violations
}

/// `#[utoipa::path]` declares a route: no second one has its method and path, and no router repeats its path.
fn routes(workspace: &Workspace) -> Vec<Violation> {
    let mut violations = Vec::new();
    for member in workspace.crates.iter().filter(|c| c.folder.starts_with("functions/")) {
        let sources = format!("{}/src/", member.folder);
        let mut documented: BTreeMap<String, String> = BTreeMap::new();
        let mut declarations: Vec<(String, String)> = Vec::new();
        for file in workspace.rust().filter(|f| f.path.starts_with(&sources)) {
            let found = Found::in_text(&file.path, &file.text);
            for route in found.documented {
                let place = format!("{}:{}", file.path, route.line);
                let key = format!("{} {}", route.method, route.path);
                if let Some(first) = documented.insert(key.clone(), place.clone()) {
                    violations.push(Violation::new(place, format!("{key} is also declared at {first}")));
                }
            }
            let routed = found.routed.into_iter();
            declarations.extend(routed.map(|(path, line)| (path, format!("{}:{line}", file.path))));
        }
        for (path, place) in declarations {
            let is_of = |key: &&String| key.split_once(' ').is_some_and(|(_, documented)| documented == path);
            if documented.keys().any(|key| is_of(&key)) {
                violations.push(Violation::new(place, format!("{path} is declared at its handler already")));
            }
        }
    }
    violations
}

struct Route {
    method: String,
    path: String,
    line: usize,
}

#[derive(Default)]
struct Found {
    /// Names, with their lines, of types that derive serde and the schema.
    wire_types: Vec<(String, usize)>,
    /// Routes of handlers.
    documented: Vec<Route>,
    /// Paths, with their lines, that are given to a router.
    routed: Vec<(String, usize)>,
}

impl Found {
    fn in_text(path: &str, text: &str) -> Self {
        let parsed = syn::parse_file(text).unwrap_or_else(|e| panic!("{path} is no Rust: {e}"));
        let mut found = Self::default();
        found.visit_file(&parsed);
        found
    }

    fn declared_type(&mut self, name: &syn::Ident, attributes: &[Attribute]) {
        let derives = attributes.iter().filter(|a| a.path().is_ident("derive"));
        let paths = derives
            .filter_map(|a| a.parse_args_with(Punctuated::<syn::Path, Token![,]>::parse_terminated).ok());
        let names: Vec<String> =
            paths.flatten().filter_map(|path| Some(path.segments.last()?.ident.to_string())).collect();
        let derives = |name: &str| names.iter().any(|n| n == name);
        if derives("ToSchema") && (derives("Serialize") || derives("Deserialize")) {
            self.wire_types.push((name.to_string(), name.span().start().line));
        }
    }
}

impl<'ast> Visit<'ast> for Found {
    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        self.declared_type(&item.ident, &item.attrs);
        visit::visit_item_struct(self, item);
    }

    fn visit_item_enum(&mut self, item: &'ast syn::ItemEnum) {
        self.declared_type(&item.ident, &item.attrs);
        visit::visit_item_enum(self, item);
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.documented.extend(item.attrs.iter().filter_map(documented));
        visit::visit_item_fn(self, item);
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        if call.method == "route"
            && let Some(Expr::Lit(literal)) = call.args.first()
            && let Lit::Str(path) = &literal.lit
        {
            self.routed.push((path.value(), call.method.span().start().line));
        }
        visit::visit_expr_method_call(self, call);
    }
}

/// The method and path of `#[utoipa::path(get, path = "/…")]`.
fn documented(attribute: &Attribute) -> Option<Route> {
    let names: Vec<String> = attribute.path().segments.iter().map(|s| s.ident.to_string()).collect();
    if names != ["utoipa", "path"] {
        return None;
    }
    let Meta::List(list) = &attribute.meta else { return None };
    let tokens: Vec<String> = list.tokens.clone().into_iter().map(|t| t.to_string()).collect();
    let is_path = |window: &&[String]| window[0] == "path" && window[1] == "=";
    let path = tokens.windows(3).find(is_path)?[2].trim_matches('"').to_owned();
    Some(Route { method: tokens.first()?.clone(), path, line: attribute.span().start().line })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FUNCTION: (&str, &str) = ("functions/user-api/Cargo.toml", "[package]\nname = \"af-user-api\"\n");

    #[track_caller]
    #[test]
    fn wire_types_of_this_workspace_are_in_one_crate() {
        assert_none(&wire_types(&Workspace::real()));
    }

    #[test]
    fn routes_of_this_workspace_are_declared_once() {
        assert_none(&routes(&Workspace::real()));
    }

    #[test]
    fn a_wire_type_outside_its_crate_is_refused() {
        let text = |derives: &str| format!("#[derive({derives})]\npub struct Body {{}}\n");
        let found = |path: &str, text: &str| wire_types(&Workspace::of(&[(path, text)])).len();
        let path = "functions/user-api/src/routes/send.rs";
        for derives in [
            "Serialize, ToSchema",
            "Deserialize, utoipa::ToSchema",
            "Debug)]\n#[derive(serde::Serialize, ToSchema",
        ] {
            assert_eq!(found(path, &text(derives)), 1, "{derives}");
            assert_eq!(found("shared/api/src/messages.rs", &text(derives)), 0, "{derives}");
        }
        assert_eq!(found(path, "#[derive(Serialize, ToSchema)]\nenum Kind { A }\n"), 1);
        assert_eq!(found(path, "fn f() {\n#[derive(Serialize, ToSchema)]\nstruct Body {} }\n"), 1);
        assert_eq!(found(path, &text("Serialize")), 0, "the type is in no document");
    }

    #[test]
    fn a_second_declaration_of_a_route_is_refused() {
        let found = |lib: &str, handlers: &str| {
            let files = [
                FUNCTION,
                ("functions/user-api/src/lib.rs", lib),
                ("functions/user-api/src/routes.rs", handlers),
            ];
            routes(&Workspace::of(&files)).len()
        };
        let get = "#[utoipa::path(get, path = \"/v1/agents\", tag = \"agents\")]\npub async fn list() {}\n";
        let again = get.replace("list", "list_again");
        assert_eq!(found("", get), 0);
        assert_eq!(found("", &format!("{get}{}", again.replace("(get", "(post"))), 0, "another method");
        assert_eq!(found("", &format!("{get}{again}")), 1);
        assert_eq!(found("fn f() { Router::new().route(\"/v1/agents\", get(list)); }", get), 1);
        assert_eq!(found("fn f() { Router::new().route(\"/w/{token}\", get(list)); }", get), 0);
    }
}
