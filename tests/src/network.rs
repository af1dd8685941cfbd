//! A network of this process alone: nobody outside reaches what listens in it, and it ends with the
//! process. In it are pods, each a network namespace with an address of its own on one bridge, as on
//! the node of a cluster.

use std::{
    fs::{self, File},
    io,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener},
    os::{fd::AsRawFd, unix::fs::MetadataExt},
    path::PathBuf,
    process::{self, Command},
    sync::{
        OnceLock,
        atomic::{AtomicU8, Ordering},
    },
    thread,
};

use nix::sched::{CloneFlags, setns, unshare};

use crate::error::HarnessError;

/// The harness's own address in it: pods reach what listens here.
pub const NODE: Ipv4Addr = Ipv4Addr::new(10, 88, 0, 1);

/// Leaves the machine's network for one of this process. To be called before any other thread is
/// started: threads and processes that are there already stay where they are.
///
/// # Errors
/// [`HarnessError::Network`].
pub fn leave_the_machines() -> Result<(), HarnessError> {
    leave().map_err(|source| HarnessError::Network { source })?;
    for line in [
        "link set lo up".to_owned(),
        "link add pods type bridge".to_owned(),
        format!("address add {NODE}/24 dev pods"),
        "link set pods up".to_owned(),
    ] {
        ip(&line)?;
    }
    let _first = LEFT.set(());
    Ok(())
}

/// Only root may have a network namespace in the user namespace that is there; everybody else
/// becomes root in one of their own.
fn leave() -> io::Result<()> {
    let own = fs::metadata("/proc/self")?;
    if own.uid() == 0 {
        return Ok(unshare(CloneFlags::CLONE_NEWNET)?);
    }
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET)?;
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("0 {} 1", own.uid()))?;
    fs::write("/proc/self/gid_map", format!("0 {} 1", own.gid()))
}

/// A pod's network, which ends with this value and the processes in it.
#[derive(Debug)]
pub struct PodNetwork {
    handle: File,
    address: Ipv4Addr,
}

impl PodNetwork {
    /// One with an address that no other pod has had.
    ///
    /// # Errors
    /// [`HarnessError::Network`], also where the process is still in the machine's network.
    pub fn create() -> Result<Self, HarnessError> {
        let failed = |source| HarnessError::Network { source };
        if LEFT.get().is_none() {
            return Err(failed(io::Error::other(
                "this process is in the machine's network",
            )));
        }
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let handle = in_a_thread(|| {
            unshare(CloneFlags::CLONE_NEWNET)?;
            File::open("/proc/thread-self/ns/net")
        })
        .map_err(failed)?;
        let address = Ipv4Addr::new(10, 88, 0, number);
        let pod = Self { handle, address };
        let place = pod.place();
        let place = place.display();
        ip(&format!(
            "link add pod{number} type veth peer name eth0 netns {place}"
        ))?;
        ip(&format!("link set pod{number} master pods up"))?;
        for line in [
            "link set lo up".to_owned(),
            format!("address add {address}/24 dev eth0"),
            "link set eth0 up".to_owned(),
            format!("route add default via {NODE}"),
        ] {
            let mut command = Command::new("nsenter");
            command.arg(format!("--net={place}")).arg("ip");
            told(command.args(line.split(' ')))?;
        }
        Ok(pod)
    }

    /// Its address.
    #[must_use]
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// Where the namespace is found, as long as this value lives.
    #[must_use]
    pub fn place(&self) -> PathBuf {
        format!("/proc/{}/fd/{}", process::id(), self.handle.as_raw_fd()).into()
    }

    /// Listens in it, on all of its addresses.
    ///
    /// # Errors
    /// [`HarnessError::NoPort`].
    pub fn listen(&self, port: u16) -> Result<TcpListener, HarnessError> {
        let bound = self.handle.try_clone().and_then(|handle| {
            in_a_thread(move || {
                setns(handle, CloneFlags::CLONE_NEWNET)?;
                TcpListener::bind(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port))
            })
        });
        bound.map_err(|source| HarnessError::NoPort { source })
    }

    /// This port of it, as others reach it.
    #[must_use]
    pub fn port(&self, port: u16) -> SocketAddr {
        SocketAddr::from((self.address, port))
    }
}

/// A namespace is a thread's own: this one ends before it could do anything else in it.
fn in_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    thread::spawn(work)
        .join()
        .unwrap_or_else(|_panic| Err(io::Error::other("the thread in the namespace panicked")))
}

fn ip(line: &str) -> Result<(), HarnessError> {
    told(Command::new("ip").args(line.split(' ')))
}

/// Runs a command that says nothing where all is well.
fn told(command: &mut Command) -> Result<(), HarnessError> {
    let failed = |source| HarnessError::Network { source };
    let output = command.output().map_err(failed)?;
    if output.status.success() {
        return Ok(());
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    Err(failed(io::Error::other(format!(
        "{command:?}: {}",
        complaint.trim()
    ))))
}

/// Set once this process is in a network of its own.
static LEFT: OnceLock<()> = OnceLock::new();

/// The node has the first address.
static NEXT: AtomicU8 = AtomicU8::new(2);
