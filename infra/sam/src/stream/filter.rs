//! Event filters of stream mappings: they select the records for a function.
//!
//! The language is the part that the template uses of EventBridge's event patterns, as Lambda supports them for DynamoDB
//! streams (Lambda guide, "Control which events Lambda sends to your function"). A pattern is an object with the
//! structure of the record. Each of its fields must match (and), and a list contains alternatives (or): literals, and
//! the operators `prefix` and `exists`. An unsupported operator is an error when the template is read. Otherwise a
//! filter that silently passes all records, or none, would be noticed only in production.

use serde_json::{Map, Value};

/// The deepest nesting of a pattern. Lambda limits a pattern to 4 096 characters, so a real pattern does not nest
/// deeper.
const MAX_PATTERN_DEPTH: usize = 64;

/// A checked filter pattern, which can match many records: the fields that must all match.
#[derive(Clone, Debug, PartialEq)]
pub struct Pattern(Vec<(String, Node)>);

/// The reason why a pattern cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PatternError(String);

#[derive(Clone, Debug, PartialEq)]
enum Node {
    Object(Pattern),
    Leaf(Vec<Test>),
}

#[derive(Clone, Debug, PartialEq)]
enum Test {
    /// A literal string, number, true, false or null. Numbers are compared as they are written, as in EventBridge:
    /// 300 is not 300.0.
    Literal(Value),
    Prefix(String),
    Exists(bool),
}

impl Pattern {
    /// Checks a pattern and prepares it for matching.
    pub fn compile(pattern: &Value) -> Result<Self, PatternError> {
        compile(pattern, "", 0)
    }

    /// Whether `record` matches.
    pub fn matches(&self, record: &Value) -> bool {
        record.as_object().is_some_and(|object| self.matches_object(object))
    }

    fn matches_object(&self, object: &Map<String, Value>) -> bool {
        self.0.iter().all(|(name, node)| node.matches(object.get(name)))
    }
}

fn compile(pattern: &Value, path: &str, depth: usize) -> Result<Pattern, PatternError> {
    if depth > MAX_PATTERN_DEPTH {
        return Err(PatternError(format!("the pattern nests deeper than {MAX_PATTERN_DEPTH} levels")));
    }
    let Some(object) = pattern.as_object() else {
        return Err(PatternError(format!("a pattern must be an object: {pattern}")));
    };
    // AWS refuses an empty object or list, because it matches no record.
    let empty = |field: &str| PatternError(format!("the pattern for `{field}` is empty"));
    if object.is_empty() {
        return Err(empty(path));
    }
    let mut fields = Vec::new();
    for (name, value) in object {
        let field = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let node = match value {
            _ if name == "$or" => return Err(unsupported(path, name)),
            Value::Object(_) => Node::Object(compile(value, &field, depth + 1)?),
            Value::Array(alternatives) if alternatives.is_empty() => return Err(empty(&field)),
            Value::Array(alternatives) => {
                let tests = alternatives.iter().map(|alternative| test(alternative, &field));
                Node::Leaf(tests.collect::<Result<_, _>>()?)
            }
            _ => {
                let must = "must be a list of alternatives or an object";
                return Err(PatternError(format!("the pattern for `{field}` {must}")));
            }
        };
        fields.push((name.clone(), node));
    }
    Ok(Pattern(fields))
}

fn test(alternative: &Value, field: &str) -> Result<Test, PatternError> {
    let operator = match alternative {
        Value::Object(operator) if operator.len() == 1 => operator.iter().next(),
        Value::Object(_) | Value::Array(_) => None,
        literal => return Ok(Test::Literal(literal.clone())),
    };
    match operator.map(|(name, argument)| (name.as_str(), argument)) {
        Some(("prefix", Value::String(text))) => Ok(Test::Prefix(text.clone())),
        Some(("exists", Value::Bool(wanted))) => Ok(Test::Exists(*wanted)),
        Some((name @ ("prefix" | "exists"), argument)) => {
            Err(PatternError(format!("the pattern for `{field}`: `{name}` cannot take {argument}")))
        }
        Some((name, _)) => Err(unsupported(field, name)),
        None => Err(PatternError(format!(
            "the pattern for `{field}` contains {alternative}, which is neither a literal nor an operator"
        ))),
    }
}

fn unsupported(field: &str, operator: &str) -> PatternError {
    PatternError(format!("the pattern for `{field}` uses the unsupported operator `{operator}`"))
}

impl Node {
    fn matches(&self, value: Option<&Value>) -> bool {
        match (self, value) {
            (Node::Object(pattern), Some(Value::Object(object))) => pattern.matches_object(object),
            (Node::Object(pattern), Some(Value::Array(items))) => {
                items.iter().any(|item| pattern.matches(item))
            }
            // Only `exists: false` matches a field of an absent object.
            (Node::Object(pattern), _) => pattern.matches_object(&Map::new()),
            (Node::Leaf(tests), value) => tests.iter().any(|test| test.matches(value)),
        }
    }
}

impl Test {
    fn matches(&self, value: Option<&Value>) -> bool {
        // `exists` refers to leaves only. An object in this place does not "exist", a list does.
        let leaf = value.filter(|value| !value.is_object());
        match (self, leaf) {
            (Test::Exists(wanted), leaf) => leaf.is_some() == *wanted,
            (_, None) => false,
            (_, Some(Value::Array(items))) => items.iter().any(|item| self.matches_scalar(item)),
            (_, Some(scalar)) => self.matches_scalar(scalar),
        }
    }

    fn matches_scalar(&self, value: &Value) -> bool {
        match self {
            Test::Literal(literal) => literal == value,
            Test::Prefix(prefix) => value.as_str().is_some_and(|text| text.starts_with(prefix)),
            Test::Exists(wanted) => *wanted,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn matches(pattern: Value, record: Value) -> bool {
        Pattern::compile(&pattern).unwrap().matches(&record)
    }

    #[test]
    fn nested_fields_must_all_match() {
        let pattern = json!({"dynamodb": {"Keys": {"pk": {"S": [{"prefix": "C#"}]}, "sk": {"S": ["#"]}}}});
        let record = |pk: &str, sk: &str| json!({"dynamodb": {"Keys": {"pk": {"S": pk}, "sk": {"S": sk}}}});
        assert!(matches(pattern.clone(), record("C#abc", "#")));
        assert!(!matches(pattern.clone(), record("M#abc", "#")));
        assert!(!matches(pattern.clone(), record("C#abc", "M#1")));
        assert!(!matches(pattern.clone(), json!({"dynamodb": {"Keys": {}}})));
        assert!(!matches(pattern, json!(7)));
    }

    #[test]
    fn a_conversation_with_work_and_without_an_owner_passes_the_reconcile_filter() {
        let pattern = json!({"dynamodb": {
            "Keys": {"pk": {"S": [{"prefix": "C#"}]}, "sk": {"S": ["#"]}},
            "NewImage": {"rp": {"S": [{"exists": true}]}, "rk": {"S": [{"exists": true}]}}
        }});
        let record = |image: Value| {
            json!({"eventName": "MODIFY", "dynamodb": {
                "Keys": {"pk": {"S": "C#x"}, "sk": {"S": "#"}}, "NewImage": image
            }})
        };
        assert!(matches(pattern.clone(), record(json!({"rp": {"S": "R#1"}, "rk": {"S": "0#7"}}))));
        assert!(matches(pattern.clone(), record(json!({"rp": {"S": "R#1"}, "rk": {"S": "1#7"}}))));
        assert!(!matches(pattern.clone(), record(json!({"rp": {"S": "R#1"}}))));
        assert!(!matches(pattern.clone(), record(json!({"rk": {"S": "0#7"}}))));
        // A removal has no new image.
        assert!(!matches(pattern, json!({"dynamodb": {"Keys": {"pk": {"S": "C#x"}, "sk": {"S": "#"}}}})));
    }

    #[test]
    fn a_list_contains_alternatives_of_every_literal_kind() {
        let pattern = json!({"a": ["x", 3, true, null]});
        for value in [json!("x"), json!(3), json!(true), json!(null)] {
            assert!(matches(pattern.clone(), json!({"a": value})));
        }
        for value in [json!("y"), json!(4), json!(3.0), json!(false), json!("3"), json!({"b": "x"})] {
            assert!(!matches(pattern.clone(), json!({"a": value})), "{value}");
        }
        assert!(!matches(json!({"a": [null]}), json!({})), "null is a value and not an absent field");
    }

    #[test]
    fn a_list_in_the_record_matches_when_one_element_does() {
        assert!(matches(json!({"SS": ["b"]}), json!({"SS": ["a", "b"]})));
        assert!(!matches(json!({"SS": ["c"]}), json!({"SS": ["a", "b"]})));
        assert!(matches(json!({"L": {"S": ["b"]}}), json!({"L": [{"S": "a"}, {"S": "b"}]})));
        assert!(!matches(json!({"L": {"S": ["c"]}}), json!({"L": [{"S": "a"}, {"N": "1"}]})));
    }

    #[test]
    fn a_prefix_matches_text_only() {
        assert!(matches(json!({"a": [{"prefix": "ab"}]}), json!({"a": "abc"})));
        assert!(!matches(json!({"a": [{"prefix": "ab"}]}), json!({"a": "xab"})));
        assert!(!matches(json!({"a": [{"prefix": "1"}]}), json!({"a": 1})));
    }

    #[test]
    fn exists_refers_to_leaves_only() {
        let present = json!({"n": {"rp": {"S": [{"exists": true}]}}});
        let absent = json!({"n": {"rp": {"S": [{"exists": false}]}}});
        assert!(matches(present.clone(), json!({"n": {"rp": {"S": "r"}}})));
        assert!(!matches(present.clone(), json!({"n": {}})));
        assert!(!matches(present, json!({})));
        assert!(matches(absent.clone(), json!({"n": {}})));
        assert!(matches(absent.clone(), json!({})), "a field of an absent object is absent");
        assert!(!matches(absent, json!({"n": {"rp": {"S": "r"}}})));
        assert!(!matches(json!({"rp": [{"exists": true}]}), json!({"rp": {"S": "r"}})));
        assert!(matches(json!({"tags": {"L": [{"exists": true}]}}), json!({"tags": {"L": [{"S": "a"}]}})));
    }

    #[test]
    fn an_unsupported_pattern_is_refused() {
        let refused = |pattern: Value, why: &str| {
            assert_eq!(Pattern::compile(&pattern).unwrap_err().to_string(), why);
        };
        for operator in ["wildcard", "cidr", "suffix", "equals-ignore-case", "anything-but", "numeric"] {
            let why = format!("the pattern for `a.b` uses the unsupported operator `{operator}`");
            refused(json!({"a": {"b": [{operator: "x"}]}}), &why);
        }
        let or = json!({"a": {"$or": [{"b": ["x"]}, {"c": ["y"]}]}});
        refused(or, "the pattern for `a` uses the unsupported operator `$or`");
        refused(json!({"a": [{"prefix": 3}]}), "the pattern for `a`: `prefix` cannot take 3");
        refused(json!({"a": [{"exists": "true"}]}), "the pattern for `a`: `exists` cannot take \"true\"");
        refused(json!(["a"]), "a pattern must be an object: [\"a\"]");
        refused(json!({}), "the pattern for `` is empty");
        refused(json!({"a": {}}), "the pattern for `a` is empty");
        refused(json!({"a": []}), "the pattern for `a` is empty");
        refused(json!({"a": "x"}), "the pattern for `a` must be a list of alternatives or an object");
        for alternative in [json!(["x"]), json!({"prefix": "x", "suffix": "y"})] {
            let contains = format!("the pattern for `a` contains {alternative}");
            refused(
                json!({"a": [alternative]}),
                &format!("{contains}, which is neither a literal nor an operator"),
            );
        }
        let deep = (0..100).fold(json!(["x"]), |inner, _| json!({"a": inner}));
        refused(deep, "the pattern nests deeper than 64 levels");
    }
}
