//! What the front said of a request's connection in its PROXY header: the gateway keeps it in filter
//! state, where no client can write.

use alloc::string::String;

use super::request::{property, whole_property};
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

    fn spiffe_id(&self) -> Option<String> {
        let id = whole_property(&[FILTER_STATE, TLV, "spiffe_id"])?;
        (!id.is_empty()).then_some(id)
    }
}

fn handed_over(key: &str) -> Option<String> {
    property(&[FILTER_STATE, TLV, key])
}

const FILTER_STATE: &str = "filter_state";
const TLV: &str = "envoy.network.proxy_protocol.tlv";
