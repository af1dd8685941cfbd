//! Fatal alerts in clear, as records (RFC 8446 sections 5.1 and 6): what a client is told whose
//! handshake never began.

/// No route is for the name that it asks for (RFC 6066 section 3).
pub(crate) const UNRECOGNIZED_NAME: [u8; 7] = fatal(112);

/// No certificate has a key that it can verify (RFC 8446 section 4.4.2.2).
pub(crate) const HANDSHAKE_FAILURE: [u8; 7] = fatal(40);

/// What it sent is no ClientHello.
pub(crate) const DECODE_ERROR: [u8; 7] = fatal(50);

const fn fatal(description: u8) -> [u8; 7] {
    [0x15, 0x03, 0x03, 0x00, 0x02, 0x02, description]
}
