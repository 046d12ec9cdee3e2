//! The life of processes, with a fake function: this test program in further processes.

use std::path::Path;

use af_domain::time::Timestamp;
use af_runtime::virtual_clock::VirtualClock;
use af_sam::invoke::InvokeError;
use axum::body::Body;
use tower::ServiceExt as _;

use super::*;
use crate::{FunctionsIn, Stack, StackOptions};

/// The test that plays the function in a further process.
const FAKE: &str = "lambda::tests::an_answer_an_error_and_a_crash_reach_the_caller";
/// A timeout that no test reaches.
const LONG: Millis = Millis::from_secs(60);

fn program(name: &str, variables: &[(&str, &str)]) -> Program {
    let test_program = std::env::current_exe().unwrap().display().to_string();
    let own = [("TEST_PROGRAM", test_program.as_str()), ("TEST_NAME", FAKE)];
    let environment = own.iter().chain(variables).map(|(name, value)| ((*name).into(), (*value).into()));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lambda/tests/fake_function.sh");
    Program { name: name.to_owned(), path, environment: environment.collect() }
}

fn fake(timeout: Millis) -> ProcessFunction {
    ProcessFunction::new(program("Fake", &[]), timeout, Arc::new(Entropy::seeded(1)))
}

/// The function in the further process: it does what each event says.
async fn play(api: &str) {
    let http = reqwest::Client::new();
    let base = format!("http://{api}/2018-06-01/runtime");
    let post = async |path: String, body: Value| {
        http.post(format!("{base}{path}")).json(&body).send().await.unwrap();
    };
    if std::env::var("FAILS_TO_START").is_ok() {
        return post("/init/error".to_owned(), json!({"errorMessage": "no table"})).await;
    }
    // It ends when the Runtime API is gone.
    while let Ok(next) = http.get(format!("{base}/invocation/next")).send().await {
        let header = |name: &str| next.headers()[name].to_str().unwrap().to_owned();
        let id = header("lambda-runtime-aws-request-id");
        let deadline: u64 = header("lambda-runtime-deadline-ms").parse().unwrap();
        assert!(header("lambda-runtime-trace-id").starts_with("Root=1-"));
        assert!(header("lambda-runtime-invoked-function-arn").ends_with(":function:Fake"));
        let event: Value = next.json().await.unwrap();
        match event["do"].as_str() {
            Some("fail") => {
                let error = json!({"errorType": "Error", "errorMessage": "no such thing"});
                post(format!("/invocation/{id}/error"), error).await;
            }
            Some("crash") => std::process::exit(3),
            Some("hang") => std::future::pending().await,
            // What else has come is an HTTP request.
            None => {
                let chunks = ["{\"statusCode\":200}\0\0\0\0\0\0\0\0one ", "two"];
                let chunks = futures::stream::iter(chunks.map(Ok::<_, std::io::Error>));
                let request = http.post(format!("{base}/invocation/{id}/response"));
                let request = request.header("Lambda-Runtime-Function-Response-Mode", "streaming");
                request.body(reqwest::Body::wrap_stream(chunks)).send().await.unwrap();
            }
            Some(_) => {
                let answer = json!({"pid": std::process::id(), "deadline": deadline});
                post(format!("/invocation/{id}/response"), answer).await;
            }
        }
    }
}

async fn tell(function: &ProcessFunction, what: &str) -> Result<Value, InvokeError> {
    function.for_events().invoke(json!({ "do": what })).await
}

async fn pid(function: &ProcessFunction) -> u64 {
    tell(function, "answer").await.unwrap()["pid"].as_u64().unwrap()
}

#[tokio::test]
async fn an_answer_an_error_and_a_crash_reach_the_caller() {
    if let Ok(api) = std::env::var("AWS_LAMBDA_RUNTIME_API") {
        return play(&api).await;
    }
    let function = fake(LONG);
    let answer = tell(&function, "answer").await.unwrap();
    let left = Timestamp::from_millis(answer["deadline"].as_u64().unwrap()).since(SystemClock.now());
    assert!(left > Millis::from_secs(30) && left <= LONG, "{left}");
    let failed = tell(&function, "fail").await.unwrap_err().to_string();
    assert_eq!(failed, "the function failed: no such thing");
    assert_eq!(pid(&function).await, answer["pid"], "the process goes on after an error");
    let crashed = tell(&function, "crash").await.unwrap_err().to_string();
    assert!(crashed.contains("ended without an answer: exit status: 3"), "{crashed}");
    assert_ne!(pid(&function).await, answer["pid"], "the next event has a new process");
}

#[tokio::test]
async fn a_process_that_exceeds_its_timeout_is_killed_and_replaced() {
    let function = fake(Millis::from_secs(1));
    let before = pid(&function).await;
    let late = tell(&function, "hang").await.unwrap_err().to_string();
    assert!(late.contains("did not end within") && late.contains("was killed"), "{late}");
    assert_ne!(pid(&function).await, before);
}

#[tokio::test]
async fn an_event_that_waits_does_not_block_the_next_one() {
    let function = fake(LONG);
    let waiting = tell(&function, "hang");
    tokio::pin!(waiting);
    let answered = async {
        let first = pid(&function).await;
        assert_eq!(pid(&function).await, first);
    };
    tokio::select! {
        biased;
        ended = &mut waiting => panic!("{ended:?}"),
        () = answered => {}
    }
}

#[tokio::test]
async fn a_process_that_cannot_start_fails_its_event_with_the_reason() {
    for (variable, reason) in
        [("FAILS_TO_START", "the function cannot start: no table"), ("TEST_PROGRAM", "ended without")]
    {
        let program = program("Fake", &[(variable, "/no/such/program")]);
        let function = ProcessFunction::new(program, LONG, Arc::new(Entropy::seeded(1)));
        let refused = tell(&function, "answer").await.unwrap_err().to_string();
        assert!(refused.contains(reason), "{refused}");
    }
}

#[tokio::test]
async fn a_streamed_answer_passes_through_and_frees_its_process() {
    let function = fake(LONG);
    let before = pid(&function).await;
    let response = function.url().oneshot(Request::get("/").body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "one two");
    assert_eq!(pid(&function).await, before);
}

#[test]
fn missing_binaries_are_named_with_the_command_that_builds_them() {
    let yaml = include_str!("../../../../template.yaml");
    let url = "http://127.0.0.1:1".to_owned();
    let parameters = [("TelegramApiUrl".to_owned(), url.clone()), ("FlyApiUrl".to_owned(), url.clone())];
    let template = Template::parse(yaml, &parameters.into()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    for function in template.functions.iter().filter(|f| !["webhook", "stream"].contains(&f.binary.as_str()))
    {
        std::fs::write(dir.path().join(&function.binary), "").unwrap();
    }
    let launcher = Launcher {
        dir: dir.path().to_owned(),
        url: url.clone(),
        aws_url: url,
        aws_credentials: Credentials::new("id", "secret", None, None, "test"),
        entropy: Arc::new(Entropy::seeded(1)),
    };
    let refused = launcher.check(&template).unwrap_err().to_string();
    assert!(refused.contains("no binary of stream, webhook"), "{refused}");
    assert!(refused.contains("`cargo build -p af-stream -p af-webhook`"), "{refused}");
}

#[tokio::test]
async fn a_stack_whose_clock_has_been_moved_does_not_start() {
    let options = StackOptions {
        functions: FunctionsIn::Processes(PathBuf::new()),
        ..StackOptions::in_memory(String::new(), VirtualClock::running(Millis::from_secs(1)))
    };
    let refused = Stack::start(options).await.err().unwrap().to_string();
    assert!(refused.contains("add --reset"), "{refused}");
}
