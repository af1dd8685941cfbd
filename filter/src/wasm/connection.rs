//! What the front said of a request's connection in its PROXY header: the gateway keeps it in filter
//! state, where no client can write.

use alloc::string::String;

use super::request::property;
use crate::confirmation;

/// The connection of the stream in whose name host calls are made.
#[derive(Debug)]
pub(super) struct Connection;

impl Connection {
    /// The front's id of it.
    pub(super) fn id(&self) -> Option<String> {
        handed_over("unique_id")
    }
}

impl confirmation::Connection for Connection {
    fn certificate_sha256(&self) -> Option<String> {
        handed_over("certificate_sha256")
    }
}

fn handed_over(key: &str) -> Option<String> {
    property(&["filter_state", "envoy.network.proxy_protocol.tlv", key])
}
