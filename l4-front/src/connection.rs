//! The life of one connection: accept, TLS, route, dial with the PROXY header, relay, log.

use std::net::SocketAddr;

use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use crate::access_log::Record;
use crate::cluster::{Cluster, ProxyProtocol};
use crate::drain::Drain;
use crate::leg::{Leg, LegError};
use crate::metrics::{Ended, OfListener};
use crate::proxy_protocol::{self, CertificateFacts, Facts, HeaderTooLong, TlsFacts};
use crate::relay::{self, End, Side, Traffic};
use crate::shared::Shared;
use crate::tls::certificate::{Names, thumbprint};
use crate::tls::session::{Hello, Session, SessionFacts};
use crate::upstream::{self, Attempts, Wish};

/// A fatal alert `unrecognized_name` in clear (RFC 8446 section 5.1, RFC 6066 section 3): the
/// answer to a ClientHello that no route is for.
const UNRECOGNIZED_NAME: [u8; 7] = [0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 0x70];

/// How a connection ended, for the access log and the metrics.
#[derive(Debug)]
struct Termination {
    label: &'static str,
    error: Option<String>,
}

impl Termination {
    const fn plain(label: &'static str) -> Self {
        Self { label, error: None }
    }

    fn because(label: &'static str, error: &dyn std::fmt::Display) -> Self {
        Self {
            label,
            error: Some(error.to_string()),
        }
    }
}

/// Serves one accepted connection to its end and writes its line in the access log.
pub(crate) async fn serve(socket: TcpStream, peer: SocketAddr, shared: &Shared, mut drain: Drain) {
    let start = Instant::now();
    let mut record = Record::new(
        Uuid::now_v7().to_string(),
        shared.listener.name.clone(),
        peer,
        socket.local_addr().unwrap_or(shared.listener.bind),
    );
    let mut traffic = Traffic::default();
    let termination = tokio::select! {
        termination = relay_connection(socket, shared, &mut record, &mut traffic) => termination,
        () = drain.forced() => Termination::plain("drained"),
    };
    record.time = humantime::format_rfc3339_millis(crate::clock::now()).to_string();
    record.bytes_up = traffic.up;
    record.bytes_down = traffic.down;
    record.duration_ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
    record.termination = termination.label;
    record.error = termination.error;
    account(shared, &record);
}

fn account(shared: &Shared, record: &Record) {
    tracing::debug!(
        id = record.connection_id,
        downstream = %record.downstream,
        termination = record.termination,
        error = record.error,
        "connection ended"
    );
    let metrics = &shared.metrics;
    let listener = OfListener {
        listener: record.listener.clone(),
    };
    metrics
        .bytes_up
        .get_or_create(&listener)
        .inc_by(record.bytes_up);
    metrics
        .bytes_down
        .get_or_create(&listener)
        .inc_by(record.bytes_down);
    let ended = Ended {
        listener: listener.listener,
        termination: record.termination,
    };
    metrics.ended.get_or_create(&ended).inc();
    if shared
        .access_log
        .as_ref()
        .is_some_and(|log| !log.write(record))
    {
        metrics.access_log_lost.inc();
    }
}

async fn relay_connection(
    socket: TcpStream,
    shared: &Shared,
    record: &mut Record,
    traffic: &mut Traffic,
) -> Termination {
    let mut downstream = match handshake(socket, shared, record).await {
        Ok(leg) => leg,
        Err(termination) => return termination,
    };
    let facts = downstream.session.facts();
    let certificate = downstream
        .session
        .peer_certificates()
        .and_then(|chain| chain.first());
    let names = certificate.and_then(Names::parse);
    let thumbprint = certificate.map(thumbprint);
    describe(record, &facts, names.as_ref());

    let server_name = downstream.session.hello().server_name().map(str::to_owned);
    let picked = shared.listener.routes.pick(server_name.as_deref());
    let Some(cluster) = picked.and_then(|index| shared.clusters.get(index.0)) else {
        return Termination::plain("no_route");
    };
    record.cluster = Some(cluster.name.clone());
    let certificate = names.as_ref().zip(thumbprint.as_deref());
    let header = match header(cluster, record, &facts, certificate) {
        Ok(header) => header,
        Err(error) => return Termination::because("header_too_long", &error),
    };
    let wish = Wish {
        header: &header,
        server_name: server_name.as_deref(),
        alpn: facts.alpn.as_deref(),
    };
    let mut attempts = Attempts::default();
    let dialled = upstream::dial(cluster, &wish, &shared.metrics, &mut attempts).await;
    record.attempts = attempts.made;
    record.endpoint = attempts.endpoint;
    let Some(leg) = dialled else {
        // The downstream gets no close_notify: nothing was answered, so nothing ended well.
        let _ = timeout(shared.listener.handshake_timeout, downstream.give_up()).await;
        return attempts.error.map_or_else(
            || Termination::plain("no_endpoint"),
            |error| Termination::because("no_endpoint", &error),
        );
    };
    match relay::relay(downstream, leg, shared.listener.idle_timeout, traffic).await {
        End::Closed => Termination::plain("closed"),
        End::Idle => Termination::plain("idle_timeout"),
        End::Cut { by, error } => {
            let label = match (by, &error) {
                (Side::Downstream, None) => "downstream_truncated",
                (Side::Downstream, Some(_)) => "downstream_reset",
                (Side::Upstream, None) => "upstream_truncated",
                (Side::Upstream, Some(_)) => "upstream_reset",
            };
            Termination {
                label,
                error: error.map(|error| error.to_string()),
            }
        }
        End::Broken {
            by: Side::Downstream,
            error,
        } => Termination::because("downstream_protocol_error", &error),
        End::Broken {
            by: Side::Upstream,
            error,
        } => Termination::because("upstream_protocol_error", &error),
    }
}

/// The downstream's TLS handshake, within its limits.
async fn handshake(
    socket: TcpStream,
    shared: &Shared,
    record: &mut Record,
) -> Result<Leg, Termination> {
    let listener = &shared.listener;
    let Ok(_permit) = shared.handshakes.try_acquire() else {
        return Err(Termination::plain("handshake_limit"));
    };
    let session = Session::downstream(listener.tls.clone())
        .map_err(|error| Termination::because("handshake_failed", &error))?;
    let mut leg = Leg::new(socket, session);
    let result = timeout(listener.handshake_timeout, leg.handshake()).await;
    let hello = leg.session.hello();
    record.sni = hello.server_name().map(str::to_owned);
    let error = match result {
        Ok(Ok(())) => return Ok(leg),
        Err(_elapsed) => return Err(Termination::plain("handshake_timeout")),
        Ok(Err(error)) => error,
    };
    let unrouted = *hello != Hello::Unread && listener.routes.pick(hello.server_name()).is_none();
    let termination = if unrouted {
        // Nothing was sent yet but rustls' alert, which is a less precise one.
        leg.outgoing.clear();
        let _ = leg.outgoing.append(&UNRECOGNIZED_NAME);
        Termination::plain("no_route")
    } else if matches!(error, LegError::Closed) && *hello == Hello::Unread {
        Termination::plain("closed_before_hello")
    } else {
        Termination::because("handshake_failed", &error)
    };
    let _ = timeout(listener.handshake_timeout, leg.give_up()).await;
    Err(termination)
}

fn describe(record: &mut Record, facts: &SessionFacts, names: Option<&Names>) {
    record.tls_version = facts.version;
    record.tls_cipher.clone_from(&facts.cipher);
    record.tls_group.clone_from(&facts.group);
    record.tls_resumed = Some(facts.resumed);
    record.alpn = facts
        .alpn
        .as_deref()
        .map(|alpn| String::from_utf8_lossy(alpn).into_owned());
    record.client_spiffe_id = names.and_then(Names::spiffe_id).map(str::to_owned);
}

fn header(
    cluster: &Cluster,
    record: &Record,
    facts: &SessionFacts,
    certificate: Option<(&Names, &str)>,
) -> Result<Vec<u8>, HeaderTooLong> {
    let (source, destination) = (record.downstream, record.local);
    match cluster.proxy_protocol {
        ProxyProtocol::None => Ok(Vec::new()),
        ProxyProtocol::V1 => Ok(proxy_protocol::encode_v1(source, destination)),
        ProxyProtocol::V2 => proxy_protocol::encode_v2(&Facts {
            source,
            destination,
            alpn: facts.alpn.as_deref(),
            authority: record.sni.as_deref(),
            unique_id: &record.connection_id,
            tls: facts
                .version
                .zip(facts.cipher.as_deref())
                .map(|(version, cipher)| TlsFacts {
                    version,
                    cipher,
                    group: facts.group.as_deref(),
                    certificate: certificate.map(|(names, thumbprint)| CertificateFacts {
                        common_name: names.common_name.as_deref(),
                        spiffe_id: names.spiffe_id(),
                        thumbprint,
                        resumed: facts.resumed,
                    }),
                }),
        }),
    }
}
