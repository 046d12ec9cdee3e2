//! The stream function on AWS Lambda.

use af_app::Boot;

#[tokio::main]
async fn main() -> Result<(), lambda_http::Error> {
    af_http::init_tracing();
    let router = af_stream::build(&Boot::on_lambda().await).await?;
    lambda_http::run_with_streaming_response(af_http::lambda(router)).await
}
