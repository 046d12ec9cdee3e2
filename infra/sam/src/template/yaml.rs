//! YAML with the tags of CloudFormation, converted into one form: `!Sub x` and `Fn::Sub: x` are both
//! `{"Fn::Sub": x}`.

use serde_json::{Map, Value};
use serde_norway::Value as Yaml;

use super::error::{Place, TemplateError};

/// Reads a template without interpreting it.
pub(super) fn read(text: &str) -> Result<Map<String, Value>, TemplateError> {
    let yaml: Yaml = serde_norway::from_str(text).map_err(TemplateError::Yaml)?;
    match plain(yaml) {
        Value::Object(template) => Ok(template),
        other => Err(Place::resource("the template").expected("a mapping", &other)),
    }
}

/// The parser limits the depth of a document, so this recursion ends.
fn plain(yaml: Yaml) -> Value {
    match yaml {
        Yaml::Null => Value::Null,
        Yaml::Bool(flag) => Value::Bool(flag),
        Yaml::Number(number) => {
            let exact = number.as_i64().map(Value::from).or_else(|| number.as_u64().map(Value::from));
            // Infinity and NaN are no JSON numbers. As text they fail where a number is required.
            exact
                .or_else(|| number.as_f64().and_then(serde_json::Number::from_f64).map(Value::Number))
                .unwrap_or_else(|| Value::String(number.to_string()))
        }
        Yaml::String(text) => Value::String(text),
        Yaml::Sequence(items) => items.into_iter().map(plain).collect(),
        Yaml::Mapping(entries) => {
            let entries = entries.into_iter().map(|(key, value)| (key_text(plain(key)), plain(value)));
            Value::Object(entries.collect())
        }
        Yaml::Tagged(tagged) => {
            let tag = tagged.tag.to_string();
            let name = match tag.trim_start_matches('!') {
                plain @ ("Ref" | "Condition") => plain.to_owned(),
                function => format!("Fn::{function}"),
            };
            Value::Object(Map::from_iter([(name, plain(tagged.value))]))
        }
    }
}

fn key_text(key: Value) -> String {
    match key {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tags_and_long_forms_are_the_same() {
        let read = |text| Value::Object(read(text).unwrap());
        let expected = json!({"a": {"Fn::Sub": "x-${Y}"}, "b": {"Ref": "Z"}, "c": {"Fn::GetAtt": "T.Arn"}});
        assert_eq!(read("{a: !Sub 'x-${Y}', b: !Ref Z, c: !GetAtt T.Arn}"), expected);
        assert_eq!(read("{a: {'Fn::Sub': 'x-${Y}'}, b: {Ref: Z}, c: {'Fn::GetAtt': T.Arn}}"), expected);
        assert_eq!(read("a: !If [C, !Ref B, 1]"), json!({"a": {"Fn::If": ["C", {"Ref": "B"}, 1]}}));
        assert_eq!(read("a: !Not [!Condition C]"), json!({"a": {"Fn::Not": [{"Condition": "C"}]}}));
    }

    #[test]
    fn scalars_keep_their_kind() {
        let read = read("{a: 1, b: 1.5, c: true, d: null, e: 2010-09-09, f: '7', 8: x}").unwrap();
        let expected = json!({"a": 1, "b": 1.5, "c": true, "d": null, "e": "2010-09-09", "f": "7", "8": "x"});
        assert_eq!(Value::Object(read), expected);
    }

    #[test]
    fn a_key_twice_and_a_list_are_refused() {
        assert!(matches!(read("a: 1\na: 2"), Err(TemplateError::Yaml(_))));
        assert!(matches!(read("[a]"), Err(TemplateError::At { .. })));
        assert!(matches!(read("a: [b"), Err(TemplateError::Yaml(_))));
    }
}
