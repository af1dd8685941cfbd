//! A front before endpoints of which the last is a good one.

use std::{any::Any, fs, io, net::SocketAddr, time::Duration};

use e2e::{
    deadline::eventually,
    dialer::Dialer,
    front::Front,
    haproxy::HaProxy,
    pki::{Authority, GATEWAY, Pki},
    pod::Pod,
    ports,
    run_folder::RunFolder,
};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
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

    /// Its address, and what it lives by.
    pub(crate) async fn endpoint_that(&self, fault: &str) -> (SocketAddr, Box<dyn Any>) {
        match fault {
            "frozen" | "gone" => {
                let process = HaProxy::start(&self.pki, &self.folder).await.unwrap();
                let address = process.address();
                if fault == "gone" {
                    return (address, Box::new(()));
                }
                process.process().freeze().unwrap();
                (address, Box::new(process))
            }
            "resets" => {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                let address = listener.local_addr().unwrap();
                let mut serving = JoinSet::new();
                serving.spawn(async move {
                    while let Ok((mut stream, _front)) = listener.accept().await {
                        let _some = stream.read(&mut [0]).await;
                        stream.set_zero_linger().unwrap();
                    }
                });
                (address, Box::new(serving))
            }
            _ => {
                let pod = Pod::start(&self.pki).await.unwrap();
                let authority = Authority::create("impostor", &self.folder).unwrap();
                match fault {
                    "refuses TLS" => pod.refuse_tls(),
                    "another SPIFFE id" => pod.show(&self.pki.stranger),
                    _ => pod.show(&authority.issue("imp", &[GATEWAY], &self.folder).unwrap()),
                }
                (pod.address(), Box::new(pod))
            }
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
            config
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
            config
                .replace(
                    "timeout_seconds: 2, attempts",
                    "timeout_seconds: 1, attempts",
                )
                .replace("idle_seconds: 300", "idle_seconds: 5")
                .replace("  proxy_protocol:", &format!("  {tcp}\n  proxy_protocol:"))
        })
        .await
    }

    /// No endpoint is left out for its failures: it is there to fail.
    async fn open_edited(
        self,
        endpoints: &[SocketAddr],
        edit: impl FnOnce(String) -> String,
    ) -> Stage {
        let Self { pki, folder, .. } = self;
        let good = Pod::start(&pki).await.unwrap();
        let address = ports::free().unwrap();
        let endpoints = [endpoints, &[good.address()]].concat();
        let edit = |config| {
            edit(config).replace(
                "  balance: round_robin\n",
                "  balance: round_robin\n  ejection: { consecutive_failures: 0 }\n",
            )
        };
        let front = Front::start_with(address, &endpoints, &pki, &folder, edit)
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

    /// How many files are open when the harness asks for nothing: the admin port, which was asked
    /// a moment ago, may not have closed that connection yet, so the least of some looks counts.
    pub(crate) async fn open_files(&mut self) -> usize {
        let mut least = usize::MAX;
        for _look in 0..20 {
            least = least.min(self.front.process().descriptors().unwrap());
            sleep(Duration::from_millis(25)).await;
        }
        least
    }

    /// Waits until no connection is open, and as many files as before.
    pub(crate) async fn is_as(&mut self, before: usize) {
        let gauge = "l4_front_downstream_connections_active{listener=\"public\"}";
        eventually("the end of all connections", LIMIT, async || {
            (self.front.metric(gauge).await.unwrap() == 0).then_some(())
        })
        .await
        .unwrap();
        let mut now = self.open_files().await;
        for _look in 0..10 {
            if now <= before + ADMIN_CONNECTION {
                return;
            }
            now = self.open_files().await;
        }
        panic!("{now} files are open, {before} were before");
    }
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

/// One file more than before has been seen for seconds, most likely the harness's own connection to the
/// admin port; that was not proved. Every test makes at least two connections: of these, one left open
/// each time is more than that, and a single one is not noticed.
const ADMIN_CONNECTION: usize = 1;

/// For everything that is waited for here.
pub(crate) const LIMIT: Duration = Duration::from_secs(15);
