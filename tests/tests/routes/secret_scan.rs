//! The search for secrets at the end of each test finds them.

use secrecy::SecretString;
use serde_json::json;

use af_tests::bundle::Bundle;

/// A deployment with a secret, and with a table in which `text` was stored and deleted.
async fn after_storing(text: &str) -> Bundle {
    let bundle = Bundle::fresh().await;
    let app = bundle.app("admin-api");
    let name = af_domain::ids::SecretRef::parse("mine").expect("the name is valid");
    let value = SecretString::from("a secret of this test");
    app.secrets.put(&name, value, app.now()).await.expect("Secrets Manager is in memory");
    let key = json!({"pk": {"S": "x"}, "sk": {"S": "y"}});
    let item = json!({"pk": {"S": "x"}, "sk": {"S": "y"}, "text": {"S": text}});
    let table = &bundle.template.tables[0].name;
    let engine = bundle.aws.engine();
    assert_eq!(engine.call("PutItem", json!({"TableName": table, "Item": item})).await.status, 200);
    assert_eq!(engine.call("DeleteItem", json!({"TableName": table, "Key": key})).await.status, 200);
    bundle
}

#[tokio::test]
async fn text_without_a_secret_is_not_found() {
    drop(after_storing("hello").await);
}

#[tokio::test]
#[should_panic(expected = "mine")]
async fn a_secret_is_found() {
    drop(after_storing("it is: a secret of this test!").await);
}

#[tokio::test]
#[should_panic(expected = "/file/bot")]
async fn the_url_of_a_file_of_telegram_is_found() {
    drop(after_storing("http://x/file/bot7:token/p.jpg").await);
}
