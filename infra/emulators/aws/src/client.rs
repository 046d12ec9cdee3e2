//! SDK clients of the embedded AWS: an HTTP client without a socket, and its configuration.

use std::future::Future;
use std::time::Duration;

use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::retry::RetryConfig;
use aws_types::SdkConfig;
use aws_types::region::Region;
use axum::body::{Body, to_bytes};

use super::{ConnectionLost, LocalAws, REGION};

/// The address of in-process requests when no endpoint is served; no client connects to it. For an IP address the S3
/// client writes the bucket into the path; for another host it would write the bucket into the host name.
const IN_PROCESS_URL: &str = "http://127.0.0.1";

/// An HTTP client for SDK clients that hands every request to a [`LocalAws`] in this process.
#[derive(Clone, Debug)]
pub(super) struct LocalHttpClient {
    aws: LocalAws,
    read_timeout: Option<Duration>,
}

impl LocalAws {
    /// The configuration for SDK clients of this AWS: region `local` and its credentials. It reads no environment
    /// variable.
    pub fn sdk_config(&self, retry: RetryConfig) -> SdkConfig {
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static(REGION))
            .credentials_provider(SharedCredentialsProvider::new(self.credentials.clone()))
            .endpoint_url(self.endpoint_url.as_deref().unwrap_or(IN_PROCESS_URL))
            .http_client(LocalHttpClient { aws: self.clone(), read_timeout: None })
            .retry_config(retry)
            .build()
    }
}

impl HttpClient for LocalHttpClient {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        _components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(Self { aws: self.aws.clone(), read_timeout: settings.read_timeout() })
    }
}

impl HttpConnector for LocalHttpClient {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let aws = self.aws.clone();
        let read_timeout = self.read_timeout;
        HttpConnectorFuture::new(async move {
            let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
            let response = within(read_timeout, aws.handle(request.map(Body::new))).await?;
            let (head, body) = response.into_parts();
            // In memory, because the SDK then reads the body without waiting. An object that it gets is small.
            let body = to_bytes(body, usize::MAX).await.map_err(|error| ConnectorError::io(error.into()))?;
            HttpResponse::try_from(http::Response::from_parts(head, SdkBody::from(body)))
                .map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}

async fn within<T>(
    limit: Option<Duration>,
    call: impl Future<Output = Result<T, ConnectionLost>>,
) -> Result<T, ConnectorError> {
    let answered = match limit {
        None => call.await,
        Some(limit) => {
            tokio::time::timeout(limit, call).await.map_err(|late| ConnectorError::timeout(late.into()))?
        }
    };
    answered.map_err(|lost| ConnectorError::io(lost.into()))
}
