//! One front takes the place of another: nothing is refused or lost between the two, and one that
//! cannot serve changes nothing.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests fail as tests do"
)]

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    process::ExitStatus,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use e2e::{
    client_hello::client_hello,
    deadline::eventually,
    echo::{Echo, say},
    error::HarnessError,
    front::Front,
    pki::Pki,
    ports,
    process::{Handed, Process},
    run_folder::RunFolder,
    service_manager::ServiceManager,
    tools,
};
use nix::{
    sys::signal::{self, Signal},
    unistd::Pid,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UnixStream},
    task::JoinSet,
    time::timeout,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_over_upgrades_under_load() {
    let stage = Arc::new(worked(Echo::start(with_upgrade).await));
    let plain = stage.config().unwrap();
    let pair = stage.pki.edge.issue("new", NAMES, &stage.folder);
    worked(pair);
    let other = ports::free().unwrap();
    let more = plain.replace("clusters:\n", &format!("{}clusters:\n", listener(other)));
    let more = more.replace("public.crt", "new.crt");
    // More workers than sockets, fewer, and another configuration in the same step.
    let kinds = [
        plain.replace("workers: 2", "workers: 3"),
        more.replace("public.key", "new.key"),
        plain.replace("workers: 2", "workers: 1"),
        plain.replace("attempts: 3", "attempts: 2"),
    ];
    let requests = Arc::new(AtomicUsize::new(0));
    let clients = (0..CLIENTS).map(|_client| {
        let (stage, requests) = (Arc::clone(&stage), Arc::clone(&requests));
        tokio::spawn(async move {
            while requests.load(Ordering::Relaxed) < REQUESTS {
                let mut connection = worked(stage.connect().await);
                for _request in 0..PER_CONNECTION {
                    worked(say(&mut connection).await);
                    requests.fetch_add(1, Ordering::Relaxed);
                }
            }
        })
    });
    // More at once than can be accepted at once: some wait in the sockets at any time.
    let bursts = {
        let (stage, requests) = (Arc::clone(&stage), Arc::clone(&requests));
        tokio::spawn(async move {
            while requests.load(Ordering::Relaxed) < REQUESTS {
                let mut burst = JoinSet::new();
                for _connection in 0..BURST {
                    let stage = Arc::clone(&stage);
                    burst.spawn(async move {
                        worked(say(&mut worked(stage.connect().await)).await);
                    });
                }
                while let Some(said) = burst.join_next().await {
                    said.unwrap();
                }
                requests.fetch_add(BURST, Ordering::Relaxed);
            }
        })
    };
    let clients: Vec<_> = clients.chain([bursts]).collect();
    let mut fronts: Vec<Front> = Vec::new();
    while requests.load(Ordering::Relaxed) < REQUESTS && !clients.iter().any(|it| it.is_finished())
    {
        let text = &kinds[fronts.len() % kinds.len()];
        let name = format!("successor-{}", fronts.len());
        let serving = fronts.last().unwrap_or(&stage.front);
        let before = requests.load(Ordering::Relaxed);
        let new = worked(serving.take_over(&name, text, &stage.folder).await);
        fronts.push(new);
        // An upgrade under load is one with requests before and after it.
        let moved = async || {
            let now = requests.load(Ordering::Relaxed);
            (now >= before + BETWEEN || now >= REQUESTS).then_some(())
        };
        eventually("requests", LIMIT, moved).await.unwrap();
    }
    for client in clients {
        client.await.unwrap();
    }
    let (done, upgrades) = (requests.load(Ordering::Relaxed), fronts.len());
    assert!(done >= REQUESTS, "{done}");
    assert!(upgrades >= kinds.len(), "only {upgrades} upgrades");
    // Nobody holds a connection any more: each that was replaced has ended well.
    let stage = Arc::try_unwrap(stage).unwrap_or_else(|_shared| panic!("the clients have ended"));
    let serving = fronts.pop().unwrap();
    for mut front in std::iter::once(stage.front).chain(fronts) {
        assert!(ended(&mut front).await.success());
    }
    let accepted = "l4_front_downstream_connections_accepted_total{listener=\"public\"}";
    assert!(serving.metric(accepted).await.unwrap() > 0);
}

#[tokio::test]
async fn every_socket_goes_on_listening_whatever_the_workers_are() {
    let mut stage = worked(Echo::start(with_upgrade).await);
    let port = stage.front.address().port();
    let first = listening(port);
    assert_eq!(first.len(), 2, "one for each worker");
    let plain = stage.config().unwrap();
    let mut serving: Option<Front> = None;
    for (name, workers) in [("more", "workers: 3"), ("fewer", "workers: 1")] {
        let text = plain.replace("workers: 2", workers);
        let old = serving.as_mut().unwrap_or(&mut stage.front);
        let new = worked(old.take_over(name, &text, &stage.folder).await);
        assert!(ended(old).await.success());
        assert_eq!(listening(port), first, "after {workers}");
        serving = Some(new);
        // The kernel spreads connections over all of them: with one that nobody looks at, some would wait.
        for _connection in 0..BURST {
            worked(say(&mut worked(stage.connect().await)).await);
        }
    }
}

#[tokio::test]
async fn what_is_open_lives_on_where_it_is() {
    let mut stage = worked(Echo::start(with_upgrade).await);
    let mut open = worked(stage.connect().await);
    // Accepted, and not a byte of it read.
    let mut begun = TcpStream::connect(stage.front.address()).await.unwrap();
    let accepted = "l4_front_downstream_connections_accepted_total{listener=\"public\"}";
    eventually("both", LIMIT, async || {
        (stage.front.metric(accepted).await.ok()? == 2).then_some(())
    })
    .await
    .unwrap();
    let text = stage.config().unwrap();
    let new = worked(stage.front.take_over("new", &text, &stage.folder).await);
    worked(say(&mut open).await);
    begun
        .write_all(&client_hello("api.example.com"))
        .await
        .unwrap();
    let mut answer = [0; 1];
    timeout(LIMIT, begun.read_exact(&mut answer))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(answer, [22], "a handshake message");
    let mut later = worked(stage.connect().await);
    worked(say(&mut later).await);
    assert_eq!(new.metric(accepted).await.unwrap(), 1, "of the new process");
    drop((open, begun));
    assert!(ended(&mut stage.front).await.success());
    worked(say(&mut later).await);
}

#[tokio::test]
async fn the_drain_of_the_one_that_was_replaced_has_an_end() {
    let drain = |config| with_upgrade(config).replace("drain_seconds: 60 }", "drain_seconds: 1 }");
    let mut stage = worked(Echo::start(drain).await);
    let mut open = worked(stage.connect().await);
    let text = stage.config().unwrap();
    let _new = worked(stage.front.take_over("new", &text, &stage.folder).await);
    assert!(ended(&mut stage.front).await.success());
    assert!(say(&mut open).await.is_err());
    let log = stage.front.access_log();
    assert!(
        log.iter().any(|line| line["termination"] == "drained"),
        "{log:?}"
    );
}

/// In a bad configuration, for want of an address, and by a crash with the sockets in its hands.
#[tokio::test]
async fn a_successor_that_cannot_serve_changes_nothing() {
    let stage = worked(Echo::start(with_upgrade).await);
    let mut open = worked(stage.connect().await);
    let text = stage.config().unwrap();
    let elsewhere = listener("192.0.2.1:443".parse().unwrap());
    let cases = [
        (
            "unknown-cluster",
            64,
            text.replace("cluster: gateway", "cluster: nowhere"),
        ),
        (
            "no-address",
            1,
            text.replace("clusters:\n", &format!("{elsewhere}clusters:\n")),
        ),
    ];
    for (name, code, text) in cases {
        let error = stage.front.take_over(name, &text, &stage.folder).await;
        let Err(HarnessError::Ended {
            status, log_tail, ..
        }) = error
        else {
            panic!("{name}: {error:?}");
        };
        assert_eq!(status.code(), Some(code), "{name}: {log_tail}");
        worked(say(&mut open).await);
        worked(say(&mut worked(stage.connect().await)).await);
    }
    for part in ["nothing", "half a message", "all of it"] {
        let mut crashing = UnixStream::connect(socket(&stage.folder)).await.unwrap();
        let hello = br#"{"hello":{"protocol":1}}"#;
        let length = u32::try_from(hello.len()).unwrap().to_be_bytes();
        match part {
            "nothing" => {}
            "half a message" => crashing.write_all(&length).await.unwrap(),
            _ => {
                crashing.write_all(&length).await.unwrap();
                crashing.write_all(hello).await.unwrap();
                // The offer: the sockets are on their way.
                crashing.read_u32().await.unwrap();
            }
        }
        drop(crashing);
        worked(say(&mut worked(stage.connect().await)).await);
    }
    let new = worked(stage.front.take_over("good", &text, &stage.folder).await);
    worked(say(&mut open).await);
    assert_eq!(new.page("/readyz").await.unwrap(), "ready\n");
}

#[tokio::test]
async fn what_the_successor_does_not_listen_on_is_served_to_its_end_and_closed() {
    let gone = ports::free().unwrap();
    let two = |config: String| {
        with_upgrade(config).replace("clusters:\n", &format!("{}clusters:\n", listener(gone)))
    };
    let stage = worked(Echo::start(two).await);
    let mut open = worked(stage.open(gone).await);
    let one = stage.config().unwrap().replace(&listener(gone), "");
    let _new = worked(stage.front.take_over("one", &one, &stage.folder).await);
    eventually("the removal", LIMIT, async || {
        TcpListener::bind(gone).await.ok()
    })
    .await
    .unwrap();
    worked(say(&mut open).await);
    worked(say(&mut worked(stage.connect().await)).await);
}

/// Beside one that serves, a second one would get a share of the connections that nobody meant it to.
#[tokio::test]
async fn a_second_process_must_say_that_it_takes_over() {
    let stage = worked(Echo::start(with_upgrade).await);
    let config = stage.front.config().to_string_lossy().into_owned();
    let arguments = ["run", "--config", &config];
    let mut second = Process::start(
        "second",
        &tools::front().unwrap(),
        &arguments,
        &stage.folder,
    );
    let status = second.as_mut().unwrap().ended(LIMIT).await.unwrap();
    let log = second.unwrap().log_tail();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("another process serves on"), "{log}");
    worked(say(&mut worked(stage.connect().await)).await);
}

/// As a service manager sees it: the same service, with another main process.
#[tokio::test]
async fn on_sigusr2_the_program_takes_its_own_place() {
    let folder = RunFolder::create().unwrap();
    let pki = worked(Pki::create(&folder));
    let manager = worked(ServiceManager::at_a_path(&folder));
    let handed = Handed {
        environment: vec![manager.variable()],
        socket: None,
    };
    let address = ports::free().unwrap();
    let start = Echo::start_by_manager(address, folder, pki, with_upgrade, handed);
    let mut stage = worked(start.await);
    assert_eq!(worked(manager.hear().await), SERVING);
    let mut open = worked(stage.connect().await);
    worked(stage.front.process().upgrade());
    // The successor says that it serves; the manager hears it where it listens to all of a service.
    let mut main = None;
    for _message in 0..2 {
        let heard = worked(manager.hear().await);
        match heard.strip_prefix("MAINPID=") {
            Some(rest) => {
                let number = rest.lines().next().unwrap_or_default();
                main = Some(Successor(number.parse().unwrap()));
            }
            None => assert_eq!(heard, SERVING),
        }
    }
    let main = main.unwrap_or_else(|| panic!("no MAINPID"));
    assert_ne!(main.0.unsigned_abs(), stage.front.process().id());
    worked(say(&mut open).await);
    let mut later = worked(stage.connect().await);
    worked(say(&mut later).await);
    drop(open);
    assert!(ended(&mut stage.front).await.success());
    worked(say(&mut later).await);
}

/// Started by a front, not by the harness.
struct Successor(i32);

impl Drop for Successor {
    fn drop(&mut self) {
        let _gone_already = signal::kill(Pid::from_raw(self.0), Signal::SIGKILL);
    }
}

fn with_upgrade(config: String) -> String {
    // The socket lies beside the access log.
    let folder = config.split("path: \"").nth(1).unwrap();
    let folder = folder.split("/front-access.jsonl").next().unwrap();
    format!("{config}upgrade: {{ socket: \"{folder}/upgrade.sock\", drain_seconds: 60 }}\n")
}

fn socket(folder: &RunFolder) -> std::path::PathBuf {
    folder.file("upgrade.sock")
}

fn listener(bind: SocketAddr) -> String {
    format!(
        "- name: other\n  bind: \"{bind}\"\n  tls: {{ certificates: [{{ certificate: public.crt, \
         private_key: public.key }}] }}\n  routes: [{{ cluster: gateway }}]\n"
    )
}

/// The sockets that listen on a port of this machine, by their inodes: what closes and binds anew has others.
fn listening(port: u16) -> BTreeSet<String> {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let end = format!(":{port:04X}");
    let rows = table
        .lines()
        .skip(1)
        .map(|row| row.split_ascii_whitespace());
    rows.filter_map(|row| {
        let cells: Vec<&str> = row.collect();
        let is_it = cells.get(1)?.ends_with(&end) && *cells.get(3)? == "0A";
        is_it.then(|| cells.get(9).map(|inode| (*inode).to_owned()))?
    })
    .collect()
}

async fn ended(front: &mut Front) -> ExitStatus {
    worked(front.process().ended(LIMIT).await)
}

fn worked<T>(outcome: Result<T, HarnessError>) -> T {
    outcome.unwrap_or_else(|error| panic!("{}", error.chain()))
}

const SERVING: &str = "READY=1\nSTATUS=serving";
const NAMES: &[&str] = &["*.example.com"];
const CLIENTS: usize = 16;
const REQUESTS: usize = 50_000;
const PER_CONNECTION: usize = 25;
const BURST: usize = 64;

/// Requests between two upgrades.
const BETWEEN: usize = 2_000;

/// For everything that is waited for here.
const LIMIT: Duration = Duration::from_secs(30);
