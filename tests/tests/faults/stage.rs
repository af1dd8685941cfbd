//! A front before endpoints of which the last is a good one.

use std::{fs, io, net::SocketAddr, time::Duration};

use e2e::{
    deadline::eventually, dialer::Dialer, front::Front, pki::Pki, pod::Pod, ports,
    run_folder::RunFolder,
};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};
use tokio_rustls::client::TlsStream;

/// See the module.
pub(crate) struct Stage<F = Front, P = Pod> {
    pub(crate) front: F,
    pub(crate) good: P,
    pub(crate) pki: Pki,
    pub(crate) folder: RunFolder,
}

impl Stage<(), ()> {
    pub(crate) fn prepare() -> Self {
        let folder = RunFolder::create().unwrap();
        let pki = Pki::create(&folder).unwrap();
        Self {
            front: (),
            good: (),
            pki,
            folder,
        }
    }

    /// With these settings of `connect` and of the listener's `timeouts`.
    pub(crate) async fn open(
        self,
        endpoints: &[SocketAddr],
        connect: &str,
        timeouts: &str,
    ) -> Stage {
        let timeouts = format!("idle_seconds: 2, {timeouts}");
        self.open_edited(endpoints, |config| {
            ejecting_none(config)
                .replace(
                    "timeout_seconds: 2, attempts: 3",
                    &format!("timeout_seconds: 1, {connect}"),
                )
                .replace("idle_seconds: 300", timeouts.trim_end_matches(", "))
        })
        .await
    }

    /// With these settings of the cluster's sockets; a listener's silent connection has 5 seconds.
    pub(crate) async fn open_with_tcp(self, endpoints: &[SocketAddr], tcp: &str) -> Stage {
        self.open_edited(endpoints, |config| {
            ejecting_none(config)
                .replace(
                    "timeout_seconds: 2, attempts",
                    "timeout_seconds: 1, attempts",
                )
                .replace("idle_seconds: 300", "idle_seconds: 5")
                .replace("  proxy_protocol:", &format!("  {tcp}\n  proxy_protocol:"))
        })
        .await
    }

    /// With the configuration edited.
    pub(crate) async fn open_edited(
        self,
        endpoints: &[SocketAddr],
        edit: impl FnOnce(String) -> String,
    ) -> Stage {
        let good = Pod::start(&self.pki).await.unwrap();
        let endpoints = [endpoints, &[good.address()]].concat();
        self.open_before(good, &endpoints, edit).await
    }

    /// Before these endpoints and no others.
    pub(crate) async fn open_before(
        self,
        good: Pod,
        endpoints: &[SocketAddr],
        edit: impl FnOnce(String) -> String,
    ) -> Stage {
        let Self { pki, folder, .. } = self;
        let address = ports::free().unwrap();
        let front = Front::start_with(address, endpoints, &pki, &folder, edit)
            .await
            .unwrap_or_else(|error| panic!("{}", error.chain()));
        Stage {
            front,
            good,
            pki,
            folder,
        }
    }
}

impl Stage {
    pub(crate) fn dialer(&self) -> Dialer {
        let root = self.pki.edge.root();
        Dialer::public(self.front.address(), "api.example.com", root).speaking(&["http/1.1"])
    }

    pub(crate) async fn greeted(&self) -> Option<(TlsStream<TcpStream>, u16)> {
        greeted(&self.dialer()).await
    }

    /// The port of the good endpoint, which is no other's; none if the front cut the connection.
    pub(crate) async fn visit(&self) -> Option<u16> {
        let (mut stream, port) = self.greeted().await?;
        assert_eq!(port, self.good.address().port());
        stream.shutdown().await.unwrap();
        read_to_end(&mut stream).await.unwrap();
        Some(port)
    }

    /// A connection on which HAProxy has answered; the good endpoint gets those before it.
    pub(crate) async fn converse_with_haproxy(&self) -> TlsStream<TcpStream> {
        loop {
            let mut stream = self.dialer().connect_tls().await.unwrap();
            let request = b"GET / HTTP/1.1\r\nhost: api.example.com\r\n\r\n";
            stream.write_all(request).await.unwrap();
            stream.flush().await.unwrap();
            let mut heard = vec![0; 2];
            stream.read_exact(&mut heard).await.unwrap();
            if heard == b"HT" {
                // The answer's last line.
                while !String::from_utf8_lossy(&heard).contains("version TLS") {
                    assert!(stream.read_buf(&mut heard).await.unwrap() > 0);
                }
                return stream;
            }
        }
    }

    /// What the front says about an endpoint.
    pub(crate) async fn endpoint(&self, address: SocketAddr) -> Option<Value> {
        let page = self.front.page("/endpoints").await.unwrap();
        let page: Value = serde_json::from_str(&page).unwrap();
        let endpoints = page["clusters"][0]["endpoints"].as_array()?.clone();
        let address = address.to_string();
        endpoints.into_iter().find(|one| one["address"] == address)
    }

    /// What the process has logged.
    pub(crate) fn process_log(&mut self) -> String {
        fs::read_to_string(self.front.process().log()).unwrap()
    }

    /// The access log as soon as it has this many lines.
    pub(crate) async fn log(&self, lines: usize) -> Vec<Value> {
        eventually("the access log's lines", LIMIT, async || {
            let log = self.front.access_log();
            (log.len() >= lines).then_some(log)
        })
        .await
        .unwrap()
    }

    /// The access log's line about a connection that ended so.
    pub(crate) async fn line_with(&self, termination: &str) -> Value {
        let lines = eventually(termination, LIMIT, async || {
            let mut log = self.front.access_log().into_iter();
            log.find(|line| line["termination"] == termination)
        });
        lines
            .await
            .unwrap_or_else(|_late| panic!("{:?}", self.front.access_log()))
    }

    /// What is open when the harness asks for nothing: the admin port, which was asked a moment ago,
    /// may not have closed that connection yet, so the shortest of some looks counts.
    pub(crate) async fn open_files(&mut self) -> Vec<String> {
        let mut shortest = self.front.process().open_files().unwrap();
        for _look in 0..20 {
            sleep(Duration::from_millis(25)).await;
            let now = self.front.process().open_files().unwrap();
            if now.len() < shortest.len() {
                shortest = now;
            }
        }
        shortest
    }

    /// Waits until no connection is open, and exactly the same files as before: a listening socket
    /// has a number of its own, as has every other.
    pub(crate) async fn is_as(&mut self, before: Vec<String>) {
        let gauge = "l4_front_downstream_connections_active{listener=\"public\"}";
        eventually("the end of all connections", LIMIT, async || {
            (self.front.metric(gauge).await.unwrap() == 0).then_some(())
        })
        .await
        .unwrap();
        let mut now = Vec::new();
        let same = eventually("the same files", LIMIT, async || {
            now = self.front.process().open_files().unwrap();
            (now == before).then_some(())
        })
        .await;
        assert!(same.is_ok(), "open are {now:#?}, before were {before:#?}");
    }
}

/// No endpoint is left out for its failures: it is there to fail.
fn ejecting_none(config: String) -> String {
    let balance = "  balance: round_robin\n";
    let more = format!("{balance}  ejection: {{ consecutive_failures: 0 }}\n");
    config.replace(balance, &more)
}

/// A connection that a pod has greeted, and that pod's port; none if it was cut. It must not end as
/// if all had been said.
pub(crate) async fn greeted(dialer: &Dialer) -> Option<(TlsStream<TcpStream>, u16)> {
    let mut stream = dialer.connect_tls().await.ok()?;
    stream.write_all(b"hello").await.ok()?;
    stream.flush().await.ok()?;
    let mut port = [0; 2];
    let length = stream.read(&mut port).await.ok()?;
    assert_eq!(length, 2, "a clean end");
    Some((stream, u16::from_be_bytes(port)))
}

pub(crate) async fn read_to_end(stream: &mut TlsStream<TcpStream>) -> io::Result<usize> {
    let mut heard = Vec::new();
    timeout(LIMIT, stream.read_to_end(&mut heard))
        .await
        .unwrap()
}

/// Whether a connection to this address holds data that its process has not read (proc_net_tcp(5)).
pub(crate) fn has_unread_data(address: SocketAddr) -> Option<()> {
    let local = format!(":{:04X}", address.port());
    let connections = fs::read_to_string("/proc/net/tcp").ok()?;
    let mut rows = connections
        .lines()
        .map(|line| line.split_ascii_whitespace());
    rows.any(|mut row| {
        let (ours, queues) = (row.nth(1), row.nth(2));
        ours.is_some_and(|ours| ours.ends_with(&local))
            && queues.is_some_and(|queues| !queues.ends_with(":00000000"))
    })
    .then_some(())
}

/// For everything that is waited for here.
pub(crate) const LIMIT: Duration = Duration::from_secs(15);
