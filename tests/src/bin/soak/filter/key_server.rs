//! The provider's key set over HTTP without TLS, in whatever mood the director wants it to be.

use std::{
    convert::Infallible,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use e2e::error::HarnessError;
use http_body_util::Full;
use hyper::{Response, body::Bytes, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{net::TcpListener, task::JoinHandle, time::sleep};

/// Serves until it is dropped.
#[derive(Debug)]
pub(crate) struct KeyServer {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    serving: JoinHandle<()>,
}

#[derive(Debug, Clone)]
struct State {
    keys: Value,
    mood: Mood,
}

/// How it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    /// With the keys.
    Good,
    /// With the keys, and later than the filter waits.
    Slow,
    /// With something that is no key set.
    Garbage,
    /// With more than the filter reads.
    Huge,
    /// With a redirect.
    Elsewhere,
}

impl KeyServer {
    /// Listens on a free loopback port, with these keys.
    pub(crate) async fn start(keys: Value) -> Result<Self, HarnessError> {
        let failed = |source| HarnessError::NoPort { source };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let mood = Mood::Good;
        let state = Arc::new(Mutex::new(State { keys, mood }));
        let serving = tokio::spawn(serve(listener, Arc::clone(&state)));
        Ok(Self {
            address,
            state,
            serving,
        })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on it has these keys.
    pub(crate) fn publish(&self, keys: Value) {
        self.with_state(|state| state.keys = keys);
    }

    /// From now on it answers like this.
    pub(crate) fn set_mood(&self, mood: Mood) {
        self.with_state(|state| state.mood = mood);
    }

    fn with_state(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Drop for KeyServer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(listener: TcpListener, state: Arc<Mutex<State>>) {
    while let Ok((stream, _gateway)) = listener.accept().await {
        let state = Arc::clone(&state);
        tokio::spawn(async move {
            let service = service_fn(|_request| {
                let state = state.lock().unwrap_or_else(PoisonError::into_inner).clone();
                async move { Ok::<_, Infallible>(answer(state).await) }
            });
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            let _gateway_went_away = connection.await;
        });
    }
}

async fn answer(State { keys, mood }: State) -> Response<Full<Bytes>> {
    let (status, body) = match mood {
        Mood::Good => (200, keys.to_string()),
        Mood::Slow => {
            sleep(LATE).await;
            (200, keys.to_string())
        }
        Mood::Garbage => (200, "<html>we moved</html>".to_owned()),
        Mood::Huge => (200, " ".repeat(300 * 1024)),
        Mood::Elsewhere => (302, String::new()),
    };
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = hyper::StatusCode::from_u16(status).unwrap_or_default();
    response
}

/// Three times as long as the filter gives a fetch.
const LATE: Duration = Duration::from_secs(3);
