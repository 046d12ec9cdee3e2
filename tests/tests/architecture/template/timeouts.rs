//! Calls to AWS end before Lambda ends the function that makes them.

use std::fs;
use std::time::Duration;

use af_api::user_messages::WaitMs;
use af_app::outbox::{COMPLETION_SENDS_FOR, SCHEDULE_SENDS_FOR};
use af_app::pool::reconcile::InvocationLimits;
use af_app::push::run_due::SCHEDULE_RUNS_FOR;
use af_telegram::client::REQUEST_TIMEOUT;
use af_tests::workspace::root;

use crate::template::{Template, one_function, one_function_behind_http};

/// Whole calls to AWS that fit into one request. The first call without an answer fails the request, and the calls
/// before it may have been slow.
const WHOLE_CALLS: u32 = 2;
/// The time for which API Gateway waits for a function. The timeout of the function does not change it.
const GATEWAY: Duration = Duration::from_secs(30);

fn call() -> Duration {
    af_aws::timeouts().operation_timeout().expect("a call has an end")
}

/// Functions that Lambda may end while they wait, or that run longer than API Gateway waits.
fn timeout_mistakes(template: &Template) -> Vec<String> {
    let mut wrong = Vec::new();
    for function in template.functions() {
        let seconds = function.properties["Timeout"].as_u64().unwrap_or_default();
        let timeout = Duration::from_secs(seconds);
        if timeout <= call() * WHOLE_CALLS {
            wrong.push(format!("{} has {seconds} s, too few for its calls", function.id));
        }
        if timeout >= GATEWAY && template.is_behind_http(&function) {
            wrong.push(format!("{} has {seconds} s, longer than its caller waits", function.id));
        }
    }
    wrong
}

#[test]
fn every_function_times_out_after_its_calls_and_before_api_gateway() {
    let template = Template::real();
    assert!(!template.functions().is_empty());
    assert_eq!(timeout_mistakes(&template), [""; 0]);
}

#[test]
fn a_function_with_a_short_timeout_is_noticed() {
    assert_eq!(timeout_mistakes(&one_function("{Timeout: 9}")).len(), 1);
    assert_eq!(timeout_mistakes(&one_function("{}")).len(), 1);
    assert_eq!(timeout_mistakes(&one_function_behind_http("{Timeout: 30}")).len(), 1);
    assert_eq!(timeout_mistakes(&one_function("{Timeout: 60}")), [""; 0]);
}

#[test]
fn a_reconcile_ends_before_its_function_with_time_for_its_report() {
    let template = Template::real();
    for (id, allowed) in [("Reconcile", InvocationLimits::BY_EVENT), ("AdminApi", InvocationLimits::BY_CALL)]
    {
        let function = template.functions().into_iter().find(|f| f.id == id).expect("the resource exists");
        let seconds = function.properties["Timeout"].as_u64().unwrap_or_default();
        let ends = Duration::from_millis(allowed.ends().as_millis());
        assert!(ends + call() < Duration::from_secs(seconds), "{id} has {seconds} s");
    }
}

/// A call that waits ends before its function, also when its last look is slow.
#[test]
fn a_function_whose_calls_wait_ends_after_the_longest_wait() {
    let template = Template::real();
    let wait = Duration::from_millis(u64::from(WaitMs::MAX));
    let function = template.functions().into_iter().find(|f| f.id == "UserApi").expect("the resource exists");
    let seconds = function.properties["Timeout"].as_u64().unwrap_or_default();
    assert!(wait + call() < Duration::from_secs(seconds), "UserApi has {seconds} s");
}

/// A function that is cut off while it sends a part of a reply leaves the part uncertain.
#[test]
fn a_function_that_sends_replies_ends_after_its_last_call_to_telegram() {
    let template = Template::real();
    for (id, begins) in [("Worker", COMPLETION_SENDS_FOR), ("Effects", SCHEDULE_SENDS_FOR)] {
        let function = template.functions().into_iter().find(|f| f.id == id).expect("the resource exists");
        let seconds = function.properties["Timeout"].as_u64().unwrap_or_default();
        let ends = begins + REQUEST_TIMEOUT + call() * WHOLE_CALLS;
        assert!(ends < Duration::from_secs(seconds), "{id} has {seconds} s, it needs {ends:?}");
    }
}

#[test]
fn push_dispatch_begins_no_work_in_its_last_seconds() {
    let template = Template::real();
    let function =
        template.functions().into_iter().find(|f| f.id == "PushDispatch").expect("the resource exists");
    let seconds = function.properties["Timeout"].as_u64().unwrap_or_default();
    // The pages in progress end with a few calls, one after the other.
    assert!(SCHEDULE_RUNS_FOR + call() * WHOLE_CALLS * 4 < Duration::from_secs(seconds), "{seconds} s");
}

#[test]
fn the_documented_timeouts_are_those_of_the_code() {
    let document = fs::read_to_string(root().join("docs/data-model.md")).expect("the data model is there");
    let (timeouts, retries) = (af_aws::timeouts(), af_aws::retries());
    let millis = |time: Duration| format!("{} ms", time.as_millis());
    let expected = [
        ("connecting, with TLS", timeouts.connect_timeout().map(millis)),
        ("one try, connecting included", timeouts.operation_attempt_timeout().map(millis)),
        ("one call with all its tries", timeouts.operation_timeout().map(millis)),
        ("tries", Some(retries.max_attempts().to_string())),
        ("first wait between tries", Some(millis(retries.initial_backoff()))),
    ];
    for (what, value) in expected {
        let row = format!("| {what} | {} |", value.expect("the value is set"));
        assert!(document.contains(&row), "the document has no row {row}");
    }
}
