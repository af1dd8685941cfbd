//! What a service manager hands to the front and hears from it. The tests take its part: they pass
//! descriptors and environment as sd_listen_fds(3) says, and listen as sd_notify(3) says.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests fail as tests do"
)]

use std::{fs, net::TcpListener, os::fd::OwnedFd, path::Path, sync::mpsc, thread, time::Duration};

use e2e::{
    deadline::eventually,
    echo::{Echo, say},
    error::HarnessError,
    pki::Pki,
    ports,
    process::{Handed, Process},
    run_folder::RunFolder,
    service_manager::ServiceManager,
    tools,
};
use nix::{
    sys::{
        ptrace,
        wait::{WaitPidFlag, waitpid},
    },
    unistd::Pid,
};
use tokio::time::Instant;

/// No other process could bind this address: the socket was bound without SO_REUSEPORT. So what is
/// served there is served on it.
#[tokio::test]
async fn the_sockets_of_the_manager_are_served() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let folder = RunFolder::create().unwrap();
    let pki = worked(Pki::create(&folder));
    let manager = listener.try_clone().unwrap();
    let workers = |config: String| config.replace("workers: 2", "workers: 3");
    let start = Echo::start_by_manager(address, folder, pki, workers, listening(manager, "public"));
    let stage = worked(start.await);
    for _connection in 0..12 {
        worked(say(&mut worked(stage.connect().await)).await);
    }
    let busy = async |worker| {
        let metric = format!("l4_front_worker_connections{{worker=\"{worker}\"}}");
        stage.front.metric(&metric).await.unwrap()
    };
    let mut open = Vec::new();
    for _connection in 0..12 {
        open.push(worked(stage.connect().await));
    }
    // One socket, and all three workers serve what comes in through it.
    for worker in 0..3 {
        assert!(busy(worker).await > 0, "worker {worker}");
    }
    // While nobody serves, what comes waits in the manager's socket.
    let Echo {
        front, pki, folder, ..
    } = stage;
    drop((front, open));
    let waiting = std::net::TcpStream::connect(address).unwrap();
    let again = listener.try_clone().unwrap();
    let start = Echo::start_by_manager(address, folder, pki, |it| it, listening(again, "public"));
    let stage = worked(start.await);
    drop(waiting);
    worked(say(&mut worked(stage.connect().await)).await);
}

/// A reload needs no second look at the environment, and a successor none of the manager's.
#[tokio::test]
async fn sockets_of_the_manager_outlive_reloads_and_upgrades() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let folder = RunFolder::create().unwrap();
    let pki = worked(Pki::create(&folder));
    let socket = folder.file("upgrade.sock");
    let edit = |config| format!("{config}upgrade: {{ socket: \"{}\" }}\n", socket.display());
    let start = Echo::start_by_manager(address, folder, pki, edit, listening(listener, "public"));
    let mut stage = worked(start.await);
    worked(stage.front.reload().await);
    worked(say(&mut worked(stage.connect().await)).await);
    let text = stage.config().unwrap();
    let _new = worked(stage.front.take_over("new", &text, &stage.folder).await);
    assert!(worked(stage.front.process().ended(LIMIT).await).success());
    worked(say(&mut worked(stage.connect().await)).await);
}

#[tokio::test]
async fn a_socket_that_is_configured_nowhere_is_an_error() {
    let folder = RunFolder::create().unwrap();
    let pki = worked(Pki::create(&folder));
    let (configured, other) = (
        ports::free().unwrap(),
        TcpListener::bind("127.0.0.1:0").unwrap(),
    );
    let stray = other.local_addr().unwrap();
    let outcome =
        Echo::start_by_manager(configured, folder, pki, |it| it, listening(other, "public"));
    let (code, log) = failed(outcome.await);
    assert_eq!(code, Some(1), "{log}");
    let reason = format!("LISTEN_FDS: a socket is bound to {stray}, and no listeners[].bind");
    assert!(log.contains(&reason), "{log}");
}

#[tokio::test]
async fn what_is_no_listening_socket_is_an_error_with_its_name() {
    let folder = RunFolder::create().unwrap();
    let pki = worked(Pki::create(&folder));
    let file = fs::File::open("/dev/null").unwrap();
    let address = ports::free().unwrap();
    let outcome = Echo::start_by_manager(address, folder, pki, |it| it, listening(file, "public"));
    let (code, log) = failed(outcome.await);
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("LISTEN_FDS: descriptor 3 (public)"), "{log}");
}

/// systemd's own program for it, which waits for the first connection.
#[tokio::test]
async fn systemd_socket_activate_starts_a_front_that_serves() {
    let folder = RunFolder::create().unwrap();
    let pki = worked(Pki::create(&folder));
    let address = ports::free().unwrap();
    let mut stage =
        worked(Echo::start_by_manager(address, folder, pki, |it| it, Handed::default()).await);
    stage.front.process().kill();
    let config = stage.front.config().to_string_lossy().into_owned();
    let (address, front) = (address.to_string(), tools::front().unwrap());
    let front = front.to_string_lossy();
    let arguments = ["--listen", &address, &front, "run", "--config", &config];
    let program = Path::new("systemd-socket-activate");
    let mut activator = worked(Process::start(
        "activate",
        program,
        &arguments,
        &stage.folder,
    ));
    let log = activator.log().to_owned();
    let listening = async || fs::read_to_string(&log).unwrap().contains("Listening on");
    worked(activator.ready_when(LIMIT, listening).await);
    worked(say(&mut worked(stage.connect().await)).await);
    let log = fs::read_to_string(activator.log()).unwrap();
    assert!(log.contains("socket of the service manager"), "{log}");
}

#[tokio::test]
async fn the_manager_hears_how_the_service_is() {
    for bind in [ServiceManager::at_a_path, ServiceManager::at_a_name] {
        let folder = RunFolder::create().unwrap();
        let pki = worked(Pki::create(&folder));
        let manager = worked(bind(&folder));
        let address = ports::free().unwrap();
        let handed = notify(&manager, &[]);
        let start = Echo::start_by_manager(address, folder, pki, |it| it, handed);
        let mut stage = worked(start.await);
        let hear = async || worked(manager.hear().await);
        assert_eq!(hear().await, SERVING);
        worked(stage.front.reload().await);
        let reloading = hear().await;
        let micros = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=");
        assert!(micros.unwrap().parse::<u64>().unwrap() > 0);
        assert_eq!(hear().await, SERVING);
        let good = stage.config().unwrap();
        let bad = good.replace("cluster: gateway", "cluster: nowhere");
        fs::write(stage.front.config(), bad).unwrap();
        worked(stage.front.reload().await);
        assert!(hear().await.starts_with("RELOADING=1\n"));
        let refused = "READY=1\nSTATUS=serving, the last configuration was refused";
        assert_eq!(hear().await, refused);
        stage.front.process().terminate().unwrap();
        assert_eq!(hear().await, "STOPPING=1\nSTATUS=draining");
        assert!(worked(stage.front.process().ended(LIMIT).await).success());
    }
}

#[tokio::test]
async fn a_watchdog_is_told_as_often_as_it_wants() {
    let folder = RunFolder::create().unwrap();
    let pki = worked(Pki::create(&folder));
    let manager = worked(ServiceManager::at_a_path(&folder));
    let handed = notify(&manager, &[("WATCHDOG_USEC", "2000000".to_owned())]);
    let address = ports::free().unwrap();
    let _stage = worked(Echo::start_by_manager(address, folder, pki, |it| it, handed).await);
    assert_eq!(worked(manager.hear().await), SERVING);
    let begin = Instant::now();
    for _time in 0..4 {
        assert_eq!(worked(manager.hear().await), "WATCHDOG=1");
    }
    // The first comes at once, and each of the others after half of the time.
    let took = begin.elapsed();
    assert!(took < Duration::from_secs(2 * 3), "{took:?}");
}

/// The other worker, and the thread that tells the manager, go on.
#[tokio::test]
async fn nobody_vouches_for_a_process_of_which_a_worker_hangs() {
    let folder = RunFolder::create().unwrap();
    let pki = worked(Pki::create(&folder));
    let manager = worked(ServiceManager::at_a_path(&folder));
    let handed = notify(&manager, &[("WATCHDOG_USEC", "1000000".to_owned())]);
    let address = ports::free().unwrap();
    let start = Echo::start_by_manager(address, folder, pki, |it| it, handed);
    let mut stage = worked(start.await);
    assert_eq!(worked(manager.hear().await), SERVING);
    assert_eq!(worked(manager.hear().await), "WATCHDOG=1");

    let worker = stage.front.process().thread("worker-1").unwrap();
    let hanging = Hanging::begin(worker);
    let complaints = async |count| {
        let complaint = "a worker does not answer, the watchdog is not told";
        let said =
            async || (stage.log().unwrap().matches(complaint).count() >= count).then_some(());
        worked(eventually(complaint, LIMIT, said).await);
    };
    complaints(1).await;
    // Of the time before.
    let _earlier = manager.heard();
    complaints(4).await;
    assert_eq!(manager.heard(), Vec::<String>::new());

    hanging.end();
    assert_eq!(worked(manager.hear().await), "WATCHDOG=1");
    assert_eq!(worked(manager.hear().await), "WATCHDOG=1");
    worked(say(&mut worked(stage.connect().await)).await);
}

/// A thread of another process that is held where it is, as a debugger does it (ptrace(2)). Who holds
/// it is a thread: with the thread that ends, so does the holding.
struct Hanging {
    release: mpsc::Sender<()>,
    holder: thread::JoinHandle<()>,
}

impl Hanging {
    /// Returns when it has stopped.
    fn begin(id: i32) -> Self {
        let (release, released) = mpsc::channel();
        let (stopped, stop) = mpsc::channel();
        let holder = thread::spawn(move || {
            let id = Pid::from_raw(id);
            ptrace::seize(id, ptrace::Options::empty()).unwrap();
            ptrace::interrupt(id).unwrap();
            waitpid(id, Some(WaitPidFlag::__WALL)).unwrap();
            stopped.send(()).unwrap();
            // Whoever is gone has failed, and wants no more.
            let _gone = released.recv();
            let _gone = ptrace::detach(id, None);
        });
        stop.recv().unwrap();
        Self { release, holder }
    }

    fn end(self) {
        drop(self.release);
        self.holder.join().unwrap();
    }
}

/// A descriptor, under this name.
fn listening(descriptor: impl Into<OwnedFd>, name: &str) -> Handed {
    Handed {
        environment: vec![("LISTEN_FDNAMES", name.to_owned())],
        socket: Some(descriptor.into()),
    }
}

fn notify(manager: &ServiceManager, more: &[(&'static str, String)]) -> Handed {
    Handed {
        environment: [&[manager.variable()], more].concat(),
        socket: None,
    }
}

fn failed(outcome: Result<Echo, HarnessError>) -> (Option<i32>, String) {
    match outcome {
        Err(HarnessError::Ended {
            status, log_tail, ..
        }) => (status.code(), log_tail),
        other => panic!("it did not end: {other:?}"),
    }
}

fn worked<T>(outcome: Result<T, HarnessError>) -> T {
    outcome.unwrap_or_else(|error| panic!("{}", error.chain()))
}

const SERVING: &str = "READY=1\nSTATUS=serving";

/// For everything that is waited for here.
const LIMIT: Duration = Duration::from_secs(30);
