//! A new configuration in a process that serves: what changes, what stays, and that a bad one changes nothing.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests fail as tests do"
)]

use std::{
    fs,
    net::SocketAddr,
    ops::Deref,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use e2e::{
    deadline::eventually,
    echo::{Echo, say},
    error::HarnessError,
    pki::Pki,
    ports,
    run_folder::RunFolder,
};
use rustls::pki_types::CertificateDer;
use serde_json::Value;
use tokio::{
    net::{TcpListener, TcpStream},
    time::sleep,
};
use tokio_rustls::client::TlsStream;

#[tokio::test]
async fn a_bad_file_changes_nothing_and_the_reason_is_told() {
    let stage = Stage::set(|config| config).await;
    let mut open = stage.connect().await;
    let good = fs::read_to_string(stage.front.config()).unwrap();
    // Ends inside a text: half of it could end where a document may.
    let written = good.find("address: \"").unwrap() + "address: \"127".len();
    let cases = [
        ("half a file", good[..written].to_owned(), "front.yaml"),
        (
            "an unknown cluster",
            good.replace("cluster: gateway", "cluster: nowhere"),
            "no cluster is named \"nowhere\"",
        ),
        (
            "a certificate that is not there",
            good.replace("public.crt", "absent.crt"),
            "listeners[0].tls.certificates[0].certificate: cannot read",
        ),
        (
            "another number of workers",
            good.replace("workers: 2", "workers: 3"),
            "workers: 3 is asked for, the process runs with 2, a restart is needed",
        ),
        (
            "an address of somebody else",
            good.replace(
                "clusters:\n",
                &format!(
                    "{}clusters:\n",
                    listener("other", "192.0.2.1:443".parse().unwrap())
                ),
            ),
            "listeners[1].bind: cannot bind 192.0.2.1:443",
        ),
    ];
    for (count, (name, text, reason)) in cases.into_iter().enumerate() {
        let status = stage.apply(&text).await;
        let error = status["last_error"].as_str().unwrap_or_default();
        assert!(error.contains(reason), "{name}: {status}");
        assert_eq!(status["generation"], 1, "{name}");
        let metric = async |metric: &str| stage.front.metric(metric).await.unwrap();
        assert_eq!(metric("l4_front_config_last_reload_successful").await, 0);
        let refused = metric("l4_front_config_reloads_total{result=\"refused\"}").await;
        assert_eq!(refused, count as u64 + 1, "{name}");
        let logged = reason.replace('"', "\\\"");
        assert!(stage.log().unwrap().contains(&logged), "{name}");
        let _new = stage.connect().await;
        said(&mut open, name).await;
    }
    let status = stage.apply(&good).await;
    assert!(status["last_error"].is_null(), "{status}");
    assert_eq!(status["generation"], 2);
    let ok = stage.front.metric("l4_front_config_last_reload_successful");
    assert_eq!(ok.await.unwrap(), 1);
    said(&mut open, "a good one").await;
}

#[tokio::test]
async fn listeners_come_and_go_and_connections_live_on() {
    let stage = Stage::set(|config| config).await;
    let mut first = stage.connect().await;
    let other = ports::free().unwrap();
    let one = fs::read_to_string(stage.front.config()).unwrap();
    let two = one.replace(
        "clusters:\n",
        &format!("{}clusters:\n", listener("other", other)),
    );
    let two = two.replace("name: public", "name: renamed");
    stage.applied(&two).await;
    let mut second = stage.open(other).await;
    said(&mut second, "through the new listener").await;
    let moved = two.replace(&format!("\"{}\"", stage.front.address()), "\"127.0.0.1:1\"");
    let free = ports::free().unwrap();
    let moved = moved.replace("127.0.0.1:1\"", &format!("{free}\""));
    stage.applied(&moved).await;
    // Binds, and does not connect: what connects too early would be counted.
    eventually("the removal", LIMIT, async || {
        TcpListener::bind(stage.front.address()).await.ok()
    })
    .await
    .unwrap();
    said(&mut first, "whose listener is gone").await;
    said(&mut second, "whose listener stayed").await;
    let mut third = stage.open(free).await;
    said(&mut third, "at the new address").await;
    let counted = "l4_front_downstream_connections_accepted_total";
    let count = async |name: &str| {
        let of = format!("{counted}{{listener=\"{name}\"}}");
        stage.front.metric(&of).await.unwrap()
    };
    for name in ["public", "other", "renamed"] {
        assert_eq!(count(name).await, 1, "{name}");
    }
}

/// Those that were open before count, or a reload would be a way around every limit.
#[tokio::test]
async fn limits_hold_over_a_reload() {
    let stage = Stage::set(|config| config).await;
    let _open = stage.connect().await;
    let text = fs::read_to_string(stage.front.config()).unwrap();
    let limited = text.replace("  routes:", "  limits: { connections: 2 }\n  routes:");
    stage.applied(&limited).await;
    let _second = stage.connect().await;
    assert!(
        stage
            .dialer(stage.front.address())
            .connect_tls()
            .await
            .is_err()
    );
}

/// As Kubernetes does it: the files are links through a link to a folder, and that one is exchanged.
#[tokio::test]
async fn certificates_behind_exchanged_links_are_found_by_themselves() {
    let folder = RunFolder::create().unwrap();
    let pki = Pki::create(&folder).unwrap();
    let links = folder.path().join("mounted");
    fs::create_dir(&links).unwrap();
    rotate(
        &links,
        "first",
        &pki.public.certificate,
        &pki.public.private_key,
    );
    let edit = |config: String| {
        for name in ["public.crt", "public.key"] {
            let target = Path::new("..data").join(name);
            std::os::unix::fs::symlink(target, links.join(name)).unwrap();
        }
        let config = config.replace("public.crt", "mounted/public.crt");
        format!(
            "reload: {{ watch_seconds: 1 }}\n{}",
            config.replace("public.key", "mounted/public.key")
        )
    };
    let stage = Stage::set_with(folder, pki, edit).await;
    // The second exchange is the one that others miss.
    for round in ["second", "third"] {
        let new = stage
            .pki
            .edge
            .issue(round, &["*.example.com"], &stage.folder)
            .unwrap();
        // A certificate without its key must not be taken.
        fs::write(
            links.join("..data").join("public.crt"),
            fs::read(&new.certificate).unwrap(),
        )
        .unwrap();
        rotate(&links, round, &new.certificate, &new.private_key);
        eventually(round, LIMIT, async || {
            let connection = stage.connect().await;
            (certificate(&connection) == new.chain()[0]).then_some(())
        })
        .await
        .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_under_a_storm_of_reloads() {
    let stage = Arc::new(Stage::set(|config| config).await);
    let plain = fs::read_to_string(stage.front.config()).unwrap();
    stage
        .pki
        .edge
        .issue("new", &["*.example.com"], &stage.folder)
        .unwrap();
    let other = ports::free().unwrap();
    let changed = plain
        .replace("public.crt", "new.crt")
        .replace("public.key", "new.key")
        .replace(
            "clusters:\n",
            &format!("{}clusters:\n", listener("other", other)),
        )
        .replace("attempts: 3", "attempts: 2");
    let (requests, done) = (
        Arc::new(AtomicUsize::new(0)),
        Arc::new(AtomicBool::new(false)),
    );
    let storm = tokio::spawn({
        let (stage, done) = (Arc::clone(&stage), Arc::clone(&done));
        async move {
            let mut reloads = 0_usize;
            while !done.load(Ordering::Relaxed) {
                let text = if reloads.is_multiple_of(2) {
                    &changed
                } else {
                    &plain
                };
                stage.folder.write("next.yaml", text).unwrap();
                fs::rename(stage.folder.file("next.yaml"), stage.front.config()).unwrap();
                stage.front.hang_up().unwrap();
                reloads += 1;
                sleep(Duration::from_millis(10)).await;
            }
            reloads
        }
    });
    let clients = (0..CLIENTS).map(|_client| {
        let (stage, requests) = (Arc::clone(&stage), Arc::clone(&requests));
        tokio::spawn(async move {
            while requests.load(Ordering::Relaxed) < REQUESTS {
                let mut connection = stage.connect().await;
                for _request in 0..PER_CONNECTION {
                    said(&mut connection, "in the storm").await;
                    requests.fetch_add(1, Ordering::Relaxed);
                }
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.unwrap();
    }
    done.store(true, Ordering::Relaxed);
    let reloads = storm.await.unwrap();
    assert!(requests.load(Ordering::Relaxed) >= REQUESTS);
    let applied = "l4_front_config_reloads_total{result=\"applied\"}";
    let applied = stage.front.metric(applied).await.unwrap();
    assert!(applied > 20, "{applied} of {reloads} reloads");
    let refused = "l4_front_config_reloads_total{result=\"refused\"}";
    assert_eq!(stage.front.metric(refused).await.unwrap(), 0);
}

/// One more listener, as the first one.
fn listener(name: &str, bind: SocketAddr) -> String {
    format!(
        "- name: {name}\n  bind: \"{bind}\"\n  tls: {{ certificates: [{{ certificate: public.crt, \
         private_key: public.key }}] }}\n  routes: [{{ cluster: gateway }}]\n"
    )
}

/// Puts the pair into a new folder and lets `..data` lead there, in one step.
fn rotate(links: &Path, round: &str, certificate: &Path, key: &Path) {
    let folder = links.join(format!("..{round}"));
    fs::create_dir(&folder).unwrap();
    fs::copy(certificate, folder.join("public.crt")).unwrap();
    fs::copy(key, folder.join("public.key")).unwrap();
    let next = links.join("..data_tmp");
    std::os::unix::fs::symlink(format!("..{round}"), &next).unwrap();
    fs::rename(next, links.join("..data")).unwrap();
}

fn certificate(connection: &TlsStream<TcpStream>) -> CertificateDer<'static> {
    let shown = connection.get_ref().1.peer_certificates().unwrap();
    shown[0].clone().into_owned()
}

/// One request and its answer.
async fn said(connection: &mut TlsStream<TcpStream>, about: &str) {
    let said = say(connection).await;
    said.unwrap_or_else(|error| panic!("{about}: {}", error.chain()));
}

/// A front whose configuration changes.
struct Stage(Echo);

impl Deref for Stage {
    type Target = Echo;

    fn deref(&self) -> &Echo {
        &self.0
    }
}

impl Stage {
    async fn set(edit: impl FnOnce(String) -> String) -> Self {
        Self(worked(Echo::start(edit).await))
    }

    async fn set_with(folder: RunFolder, pki: Pki, edit: impl FnOnce(String) -> String) -> Self {
        Self(worked(Echo::start_in(folder, pki, edit).await))
    }

    /// Writes the configuration and has it read; gives the status after that.
    async fn apply(&self, text: &str) -> Value {
        fs::write(self.front.config(), text).unwrap();
        worked(self.front.reload().await);
        serde_json::from_str(&self.front.page("/config").await.unwrap()).unwrap()
    }

    /// The same with a good one.
    async fn applied(&self, text: &str) {
        let status = self.apply(text).await;
        assert!(status["last_error"].is_null(), "{status}");
    }

    async fn open(&self, address: SocketAddr) -> TlsStream<TcpStream> {
        worked(self.0.open(address).await)
    }

    async fn connect(&self) -> TlsStream<TcpStream> {
        worked(self.0.connect().await)
    }
}

fn worked<T>(outcome: Result<T, HarnessError>) -> T {
    outcome.unwrap_or_else(|error| panic!("{}", error.chain()))
}

const CLIENTS: usize = 16;
const REQUESTS: usize = 50_000;
const PER_CONNECTION: usize = 25;

/// For everything that is waited for here.
const LIMIT: Duration = Duration::from_secs(30);
