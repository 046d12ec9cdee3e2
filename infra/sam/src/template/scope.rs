//! The names of a template: parameters, pseudo parameters, conditions and resources.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::error::{Place, TemplateError};

/// `AWS::Region`, `AWS::AccountId` and `AWS::StackName` of the local stack.
pub(super) const REGION: &str = "local";
pub(super) const ACCOUNT: &str = "000000000000";
pub(super) const STACK: &str = "agent-factory";

/// The type of a secret.
const SECRET: &str = "AWS::SecretsManager::Secret";

/// The deepest nesting of values, references and conditions. Deeper ones count as circular.
const MAX_DEPTH: usize = 64;

/// The names of one template. A value is evaluated only when an interpreted property refers to it.
pub(super) struct Scope<'t> {
    template: &'t Map<String, Value>,
    /// `None` is a parameter without a value.
    parameters: BTreeMap<&'t str, Option<Value>>,
}

/// A resource of the template.
#[derive(Clone, Copy)]
pub(super) struct Resource<'t> {
    pub(super) logical_id: &'t str,
    pub(super) kind: &'t str,
    pub(super) body: &'t Map<String, Value>,
}

impl<'t> Resource<'t> {
    pub(super) fn place(&self) -> Place {
        Place::resource(self.logical_id)
    }

    fn property(&self, name: &str) -> Option<&'t Value> {
        self.body.get("Properties")?.as_object()?.get(name)
    }
}

impl<'t> Scope<'t> {
    pub(super) fn new(
        template: &'t Map<String, Value>,
        given: &BTreeMap<String, String>,
    ) -> Result<Self, TemplateError> {
        let mut parameters = BTreeMap::new();
        for (name, declaration) in section(template, "Parameters")? {
            let value =
                parameter(declaration, given.get(name), &Place::resource("Parameters").property(name))?;
            parameters.insert(name.as_str(), value);
        }
        if let Some(unknown) = given.keys().find(|name| !parameters.contains_key(name.as_str())) {
            return Err(TemplateError::UnknownParameter(unknown.clone()));
        }
        Ok(Self { template, parameters })
    }

    pub(super) fn section(
        &self,
        name: &str,
    ) -> Result<impl Iterator<Item = (&'t String, &'t Value)>, TemplateError> {
        section(self.template, name)
    }

    /// All resources whose conditions hold.
    pub(super) fn resources(&self) -> Result<Vec<Resource<'t>>, TemplateError> {
        let mut active = Vec::new();
        for (logical_id, body) in section(self.template, "Resources")? {
            let resource = self.parse_resource(logical_id, body)?;
            if self.is_active(&resource, 0)? {
                active.push(resource);
            }
        }
        Ok(active)
    }

    fn parse_resource(&self, logical_id: &'t str, body: &'t Value) -> Result<Resource<'t>, TemplateError> {
        let place = Place::resource(logical_id);
        if logical_id.starts_with("Fn::") {
            return Err(place.unsupported_intrinsic(logical_id));
        }
        let body = body.as_object().ok_or_else(|| place.expected("a resource", body))?;
        let kind = body.get("Type").and_then(Value::as_str);
        let kind = kind.ok_or_else(|| place.property("Type").problem("it is required"))?;
        Ok(Resource { logical_id, kind, body })
    }

    fn is_active(&self, resource: &Resource<'_>, depth: usize) -> Result<bool, TemplateError> {
        let place = resource.place().property("Condition");
        match resource.body.get("Condition") {
            None => Ok(true),
            Some(Value::String(name)) => self.condition(name, &place, depth),
            Some(other) => Err(place.expected("a condition's name", other)),
        }
    }

    /// Whether the condition `name` holds.
    pub(super) fn condition(&self, name: &str, at: &Place, depth: usize) -> Result<bool, TemplateError> {
        let mut conditions = section(self.template, "Conditions")?;
        let Some((_, rule)) = conditions.find(|(known, _)| *known == name) else {
            return Err(at.problem(format!("unknown condition `{name}`")));
        };
        self.truth(rule, &Place::resource("Conditions").property(name), depth + 1)
    }

    /// Returns `value` with all its intrinsics evaluated; `None` is `AWS::NoValue`.
    pub(super) fn resolve(
        &self,
        value: &Value,
        at: &Place,
        depth: usize,
    ) -> Result<Option<Value>, TemplateError> {
        guard_depth(at, depth)?;
        match value {
            Value::Object(object) => match intrinsic(object) {
                Some((name, argument)) => self.evaluate(name, argument, at, depth + 1),
                None => {
                    let mut resolved = Map::new();
                    for (name, value) in object {
                        if let Some(value) = self.resolve(value, &at.property(name), depth + 1)? {
                            resolved.insert(name.clone(), value);
                        }
                    }
                    Ok(Some(Value::Object(resolved)))
                }
            },
            Value::Array(items) => {
                let mut resolved = Vec::with_capacity(items.len());
                for (place, item) in items.iter().enumerate() {
                    resolved.extend(self.resolve(item, &at.property(place), depth + 1)?);
                }
                Ok(Some(Value::Array(resolved)))
            }
            Value::String(text) if text.contains("{{resolve:") => {
                Err(at.unsupported_intrinsic("{{resolve:…}}"))
            }
            scalar => Ok(Some(scalar.clone())),
        }
    }

    /// Returns the value of `!Ref name`; `None` is `AWS::NoValue`.
    pub(super) fn reference(
        &self,
        name: &str,
        at: &Place,
        depth: usize,
    ) -> Result<Option<Value>, TemplateError> {
        let text = match name {
            "AWS::NoValue" => return Ok(None),
            "AWS::Region" => REGION.to_owned(),
            "AWS::AccountId" => ACCOUNT.to_owned(),
            "AWS::StackName" => STACK.to_owned(),
            "AWS::Partition" => "aws".to_owned(),
            "AWS::URLSuffix" => "amazonaws.com".to_owned(),
            _ => match self.parameters.get(name) {
                Some(Some(value)) => return Ok(Some(value.clone())),
                Some(None) => return Err(at.problem(format!("the parameter `{name}` has no value"))),
                None => {
                    let resource = self.resource(name, at, depth)?;
                    let physical = self.name_of(&resource, at, depth)?;
                    // Only for a secret, `Ref` is the ARN.
                    if resource.kind == SECRET { secret_arn(&physical) } else { physical }
                }
            },
        };
        Ok(Some(Value::String(text)))
    }

    /// Returns the value of `!GetAtt name.attribute`.
    pub(super) fn attribute(
        &self,
        name: &str,
        attribute: &str,
        at: &Place,
        depth: usize,
    ) -> Result<String, TemplateError> {
        let resource = self.resource(name, at, depth)?;
        let physical = self.name_of(&resource, at, depth)?;
        match (resource.kind, attribute) {
            ("AWS::DynamoDB::Table", "Arn") => Ok(table_arn(&physical)),
            ("AWS::DynamoDB::Table", "StreamArn") => match resource.property("StreamSpecification") {
                Some(_) => Ok(stream_arn(&physical)),
                None => Err(at.problem(format!("the table `{name}` has no StreamSpecification"))),
            },
            ("AWS::S3::Bucket", "Arn") => Ok(format!("arn:aws:s3:::{physical}")),
            ("AWS::Serverless::Function", "Arn") => {
                Ok(format!("arn:aws:lambda:{REGION}:{ACCOUNT}:function:{physical}"))
            }
            _ => Err(at.problem(format!("`{name}` has no attribute `{attribute}` here"))),
        }
    }

    /// The physical name of a resource: the declared name, or the names of the stack and the resource combined.
    pub(super) fn name_of(
        &self,
        resource: &Resource<'_>,
        at: &Place,
        depth: usize,
    ) -> Result<String, TemplateError> {
        let made = format!("{STACK}-{}", resource.logical_id);
        let (property, made) = match resource.kind {
            "AWS::DynamoDB::Table" => ("TableName", made),
            // The name of a bucket has no capital letters.
            "AWS::S3::Bucket" => ("BucketName", made.to_lowercase()),
            "AWS::Serverless::Function" => ("FunctionName", made),
            SECRET => ("Name", made),
            "AWS::Serverless::HttpApi" => return Ok(made),
            kind => {
                let name = resource.logical_id;
                return Err(at.problem(format!("`{name}` is a {kind}, which has no local value")));
            }
        };
        let place = resource.place().property(property);
        let declared = match resource.property(property) {
            Some(value) => self.resolve(value, &place, depth + 1)?,
            None => None,
        };
        declared.map_or(Ok(made), |name| text(&name).ok_or_else(|| place.expected("a name", &name)))
    }

    fn resource(&self, name: &str, at: &Place, depth: usize) -> Result<Resource<'t>, TemplateError> {
        let mut resources = section(self.template, "Resources")?;
        let Some((logical_id, body)) = resources.find(|(logical_id, _)| *logical_id == name) else {
            return Err(at.problem(format!("unknown reference `{name}`")));
        };
        let resource = self.parse_resource(logical_id, body)?;
        if !self.is_active(&resource, depth + 1)? {
            return Err(at.problem(format!("`{name}` does not exist: its condition is false")));
        }
        Ok(resource)
    }
}

fn section<'t>(
    template: &'t Map<String, Value>,
    name: &str,
) -> Result<impl Iterator<Item = (&'t String, &'t Value)>, TemplateError> {
    let entries = match template.get(name) {
        None | Some(Value::Null) => None,
        Some(Value::Object(entries)) => Some(entries),
        Some(other) => return Err(Place::resource(name).expected("a mapping", other)),
    };
    Ok(entries.into_iter().flatten())
}

fn parameter(
    declaration: &Value,
    given: Option<&String>,
    at: &Place,
) -> Result<Option<Value>, TemplateError> {
    let kind = declaration.get("Type").and_then(Value::as_str);
    let kind = kind.ok_or_else(|| at.property("Type").problem("it is required"))?;
    let default = declaration.get("Default").and_then(text);
    // The default of such a parameter names an entry of the Parameter Store, which does not exist here.
    let default = default.filter(|_| !kind.starts_with("AWS::SSM::"));
    let Some(value) = given.cloned().or(default) else {
        return Ok(None);
    };
    if let Some(Value::Array(allowed)) = declaration.get("AllowedValues")
        && !allowed.iter().filter_map(text).any(|allowed| allowed == value)
    {
        return Err(at.problem(format!("`{value}` is not an allowed value")));
    }
    if kind == "CommaDelimitedList" || kind.starts_with("List<") {
        let items = value.split(',').map(str::trim).filter(|item| !item.is_empty());
        return Ok(Some(items.map(Value::from).collect()));
    }
    Ok(Some(Value::String(value)))
}

/// Limits the recursion through values, references and conditions.
pub(super) fn guard_depth(at: &Place, depth: usize) -> Result<(), TemplateError> {
    if depth > MAX_DEPTH {
        return Err(at.problem(format!("nested deeper than {MAX_DEPTH} levels, or circular")));
    }
    Ok(())
}

/// The name and argument of an intrinsic function.
pub(super) fn intrinsic(object: &Map<String, Value>) -> Option<(&str, &Value)> {
    let (name, argument) = object.iter().next().filter(|_| object.len() == 1)?;
    (name == "Ref" || name.starts_with("Fn::")).then_some((name.as_str(), argument))
}

/// A scalar as CloudFormation writes it in a text.
pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

/// The ARN of a table by its name.
fn table_arn(name: &str) -> String {
    format!("arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{name}")
}

/// The ARN of a secret by its name. On AWS it ends in six random characters, which are a pattern here.
fn secret_arn(name: &str) -> String {
    format!("arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{name}-??????")
}

/// The URI by which API Gateway invokes the function with this ARN.
pub(super) fn invocation_uri(function_arn: &str) -> String {
    format!("arn:aws:apigateway:{REGION}:lambda:path/2015-03-31/functions/{function_arn}/invocations")
}

/// The ARN of a table's stream by the table's name. On AWS it ends in a time stamp.
pub(super) fn stream_arn(name: &str) -> String {
    format!("{}/stream/{REGION}", table_arn(name))
}
