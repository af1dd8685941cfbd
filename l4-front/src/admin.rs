//! The operators' HTTP endpoint: /healthz, /readyz, /metrics, /endpoints, /config.
//!
//! It has no authentication and must be bound to an address that only operators reach.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::cluster::{Cluster, status};
use crate::drain::Drain;
use crate::metrics::render;
use crate::reload::Status;

/// One request and its answer; the endpoint keeps no connection longer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// After a failed accept(2).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What there is to show.
pub(crate) struct Pages {
    pub(crate) registry: Registry,
    pub(crate) clusters: watch::Receiver<Arc<[Arc<Cluster>]>>,
    pub(crate) status: watch::Receiver<Status>,
}

/// Serves until dropped.
pub(crate) async fn serve(listener: TcpListener, pages: Arc<Pages>, drain: Drain) {
    loop {
        let socket = match listener.accept().await {
            Ok((socket, _peer)) => socket,
            Err(error) => {
                tracing::warn!(%error, "admin: accept failed");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (pages, drain) = (Arc::clone(&pages), drain.clone());
        tokio::spawn(async move {
            let service = service_fn(|request: Request<Incoming>| {
                let response = answer(request.method(), request.uri().path(), &pages, &drain);
                async { Ok::<_, Infallible>(response) }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .keep_alive(false)
                .serve_connection(TokioIo::new(socket), service);
            // A peer that breaks off is its own loss.
            let _ = timeout(REQUEST_TIMEOUT, connection).await;
        });
    }
}

fn answer(method: &Method, path: &str, pages: &Pages, drain: &Drain) -> Response<Full<Bytes>> {
    const JSON: &str = "application/json";
    const TEXT: &str = "text/plain; charset=utf-8";
    const METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let (status, kind, body) = match path {
        _ if !matches!(*method, Method::GET | Method::HEAD) => (
            StatusCode::METHOD_NOT_ALLOWED,
            TEXT,
            "only GET and HEAD\n".to_owned(),
        ),
        "/healthz" => (StatusCode::OK, TEXT, "ok\n".to_owned()),
        "/readyz" if drain.is_running() => (StatusCode::OK, TEXT, "ready\n".to_owned()),
        "/readyz" => (
            StatusCode::SERVICE_UNAVAILABLE,
            TEXT,
            "draining\n".to_owned(),
        ),
        "/metrics" => (StatusCode::OK, METRICS, render(&pages.registry)),
        "/endpoints" => (
            StatusCode::OK,
            JSON,
            status::render(&pages.clusters.borrow()),
        ),
        "/config" => (StatusCode::OK, JSON, pages.status.borrow().render()),
        _ => (
            StatusCode::NOT_FOUND,
            TEXT,
            "try /healthz, /readyz, /metrics, /endpoints or /config\n".to_owned(),
        ),
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(kind));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drain::{DrainTrigger, Phase};

    #[test]
    fn readiness_ends_with_the_drain_and_health_does_not() {
        let (trigger, drain) = DrainTrigger::new();
        let pages = Pages {
            registry: Registry::default(),
            clusters: watch::channel(Arc::from([])).1,
            status: watch::channel(Status::first()).1,
        };
        let status = |path: &str| answer(&Method::GET, path, &pages, &drain).status().as_u16();
        assert_eq!((status("/healthz"), status("/readyz")), (200, 200));
        trigger.set(Phase::Draining);
        assert_eq!((status("/healthz"), status("/readyz")), (200, 503));
        assert_eq!(status("/other"), 404);
        assert_eq!(
            answer(&Method::POST, "/metrics", &pages, &drain).status(),
            405
        );
    }
}
