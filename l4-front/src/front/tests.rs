//! Fronts without a process around them: every connection that the kernel has completed is served,
//! by exactly one of them, whatever is handed over, drained or spread among workers meanwhile.

use std::net::Shutdown;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::*;
use crate::drain::{DrainTrigger, Phase};
use crate::metrics::{Ended, OfListener, OfWorker};
use crate::reload::Status;

/// A front at work, and what counts its connections.
struct Side {
    front: Front,
    trigger: DrainTrigger,
    metrics: Arc<Metrics>,
    workers: usize,
    all_done: mpsc::Receiver<()>,
}

impl Side {
    async fn start(workers: usize, address: SocketAddr, mut sockets: Inherited) -> Self {
        let (trigger, drain) = DrainTrigger::new();
        let (alive, all_done) = mpsc::channel(1);
        let metrics = Arc::new(Metrics::default());
        let (present, clusters) = watch::channel(Arc::from([]));
        let pages = Arc::new(Pages {
            registry: metrics.registry(),
            clusters,
            status: watch::channel(Status::first()).1,
        });
        let crew = Crew::start(workers, false, &metrics, &drain, &alive).unwrap();
        let mut front = Front::new(crew, Arc::clone(&metrics), pages, present, drain);
        front.apply(config(address), &mut sockets).await.unwrap();
        assert_eq!(sockets.addresses(), []);
        Self {
            front,
            trigger,
            metrics,
            workers,
            all_done,
        }
    }

    /// As another process would get them.
    fn sockets(&self) -> Inherited {
        let mut inherited = Inherited::default();
        for (address, socket) in self.front.sockets() {
            let copy = socket.try_clone().unwrap();
            assert_eq!(inherited.adopt(copy.into()).unwrap(), address);
        }
        inherited
    }

    /// Accepts no more, serves what it has, and tells how many connections that were.
    async fn end(self, phase: Phase) -> u64 {
        let mut all_done = self.all_done;
        self.trigger.set(phase);
        let threads = self.front.leave();
        timeout(LIMIT, all_done.recv()).await.unwrap();
        for thread in threads {
            thread.join().unwrap();
        }
        let listener = OfListener {
            listener: "public".to_owned(),
        };
        let accepted = self.metrics.accepted.get_or_create(&listener).get();
        let ended = Ended {
            listener: listener.listener.clone(),
            termination: "closed_before_hello",
        };
        let ended = self.metrics.ended.get_or_create(&ended).get();
        assert_eq!(ended, accepted, "each that is accepted ends once");
        assert_eq!(self.metrics.active.get_or_create(&listener).get(), 0);
        for worker in 0..self.workers {
            let load = self
                .metrics
                .worker_connections
                .get_or_create(&OfWorker { worker });
            assert_eq!(load.get(), 0, "worker {worker}");
        }
        accepted
    }
}

fn config(address: SocketAddr) -> Config {
    let text = format!(
        "listeners: [{{ name: public, bind: \"{address}\", routes: [{{ cluster: gateway }}] }}]\n\
         clusters: [{{ name: gateway, endpoints: [{{ address: \"127.0.0.1:1\" }}] }}]\n"
    );
    let path = std::env::temp_dir().join(uuid::Uuid::now_v7().to_string());
    std::fs::write(&path, text).unwrap();
    let config = Config::load(&path);
    std::fs::remove_file(path).unwrap();
    config.unwrap()
}

/// A connection that says nothing is served if it is ended in order: a reset is one that was lost in a queue.
async fn is_served(mut connection: TcpStream) {
    let mut rest = Vec::new();
    let read = timeout(LIMIT, connection.read_to_end(&mut rest)).await;
    assert_eq!(read.unwrap().unwrap(), 0);
}

/// Connects until told otherwise, and tells how many connections that were. Each is served.
async fn connect(address: SocketAddr, so_far: Arc<AtomicUsize>, most: usize) {
    while so_far.fetch_add(1, Ordering::Relaxed) < most {
        let mut connection = TcpStream::connect(address).await.unwrap();
        connection.shutdown().await.unwrap();
        is_served(connection).await;
    }
    so_far.fetch_sub(1, Ordering::Relaxed);
}

async fn check(workers: [usize; 2], sockets: usize, during: usize, waiting: usize) {
    let first = Listening::PLAIN.bind("127.0.0.1:0".parse().unwrap());
    let mut bound = vec![first.unwrap()];
    let address = bound[0].local_addr().unwrap();
    bound.resize_with(sockets, || Listening::PLAIN.bind(address).unwrap());
    let mut inherited = Inherited::default();
    for socket in bound {
        inherited.adopt(socket.into()).unwrap();
    }
    let old = Side::start(workers[0], address, inherited).await;
    let so_far = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_client| tokio::spawn(connect(address, Arc::clone(&so_far), during)))
        .collect();
    while so_far.load(Ordering::Relaxed) < during / 2 {
        tokio::task::yield_now().await;
    }
    let new = Side::start(workers[1], address, old.sockets()).await;
    let mut accepted = old.end(Phase::HandedOver).await;
    for client in clients {
        client.await.unwrap();
    }
    // In the kernel's queues, and now nobody comes after this one.
    let mut queued = Vec::new();
    for _connection in 0..waiting {
        let connection = std::net::TcpStream::connect(address).unwrap();
        connection.shutdown(Shutdown::Write).unwrap();
        connection.set_nonblocking(true).unwrap();
        queued.push(TcpStream::from_std(connection).unwrap());
    }
    accepted += new.end(Phase::Draining).await;
    for connection in queued {
        is_served(connection).await;
    }
    assert_eq!(accepted, (during + waiting) as u64, "none twice, none lost");
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn no_connection_is_lost_or_counted_twice(
        workers in [1_usize..4, 1..4],
        sockets in 1_usize..5,
        during in 1_usize..200,
        waiting in 0_usize..64,
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(check(workers, sockets, during, waiting));
    }
}

const CLIENTS: usize = 8;

/// For everything that is waited for here.
const LIMIT: Duration = Duration::from_secs(30);
