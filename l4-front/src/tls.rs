//! TLS behind a seam of our own: records in, records out, no socket and no clock.
//!
//! The rest of the front sees a [`session::Session`] that opens and seals bytes in buffers which
//! the caller owns. It knows nothing of rustls, so that pooled buffers, splice(2) or kernel TLS
//! can come without a change to the relay.

pub(crate) mod alert;
pub(crate) mod certificate;
pub(crate) mod downstream;
pub(crate) mod session;
pub(crate) mod upstream;
