//! The HTTP server of `dev`: a limit on connections, and a limit on the time that the head of a request may take.

use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use af_http::ClientAddress;
use axum::body::Body;
use axum::extract::Request;
use axum::serve::Listener;
use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tower::ServiceExt;

/// The longest time from the first moment of a connection, or from the response before, to the end of the head of a
/// request. It is longer than a worker waits between two polls, so that workers keep their connections.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// The most connections at a time. Further ones wait in the operating system. A worker has about four.
const MAX_CONNECTIONS: usize = 1_024;
/// How long running requests may take when the server stops.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// Serves `router` until `stop` is true or its sender is dropped. Then it accepts no connection, and running requests
/// get [`STOP_TIMEOUT`] to end.
pub(crate) async fn serve(mut listener: TcpListener, router: Router, stop: watch::Receiver<bool>) {
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let accepted = async {
            let permit = permits.clone().acquire_owned().await;
            // This `accept` retries errors of the operating system.
            (Listener::accept(&mut listener).await, permit)
        };
        let ((stream, peer), permit) = tokio::select! {
            accepted = accepted => accepted,
            Some(_) = connections.join_next() => continue,
            () = stopped(stop.clone()) => break,
        };
        let connection = connection(stream, from(peer.ip(), router.clone()), stop.clone());
        connections.spawn(async move {
            connection.await;
            drop(permit);
        });
    }
    drop(listener);
    let all = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(STOP_TIMEOUT, all).await.is_err() {
        tracing::warn!("requests that did not end in time were cut off");
    }
}

/// `router`, whose requests have this client address.
fn from(address: IpAddr, router: Router) -> Router {
    router.layer(Extension(ClientAddress(address)))
}

async fn stopped(mut stop: watch::Receiver<bool>) {
    // An error means that the stack was dropped, which is a stop as well.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Serves one connection to its end.
async fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    router: Router,
    stop: watch::Receiver<bool>,
) {
    let service = router.map_request(|request: Request<hyper::body::Incoming>| request.map(Body::new));
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    let mut served = pin!(served);
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        () = stopped(stop) => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    fn router() -> Router {
        Router::new().route("/", get(|| async { "here" }))
    }

    #[tokio::test(start_paused = true)]
    async fn slow_headers_time_out_and_the_connection_ends() {
        let (mut client, server) = tokio::io::duplex(1_024);
        let stop = watch::Sender::new(false);
        let served = tokio::spawn(connection(server, router(), stop.subscribe()));
        let started = tokio::time::Instant::now();
        client.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\nx-slow: ").await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(!answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert_eq!(started.elapsed().as_secs(), HEAD_TIMEOUT.as_secs());
        served.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_stopped_server_accepts_no_connection_and_cuts_off_a_request_that_never_ends() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = watch::Sender::new(false);
        let router = Router::new().route("/", get(|| std::future::pending::<()>()));
        let server = tokio::spawn(serve(listener, router, stop.subscribe()));
        let mut client = tokio::net::TcpStream::connect(address).await.unwrap();
        client.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        stop.send_replace(true);
        server.await.unwrap();
        assert!(tokio::net::TcpStream::connect(address).await.is_err());
        let mut answer = String::new();
        assert!(client.read_to_string(&mut answer).await.is_err() || answer.is_empty(), "{answer}");
    }
}
