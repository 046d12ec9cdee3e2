//! The function push-dispatch on AWS Lambda.

use std::sync::Arc;

use af_app::Boot;
use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::Value;

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    af_http::init_tracing();
    let function = Arc::new(af_push_dispatch::build(&Boot::on_lambda().await).await?);
    let handler = move |event: LambdaEvent<Value>| {
        let function = function.clone();
        async move { function.handle(event.payload).await.map_err(lambda_runtime::Error::from) }
    };
    lambda_runtime::run(service_fn(handler)).await
}
