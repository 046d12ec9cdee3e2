//! CloudFormation's intrinsic functions (Template reference, "Intrinsic function reference"), as far as the
//! interpreted properties use them.

use serde_json::{Map, Value};

use super::error::{Place, Problem, TemplateError};
use super::scope::{Scope, guard_depth, text};

impl Scope<'_> {
    /// Evaluates one intrinsic; `None` is `AWS::NoValue`.
    pub(super) fn evaluate(
        &self,
        name: &str,
        argument: &Value,
        at: &Place,
        depth: usize,
    ) -> Result<Option<Value>, TemplateError> {
        let evaluated = match name {
            "Ref" => return self.reference(&self.literal("Ref", argument, at)?, at, depth),
            "Fn::If" => {
                let [condition, yes, no] = arguments("Fn::If", argument, at)?;
                let condition = self.literal("Fn::If", condition, at)?;
                let chosen = if self.condition(&condition, at, depth)? { yes } else { no };
                return self.resolve(chosen, at, depth);
            }
            "Fn::GetAtt" => {
                let (resource, attribute) = attribute_name(argument, at)?;
                Value::String(self.attribute(&resource, &attribute, at, depth)?)
            }
            "Fn::Sub" => Value::String(self.substitute(argument, at, depth)?),
            "Fn::Join" => {
                let [delimiter, list] = arguments("Fn::Join", argument, at)?;
                let delimiter = self.text_of("Fn::Join", delimiter, at, depth)?;
                Value::String(self.texts_of("Fn::Join", list, at, depth)?.join(&delimiter))
            }
            "Fn::Split" => {
                let [delimiter, source] = arguments("Fn::Split", argument, at)?;
                let delimiter = self.text_of("Fn::Split", delimiter, at, depth)?;
                if delimiter.is_empty() {
                    return Err(bad("Fn::Split", "an empty delimiter", at));
                }
                self.text_of("Fn::Split", source, at, depth)?.split(&delimiter).map(Value::from).collect()
            }
            "Fn::Select" => {
                let [index, list] = arguments("Fn::Select", argument, at)?;
                let index = self.text_of("Fn::Select", index, at, depth)?;
                let list = self.texts_of("Fn::Select", list, at, depth)?;
                let chosen = index.parse::<usize>().ok().and_then(|index| list.get(index));
                let outside =
                    || bad("Fn::Select", format!("no item {index} in a list of {}", list.len()), at);
                Value::String(chosen.ok_or_else(outside)?.clone())
            }
            "Fn::FindInMap" => self.find_in_map(argument, at, depth)?,
            "Fn::Equals" | "Fn::And" | "Fn::Or" | "Fn::Not" => {
                return Err(
                    at.problem(Problem::UnsupportedIntrinsic(format!("{name} outside of a condition")))
                );
            }
            other => return Err(at.problem(Problem::UnsupportedIntrinsic(other.to_owned()))),
        };
        Ok(Some(evaluated))
    }

    /// Whether a rule of the `Conditions` section holds.
    pub(super) fn truth(&self, rule: &Value, at: &Place, depth: usize) -> Result<bool, TemplateError> {
        /// The most conditions that And and Or take in CloudFormation.
        const MAX_OPERANDS: usize = 10;
        guard_depth(at, depth)?;
        let rules = rule.as_object().filter(|rules| rules.len() == 1).and_then(|rules| rules.iter().next());
        let Some((name, argument)) = rules else {
            return Err(at.expected("a condition function", rule));
        };
        let operands = || {
            let operands = argument.as_array().filter(|list| (2..=MAX_OPERANDS).contains(&list.len()));
            operands.ok_or_else(|| at.expected("a list of two to ten conditions", argument))
        };
        match name.as_str() {
            "Condition" => self.condition(&self.literal("Condition", argument, at)?, at, depth),
            "Fn::Equals" => {
                let [left, right] = arguments("Fn::Equals", argument, at)?;
                let left = self.text_of("Fn::Equals", left, at, depth)?;
                Ok(left == self.text_of("Fn::Equals", right, at, depth)?)
            }
            "Fn::Not" => {
                let [operand] = arguments("Fn::Not", argument, at)?;
                Ok(!self.truth(operand, at, depth + 1)?)
            }
            // All operands are evaluated, so that an error in any of them is reported.
            "Fn::And" => operands()?
                .iter()
                .try_fold(true, |all, operand| Ok(all & self.truth(operand, at, depth + 1)?)),
            "Fn::Or" => operands()?
                .iter()
                .try_fold(false, |any, operand| Ok(any | self.truth(operand, at, depth + 1)?)),
            other => Err(at.problem(Problem::UnsupportedIntrinsic(other.to_owned()))),
        }
    }

    fn substitute(&self, argument: &Value, at: &Place, depth: usize) -> Result<String, TemplateError> {
        let no_variables = Map::new();
        let (pattern, variables) = match argument {
            Value::String(pattern) => (pattern, &no_variables),
            Value::Array(parts) => match parts.as_slice() {
                [Value::String(pattern), Value::Object(variables)] => (pattern, variables),
                _ => return Err(bad("Fn::Sub", "needs a text and a mapping", at)),
            },
            _ => return Err(bad("Fn::Sub", "needs a text", at)),
        };
        let mut result = String::new();
        let mut rest = pattern.as_str();
        // The loop ends, because each round consumes at least the two characters of `${`.
        while let Some((before, after)) = rest.split_once("${") {
            result.push_str(before);
            let (name, after) =
                after.split_once('}').ok_or_else(|| bad("Fn::Sub", "`${` without `}`", at))?;
            rest = after;
            if let Some(literal) = name.strip_prefix('!') {
                result.push_str(&format!("${{{literal}}}"));
                continue;
            }
            let value = match (variables.get(name), name.split_once('.')) {
                (Some(variable), _) => self.text_of("Fn::Sub", variable, at, depth)?,
                (None, Some((resource, attribute))) => self.attribute(resource, attribute, at, depth)?,
                (None, None) => {
                    let value = self.reference(name, at, depth)?;
                    let value = value.as_ref().and_then(text);
                    value.ok_or_else(|| bad("Fn::Sub", format!("`{name}` is no text"), at))?
                }
            };
            result.push_str(&value);
        }
        result.push_str(rest);
        Ok(result)
    }

    fn find_in_map(&self, argument: &Value, at: &Place, depth: usize) -> Result<Value, TemplateError> {
        let keys: [&Value; 3] = arguments("Fn::FindInMap", argument, at)?;
        let [map, first, second] = keys.map(|key| self.text_of("Fn::FindInMap", key, at, depth));
        let (map, first, second) = (map?, first?, second?);
        let mut maps = self.section("Mappings")?;
        let found = maps.find(|(name, _)| **name == map).and_then(|(_, map)| map.get(&first)?.get(&second));
        found.cloned().ok_or_else(|| bad("Fn::FindInMap", format!("no {map}.{first}.{second}"), at))
    }

    /// A name, which must be a literal.
    fn literal(&self, intrinsic: &'static str, value: &Value, at: &Place) -> Result<String, TemplateError> {
        let literal = value.as_str().map(str::to_owned);
        literal.ok_or_else(|| bad(intrinsic, format!("needs a name, found {value}"), at))
    }

    fn text_of(
        &self,
        intrinsic: &'static str,
        value: &Value,
        at: &Place,
        depth: usize,
    ) -> Result<String, TemplateError> {
        let resolved = self.resolve(value, at, depth + 1)?;
        let found = resolved.as_ref().and_then(text);
        found.ok_or_else(|| bad(intrinsic, format!("needs a text, found {value}"), at))
    }

    fn texts_of(
        &self,
        intrinsic: &'static str,
        value: &Value,
        at: &Place,
        depth: usize,
    ) -> Result<Vec<String>, TemplateError> {
        let resolved = self.resolve(value, at, depth + 1)?;
        let items = resolved.as_ref().and_then(Value::as_array);
        let texts = items.and_then(|items| items.iter().map(text).collect());
        texts.ok_or_else(|| bad(intrinsic, format!("needs a list of texts, found {value}"), at))
    }
}

/// The arguments of an intrinsic that takes exactly `N`.
fn arguments<'v, const N: usize>(
    intrinsic: &'static str,
    argument: &'v Value,
    at: &Place,
) -> Result<[&'v Value; N], TemplateError> {
    let list = argument.as_array().map(|list| list.iter().collect::<Vec<_>>());
    let exact = list.and_then(|list| <[&Value; N]>::try_from(list).ok());
    exact.ok_or_else(|| bad(intrinsic, format!("needs a list of {N}, found {argument}"), at))
}

/// `Table.Arn`, or the list of both.
fn attribute_name(argument: &Value, at: &Place) -> Result<(String, String), TemplateError> {
    let parts = match argument {
        Value::String(path) => path.split_once('.'),
        Value::Array(parts) => match parts.as_slice() {
            [Value::String(resource), Value::String(attribute)] => {
                Some((resource.as_str(), attribute.as_str()))
            }
            _ => None,
        },
        _ => None,
    };
    let owned = parts.map(|(resource, attribute)| (resource.to_owned(), attribute.to_owned()));
    owned.ok_or_else(|| bad("Fn::GetAtt", format!("needs a resource and an attribute, found {argument}"), at))
}

fn bad(intrinsic: &'static str, reason: impl Into<String>, at: &Place) -> TemplateError {
    at.problem(Problem::BadIntrinsic { intrinsic, reason: reason.into() })
}
