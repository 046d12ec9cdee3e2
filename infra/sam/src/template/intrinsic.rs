//! CloudFormation's intrinsic functions (Template reference, "Intrinsic function reference"): those that the template
//! uses. Any other is an error.

use serde_json::Value;

use super::error::{Place, TemplateError};
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
            "Ref" => return self.reference(literal("Ref", argument, at)?, at, depth),
            "Fn::If" => {
                let [condition, yes, no] = arguments("Fn::If", argument, at)?;
                let condition = literal("Fn::If", condition, at)?;
                let chosen = if self.condition(condition, at, depth)? { yes } else { no };
                return self.resolve(chosen, at, depth);
            }
            "Fn::GetAtt" => {
                let (resource, attribute) =
                    argument.as_str().and_then(|path| path.split_once('.')).ok_or_else(|| {
                        bad("Fn::GetAtt", format!("needs a resource and an attribute, found {argument}"), at)
                    })?;
                self.attribute(resource, attribute, at, depth)?
            }
            "Fn::Sub" => self.substitute(argument, at, depth)?,
            "Fn::Split" => return self.split(argument, at, depth),
            "Fn::Equals" | "Fn::Not" => {
                return Err(at.unsupported_intrinsic(format!("{name} outside of a condition")));
            }
            other => return Err(at.unsupported_intrinsic(other)),
        };
        Ok(Some(Value::String(evaluated)))
    }

    /// Whether a rule of the `Conditions` section holds.
    pub(super) fn truth(&self, rule: &Value, at: &Place, depth: usize) -> Result<bool, TemplateError> {
        guard_depth(at, depth)?;
        let rules = rule.as_object().filter(|rules| rules.len() == 1).and_then(|rules| rules.iter().next());
        let Some((name, argument)) = rules else {
            return Err(at.expected("a condition function", rule));
        };
        match name.as_str() {
            "Condition" => self.condition(literal("Condition", argument, at)?, at, depth),
            "Fn::Equals" => {
                let [left, right] = arguments("Fn::Equals", argument, at)?;
                Ok(self.operand(left, at, depth)? == self.operand(right, at, depth)?)
            }
            "Fn::Not" => {
                let [operand] = arguments("Fn::Not", argument, at)?;
                Ok(!self.truth(operand, at, depth + 1)?)
            }
            other => Err(at.unsupported_intrinsic(other)),
        }
    }

    fn substitute(&self, argument: &Value, at: &Place, depth: usize) -> Result<String, TemplateError> {
        let mut rest = argument.as_str().ok_or_else(|| bad("Fn::Sub", "needs a text", at))?;
        let mut result = String::new();
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
            let value = match name.split_once('.') {
                Some((resource, attribute)) => self.attribute(resource, attribute, at, depth)?,
                None => {
                    let value = self.reference(name, at, depth)?.as_ref().and_then(text);
                    value.ok_or_else(|| bad("Fn::Sub", format!("`{name}` is no text"), at))?
                }
            };
            result.push_str(&value);
        }
        result.push_str(rest);
        Ok(result)
    }

    fn split(&self, argument: &Value, at: &Place, depth: usize) -> Result<Option<Value>, TemplateError> {
        let [separator, joined] = arguments("Fn::Split", argument, at)?;
        let separator = literal("Fn::Split", separator, at)?;
        let joined = self.resolve(joined, at, depth)?.as_ref().and_then(text);
        let joined = joined.ok_or_else(|| bad("Fn::Split", "needs a text", at))?;
        Ok(Some(joined.split(separator).map(Value::from).collect()))
    }

    /// An operand of `Fn::Equals`.
    fn operand(&self, value: &Value, at: &Place, depth: usize) -> Result<String, TemplateError> {
        let resolved = self.resolve(value, at, depth + 1)?.as_ref().and_then(text);
        resolved.ok_or_else(|| bad("Fn::Equals", format!("needs a text, found {value}"), at))
    }
}

/// A name, which must be a literal.
fn literal<'v>(intrinsic: &str, value: &'v Value, at: &Place) -> Result<&'v str, TemplateError> {
    value.as_str().ok_or_else(|| bad(intrinsic, format!("needs a name, found {value}"), at))
}

/// The arguments of an intrinsic that takes exactly `N`.
fn arguments<'v, const N: usize>(
    intrinsic: &str,
    argument: &'v Value,
    at: &Place,
) -> Result<&'v [Value; N], TemplateError> {
    let exact = argument.as_array().and_then(|list| list.as_slice().try_into().ok());
    exact.ok_or_else(|| bad(intrinsic, format!("needs a list of {N}, found {argument}"), at))
}

fn bad(intrinsic: &str, reason: impl std::fmt::Display, at: &Place) -> TemplateError {
    at.problem(format!("`{intrinsic}`: {reason}"))
}
