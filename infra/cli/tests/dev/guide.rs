//! The calls of `docs/api.md`: each `curl` command has the response that stands below it.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::Method;
use serde_json::Value;

use crate::support::Dev;

const GUIDE: &str = include_str!("../../../../docs/api.md");
/// Far more than a call takes, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// Stands for any text in a response.
const ANY_TEXT: &str = "…";
/// Larger numbers are times, which differ between runs.
const FIRST_TIME: u64 = 1_000_000_000_000;

/// The variables that responses have filled.
type Variables = BTreeMap<String, String>;

/// A call, and an excerpt of its response; a stream has none.
struct Step {
    call: String,
    response: Option<Value>,
}

/// The content of the code blocks with this language, each with the language.
fn blocks(document: &str) -> Vec<(&str, String)> {
    let mut blocks: Vec<(&str, String)> = Vec::new();
    let mut inside = false;
    for line in document.lines() {
        match line.strip_prefix("```") {
            Some("") => inside = false,
            Some(language) => {
                blocks.push((language, String::new()));
                inside = true;
            }
            None if inside => {
                let block = blocks.last_mut().expect("a block has begun");
                block.1.push_str(line);
                block.1.push('\n');
            }
            None => {}
        }
    }
    blocks
}

fn steps(document: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for (language, content) in blocks(document) {
        match language {
            "sh" => steps.push(Step { call: content, response: None }),
            "json" => {
                let response = serde_json::from_str(&content).expect("a response is JSON");
                steps.last_mut().expect("a response follows a call").response = Some(response);
            }
            other => panic!("a block of {other}"),
        }
    }
    steps
}

/// The command in one line, with the values of its variables, which a shell replaces outside single quotes.
fn filled(command: &str, variables: &Variables) -> String {
    let mut parts: Vec<String> = command.replace("\\\n", "").split('\'').map(str::to_owned).collect();
    for part in parts.iter_mut().step_by(2) {
        // The longest names first: `$KEY` is the begin of `$KEYS`.
        for (name, value) in variables.iter().rev() {
            *part = part.replace(&format!("${name}"), value);
        }
        assert!(!part.contains('$'), "a variable has no value: {part}");
    }
    parts.join("'")
}

/// The request of a `curl` command.
fn request(command: &str, variables: &Variables) -> reqwest::RequestBuilder {
    let words = shlex::split(&filled(command, variables)).expect("a command of a shell");
    let mut words = words.into_iter();
    assert_eq!(words.next().as_deref(), Some("curl"), "{command}");
    let (mut method, mut url, mut headers, mut body) = (None, None, Vec::new(), None);
    while let Some(word) = words.next() {
        let mut value = || words.next().expect("an option has a value");
        match word.as_str() {
            "-X" => method = Some(Method::from_bytes(value().as_bytes()).unwrap()),
            "-H" => headers.push(value()),
            "-d" => body = Some(value()),
            "-N" => {}
            option if option.starts_with('-') => panic!("the test does not know {option}"),
            _ => url = Some(word),
        }
    }
    let method = method.unwrap_or(if body.is_some() { Method::POST } else { Method::GET });
    let mut request = reqwest::Client::new().request(method, url.expect("a URL")).timeout(PATIENCE);
    for header in headers {
        let (name, value) = header.split_once(": ").expect("a header has a value");
        request = request.header(name, value);
    }
    match body {
        Some(body) => request.body(body),
        None => request,
    }
}

/// Whether a response has everything that its excerpt has. Fills the variables of the excerpt.
fn matches(excerpt: &Value, response: &Value, variables: &mut Variables) -> bool {
    match (excerpt, response) {
        (Value::Object(excerpt), Value::Object(response)) => excerpt
            .iter()
            .all(|(name, value)| response.get(name).is_some_and(|found| matches(value, found, variables))),
        (Value::Array(excerpt), Value::Array(response)) => {
            let is_empty_by_chance = excerpt.is_empty() && !response.is_empty();
            let mut pairs = excerpt.iter().zip(response);
            !is_empty_by_chance
                && excerpt.len() <= response.len()
                && pairs.all(|(value, found)| matches(value, found, variables))
        }
        (Value::String(text), Value::String(_)) if text == ANY_TEXT => true,
        (Value::String(text), Value::String(found)) => match text.strip_prefix('$') {
            Some(name) => {
                variables.insert(name.to_owned(), found.clone());
                true
            }
            None => text == found,
        },
        (Value::Number(number), Value::Number(found)) => {
            let is_time = |number: &serde_json::Number| number.as_u64().is_some_and(|n| n > FIRST_TIME);
            number == found || (is_time(number) && is_time(found))
        }
        (excerpt, response) => excerpt == response,
    }
}

#[tokio::test]
async fn every_call_of_the_guide_has_the_response_that_stands_below_it() {
    let dev = Dev::start(&["--no-demo"]).await;
    let value = |name: &str| dev.file[name].as_str().unwrap().to_owned();
    let mut variables =
        Variables::from([("URL".to_owned(), value("url")), ("ADMIN".to_owned(), value("adminKey"))]);
    let steps = steps(GUIDE);
    assert!(steps.len() > 25, "the guide has {} calls", steps.len());
    for Step { call, response } in steps {
        let mut answer = request(&call, &variables).send().await.unwrap();
        let status = answer.status().as_u16();
        let Some(excerpt) = response else {
            let content_type = answer.headers()["content-type"].to_str().unwrap();
            assert!(
                status == 200 && content_type.starts_with("text/event-stream"),
                "{status} {content_type}"
            );
            assert!(answer.chunk().await.unwrap().is_some(), "a stream begins at once: {call}");
            continue;
        };
        let text = answer.text().await.unwrap();
        let expected = excerpt["code"].is_string().then(|| excerpt["status"].as_u64()).flatten();
        let has_status = match expected {
            Some(expected) => u64::from(status) == expected,
            None => (200..300).contains(&status),
        };
        assert!(has_status, "{call}{status}: {text}");
        let json: Value = serde_json::from_str(&text).unwrap();
        assert!(matches(&excerpt, &json, &mut variables), "{call}\nexpected {excerpt:#}\ngot {json:#}");
    }
}

#[test]
fn a_response_that_lacks_a_part_of_its_excerpt_is_noticed() {
    let judged = |excerpt: &str, response: &str| {
        let read = |text: &str| serde_json::from_str(text).unwrap();
        let mut variables = Variables::new();
        (matches(&read(excerpt), &read(response), &mut variables), variables)
    };
    let (matched, variables) = judged(
        r#"{"a": "$A", "b": [{"c": "…"}], "at": 1796075663588}"#,
        r#"{"a": "x", "b": [{"c": "y", "d": 1}, 2], "at": 1800000000000}"#,
    );
    assert!(matched && variables["A"] == "x");
    for (excerpt, response) in [
        (r#"{"a": 1}"#, r#"{"b": 1}"#),
        (r#"{"a": "x"}"#, r#"{"a": "y"}"#),
        (r#"{"a": [1]}"#, r#"{"a": []}"#),
        (r#"{"a": []}"#, r#"{"a": [1]}"#),
        (r#"{"at": 1796075663588}"#, r#"{"at": 5}"#),
        (r#"{"a": "…"}"#, r#"{"a": null}"#),
    ] {
        assert!(!judged(excerpt, response).0, "{excerpt} matches {response}");
    }
}

#[test]
fn a_shell_fills_variables_outside_single_quotes() {
    let variables = Variables::from([("KEY".to_owned(), "k".to_owned())]);
    assert_eq!(filled("-H \"Bearer $KEY\" -d '$KEY'", &variables), "-H \"Bearer k\" -d '$KEY'");
}
