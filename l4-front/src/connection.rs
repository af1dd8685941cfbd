//! The life of one connection: accept, TLS, route, dial with the PROXY header, relay, log.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ServerConfig;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use uuid::Uuid;

use self::termination::Termination;
use crate::access_log::Record;
use crate::admission::{Admitted, Arrival};
use crate::buffer::Buffer;
use crate::cluster::endpoint::Lease;
use crate::cluster::{Cluster, ProxyProtocol};
use crate::config::Timeouts;
use crate::drain::Drain;
use crate::leg::{Leg, LegError};
use crate::metrics::{Ended, OfListener};
use crate::proxy_protocol::{self, CertificateFacts, Facts, HeaderTooLong, TlsFacts};
use crate::relay::{self, Deadlines, Traffic};
use crate::shared::Shared;
use crate::tls::alert;
use crate::tls::certificate::{Names, thumbprint};
use crate::tls::session::{Session, SessionFacts};
use crate::upstream::{self, Attempts, Wish};

mod first_bytes;
mod pass_through;
mod proxied;
mod termination;

/// Serves one accepted connection to its end and writes its line in the access log.
pub(crate) async fn serve(
    socket: TcpStream,
    peer: SocketAddr,
    arrival: Arrival,
    shared: &Shared,
    mut drain: Drain,
) {
    let start = Instant::now();
    let id = Uuid::now_v7();
    let deadlines = deadlines(&shared.listener.timeouts, start, id);
    let mut record = Record::new(
        id.to_string(),
        shared.listener.name.clone(),
        peer,
        socket.local_addr().unwrap_or(shared.listener.bind),
    );
    let mut traffic = Traffic::default();
    let termination = tokio::select! {
        termination = relay_connection(socket, arrival, start, deadlines, shared, &mut record, &mut traffic) => termination,
        () = drain.forced() => Termination::plain("drained"),
    };
    record.time = humantime::format_rfc3339_millis(crate::clock::now()).to_string();
    record.bytes_up = traffic.up;
    record.bytes_down = traffic.down;
    record.bytes_spliced = traffic.spliced;
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
    metrics
        .bytes_spliced
        .get_or_create(&listener)
        .inc_by(record.bytes_spliced);
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
    arrival: Arrival,
    start: Instant,
    deadlines: Deadlines,
    shared: &Shared,
    record: &mut Record,
    traffic: &mut Traffic,
) -> Termination {
    // What it takes to get there needs more room than the relay, which may last for days: the box
    // is gone by then.
    let established = Box::pin(establish(socket, arrival, start, shared, record)).await;
    let Established {
        legs,
        _lease,
        _admitted,
    } = match established {
        Ok(established) => established,
        Err(termination) => return termination,
    };
    let end = match legs {
        Legs::Terminated {
            downstream,
            upstream,
        } => relay::relay(downstream, upstream, deadlines, traffic).await,
        Legs::PassedThrough {
            downstream,
            upstream,
            first,
            of_downstream,
        } => {
            traffic.up += of_downstream;
            relay::pass_through::relay(downstream, upstream, first, deadlines, traffic).await
        }
    };
    end.into()
}

/// What a relayed connection holds to its end.
struct Established {
    legs: Legs,
    _lease: Lease,
    _admitted: Admitted,
}

enum Legs {
    Terminated {
        downstream: Box<Leg>,
        upstream: Box<Leg>,
    },
    PassedThrough {
        downstream: TcpStream,
        upstream: TcpStream,
        /// Goes to the upstream before anything else; so many bytes of it are the downstream's.
        first: Buffer,
        of_downstream: u64,
    },
}

/// From accept to the last handshake.
async fn establish(
    mut socket: TcpStream,
    arrival: Arrival,
    start: Instant,
    shared: &Shared,
    record: &mut Record,
) -> Result<Established, Termination> {
    let listener = &shared.listener;
    let permit = shared.handshakes.try_acquire();
    let permit = permit.map_err(|_none| Termination::plain("handshake_limit"))?;
    let mut read = Buffer::default();
    let admitted = match arrival {
        Arrival::Direct(admitted) => admitted,
        Arrival::Proxied => {
            proxied::read_header(&mut socket, start, &mut read, shared, record).await?
        }
    };
    if listener.routes.passes_through()
        && let Some(target) =
            pass_through::read_hello(&mut socket, start, &mut read, listener, record).await?
    {
        drop(permit);
        let (legs, lease) = pass_through::dial(socket, read, target, shared, record).await?;
        return Ok(Established {
            legs,
            _lease: lease,
            _admitted: admitted,
        });
    }
    let tls = listener.tls.as_ref();
    let tls = tls.ok_or_else(|| Termination::plain("no_route"))?;
    let mut downstream = handshake(socket, start, read, tls, shared, record).await?;
    drop(permit);
    match dial(&downstream, shared, record).await {
        Ok((upstream, lease)) => Ok(Established {
            legs: Legs::Terminated {
                downstream: Box::new(downstream),
                upstream: Box::new(upstream),
            },
            _lease: lease,
            _admitted: admitted,
        }),
        Err(DialError::Refused(termination)) => Err(termination),
        Err(DialError::NoEndpoint(attempts)) => {
            // The downstream gets no close_notify: nothing was answered, so nothing ended well.
            let _ = timeout(listener.timeouts.handshake, downstream.give_up()).await;
            Err(no_endpoint(attempts))
        }
    }
}

enum DialError {
    /// Before any endpoint was asked.
    Refused(Termination),
    NoEndpoint(Attempts),
}

/// The leg to an endpoint, for what the downstream's handshake has settled on.
async fn dial(
    downstream: &Leg,
    shared: &Shared,
    record: &mut Record,
) -> Result<(Leg, Lease), DialError> {
    let facts = downstream.session.facts();
    let certificate = downstream
        .session
        .peer_certificates()
        .and_then(|chain| chain.first());
    let names = certificate.and_then(Names::parse);
    let thumbprint = certificate.map(thumbprint);
    describe(record, &facts, names.as_ref());

    let target = downstream.session.hello().and_then(|hello| hello.target);
    let Some(cluster) = target.and_then(|target| shared.clusters.get(target.cluster.0)) else {
        return Err(DialError::Refused(Termination::plain("no_route")));
    };
    record.cluster = Some(cluster.name.clone());
    let certificate = names.as_ref().zip(thumbprint.as_deref());
    let header = header(cluster, record, &facts, certificate)
        .map_err(|error| DialError::Refused(Termination::because("header_too_long", &error)))?;
    let server_name = record.sni.clone();
    let wish = Wish {
        downstream: record.downstream,
        header: &header,
        server_name: server_name.as_deref(),
        alpn: facts.alpn.as_deref(),
    };
    let mut attempts = Attempts::default();
    let dialled = upstream::dial_tls(cluster, &wish, &mut attempts).await;
    record.attempts = attempts.made;
    record.endpoint = attempts.endpoint;
    dialled.ok_or(DialError::NoEndpoint(attempts))
}

fn no_endpoint(attempts: Attempts) -> Termination {
    attempts.error.map_or_else(
        || Termination::plain("no_endpoint"),
        |error| Termination::because(error.termination(), &error),
    )
}

/// The downstream's TLS handshake; `read` is what has been read of it already.
async fn handshake(
    socket: TcpStream,
    start: Instant,
    read: Buffer,
    tls: &Arc<ServerConfig>,
    shared: &Shared,
    record: &mut Record,
) -> Result<Leg, Termination> {
    let listener = &shared.listener;
    let session = Session::downstream(Arc::clone(tls), read)
        .map_err(|error| Termination::because("handshake_failed", &error))?;
    let mut leg = Leg::new(socket, session);
    let timeouts = &listener.timeouts;
    let result = match timeout_at(start + timeouts.client_hello, leg.read_hello()).await {
        Err(_elapsed) => return Err(Termination::plain("client_hello_timeout")),
        Ok(Ok(())) => timeout_at(start + timeouts.handshake, leg.handshake()).await,
        Ok(failed) => Ok(failed),
    };
    let hello = leg.session.hello();
    record.sni = hello.and_then(|hello| hello.server_name.clone());
    let error = match result {
        Ok(Ok(())) => return Ok(leg),
        Err(_elapsed) => return Err(Termination::plain("handshake_timeout")),
        Ok(Err(error)) => error,
    };
    let termination = if hello.is_some_and(|hello| hello.target.is_none()) {
        say_instead(&mut leg, &alert::UNRECOGNIZED_NAME);
        Termination::plain("no_route")
    } else if matches!(error, LegError::Closed) && hello.is_none() {
        Termination::plain("closed_before_hello")
    } else if let Some(reason) = hello.and_then(|hello| hello.no_certificate.as_ref()) {
        let termination = Termination::because("handshake_failed", reason);
        say_instead(&mut leg, &alert::HANDSHAKE_FAILURE);
        termination
    } else {
        Termination::because("handshake_failed", &error)
    };
    let _ = timeout(listener.timeouts.handshake, leg.give_up()).await;
    Err(termination)
}

/// Nothing was sent yet but rustls' alert, which is a less precise one.
fn say_instead(leg: &mut Leg, alert: &[u8]) {
    leg.outgoing.clear();
    let _ = leg.outgoing.append(alert);
}

/// What the relay is held to. The connection's id is random at its end, which spreads the ages.
fn deadlines(timeouts: &Timeouts, start: Instant, id: Uuid) -> Deadlines {
    let [.., high, low] = *id.as_bytes();
    let chance = u16::from_be_bytes([high, low]);
    Deadlines {
        idle: timeouts.idle,
        half_closed: timeouts.half_closed,
        age: timeouts.max_age.map(|age| start + age.of(chance)),
    }
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

/// The header in the version that the cluster wants.
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
        ProxyProtocol::V2 => {
            let certificate = certificate.map(|(names, thumbprint)| CertificateFacts {
                common_name: names.common_name.as_deref(),
                spiffe_id: names.spiffe_id(),
                thumbprint,
                resumed: facts.resumed,
            });
            let tls = facts.version.zip(facts.cipher.as_deref());
            let facts = Facts {
                source,
                destination,
                alpn: facts.alpn.as_deref(),
                authority: record.sni.as_deref(),
                unique_id: &record.connection_id,
                tls: tls.map(|(version, cipher)| TlsFacts {
                    version,
                    cipher,
                    group: facts.group.as_deref(),
                    certificate,
                }),
            };
            proxy_protocol::encode_v2(&facts, &cluster.proxy_tlvs)
        }
    }
}
