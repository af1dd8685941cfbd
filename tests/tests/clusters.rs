//! Clusters: which endpoint gets a connection, and what happens when one fails.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests fail as tests do"
)]

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use e2e::{
    deadline::eventually,
    dialer::Dialer,
    front::Front,
    haproxy::HaProxy,
    http::{Ask, Exchange},
    name_server::{Behaviour, NameServer},
    pki::{Authority, GATEWAY, Pki},
    pod::{HealthPort, Pod},
    ports,
    run_folder::RunFolder,
};
use hickory_proto::{
    op::ResponseCode,
    rr::{Name, RData, Record, rdata::SRV},
};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::client::TlsStream;

#[tokio::test]
async fn no_connection_fails_when_an_endpoint_is_killed() {
    let (stage, mut pods) = Stage::with_pods(3, |config| config).await;
    for pod in &pods {
        stage.is(pod.address(), "healthy").await;
    }
    let killed = pods.remove(0).address();
    let reached = stage.visits(30).await;
    let left: Vec<u16> = pods.iter().map(|pod| pod.address().port()).collect();
    assert!(
        reached.iter().all(|port| left.contains(port)),
        "{reached:?}"
    );
    stage.is(killed, "ejected").await;
    stage.visits(6).await;
    let log = stage.log(36).await;
    let retried = log.iter().filter(|line| line["attempts"] == 2);
    assert_eq!(retried.count(), 5, "as many as it takes to leave it out");
}

#[tokio::test]
async fn a_frozen_endpoint_is_passed_over_and_then_left_out() {
    let other = RunFolder::create().unwrap();
    let stage = Stage::prepare();
    let frozen = HaProxy::start(&stage.pki, &other)
        .await
        .unwrap_or_else(|error| panic!("{}", error.chain()));
    let pod = Pod::start(&stage.pki).await.unwrap();
    frozen.process().freeze().unwrap();
    let edit = |config: String| {
        let config = config.replace("timeout_seconds: 2", "timeout_seconds: 1");
        with(&config, "ejection: { consecutive_failures: 2 }")
    };
    let stage = stage.open(&[frozen.address(), pod.address()], edit).await;
    let reached = stage.visits(6).await;
    assert!(reached.iter().all(|port| *port == pod.address().port()));
    stage.is(frozen.address(), "ejected").await;
}

#[tokio::test]
async fn an_endpoint_that_is_not_who_it_should_be_gets_nothing_and_is_left_out() {
    for case in ["another authority", "another SPIFFE id", "no TLS"] {
        let edit = |config: String| with(&config, "ejection: { consecutive_failures: 2 }");
        let (stage, pods) = Stage::with_pods(2, edit).await;
        let authority = Authority::create("impostor", &stage.folder).unwrap();
        match case {
            "no TLS" => pods[0].refuse_tls(),
            "another SPIFFE id" => pods[0].show(&stage.pki.stranger),
            _ => pods[0].show(&authority.issue("imp", &[GATEWAY], &stage.folder).unwrap()),
        }
        let reached = stage.visits(8).await;
        let good = pods[1].address().port();
        assert!(
            reached.iter().all(|port| *port == good),
            "{case}: {reached:?}"
        );
        stage.is(pods[0].address(), "ejected").await;
        assert_eq!(pods[0].seen().heard, b"", "{case}");
    }
}

/// The downstream chooses the server name, so it could make every endpoint refuse.
#[tokio::test]
async fn a_refusal_by_all_endpoints_ejects_none() {
    let edit = |config: String| with(&config, "ejection: { consecutive_failures: 1 }");
    let (stage, pods) = Stage::with_pods(2, edit).await;
    for pod in &pods {
        pod.refuse_tls();
    }
    for _round in 0..5 {
        assert_eq!(stage.visit().await, None);
    }
    let log = stage.log(5).await;
    assert!(log.iter().all(|line| line["termination"] == "no_endpoint"));
    for pod in &pods {
        assert_eq!(stage.state(pod.address()).await, "healthy");
    }
}

#[tokio::test]
async fn a_check_by_tls_is_a_whole_conversation_and_tells_who_is_well() {
    let edit = |config: String| {
        with(
            &config,
            "health_check: { kind: tls, server_name: check.example.com, interval_seconds: 1, \
             unhealthy_after: 2, healthy_after: 2 }\n  ejection: { consecutive_failures: 0 }",
        )
    };
    let (stage, pods) = Stage::with_pods(2, edit).await;
    eventually("checks", LIMIT, async || {
        (pods[0].seen().checks.len() > 1).then_some(())
    })
    .await
    .unwrap();
    let seen = pods[0].seen();
    let name = seen.checks[0].as_deref();
    assert_eq!(name, Some("check.example.com"));
    assert_eq!(seen.faults, [""; 0], "each ended by close_notify");
    for _flap in 0..2 {
        pods[0].refuse_tls();
        stage.is(pods[0].address(), "unhealthy").await;
        let reached = stage.visits(6).await;
        let good = pods[1].address().port();
        assert!(reached.iter().all(|port| *port == good), "{reached:?}");
        pods[0].show(&stage.pki.gateway);
        stage.is(pods[0].address(), "healthy").await;
        let reached = stage.visits(6).await;
        assert!(reached.iter().any(|port| *port != good), "{reached:?}");
    }
    let metrics = stage.page("/metrics").await.text();
    let labels = format!("cluster=\"gateway\",endpoint=\"{}\"", pods[0].address());
    for line in [
        format!("l4_front_endpoint_healthy{{{labels}}} 1"),
        format!("l4_front_health_checks_total{{{labels},result=\"failed\"}} "),
    ] {
        assert!(metrics.contains(&line), "{line} not in {metrics}");
    }
    let log = std::fs::read_to_string(stage.folder.file("front.log")).unwrap();
    assert_eq!(log.matches("endpoint is unhealthy").count(), 2, "{log}");
    assert_eq!(log.matches("endpoint is healthy").count(), 2, "{log}");
}

#[tokio::test]
async fn an_endpoint_that_shows_the_wrong_certificate_fails_its_checks() {
    let edit = |config: String| {
        let check =
            "health_check: { kind: tls, server_name: check.example.com, interval_seconds: 1 }";
        with(&config, check)
    };
    let (stage, pods) = Stage::with_pods(2, edit).await;
    pods[0].show(&stage.pki.stranger);
    stage.is(pods[0].address(), "unhealthy").await;
}

#[tokio::test]
async fn a_check_by_http_asks_another_port_without_a_proxy_header() {
    let stage = Stage::prepare();
    let port = ports::free().unwrap().port();
    let ip = |last| IpAddr::V4(Ipv4Addr::new(127, 0, 7, last));
    let (mut pods, mut doors) = (Vec::new(), Vec::new());
    for last in [1, 2] {
        let address = SocketAddr::new(ip(last), 0);
        pods.push(Pod::start_at(address, &stage.pki).await.unwrap());
        doors.push(HealthPort::start(ip(last), port).await.unwrap());
    }
    let check = format!("health_check: {{ kind: http, port: {port}, interval_seconds: 1 }}");
    let addresses = [pods[0].address(), pods[1].address()];
    let stage = stage.open(&addresses, |config| with(&config, &check)).await;
    eventually("checks", LIMIT, async || {
        let endpoint = stage.endpoint(addresses[0]).await?;
        (endpoint["checks_passed"].as_u64()? > 0).then_some(())
    })
    .await
    .unwrap();
    doors[0].say(503);
    stage.is(addresses[0], "unhealthy").await;
    let endpoint = stage.endpoint(addresses[0]).await.unwrap();
    assert_eq!(
        endpoint["check_error"],
        "http status 503 Service Unavailable"
    );
    doors[0].say(200);
    stage.is(addresses[0], "healthy").await;
    assert_eq!(
        pods[0].seen().checks.len(),
        0,
        "nothing came to the main port"
    );
}

#[tokio::test]
async fn who_finds_every_endpoint_full_waits_in_order() {
    let limits =
        "limits: { connections_per_endpoint: 1, queue_length: 1, queue_timeout_seconds: 60 }";
    let (stage, pods) = Stage::with_pods(1, |config| with(&config, limits)).await;
    let first = greeted(&stage.dialer()).await.unwrap();
    let dialer = stage.dialer();
    let waiting = tokio::spawn(async move { greeted(&dialer).await });
    eventually("a connection that waits", LIMIT, async || {
        let queue = stage.page("/endpoints").await.json()["clusters"][0]["queue_length"].as_u64();
        (queue == Some(1)).then_some(())
    })
    .await
    .unwrap();
    assert_eq!(stage.visit().await, None, "the queue is full");
    assert_eq!(stage.log(1).await[0]["termination"], "queue_full");
    assert_eq!(pods[0].seen().connections.len(), 1);
    drop(first);
    assert!(
        waiting.await.unwrap().is_some(),
        "served once there is room"
    );
}

/// Each connection to an endpoint carries its own downstream's address, resumed or not.
#[tokio::test]
async fn resumed_sessions_carry_the_right_header() {
    let (stage, pods) = Stage::with_pods(2, |config| config).await;
    let mut sources = Vec::new();
    for last in 1..=8 {
        let source = IpAddr::V4(Ipv4Addr::new(127, 0, 8, last));
        let (stream, _port) = greeted(&stage.dialer().from(source)).await.unwrap();
        sources.push(stream.get_ref().0.local_addr().unwrap());
    }
    let mut seen = Vec::new();
    for pod in &pods {
        let connections = pod.seen().connections;
        let resumed: Vec<bool> = connections.iter().map(|one| one.resumed).collect();
        assert_eq!(
            resumed,
            [false, true, true, true],
            "sessions are the pod's own"
        );
        seen.extend(connections.into_iter().map(|one| one.source));
    }
    seen.sort();
    assert_eq!(seen, sources);
}

#[tokio::test]
async fn one_downstream_stays_with_one_endpoint_by_hash() {
    let edit = |config: String| config.replace("balance: round_robin", "balance: maglev");
    let (stage, _pods) = Stage::with_pods(4, edit).await;
    let mut all = Vec::new();
    for last in 1..=8 {
        let dialer = stage
            .dialer()
            .from(IpAddr::V4(Ipv4Addr::new(127, 0, 9, last)));
        let mut ports = Vec::new();
        for _visit in 0..3 {
            ports.push(greeted(&dialer).await.unwrap().1);
        }
        ports.dedup();
        assert_eq!(ports.len(), 1, "{ports:?}");
        all.extend(ports);
    }
    all.sort_unstable();
    all.dedup();
    assert!(all.len() > 1, "not all downstreams go to one endpoint");
}

#[tokio::test]
async fn endpoints_follow_the_name_and_drain_when_they_leave_it() {
    let stage = Stage::prepare();
    let port = ports::free().unwrap().port();
    let address = |last| SocketAddr::from(([127, 0, 5, last], port));
    let (old, new) = (address(1), address(2));
    let old_pod = Pod::start_at(old, &stage.pki).await.unwrap();
    let new_pod = Pod::start_at(new, &stage.pki).await.unwrap();
    let names = NameServer::start(addresses(&[old], 1)).await.unwrap();
    let dns = format!("name: gateway.test, port: {port}, timeout_seconds: 1");
    let stage = stage.discover(&names, &dns).await;
    stage.is(old, "healthy").await;
    let (mut open, _port) = greeted(&stage.dialer()).await.unwrap();
    names.answer(addresses(&[new], 3600));
    stage.is(new, "healthy").await;
    assert_eq!(stage.state(old).await, "draining");
    stage.visits(6).await;
    assert_eq!(old_pod.seen().connections.len(), 1, "no new connections");
    assert_eq!(new_pod.seen().connections.len(), 6);
    let mut echo = [0; 5];
    open.read_exact(&mut echo).await.unwrap();
    assert_eq!(&echo, b"hello", "the old connection lives on");
    drop(open);
    stage.is(old, "unknown").await;
    // The bound counts, not the hour of the last answer.
    names.answer(addresses(&[old, new], 1));
    stage.is(old, "healthy").await;
}

#[tokio::test]
async fn the_last_good_answer_stays_while_there_is_none() {
    let stage = Stage::prepare();
    let pod = Pod::start(&stage.pki).await.unwrap();
    let (good, port) = (addresses(&[pod.address()], 1), pod.address().port());
    let names = NameServer::start(good.clone()).await.unwrap();
    let dns = format!("name: gateway.test, port: {port}, timeout_seconds: 1");
    let stage = stage.discover(&names, &dns).await;
    stage.is(pod.address(), "healthy").await;
    let troubles = [
        ("empty", Behaviour::Records(Vec::new())),
        ("SERVFAIL", Behaviour::Code(ResponseCode::ServFail)),
        ("NXDOMAIN", Behaviour::Code(ResponseCode::NXDomain)),
        ("silence", Behaviour::Silence),
    ];
    for (name, trouble) in troubles {
        names.answer(trouble);
        let before = stage.resolutions("failed").await;
        eventually(name, LIMIT, async || {
            (stage.resolutions("failed").await > before).then_some(())
        })
        .await
        .unwrap();
        stage.visits(2).await;
        names.answer(good.clone());
        let before = stage.resolutions("resolved").await;
        eventually("an answer", LIMIT, async || {
            (stage.resolutions("resolved").await > before).then_some(())
        })
        .await
        .unwrap();
    }
    drop(names);
    let before = stage.resolutions("failed").await;
    eventually("a server that is gone", LIMIT, async || {
        (stage.resolutions("failed").await > before).then_some(())
    })
    .await
    .unwrap();
    stage.visits(2).await;
}

#[tokio::test]
async fn services_bring_their_ports_weights_and_priorities() {
    let stage = Stage::prepare();
    let mut pods = Vec::new();
    for _pod in 0..3 {
        pods.push(Pod::start(&stage.pki).await.unwrap());
    }
    let host = Name::from_ascii("pods.test.").unwrap();
    let service = |pod: &Pod, priority, weight| {
        let srv = SRV::new(priority, weight, pod.address().port(), host.clone());
        Record::from_rdata(
            Name::from_ascii("_gw._tcp.test.").unwrap(),
            1,
            RData::SRV(srv),
        )
    };
    let host_record = Record::from_rdata(host.clone(), 1, RData::A(Ipv4Addr::LOCALHOST.into()));
    let records = vec![
        service(&pods[0], 10, 3),
        service(&pods[1], 10, 1),
        service(&pods[2], 20, 1),
        host_record.clone(),
    ];
    let names = NameServer::start(Behaviour::Records(records))
        .await
        .unwrap();
    let stage = stage
        .discover(&names, "name: _gw._tcp.test, records: srv")
        .await;
    stage.is(pods[2].address(), "healthy").await;
    stage.visits(8).await;
    let counts: Vec<usize> = pods
        .iter()
        .map(|pod| pod.seen().connections.len())
        .collect();
    assert_eq!(counts, [6, 2, 0]);
    let records = vec![service(&pods[2], 20, 1), host_record];
    names.answer(Behaviour::Records(records));
    stage.is(pods[0].address(), "unknown").await;
    assert_eq!(stage.visit().await, Some(pods[2].address().port()));
}

/// A front before pods.
struct Stage<F = Front> {
    front: F,
    pki: Pki,
    folder: RunFolder,
}

impl Stage<()> {
    fn prepare() -> Self {
        let folder = RunFolder::create().unwrap();
        let pki = Pki::create(&folder).unwrap();
        Self {
            front: (),
            pki,
            folder,
        }
    }

    async fn open(self, endpoints: &[SocketAddr], edit: impl FnOnce(String) -> String) -> Stage {
        let Self { pki, folder, .. } = self;
        let address = ports::free().unwrap();
        let front = Front::start_with(address, endpoints, &pki, &folder, edit)
            .await
            .unwrap_or_else(|error| panic!("{}", error.chain()));
        Stage { front, pki, folder }
    }
}

impl Stage<()> {
    /// With endpoints from this name server, asked for at least once a second.
    async fn discover(self, names: &NameServer, dns: &str) -> Stage {
        let bounds = "min_ttl_seconds: 1, max_ttl_seconds: 2";
        let server = names.address();
        let dns = format!("  dns: {{ {dns}, name_servers: [\"{server}\"], {bounds} }}\n");
        self.open(&[], |config| config.replace("  endpoints:\n", &dns))
            .await
    }
}

impl Stage {
    async fn with_pods(count: usize, edit: impl FnOnce(String) -> String) -> (Self, Vec<Pod>) {
        let stage = Stage::prepare();
        let mut pods = Vec::new();
        for _pod in 0..count {
            pods.push(Pod::start(&stage.pki).await.unwrap());
        }
        let addresses: Vec<SocketAddr> = pods.iter().map(Pod::address).collect();
        (stage.open(&addresses, edit).await, pods)
    }

    fn dialer(&self) -> Dialer {
        let root = self.pki.edge.root();
        Dialer::public(self.front.address(), "api.example.com", root).speaking(&["h2"])
    }

    /// The port of the pod that answered; none if the front ended the connection.
    async fn visit(&self) -> Option<u16> {
        greeted(&self.dialer()).await.map(|(_stream, port)| port)
    }

    /// One visit after the other, each of which must reach a pod.
    async fn visits(&self, count: usize) -> Vec<u16> {
        let mut ports = Vec::new();
        for number in 0..count {
            let port = self.visit().await;
            ports.push(port.unwrap_or_else(|| panic!("visit {number} failed")));
        }
        ports
    }

    async fn page(&self, path: &str) -> e2e::http::Reply {
        let admin = self.front.admin();
        let mut exchange = Exchange::open_clear(admin).await.unwrap();
        let ask = Ask::get(&admin.to_string(), path);
        exchange.send(ask).await.unwrap()
    }

    /// What the front says about an endpoint.
    async fn endpoint(&self, address: SocketAddr) -> Option<Value> {
        let page = self.page("/endpoints").await.json();
        let endpoints = page["clusters"][0]["endpoints"].as_array()?.clone();
        let address = address.to_string();
        endpoints.into_iter().find(|one| one["address"] == address)
    }

    /// How many resolutions ended so.
    async fn resolutions(&self, result: &str) -> u64 {
        let page = self.page("/endpoints").await.json();
        page["clusters"][0]["dns"][result].as_u64().unwrap()
    }

    async fn state(&self, address: SocketAddr) -> String {
        let endpoint = self.endpoint(address).await.unwrap_or_default();
        endpoint["state"].as_str().unwrap_or("unknown").to_owned()
    }

    /// Waits until the front says this about an endpoint.
    async fn is(&self, address: SocketAddr, state: &str) {
        eventually(&format!("{address} {state}"), LIMIT, async || {
            (self.state(address).await == state).then_some(())
        })
        .await
        .unwrap_or_else(|error| panic!("{error}"));
    }

    /// The access log as soon as it has this many lines.
    async fn log(&self, lines: usize) -> Vec<Value> {
        eventually("the access log's lines", LIMIT, async || {
            let log = self.front.access_log();
            (log.len() >= lines).then_some(log)
        })
        .await
        .unwrap()
    }
}

/// A record for each address, with this time to live.
fn addresses(addresses: &[SocketAddr], ttl: u32) -> Behaviour {
    let name = Name::from_ascii("gateway.test.").unwrap();
    let record = |address: &SocketAddr| match address.ip() {
        IpAddr::V4(ip) => Record::from_rdata(name.clone(), ttl, RData::A(ip.into())),
        IpAddr::V6(ip) => Record::from_rdata(name.clone(), ttl, RData::AAAA(ip.into())),
    };
    Behaviour::Records(addresses.iter().map(record).collect())
}

/// The configuration with more keys of the cluster.
fn with(config: &str, keys: &str) -> String {
    config.replace("  balance: round_robin\n", &format!("  {keys}\n"))
}

/// A connection that a pod has greeted, and that pod's port; none if the front ended it.
async fn greeted(dialer: &Dialer) -> Option<(TlsStream<TcpStream>, u16)> {
    let mut stream = dialer.connect_tls().await.ok()?;
    stream.write_all(b"hello").await.ok()?;
    stream.flush().await.ok()?;
    let port = stream.read_u16().await.ok()?;
    Some((stream, port))
}

/// For everything that is waited for here.
const LIMIT: Duration = Duration::from_secs(20);
