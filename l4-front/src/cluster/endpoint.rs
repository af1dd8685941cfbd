//! One endpoint as all workers see it: counters, and nothing that needs a lock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use rustls::ClientConfig;

use super::EndpointAddr;
use super::queue::Queue;
use crate::count::Count;

/// What became of one attempt to reach an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    AlpnMismatch,
    Connected,
    ConnectFailed,
    ConnectTimeout,
    HandshakeFailed,
    HandshakeTimeout,
    NoTls,
    ServerName,
}

impl Outcome {
    pub(crate) const ALL: [Self; 8] = [
        Self::AlpnMismatch,
        Self::Connected,
        Self::ConnectFailed,
        Self::ConnectTimeout,
        Self::HandshakeFailed,
        Self::HandshakeTimeout,
        Self::NoTls,
        Self::ServerName,
    ];

    /// The label in the metrics.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::AlpnMismatch => "alpn_mismatch",
            Self::Connected => "connected",
            Self::ConnectFailed => "connect_failed",
            Self::ConnectTimeout => "connect_timeout",
            Self::HandshakeFailed => "handshake_failed",
            Self::HandshakeTimeout => "handshake_timeout",
            Self::NoTls => "no_tls",
            Self::ServerName => "server_name",
        }
    }
}

/// An endpoint, for as long as it is in service or has connections.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) address: EndpointAddr,
    /// Its own, for the sessions in it: a ticket is of use only where it came from.
    pub(crate) tls: Option<Arc<ClientConfig>>,
    connections: Count,
    /// Consecutive failed attempts.
    failures: AtomicU32,
    /// When its slow start began, in milliseconds since the roster did; 0: it is in none.
    warming_since: AtomicU64,
    attempts: [AtomicU64; Outcome::ALL.len()],
}

impl Endpoint {
    pub(crate) fn new(address: EndpointAddr, tls: Option<Arc<ClientConfig>>) -> Self {
        Self {
            address,
            tls,
            connections: Count::new(),
            failures: AtomicU32::new(0),
            warming_since: AtomicU64::new(0),
            attempts: Default::default(),
        }
    }

    /// Connections that are open or being opened.
    pub(crate) fn connections(&self) -> usize {
        self.connections.now()
    }

    /// Takes a place for one connection; `None` if all of `limit` are taken.
    pub(crate) fn enter(
        self: &Arc<Self>,
        limit: Option<usize>,
        queue: &Arc<Queue>,
    ) -> Option<Lease> {
        let entered = self.connections.join(limit.unwrap_or(usize::MAX));
        entered.map(|_before| Lease {
            endpoint: Arc::clone(self),
            queue: Arc::clone(queue),
        })
    }

    /// How many attempts ended so.
    pub(crate) fn attempts(&self, outcome: Outcome) -> u64 {
        self.attempts[outcome as usize].load(Ordering::Relaxed)
    }

    pub(crate) fn count(&self, outcome: Outcome) {
        self.attempts[outcome as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// One more failed attempt; gives how many there were in a row.
    pub(super) fn fail(&self) -> u32 {
        self.failures
            .fetch_add(1, Ordering::Relaxed)
            .saturating_add(1)
    }

    /// An attempt succeeded: what failed before is forgotten.
    pub(crate) fn succeed(&self) {
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
    }

    /// As if this many attempts had failed in a row.
    pub(super) fn set_failures(&self, failures: u32) {
        self.failures.store(failures, Ordering::Relaxed);
    }

    pub(super) fn warming_since(&self) -> u64 {
        self.warming_since.load(Ordering::Relaxed)
    }

    pub(super) fn set_warming_since(&self, milliseconds: u64) {
        self.warming_since.store(milliseconds, Ordering::Relaxed);
    }
}

/// A place at an endpoint, taken while held: no early return and no cancelled task can leak it.
#[derive(Debug)]
#[must_use = "dropping the lease gives the place back"]
pub(crate) struct Lease {
    endpoint: Arc<Endpoint>,
    queue: Arc<Queue>,
}

impl Lease {
    pub(crate) const fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.endpoint.connections.leave();
        self.queue.one_is_free();
    }
}
