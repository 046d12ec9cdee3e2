//! The documents match the code: `docs/data-model.md` has its keys, indexes, conditional writes and attributes,
//! `README.md` has the two commands, and the target of every link exists.
//!
//! Each rule is a function from texts to their faults. It has a test with the real documents and a test with a text
//! that breaks it.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail the test")]

mod migration;
mod readme;
mod samples;
mod skills;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use af_sam::template::Template;
use af_tests::workspace::{Violation, Workspace, assert_none, root};
use serde_json::Value;
use syn::visit::{self, Visit};

use samples::Samples;

const DATA_MODEL: &str = "docs/data-model.md";

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path} cannot be read: {e}"))
}

fn wrong(what: impl Into<String>) -> Violation {
    Violation::new(DATA_MODEL, what)
}

/// The cells of the first table under `heading`, without its two head lines. No cell contains a `|`.
fn rows(document: &str, heading: &str) -> Vec<Vec<String>> {
    let section = document.lines().skip_while(|line| *line != heading).skip(1);
    let table = section.take_while(|line| !line.starts_with("## ")).skip_while(|line| !line.starts_with('|'));
    let lines = table.take_while(|line| line.starts_with('|')).skip(2);
    lines.map(|line| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()).collect()
}

/// The texts between backticks.
fn spans(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// The public functions and the names among the public constants of `keys.rs` or a file below it.
fn constructors(source: &str) -> BTreeSet<String> {
    let file = syn::parse_file(source).expect("the source is Rust");
    let name = |item: &syn::Item| match item {
        syn::Item::Fn(f) if matches!(f.vis, syn::Visibility::Public(_)) => Some(f.sig.ident.to_string()),
        syn::Item::Const(c) if matches!(*c.ty, syn::Type::Reference(_)) => {
            matches!(c.vis, syn::Visibility::Public(_)).then(|| c.ident.to_string())
        }
        _ => None,
    };
    file.items.iter().filter_map(name).collect()
}

/// Every constructor has a row, every row has a constructor, and the row shows the result of the constructor.
fn key_tables(document: &str, constructors: &BTreeSet<String>, samples: &Samples) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut listed = BTreeSet::new();
    // Name, one or two columns of shape, constructors.
    for row in [rows(document, "## Keys"), rows(document, "## Parts of keys")].concat() {
        let (names, shape) = row.split_last().expect("a line has at least one cell");
        let shape = shape.iter().skip(1).flat_map(|cell| spans(cell));
        let shape: Vec<String> = shape.map(|s| samples.fill(s)).collect();
        if spans(names).is_empty() {
            violations.push(wrong(format!("{row:?} names no constructor")));
        }
        for name in spans(names) {
            listed.insert(name.to_owned());
            match samples.made.get(name) {
                Some(made) if *made == shape => {}
                Some(made) => violations.push(wrong(format!("`{name}` makes {made:?}, not {shape:?}"))),
                None => violations.push(wrong(format!("`{name}` is no constructor with a sample"))),
            }
        }
    }
    let missing = constructors.difference(&listed).map(|name| wrong(format!("`{name}` has no row")));
    let gone = listed.difference(constructors).map(|name| wrong(format!("`{name}` is not in keys.rs")));
    violations.extend(missing.chain(gone));
    violations
}

/// The table's keys, indexes, time to live and stream are those of the template.
fn table_settings(document: &str, template: &Template) -> Vec<Violation> {
    let [table] = &template.tables[..] else { return vec![wrong("the template has not exactly one table")] };
    let request = &table.create_table;
    let keys = |of: &Value| -> Vec<String> {
        let schema = of["KeySchema"].as_array().into_iter().flatten();
        schema.filter_map(|key| key["AttributeName"].as_str()).map(str::to_owned).collect()
    };
    let mut real = BTreeMap::from([("table".to_owned(), keys(request))]);
    for index in request["GlobalSecondaryIndexes"].as_array().into_iter().flatten() {
        real.insert(index["IndexName"].as_str().unwrap_or_default().to_owned(), keys(index));
    }
    let stream = request["StreamSpecification"]["StreamViewType"].as_str().map(str::to_owned);
    real.insert("stream".to_owned(), stream.into_iter().collect());
    real.insert("time to live".to_owned(), table.ttl_attribute.clone().into_iter().collect());
    let documented = rows(document, "## Table and indexes").into_iter().filter(|row| row.len() > 1);
    let names = |cell: &str| spans(cell).into_iter().map(str::to_owned).collect();
    let documented: BTreeMap<String, Vec<String>> =
        documented.map(|row| (row[0].trim_matches('`').to_owned(), names(&row[1]))).collect();
    let both: BTreeSet<&String> = real.keys().chain(documented.keys()).collect();
    let differs =
        both.into_iter().map(|name| (name, real.get(name), documented.get(name))).filter(|(_, r, t)| r != t);
    differs.map(|(name, r, t)| wrong(format!("{name}: the template says {r:?}, this {t:?}"))).collect()
}

/// The writes of the store: its public conditional writes, their conditions, and the attributes that they set.
#[derive(Default)]
struct Writes {
    methods: BTreeSet<String>,
    conditions: BTreeSet<String>,
    attributes: BTreeSet<String>,
    /// Whether the function that is being visited has a condition of its own.
    conditional: bool,
}

impl Writes {
    fn of<'a>(sources: impl Iterator<Item = &'a str>) -> Self {
        let mut writes = Self::default();
        sources.for_each(|source| writes.visit_file(&syn::parse_file(source).expect("the source is Rust")));
        writes
    }
}

impl<'ast> Visit<'ast> for Writes {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        // Unit tests contain writes that no other code makes.
        if module.ident != "tests" {
            visit::visit_item_mod(self, module);
        }
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        let name = function.sig.ident.to_string();
        self.conditional = name.contains("_if_");
        visit::visit_impl_item_fn(self, function);
        if self.conditional
            && matches!(function.vis, syn::Visibility::Public(_))
            && function.sig.asyncness.is_some()
        {
            self.methods.insert(name);
        }
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        let literal = |arg: Option<&syn::Expr>| match arg {
            Some(syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. })) => Some(text.value()),
            _ => None,
        };
        match call.method.to_string().as_str() {
            method @ ("when" | "when_is" | "check" | "put_new") => {
                self.conditional = true;
                self.conditions
                    .extend(literal(call.args.last()).filter(|_| matches!(method, "when" | "check")));
            }
            "set" | "set_to" | "set_some" | "set_or_remove" | "put" | "put_some" => {
                let path = literal(call.args.first()).unwrap_or_default();
                self.attributes.extend(path.split('.').filter(|name| !name.is_empty()).map(str::to_owned));
            }
            _ => {}
        }
        visit::visit_expr_method_call(self, call);
    }
}

/// The document has an entry for each conditional write, no entry without a method, and all conditions and attributes.
fn undocumented_writes(document: &str, writes: &Writes) -> Vec<Violation> {
    let section = document.lines().skip_while(|line| *line != "## Conditional writes").skip(1);
    let section = section.take_while(|line| !line.starts_with("## "));
    let documented: BTreeSet<String> =
        section.filter_map(|line| line.strip_prefix("### ")).flat_map(spans).map(str::to_owned).collect();
    let no_entry = writes.methods.difference(&documented).map(|name| wrong(format!("`{name}` has no entry")));
    let no_method =
        documented.difference(&writes.methods).map(|name| wrong(format!("`{name}` is no conditional write")));
    // Line by line: the fence of a code block is no span.
    let quoted: BTreeSet<&str> = document.lines().flat_map(spans).collect();
    let is_documented = |text: &&String| quoted.contains(text.as_str());
    let conditions = writes.conditions.iter().filter(|c| !is_documented(c));
    let conditions = conditions.map(|c| wrong(format!("the condition `{c}` is not in the document")));
    let attributes = writes.attributes.iter().filter(|a| !is_documented(a));
    let attributes = attributes.map(|a| wrong(format!("the attribute `{a}` is not in the document")));
    no_entry.chain(no_method).chain(conditions).chain(attributes).collect()
}

fn real_template() -> Template {
    Template::parse(&read("infra/template.yaml"), &BTreeMap::new()).expect("the template can be read")
}

#[test]
fn the_key_tables_show_the_result_of_every_constructor() {
    let mut constructors = constructors(&read("shared/store/src/keys.rs"));
    constructors.extend(self::constructors(&read("shared/store/src/keys/ledger.rs")));
    constructors.extend(self::constructors(&read("shared/store/src/keys/document.rs")));
    constructors.extend(self::constructors(&read("shared/store/src/keys/push.rs")));
    assert_none(&key_tables(&read(DATA_MODEL), &constructors, &Samples::new()));
}

#[test]
fn a_key_table_that_differs_from_the_constructors_is_refused() {
    let judged = |row: &str, source: &str| {
        let document =
            format!("## Keys\n\n| Item | pk | sk | Constructor |\n|---|---|---|---|\n{row}\n## Next\n");
        key_tables(&document, &constructors(source), &Samples::new()).len()
    };
    let (row, source) = ("| bot | `BOT#<botIdentity>` | `#` | `bot` |", "pub fn bot() {}\nfn private() {}");
    assert_eq!(judged(row, source), 0);
    assert_eq!(judged("| bot | `B#<botIdentity>` | `#` | `bot` |", source), 1, "another shape");
    assert_eq!(judged("| bot | `BOT#<bot>` | `#` | `bot` |", source), 1, "an unknown placeholder");
    assert_eq!(judged("", source), 1, "no row");
    assert_eq!(judged("| bot | `BOT#<botIdentity>` | `#` | |", source), 2, "a row without constructor");
    assert_eq!(judged(row, ""), 1, "a row whose constructor no longer exists");
    assert_eq!(
        judged(row, &format!("{source}\npub const WORKERS: &str = \"W\";")),
        1,
        "a constant without row"
    );
}

#[test]
fn the_table_and_its_indexes_are_the_templates() {
    assert_none(&table_settings(&read(DATA_MODEL), &real_template()));
}

#[test]
fn indexes_that_differ_from_the_templates_are_refused() {
    let document = read(DATA_MODEL);
    let judged = |from: &str, to: &str| {
        assert!(document.contains(from), "{from} is not in the document");
        table_settings(&document.replace(from, to), &real_template()).len()
    };
    assert_eq!(judged("| `ready` | `rp`, `rk` |", "| `ready` | `rp`, `rq` |"), 1, "another key");
    assert_eq!(judged("| `ready` |", "| `prepared` |"), 2, "a renamed index: one surplus and one missing");
    assert_eq!(judged("| table | `pk`, `sk` |", "| table | `pk` |"), 1, "half a key");
    assert_eq!(judged("| stream | `NEW_AND_OLD_IMAGES` |", "| stream | `NEW_IMAGE` |"), 1, "another stream");
}

#[test]
fn every_conditional_write_and_every_attribute_is_documented() {
    let workspace = Workspace::real();
    let sources = workspace.rust().filter(|f| f.path.starts_with("shared/store/src/"));
    let writes = Writes::of(sources.map(|f| f.text.as_str()));
    assert!(
        writes.methods.len() > 10 && writes.conditions.len() > 10,
        "the store is not where this rule looks"
    );
    assert_none(&undocumented_writes(&read(DATA_MODEL), &writes));
}

#[test]
fn an_undocumented_write_is_refused() {
    let source = "impl Store {\n\
        pub async fn keep_if_new(&self) {}\n\
        pub async fn mark(&self) { Update::of(k).set(\"x.yy\", 1).when(\"#x = :x\") }\n\
        pub async fn plain(&self) {}\n}\n\
        mod tests { fn f() { Update::of(k).set(\"zz\", 1).when(\"#z = :z\") } }";
    let judged = |document: &str| undocumented_writes(document, &Writes::of([source].into_iter())).len();
    let document = "## Conditional writes\n### `keep_if_new`\n### `mark`\n`#x = :x`, sets `x` and `yy`\n";
    assert_eq!(judged(document), 0);
    assert_eq!(
        judged(&document.replace("### `mark`\n", "")),
        1,
        "a write without `_if_` that has a condition"
    );
    assert_eq!(judged(&document.replace("### `keep_if_new`\n", "")), 1, "no entry");
    assert_eq!(judged(&format!("{document}### `plain`\n")), 1, "an entry of an unconditional write");
    assert_eq!(judged(&document.replace("#x = :x", "#x = :y")), 1, "another condition");
    assert_eq!(judged(&document.replace("`yy`", "yy")), 1, "an undocumented attribute");
}
