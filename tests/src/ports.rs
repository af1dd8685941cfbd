//! Free loopback ports for processes that must be told their port before they start.

use std::{
    collections::HashSet,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener},
    sync::{LazyLock, Mutex, PoisonError},
};

use crate::error::HarnessError;

/// A loopback address that nothing listened on a moment ago. No call of this process gets the same
/// one twice.
///
/// # Errors
/// [`HarnessError::NoPort`] if the kernel has no port left.
pub fn free() -> Result<SocketAddr, HarnessError> {
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .and_then(|listener| listener.local_addr())
            .map_err(|source| HarnessError::NoPort { source })?;
        if given.insert(address.port()) {
            return Ok(address);
        }
    }
}

/// The loopback address with this very port, if nothing listens there.
///
/// # Errors
/// [`HarnessError::PortTaken`].
pub fn exactly(port: u16) -> Result<SocketAddr, HarnessError> {
    let address = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port));
    match TcpListener::bind(address) {
        Ok(_released) => Ok(address),
        Err(source) => Err(HarnessError::PortTaken { address, source }),
    }
}

/// The kernel may offer a port again as soon as it is released, before its new owner has bound it.
static GIVEN: LazyLock<Mutex<HashSet<u16>>> = LazyLock::new(Mutex::default);
