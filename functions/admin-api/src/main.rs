//! The admin-api function on AWS Lambda.

use af_app::Boot;

#[tokio::main]
async fn main() -> Result<(), lambda_http::Error> {
    af_http::init_tracing();
    let router = af_admin_api::build(&Boot::on_lambda().await).await?;
    af_http::run_on_lambda(router).await
}
