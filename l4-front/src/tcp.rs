//! TCP options, for sockets that listen, that are accepted and that are dialled.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use nix::libc;
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::IpBindAddressNoPort;
use nix::{getsockopt_impl, setsockopt_impl, sockopt_impl};
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpSocket, TcpStream};

sockopt_impl!(
    /// Seconds that the kernel waits for data before it hands over a connection (tcp(7)).
    DeferAccept,
    Both,
    libc::IPPROTO_TCP,
    libc::TCP_DEFER_ACCEPT,
    u32
);

sockopt_impl!(
    /// Connections that may wait whose SYN brought data (RFC 7413).
    FastOpen,
    Both,
    libc::IPPROTO_TCP,
    libc::TCP_FASTOPEN,
    u32
);

/// How the kernel finds out that a silent peer has gone. What is not set is the system's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Keepalive {
    /// Silence before it asks.
    pub(crate) after: Duration,
    /// Between two questions.
    pub(crate) interval: Option<Duration>,
    /// Unanswered questions that end the connection.
    pub(crate) probes: Option<u32>,
}

/// For a connection on either side. TCP_NODELAY is always set: what is relayed is whole already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) keepalive: Option<Keepalive>,
    /// How long data may go without an acknowledgement before the connection is given up.
    pub(crate) user_timeout: Option<Duration>,
    /// Bytes that may wait in the socket unsent before it counts as full.
    pub(crate) not_sent_low_water: Option<u32>,
}

impl Options {
    /// They help but are not needed, so failure is no error: a peer that has gone already is found
    /// out by the first read.
    pub(crate) fn apply(&self, socket: &TcpStream) {
        let socket = SockRef::from(socket);
        let _ = socket.set_tcp_nodelay(true);
        if let Some(keepalive) = self.keepalive {
            let mut wanted = TcpKeepalive::new().with_time(keepalive.after);
            if let Some(interval) = keepalive.interval {
                wanted = wanted.with_interval(interval);
            }
            if let Some(probes) = keepalive.probes {
                wanted = wanted.with_retries(probes);
            }
            let _ = socket.set_tcp_keepalive(&wanted);
        }
        if self.user_timeout.is_some() {
            let _ = socket.set_tcp_user_timeout(self.user_timeout);
        }
        if let Some(bytes) = self.not_sent_low_water {
            let _ = socket.set_tcp_notsent_lowat(bytes);
        }
    }
}

/// For a listening socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Listening {
    /// Only for IPv6 addresses: no connection over IPv4.
    pub(crate) ipv6_only: bool,
    /// Connections that the kernel may hold for us; it lowers this to net.core.somaxconn.
    pub(crate) backlog: i32,
    pub(crate) defer_accept: Option<u32>,
    pub(crate) fast_open: Option<u32>,
    /// Of the connections that are accepted.
    pub(crate) accepted: Options,
}

impl Listening {
    /// For the admin endpoint: nothing that is not needed.
    pub(crate) const PLAIN: Self = Self {
        ipv6_only: false,
        backlog: 128,
        defer_accept: None,
        fast_open: None,
        accepted: Options {
            keepalive: None,
            user_timeout: None,
            not_sent_low_water: None,
        },
    };

    /// Binds one socket. All sockets of one address must be bound this way to share it.
    ///
    /// # Errors
    /// From the system: the address is taken, or not ours, or it does not know an option.
    pub(crate) fn bind(&self, address: SocketAddr) -> io::Result<std::net::TcpListener> {
        let domain = Domain::for_address(address);
        let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
        if address.is_ipv6() {
            // Said in any case: the system's default can be either.
            socket.set_only_v6(self.ipv6_only)?;
        }
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(true)?;
        socket.set_nonblocking(true)?;
        if let Some(seconds) = self.defer_accept {
            setsockopt(&socket, DeferAccept, &seconds)?;
        }
        if let Some(queue) = self.fast_open {
            setsockopt(&socket, FastOpen, &queue)?;
        }
        socket.bind(&address.into())?;
        socket.listen(self.backlog)?;
        Ok(socket.into())
    }

    /// Sets all on a socket that somebody else bound.
    ///
    /// # Errors
    /// From the system: it does not know an option.
    pub(crate) fn set(&self, socket: &std::net::TcpListener) -> io::Result<()> {
        setsockopt(socket, DeferAccept, &self.defer_accept.unwrap_or(0))?;
        setsockopt(socket, FastOpen, &self.fast_open.unwrap_or(0))?;
        SockRef::from(socket).listen(self.backlog)
    }

    /// Sets on a socket that listens already what differs from `before`.
    ///
    /// # Errors
    /// From the system: it does not know an option.
    pub(crate) fn change(&self, before: &Self, socket: &std::net::TcpListener) -> io::Result<()> {
        if self.defer_accept != before.defer_accept {
            setsockopt(socket, DeferAccept, &self.defer_accept.unwrap_or(0))?;
        }
        if self.fast_open != before.fast_open {
            setsockopt(socket, FastOpen, &self.fast_open.unwrap_or(0))?;
        }
        if self.backlog != before.backlog {
            SockRef::from(socket).listen(self.backlog)?;
        }
        Ok(())
    }
}

/// For connections to endpoints.
#[derive(Debug)]
pub(crate) struct Dialling {
    pub(crate) options: Options,
    /// Addresses of ours to dial from, in turn; none: the kernel's choice.
    sources: Vec<IpAddr>,
    next: AtomicUsize,
}

impl Dialling {
    pub(crate) const fn new(options: Options, sources: Vec<IpAddr>) -> Self {
        Self {
            options,
            sources,
            next: AtomicUsize::new(0),
        }
    }

    /// Connects. The caller sets the time limit.
    ///
    /// # Errors
    /// From the system; the endpoint's address family may have no source address.
    pub(crate) async fn connect(&self, endpoint: SocketAddr) -> io::Result<TcpStream> {
        let socket = if endpoint.is_ipv4() {
            TcpSocket::new_v4()?
        } else {
            TcpSocket::new_v6()?
        };
        if let Some(source) = self.source(endpoint)? {
            // The port is chosen when it connects, so that one address has as many ports for each
            // endpoint, not for all together.
            setsockopt(&socket.as_fd(), IpBindAddressNoPort, &true)?;
            socket.bind(SocketAddr::new(source, 0))?;
        }
        let stream = socket.connect(endpoint).await?;
        self.options.apply(&stream);
        Ok(stream)
    }

    fn source(&self, endpoint: SocketAddr) -> io::Result<Option<IpAddr>> {
        if self.sources.is_empty() {
            return Ok(None);
        }
        let fits = |source: &&IpAddr| source.is_ipv4() == endpoint.is_ipv4();
        let count = self.sources.iter().filter(fits).count();
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let at = turn.checked_rem(count).unwrap_or_default();
        let source = self.sources.iter().filter(fits).nth(at).copied();
        let missing = "no source address is of the endpoint's address family";
        source
            .map(Some)
            .ok_or_else(|| io::Error::new(io::ErrorKind::AddrNotAvailable, missing))
    }
}

#[cfg(test)]
mod tests {
    use nix::sys::socket::getsockopt;
    use nix::sys::socket::sockopt::{
        KeepAlive, TcpKeepCount, TcpKeepIdle, TcpKeepInterval, TcpNoDelay, TcpUserTimeout,
    };

    use super::*;

    const OPTIONS: Options = Options {
        keepalive: Some(Keepalive {
            after: Duration::from_secs(33),
            interval: Some(Duration::from_secs(7)),
            probes: Some(4),
        }),
        user_timeout: Some(Duration::from_secs(44)),
        not_sent_low_water: Some(16 * 1024),
    };

    const LISTENING: Listening = Listening {
        ipv6_only: false,
        backlog: 16,
        defer_accept: Some(5),
        fast_open: Some(64),
        accepted: OPTIONS,
    };

    #[tokio::test]
    async fn what_is_set_is_set() {
        let listener = LISTENING.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        // The kernel counts in retransmissions and rounds up.
        assert!(getsockopt(&listener, DeferAccept).unwrap() >= 5);
        assert_eq!(getsockopt(&listener, FastOpen).unwrap(), 64);
        let endpoint = listener.local_addr().unwrap();
        let dialling = Dialling::new(OPTIONS, Vec::new());
        let stream = dialling.connect(endpoint).await.unwrap();
        assert!(getsockopt(&stream, TcpNoDelay).unwrap());
        assert!(getsockopt(&stream, KeepAlive).unwrap());
        assert_eq!(getsockopt(&stream, TcpKeepIdle).unwrap(), 33);
        assert_eq!(getsockopt(&stream, TcpKeepInterval).unwrap(), 7);
        assert_eq!(getsockopt(&stream, TcpKeepCount).unwrap(), 4);
        assert_eq!(getsockopt(&stream, TcpUserTimeout).unwrap(), 44_000);
        let low_water = SockRef::from(&stream).tcp_notsent_lowat().unwrap();
        assert_eq!(low_water, 16 * 1024);
    }

    #[test]
    fn a_dual_stack_socket_is_one_because_it_was_asked_for() {
        for ipv6_only in [false, true] {
            let listening = Listening {
                ipv6_only,
                ..LISTENING
            };
            let listener = listening.bind("[::]:0".parse().unwrap()).unwrap();
            let got = SockRef::from(&listener).only_v6().unwrap();
            assert_eq!(got, ipv6_only);
            let port = listener.local_addr().unwrap().port();
            let reached = std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
            assert_eq!(reached, !ipv6_only);
        }
    }

    #[tokio::test]
    async fn source_addresses_take_turns_within_their_family() {
        let listener = LISTENING.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let endpoint = listener.local_addr().unwrap();
        let sources = ["127.0.0.2", "::1", "127.0.0.3"].map(|ip| ip.parse().unwrap());
        let dialling = Dialling::new(OPTIONS, sources.to_vec());
        let mut seen = Vec::new();
        for _connection in 0..4 {
            let stream = dialling.connect(endpoint).await.unwrap();
            seen.push(stream.local_addr().unwrap().ip().to_string());
        }
        assert_eq!(seen, ["127.0.0.2", "127.0.0.3", "127.0.0.2", "127.0.0.3"]);
        let sources = vec!["::1".parse().unwrap()];
        let error = Dialling::new(OPTIONS, sources).connect(endpoint).await;
        let kind = error.unwrap_err().kind();
        assert_eq!(kind, io::ErrorKind::AddrNotAvailable);
    }
}
