//! Listening sockets that this process did not bind: the service manager's, or those of the process
//! whose place it takes.
//!
//! They are known by the address that they are bound to. Every one that is taken is accepted from,
//! or the kernel would put connections into it that nobody answers.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;

use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::{AcceptConn, SockType};

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Inherited(Vec<(SocketAddr, TcpListener)>);

impl Inherited {
    /// Adds a descriptor, and tells its address.
    ///
    /// # Errors
    /// If it is no socket that listens for TCP connections.
    pub(crate) fn adopt(&mut self, descriptor: OwnedFd) -> io::Result<SocketAddr> {
        let stream = getsockopt(&descriptor, SockType)? == nix::sys::socket::SockType::Stream;
        if !stream || !getsockopt(&descriptor, AcceptConn)? {
            let reason = "no socket that listens for TCP connections";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
        }
        let socket = TcpListener::from(descriptor);
        let address = socket.local_addr()?;
        socket.set_nonblocking(true)?;
        self.0.push((address, socket));
        Ok(address)
    }

    /// All of one address, in the order in which they came.
    pub(crate) fn take(&mut self, address: SocketAddr) -> Vec<TcpListener> {
        let taken = self.0.extract_if(.., |(bound, _socket)| *bound == address);
        taken.map(|(_address, socket)| socket).collect()
    }

    /// The addresses of those that nobody took, each once.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        let mut addresses: Vec<_> = self.0.iter().map(|(address, _socket)| *address).collect();
        addresses.sort_unstable();
        addresses.dedup();
        addresses
    }

    /// Puts the sockets of both together.
    pub(crate) fn join(&mut self, others: Self) {
        self.0.extend(others.0);
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::os::unix::net::UnixListener;

    use super::*;
    use crate::tcp::Listening;

    #[test]
    fn sockets_are_known_by_their_address() {
        let one = Listening::PLAIN
            .bind("127.0.0.1:0".parse().unwrap())
            .unwrap();
        let address = one.local_addr().unwrap();
        let two = Listening::PLAIN.bind(address).unwrap();
        let other = Listening::PLAIN.bind("[::1]:0".parse().unwrap()).unwrap();
        let elsewhere = other.local_addr().unwrap();
        let mut inherited = Inherited::default();
        for socket in [one, other, two] {
            inherited.adopt(socket.into()).unwrap();
        }
        assert_eq!(inherited.addresses(), [address, elsewhere]);
        assert_eq!(inherited.take(address).len(), 2);
        assert_eq!(inherited.take(address).len(), 0);
        assert_eq!(inherited.addresses(), [elsewhere]);
    }

    #[test]
    fn what_does_not_listen_for_tcp_is_refused() {
        let folder = std::env::temp_dir().join(uuid::Uuid::now_v7().to_string());
        let unix = UnixListener::bind(&folder).unwrap();
        std::fs::remove_file(folder).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let connected = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let others: [OwnedFd; 4] = [
            unix.into(),
            connected.into(),
            UdpSocket::bind("127.0.0.1:0").unwrap().into(),
            std::fs::File::open("/dev/null").unwrap().into(),
        ];
        for other in others {
            assert!(Inherited::default().adopt(other).is_err());
        }
    }
}
