//! Calls that each operation must refuse, made from the OpenAPI document: without a key, with the key of another scope,
//! user or company, with unknown ids, and with bodies and parameters that break the document's rules. Each answer is a
//! documented problem ([`Call::send`] checks that), is no fault of the server, and nothing is written.

use af_tests::bundle::Bundle;
use af_tests::calls::{Answer, Api, Call};
use http::Method;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{example_call, generated, operations};

/// The longest text that a test puts into a body. A longer limit belongs to the limit of the whole body.
const MAX_TEXT: u64 = 300_000;

/// A deployment with an agent and a worker, and the keys that its callers have.
struct Refusals {
    bundle: Bundle,
    api: Api,
    worker: String,
    read: String,
    app: String,
    /// A key of another company.
    other_company: String,
    /// A token of another user.
    other_user: String,
    faults: Vec<String>,
    checked: usize,
}

/// One operation of the document.
struct Operation<'a> {
    method: &'a str,
    path: &'a str,
    content: &'a Value,
    document: &'a Value,
}

impl Refusals {
    async fn new() -> Self {
        let bundle = Bundle::fresh().await;
        let api = Api::of(&bundle).await;
        api.put("/v1/agents/support", json!({"version": "1"})).send().await.body_of(200);
        let worker = api.post("/v1/workers", json!({"workerId": "example"})).send().await.body_of(201);
        let template = json!({"companyId": "acme", "templateKey": "good-morning", "title": "t", "text": "t", "periodicity": "manual"});
        api.post("/v1/push-templates", template).send().await.body_of(201);
        let binding = json!({"agentKey": "support"});
        api.put("/v1/users/ann/binding", binding).send().await.body_of(200);
        let key = json!({"name": "other", "scopes": ["app"], "companyId": "other"});
        let other = api.post("/v1/keys", key).send().await.body_of(201);
        let token = api.post("/v1/users/another/tokens", json!({"ttlSeconds": 3_600})).send().await;
        Self {
            read: api.new_key(&["read"]).await,
            app: api.new_key(&["app"]).await,
            worker: text_of(&worker, "token"),
            other_company: text_of(&other, "key"),
            other_user: text_of(&token.body_of(201), "token"),
            faults: Vec::new(),
            checked: 0,
            bundle,
            api,
        }
    }

    /// A digest of everything that is stored.
    fn stored(&self) -> Vec<u8> {
        let mut digest = Sha256::new();
        digest.update(self.bundle.aws.engine().stored_bytes().expect("the engine reads its own database"));
        digest.update(format!("{:?}", self.bundle.aws.secrets().values()));
        digest.finalize().to_vec()
    }

    /// Sends `call`, which must answer one of these statuses and write nothing.
    async fn refused(&mut self, case: &str, of: &Operation<'_>, call: Call, statuses: &[u16]) -> Answer {
        let before = self.stored();
        let answer = call.send().await;
        self.checked += 1;
        let name = format!("{} {} {case}", of.method, of.path);
        if !statuses.contains(&answer.status.as_u16()) {
            self.faults.push(format!("{name}: {} instead of {statuses:?}: {}", answer.status, answer.body));
        }
        if self.stored() != before {
            self.faults.push(format!("{name}: something was written"));
        }
        answer
    }

    /// The call with the document's examples and a key that may make it.
    fn valid(&self, of: &Operation<'_>) -> Call {
        let call = example_call(&self.api, of.method, of.path, of.content);
        if of.is_of_workers() { call.key(&self.worker) } else { call }
    }

    async fn keys(&mut self, of: &Operation<'_>) {
        let security = &of.content["security"];
        let answer = self.refused("without a key", of, self.valid(of).anonymous(), &[401]).await;
        assert_eq!(answer.problem().1, "unauthorized");
        let scopes = security[0]["apiKey"].as_array().cloned();
        for (scope, key) in [("read", self.read.clone()), ("app", self.app.clone())] {
            let opens = scopes.as_ref().is_some_and(|scopes| scopes.contains(&scope.into()));
            if !opens {
                let case = format!("with the scope {scope}");
                // To a worker's operation, an API key is no token at all.
                let statuses: &[u16] = if scopes.is_some() { &[403] } else { &[401] };
                self.refused(&case, of, self.valid(of).key(&key), statuses).await;
            }
        }
        let foreign = self.valid(of).key(&self.other_user);
        self.refused("with the token of another user", of, foreign, &[401, 403, 404]).await;
        if of.names_a_company() {
            let foreign = self.valid(of).key(&self.other_company);
            self.refused("with the key of another company", of, foreign, &[403, 404]).await;
        }
    }

    async fn unknown_ids(&mut self, of: &Operation<'_>) {
        let parameters = of.parameters("path");
        if parameters.is_empty() || of.method == "POST" || of.method == "PUT" {
            return;
        }
        let unknown = parameters.iter().fold(of.path.to_owned(), |path, parameter| {
            let example = parameter["example"].as_str().expect("each path parameter has an example");
            // The examples end with a letter or digit that another one can replace in every form of id.
            let other = format!(
                "{}{}",
                &example[..example.len() - 1],
                if example.ends_with('B') { 'C' } else { 'B' }
            );
            path.replace(&format!("{{{}}}", parameter["name"].as_str().expect("a name")), &other)
        });
        let call = self.api.call(of.method(), &format!("{unknown}?{}", of.required_query()));
        let call = match of.example() {
            Some(example) => call.json(example),
            None => call,
        };
        let call = if of.is_of_workers() { call.key(&self.worker) } else { call };
        self.refused("with unknown ids", of, call, &[200, 204, 403, 404, 409, 422]).await;
    }

    async fn undecodable_paths(&mut self, of: &Operation<'_>) {
        let Some((before, rest)) = of.path.split_once('{') else { return };
        let (_, after) = rest.split_once('}').expect("a parameter ends");
        let after = after.replace(['{', '}'], "");
        let call = self.api.call(of.method(), &format!("{before}%FF{after}?{}", of.required_query()));
        let call = match of.example() {
            Some(example) => call.json(example),
            None => call,
        };
        let call = if of.is_of_workers() { call.key(&self.worker) } else { call };
        self.refused("with a path that is not UTF-8", of, call, &[400]).await;
    }

    async fn bodies(&mut self, of: &Operation<'_>) {
        let Some(example) = of.example() else { return };
        self.refused("with malformed JSON", of, self.valid(of).text("{"), &[400]).await;
        self.refused("with a list", of, self.valid(of).json(&json!([example])), &[400, 422]).await;
        let typed = self.valid(of).header("content-type", "text/plain");
        self.refused("with the content type text/plain", of, typed, &[400, 415, 422]).await;
        if example.is_object() {
            let mut unknown = example.clone();
            unknown["unknownField"] = json!(1);
            let answer =
                self.refused("with an unknown field", of, self.valid(of).json(&unknown), &[422]).await;
            if !answer.body.to_string().contains("unknownField") {
                self.faults.push(format!("{} {}: the unknown field is not named", of.method, of.path));
            }
        }
        let mut broken = Vec::new();
        break_limits(
            of.document,
            &of.content["requestBody"]["content"]["application/json"]["schema"],
            example,
            &mut broken,
        );
        for (pointer, body) in broken {
            let case = format!("with {pointer} beyond its limit");
            // No push job has the id of the example, and a change is checked together with its job.
            let statuses: &[u16] = if of.path.contains("{pushJobId}") { &[404] } else { &[413, 422] };
            self.refused(&case, of, self.valid(of).json(&body), statuses).await;
        }
    }

    async fn queries(&mut self, of: &Operation<'_>) {
        for parameter in of.parameters("query") {
            let name = parameter["name"].as_str().expect("a name");
            let Some(maximum) = parameter["schema"]["maximum"].as_u64() else { continue };
            let query = [of.required_query(), format!("{name}={}", maximum + 1)].join("&");
            let call = self.api.call(of.method(), &format!("{}?{query}", of.example_path()));
            let call = if of.content["security"][0]["workerToken"].is_null() {
                call
            } else {
                call.key(&self.worker)
            };
            let case = format!("with {name} beyond its limit");
            // A number of a version is an id: there is no such version.
            let statuses: &[u16] = if name == "version" { &[404] } else { &[422] };
            self.refused(&case, of, call, statuses).await;
        }
    }
}

impl Operation<'_> {
    fn method(&self) -> Method {
        self.method.parse().expect("the document has HTTP methods")
    }

    fn is_of_workers(&self) -> bool {
        !self.content["security"][0]["workerToken"].is_null()
    }

    fn parameters(&self, place: &str) -> Vec<&Value> {
        let parameters = self.content["parameters"].as_array().into_iter().flatten();
        parameters.filter(|p| p["in"] == place).collect()
    }

    fn example(&self) -> Option<&Value> {
        self.content.pointer("/requestBody/content/application~1json/example")
    }

    fn example_path(&self) -> String {
        self.parameters("path").into_iter().fold(self.path.to_owned(), |path, parameter| {
            let name = format!("{{{}}}", parameter["name"].as_str().expect("a name"));
            path.replace(&name, parameter["example"].as_str().expect("an example"))
        })
    }

    fn required_query(&self) -> String {
        let chosen = self.parameters("query").into_iter();
        let chosen = chosen.filter_map(|p| Some((p["name"].as_str()?, p["schema"]["enum"][0].as_str()?)));
        chosen.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
    }

    /// Whether the call names the company of the example.
    fn names_a_company(&self) -> bool {
        self.path.contains("{companyId}")
            || self.example().is_some_and(|example| example.get("companyId").is_some())
    }
}

/// For each text and number of `schema` with a limit, the body `example` with that field just beyond its limit.
fn break_limits(document: &Value, schema: &Value, example: &Value, broken: &mut Vec<(String, Value)>) {
    break_below(document, schema, example, "", &mut |pointer, beyond| {
        let mut body = example.clone();
        if let Some(place) = body.pointer_mut(pointer) {
            *place = beyond;
            broken.push((pointer.to_owned(), body));
        }
    });
}

fn break_below(
    document: &Value,
    schema: &Value,
    example: &Value,
    at: &str,
    found: &mut impl FnMut(&str, Value),
) {
    let schema = match schema["$ref"].as_str() {
        Some(reference) => {
            document.pointer(reference.trim_start_matches('#')).expect("it is in the document")
        }
        None => schema,
    };
    if let Some(longest) = schema["maxLength"].as_u64().filter(|longest| *longest < MAX_TEXT) {
        let longest = usize::try_from(longest).expect("it is small");
        found(at, json!("x".repeat(longest + 1)));
    }
    if let Some(maximum) = schema["maximum"].as_u64() {
        found(at, json!(maximum.saturating_add(1)));
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        if let Some(value) = example.get(name) {
            break_below(document, property, value, &format!("{at}/{name}"), found);
        }
    }
}

fn text_of(answer: &Value, field: &str) -> String {
    answer[field].as_str().unwrap_or_else(|| panic!("no {field}: {answer}")).to_owned()
}

#[tokio::test]
async fn every_operation_refuses_wrong_calls_with_a_documented_problem_and_writes_nothing() {
    let document = generated();
    let mut refusals = Refusals::new().await;
    for (method, path, content) in operations(&document) {
        let of = Operation { method: &method, path, content, document: &document };
        // An operation without credentials has nothing to refuse; a webhook has its own tests.
        if content["security"][0].is_null() || !content["security"][0]["webhookSecret"].is_null() {
            continue;
        }
        refusals.keys(&of).await;
        refusals.unknown_ids(&of).await;
        refusals.undecodable_paths(&of).await;
        refusals.bodies(&of).await;
        refusals.queries(&of).await;
    }
    assert!(refusals.faults.is_empty(), "{:#?}", refusals.faults);
    assert!(refusals.checked > 800, "the document has fewer operations than expected: {}", refusals.checked);
}
