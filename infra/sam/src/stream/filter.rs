//! Event filters of stream mappings: they select the records for a function.
//!
//! The language is the event pattern of EventBridge, as Lambda supports it for DynamoDB streams (Lambda guide,
//! "Control which events Lambda sends to your function"). A pattern is an object with the structure of the record.
//! Each of its fields must match (and), a list contains alternatives (or), and `"$or"` joins whole patterns. An
//! unsupported operator is an error when the template is read. Otherwise a filter that silently passes all records,
//! or none, would be noticed only in production.

use serde_json::{Map, Number, Value};

/// The deepest nesting of a pattern. Lambda limits a pattern to 4 096 characters, so a real pattern does not nest
/// deeper.
const MAX_PATTERN_DEPTH: usize = 64;

/// A checked filter pattern, which can match many records.
#[derive(Clone, Debug, PartialEq)]
pub struct Pattern(Fields);

/// The reason why a pattern cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// The pattern, or an alternative of `$or`, is not an object.
    #[error("a pattern must be an object: {0}")]
    NotAnObject(String),
    /// The object or list is empty. AWS refuses it, because it matches no record.
    #[error("the pattern for `{0}` is empty")]
    Empty(String),
    /// A field's pattern is neither an object nor a list of alternatives.
    #[error("the pattern for `{0}` must be a list of alternatives or an object")]
    NotAList(String),
    /// A list contains a value that is neither a literal nor an operator.
    #[error("the pattern for `{field}` contains {value}, which is neither a literal nor an operator")]
    NotAnAlternative {
        /// The field's path.
        field: String,
        /// The value.
        value: String,
    },
    /// Lambda does not document the operator for streams.
    #[error("the pattern for `{field}` uses the unsupported operator `{operator}`")]
    UnsupportedOperator {
        /// The field's path.
        field: String,
        /// The operator's name.
        operator: String,
    },
    /// The operator's argument has the wrong shape.
    #[error("the pattern for `{field}`: `{operator}` cannot take {argument}")]
    BadArgument {
        /// The field's path.
        field: String,
        /// The operator's name.
        operator: String,
        /// Its argument.
        argument: String,
    },
    /// The pattern nests deeper than any pattern that Lambda accepts.
    #[error("the pattern nests deeper than {MAX_PATTERN_DEPTH} levels")]
    TooDeep,
}

#[derive(Clone, Debug, PartialEq)]
struct Fields {
    all: Vec<(String, Node)>,
    /// Each `$or`: at least one of its patterns must match.
    any: Vec<Vec<Fields>>,
}

#[derive(Clone, Debug, PartialEq)]
enum Node {
    Object(Fields),
    Leaf(Vec<Test>),
}

#[derive(Clone, Debug, PartialEq)]
enum Test {
    /// A literal string, number, true, false or null. Numbers are compared as they are written, as in EventBridge:
    /// 300 is not 300.0.
    Literal(Value),
    Prefix(String),
    Suffix(String),
    EqualsIgnoreCase(String),
    AnythingBut(Vec<Value>),
    Exists(bool),
    Numeric(Vec<(Comparison, f64)>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Comparison {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Pattern {
    /// Checks a pattern and prepares it for matching.
    pub fn compile(pattern: &Value) -> Result<Self, PatternError> {
        fields(pattern, "", 0).map(Self)
    }

    /// Whether `record` matches.
    pub fn matches(&self, record: &Value) -> bool {
        record.as_object().is_some_and(|object| self.0.matches(object))
    }
}

fn fields(pattern: &Value, path: &str, depth: usize) -> Result<Fields, PatternError> {
    if depth > MAX_PATTERN_DEPTH {
        return Err(PatternError::TooDeep);
    }
    let object = pattern.as_object().ok_or_else(|| PatternError::NotAnObject(pattern.to_string()))?;
    if object.is_empty() {
        return Err(PatternError::Empty(path.to_owned()));
    }
    let mut compiled = Fields { all: Vec::new(), any: Vec::new() };
    for (name, value) in object {
        let field = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        match value {
            Value::Array(patterns) if name == "$or" => {
                if patterns.is_empty() {
                    return Err(PatternError::Empty(field));
                }
                let patterns = patterns.iter().map(|pattern| fields(pattern, path, depth + 1));
                compiled.any.push(patterns.collect::<Result<_, _>>()?);
            }
            Value::Object(_) => {
                compiled.all.push((name.clone(), Node::Object(fields(value, &field, depth + 1)?)));
            }
            Value::Array(alternatives) if alternatives.is_empty() => return Err(PatternError::Empty(field)),
            Value::Array(alternatives) => {
                let tests = alternatives.iter().map(|alternative| test(alternative, &field));
                compiled.all.push((name.clone(), Node::Leaf(tests.collect::<Result<_, _>>()?)));
            }
            _ => return Err(PatternError::NotAList(field)),
        }
    }
    Ok(compiled)
}

fn test(alternative: &Value, field: &str) -> Result<Test, PatternError> {
    match alternative {
        Value::Array(_) => {
            Err(PatternError::NotAnAlternative { field: field.to_owned(), value: alternative.to_string() })
        }
        Value::Object(operator) => match operator.iter().next() {
            Some((name, argument)) if operator.len() == 1 => operation(name, argument, field),
            _ => Err(PatternError::NotAnAlternative {
                field: field.to_owned(),
                value: alternative.to_string(),
            }),
        },
        literal => Ok(Test::Literal(literal.clone())),
    }
}

fn operation(name: &str, argument: &Value, field: &str) -> Result<Test, PatternError> {
    let test = match (name, argument) {
        ("prefix", Value::String(text)) => Some(Test::Prefix(text.clone())),
        ("suffix", Value::String(text)) => Some(Test::Suffix(text.clone())),
        ("equals-ignore-case", Value::String(text)) => Some(Test::EqualsIgnoreCase(text.to_lowercase())),
        ("exists", Value::Bool(wanted)) => Some(Test::Exists(*wanted)),
        ("anything-but", Value::String(_) | Value::Number(_)) => {
            Some(Test::AnythingBut(vec![argument.clone()]))
        }
        ("anything-but", Value::Array(values)) => {
            let uniform = values.iter().all(Value::is_string) || values.iter().all(Value::is_number);
            (uniform && !values.is_empty()).then(|| Test::AnythingBut(values.clone()))
        }
        ("numeric", Value::Array(parts)) => comparisons(parts).map(Test::Numeric),
        ("prefix" | "suffix" | "equals-ignore-case" | "exists" | "anything-but" | "numeric", _) => None,
        _ => {
            let (field, operator) = (field.to_owned(), name.to_owned());
            return Err(PatternError::UnsupportedOperator { field, operator });
        }
    };
    test.ok_or_else(|| PatternError::BadArgument {
        field: field.to_owned(),
        operator: name.to_owned(),
        argument: argument.to_string(),
    })
}

/// `["=", 5]`, or a range of two comparisons: `[">", 0, "<=", 100]`.
fn comparisons(parts: &[Value]) -> Option<Vec<(Comparison, f64)>> {
    if !matches!(parts.len(), 2 | 4) {
        return None;
    }
    let parsed = parts.chunks(2).map(|pair| {
        let comparison = match pair[0].as_str()? {
            "=" => Comparison::Equal,
            "<" => Comparison::Less,
            "<=" => Comparison::LessOrEqual,
            ">" => Comparison::Greater,
            ">=" => Comparison::GreaterOrEqual,
            _ => return None,
        };
        Some((comparison, pair[1].as_f64()?))
    });
    parsed.collect()
}

impl Fields {
    fn matches(&self, object: &Map<String, Value>) -> bool {
        self.all.iter().all(|(name, node)| node.matches(object.get(name)))
            && self.any.iter().all(|patterns| patterns.iter().any(|pattern| pattern.matches(object)))
    }

    /// Whether a record without this object matches. This is only possible with `exists: false`.
    fn matches_absence(&self) -> bool {
        self.matches(&Map::new())
    }
}

impl Node {
    fn matches(&self, value: Option<&Value>) -> bool {
        match (self, value) {
            (Node::Object(fields), Some(Value::Object(object))) => fields.matches(object),
            (Node::Object(fields), Some(Value::Array(items))) => {
                items.iter().filter_map(Value::as_object).any(|item| fields.matches(item))
            }
            (Node::Object(fields), _) => fields.matches_absence(),
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
            Test::Suffix(suffix) => value.as_str().is_some_and(|text| text.ends_with(suffix)),
            Test::EqualsIgnoreCase(wanted) => {
                value.as_str().is_some_and(|text| text.to_lowercase() == *wanted)
            }
            Test::AnythingBut(unwanted) => {
                !value.is_object() && !value.is_array() && !unwanted.contains(value)
            }
            // Only JSON numbers are compared. DynamoDB's `{"N": "12"}` is a string, which Lambda does not compare
            // either.
            Test::Numeric(comparisons) => value
                .as_number()
                .and_then(Number::as_f64)
                .is_some_and(|number| comparisons.iter().all(|(how, bound)| how.holds(number, *bound))),
            Test::Exists(wanted) => *wanted,
        }
    }
}

impl Comparison {
    fn holds(self, number: f64, bound: f64) -> bool {
        match self {
            Comparison::Equal => number == bound,
            Comparison::Less => number < bound,
            Comparison::LessOrEqual => number <= bound,
            Comparison::Greater => number > bound,
            Comparison::GreaterOrEqual => number >= bound,
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

    fn refusal(pattern: Value) -> PatternError {
        Pattern::compile(&pattern).unwrap_err()
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
    fn text_operators_match_text_only() {
        assert!(matches(json!({"a": [{"prefix": "ab"}]}), json!({"a": "abc"})));
        assert!(!matches(json!({"a": [{"prefix": "ab"}]}), json!({"a": "xab"})));
        assert!(matches(json!({"a": [{"suffix": "bc"}]}), json!({"a": "abc"})));
        assert!(!matches(json!({"a": [{"suffix": "bc"}]}), json!({"a": 1})));
        assert!(matches(json!({"a": [{"equals-ignore-case": "AbC"}]}), json!({"a": "aBc"})));
        assert!(!matches(json!({"a": [{"equals-ignore-case": "AbC"}]}), json!({"a": "abcd"})));
    }

    #[test]
    fn anything_but_matches_a_value_outside_its_list() {
        let pattern = json!({"a": [{"anything-but": ["x", "y"]}]});
        assert!(matches(pattern.clone(), json!({"a": "z"})));
        assert!(!matches(pattern.clone(), json!({"a": "x"})));
        assert!(!matches(pattern.clone(), json!({})), "an absent field is not another value");
        assert!(matches(json!({"a": [{"anything-but": "x"}]}), json!({"a": 1})));
        assert!(!matches(json!({"a": [{"anything-but": 1}]}), json!({"a": 1})));
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
    fn numeric_compares_json_numbers() {
        let range = json!({"a": [{"numeric": [">", 0, "<=", 100]}]});
        assert!(matches(range.clone(), json!({"a": 100})));
        assert!(!matches(range.clone(), json!({"a": 0})));
        assert!(!matches(range.clone(), json!({"a": 100.5})));
        assert!(!matches(range, json!({"a": "50"})));
        assert!(matches(json!({"a": [{"numeric": ["=", 3]}]}), json!({"a": 3.0})));
        assert!(matches(json!({"a": [{"numeric": ["<", 3]}]}), json!({"a": -1})));
        assert!(matches(json!({"a": [{"numeric": [">=", 3]}]}), json!({"a": 3})));
    }

    #[test]
    fn or_joins_whole_patterns() {
        let pattern = json!({"t": ["c"], "$or": [{"a": ["x"]}, {"b": {"c": ["y"]}}]});
        assert!(matches(pattern.clone(), json!({"t": "c", "a": "x"})));
        assert!(matches(pattern.clone(), json!({"t": "c", "b": {"c": "y"}})));
        assert!(!matches(pattern.clone(), json!({"t": "c", "b": {"c": "z"}})));
        assert!(!matches(pattern, json!({"t": "d", "a": "x"})));
    }

    #[test]
    fn an_unsupported_pattern_is_refused() {
        let unsupported = |operator: &str| PatternError::UnsupportedOperator {
            field: "a.b".to_owned(),
            operator: operator.to_owned(),
        };
        assert_eq!(refusal(json!({"a": {"b": [{"wildcard": "x*"}]}})), unsupported("wildcard"));
        assert_eq!(refusal(json!({"a": {"b": [{"cidr": "10.0.0.0/8"}]}})), unsupported("cidr"));
        for (operator, argument) in [
            ("prefix", json!(3)),
            ("suffix", json!({"equals-ignore-case": "x"})),
            ("exists", json!("true")),
            ("anything-but", json!({"prefix": "x"})),
            ("anything-but", json!([])),
            ("anything-but", json!(["x", 1])),
            ("numeric", json!(["="])),
            ("numeric", json!(["!=", 1])),
            ("numeric", json!(["=", "1"])),
        ] {
            let refused = refusal(json!({"a": [{operator: argument}]}));
            assert!(matches!(refused, PatternError::BadArgument { .. }), "{operator} {argument}: {refused}");
        }
        assert!(matches!(refusal(json!(["a"])), PatternError::NotAnObject(_)));
        assert_eq!(refusal(json!({})), PatternError::Empty(String::new()));
        assert_eq!(refusal(json!({"a": {}})), PatternError::Empty("a".to_owned()));
        assert_eq!(refusal(json!({"a": []})), PatternError::Empty("a".to_owned()));
        assert_eq!(refusal(json!({"$or": []})), PatternError::Empty("$or".to_owned()));
        assert_eq!(refusal(json!({"a": "x"})), PatternError::NotAList("a".to_owned()));
        assert!(matches!(refusal(json!({"a": [["x"]]})), PatternError::NotAnAlternative { .. }));
        let two = json!({"a": [{"prefix": "x", "suffix": "y"}]});
        assert!(matches!(refusal(two), PatternError::NotAnAlternative { .. }));
        let deep = (0..100).fold(json!(["x"]), |inner, _| json!({"a": inner}));
        assert_eq!(refusal(deep), PatternError::TooDeep);
    }
}
