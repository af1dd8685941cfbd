//! The first message of a TLS client, as bytes: for tests that cut it or stop in the middle.

use std::sync::Arc;

use rustls::{ClientConfig, ClientConnection, RootCertStore, crypto::aws_lc_rs};

/// A ClientHello that asks for this name, as rustls writes it, in one record.
///
/// # Panics
/// If the name is none.
#[must_use]
#[expect(
    clippy::unwrap_used,
    reason = "the names are constants of the tests, and memory takes every write"
)]
pub fn client_hello(name: &str) -> Vec<u8> {
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let name = name.to_owned().try_into().unwrap();
    let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    bytes
}

/// The same message in records of at most this many bytes (RFC 8446 section 5.1).
#[must_use]
pub fn in_records(hello: &[u8], size: u16) -> Vec<u8> {
    let mut records = Vec::new();
    for piece in hello[RECORD_HEADER..].chunks(usize::from(size)) {
        let length = u16::try_from(piece.len()).unwrap_or(size);
        records.extend([22, 3, 1]);
        records.extend(length.to_be_bytes());
        records.extend(piece);
    }
    records
}

const RECORD_HEADER: usize = 5;
