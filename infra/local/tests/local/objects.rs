//! The bucket of the real template in a running stack.

use std::collections::BTreeMap;
use std::time::Duration;

use af_domain::time::Timestamp;
use af_local::{Stack, StackOptions};
use af_runtime::virtual_clock::VirtualClock;
use af_sam::template::Template;
use aws_sdk_s3::Client;
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::primitives::ByteStream;
use aws_smithy_types::retry::RetryConfig;

/// 2026-01-01, in milliseconds: far from the machine's clock, which signatures use.
const START: Timestamp = Timestamp::from_millis(1_767_225_600_000);

#[tokio::test]
async fn a_stack_has_the_buckets_of_its_template_and_serves_presigned_urls() {
    let template = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../template.yaml")).unwrap();
    let [bucket] = <[_; 1]>::try_from(Template::parse(&template, &BTreeMap::new()).unwrap().buckets).unwrap();
    let options = StackOptions::in_memory(template, VirtualClock::frozen_at(START));
    let stack = Stack::start(options).await.unwrap();
    let client = Client::new(&stack.aws.sdk_config(RetryConfig::disabled()));
    let body = ByteStream::from_static(b"from the stack");
    client.put_object().bucket(&bucket).key("a").body(body).send().await.unwrap();
    let config = PresigningConfig::expires_in(Duration::from_secs(300)).unwrap();
    let signed = client.get_object().bucket(&bucket).key("a").presigned(config).await.unwrap();
    assert!(signed.uri().starts_with(&stack.aws_url), "{}", signed.uri());
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let fetched = http.get(signed.uri()).send().await.unwrap();
    assert_eq!((fetched.status().as_u16(), fetched.text().await.unwrap().as_str()), (200, "from the stack"));
    stack.stop().await;
}
