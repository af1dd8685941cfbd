//! Tells the service manager how the process is (sd_notify(3)): a datagram to the socket that it
//! named. A manager that does not listen is not waited for.

use std::ffi::OsString;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;

use nix::time::{ClockId, clock_gettime};

/// See the module.
#[derive(Debug, Clone)]
pub(crate) struct Notifier(Option<Arc<(UnixDatagram, SocketAddr)>>);

impl Notifier {
    /// To the address in NOTIFY_SOCKET: a path, or `@` and a name (unix(7), abstract).
    pub(crate) fn to(address: Option<OsString>) -> Self {
        let Some(address) = address.filter(|address| !address.is_empty()) else {
            return Self(None);
        };
        match open(&address) {
            Ok(open) => Self(Some(Arc::new(open))),
            Err(error) => {
                tracing::warn!(?address, %error, "NOTIFY_SOCKET: the service manager is not told");
                Self(None)
            }
        }
    }

    /// Serving, from now on or again.
    pub(crate) fn ready(&self, status: &str) {
        self.tell(&format!("READY=1\nSTATUS={status}"));
    }

    /// A new configuration is being loaded; [`Notifier::ready`] ends that.
    pub(crate) fn reloading(&self) {
        // A manager orders this by its clock among what it did itself.
        let micros = clock_gettime(ClockId::CLOCK_MONOTONIC)
            .map_or(0, |now| now.tv_sec() * 1_000_000 + now.tv_nsec() / 1_000);
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"));
    }

    /// No connections are accepted any more.
    pub(crate) fn stopping(&self, status: &str) {
        self.tell(&format!("STOPPING=1\nSTATUS={status}"));
    }

    /// That process is the service now.
    pub(crate) fn main_process(&self, pid: i32, status: &str) {
        self.tell(&format!("MAINPID={pid}\nSTATUS={status}"));
    }

    /// The process makes progress.
    pub(crate) fn alive(&self) {
        self.tell("WATCHDOG=1");
    }

    fn tell(&self, message: &str) {
        let Some((socket, address)) = self.0.as_deref() else {
            return;
        };
        if let Err(error) = socket.send_to_addr(message.as_bytes(), address) {
            tracing::warn!(%error, message, "NOTIFY_SOCKET: the service manager was not told");
        }
    }
}

fn open(address: &OsString) -> io::Result<(UnixDatagram, SocketAddr)> {
    let address = match address.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        [b'/', ..] => SocketAddr::from_pathname(address)?,
        _ => return Err(io::Error::other("neither a path nor an abstract name")),
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    Ok((socket, address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hear(socket: &UnixDatagram) -> String {
        let mut bytes = [0; 256];
        let length = socket.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    }

    #[test]
    fn paths_and_abstract_names_are_told() {
        let name = uuid::Uuid::now_v7().to_string();
        let path = std::env::temp_dir().join(&name);
        let by_path = UnixDatagram::bind(&path).unwrap();
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let by_name = UnixDatagram::bind_addr(&address).unwrap();
        let abstract_name = OsString::from(format!("@{name}"));
        for (socket, address) in [
            (by_path, path.clone().into_os_string()),
            (by_name, abstract_name),
        ] {
            let notifier = Notifier::to(Some(address));
            notifier.ready("serving");
            assert_eq!(hear(&socket), "READY=1\nSTATUS=serving");
            notifier.reloading();
            let heard = hear(&socket);
            let micros = heard.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap();
            assert!(micros.parse::<u64>().unwrap() > 0);
            notifier.main_process(7, "replaced");
            assert_eq!(hear(&socket), "MAINPID=7\nSTATUS=replaced");
            notifier.stopping("draining");
            assert_eq!(hear(&socket), "STOPPING=1\nSTATUS=draining");
            notifier.alive();
            assert_eq!(hear(&socket), "WATCHDOG=1");
        }
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn without_a_manager_nothing_happens() {
        for address in [None, Some(""), Some("vsock:2:3"), Some("/not/there")] {
            Notifier::to(address.map(OsString::from)).alive();
        }
    }
}
