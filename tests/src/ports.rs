//! Free loopback ports for processes that must be told their port before they start.

use std::{
    collections::HashSet,
    fs,
    hash::{BuildHasher, RandomState},
    io,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener},
    ops::Range,
    sync::{LazyLock, Mutex, PoisonError},
};

use crate::error::HarnessError;

/// The lowest port that is given; those that Istio fixes are below.
const FIRST: u16 = 16_000;

/// A loopback address that nothing listened on a moment ago. No call of this process gets the same
/// one twice, and no outgoing connection takes its port meanwhile: it is not of the kernel's range
/// for these.
///
/// # Errors
/// [`HarnessError::NoPort`] if no port is left.
pub fn free() -> Result<SocketAddr, HarnessError> {
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    let range = range();
    // Another process that looks for ports at the same time begins elsewhere.
    let skipped = RandomState::new().hash_one(()) % u64::from(range.end - range.start);
    let begin = range.start + u16::try_from(skipped).unwrap_or_default();
    next(&range, begin, &mut given)
}

/// The next port of the range, from `begin` and around, that was not given and can be bound.
fn next(
    range: &Range<u16>,
    begin: u16,
    given: &mut HashSet<u16>,
) -> Result<SocketAddr, HarnessError> {
    let mut failure = io::ErrorKind::AddrInUse.into();
    for port in (begin..range.end).chain(range.start..begin) {
        if given.contains(&port) {
            continue;
        }
        let address = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port));
        match TcpListener::bind(address) {
            Ok(_released) => {
                given.insert(port);
                return Ok(address);
            }
            Err(source) => failure = source,
        }
    }
    Err(HarnessError::NoPort { source: failure })
}

/// The ports below those that the kernel gives to outgoing connections (ip(7),
/// `ip_local_port_range`); its default of these begins at 32768.
fn range() -> Range<u16> {
    let ephemeral = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range")
        .ok()
        .and_then(|range| range.split_whitespace().next()?.parse().ok())
        .unwrap_or(32_768);
    // Where that range leaves little below it, all ports have to do.
    if ephemeral > FIRST + 1_000 {
        FIRST..ephemeral
    } else {
        FIRST..u16::MAX
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

/// A port is free again as soon as it is released, before its new owner has bound it.
static GIVEN: LazyLock<Mutex<HashSet<u16>>> = LazyLock::new(Mutex::default);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_given_once_and_not_while_another_has_it() {
        let mut given = HashSet::new();
        let first = free().unwrap().port();
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, first)).unwrap();
        let range = first - 1..first + 2;
        // The one before or after may be another process's.
        let ports: Vec<u16> = std::iter::from_fn(|| next(&range, first, &mut given).ok())
            .map(|address| address.port())
            .collect();
        assert!(!ports.contains(&first), "{ports:?}");
        drop(taken);
        assert_eq!(next(&range, first, &mut given).unwrap().port(), first);
        assert!(next(&(first..first + 1), first, &mut given).is_err());
    }
}
