//! Checks of what stands before the ClientHello.

use crate::cluster::ProxyProtocol;
use crate::config::ConfigError;
use crate::config::document::{self, Cluster, Tlv};
use crate::proxy_protocol::kinds::{Kind, Kinds};

/// Checks the header that a cluster gets; `at` is the cluster's path in the document.
pub(super) fn validate(at: &str, cluster: &Cluster) -> Result<(ProxyProtocol, Kinds), ConfigError> {
    let version = match cluster.proxy_protocol {
        document::ProxyProtocol::None => ProxyProtocol::None,
        document::ProxyProtocol::V1 => ProxyProtocol::V1,
        document::ProxyProtocol::V2 => ProxyProtocol::V2,
    };
    let Some(tlvs) = &cluster.proxy_tlvs else {
        return Ok((version, Kinds::default()));
    };
    if version != ProxyProtocol::V2 {
        return Err(ConfigError::Unsupported {
            at: format!("{at}.proxy_tlvs"),
            found: "a list of TLVs without proxy_protocol: v2".to_owned(),
            allowed: "leaving it out",
        });
    }
    Ok((version, Kinds::only(tlvs.iter().map(kind).collect())))
}

const fn kind(tlv: &Tlv) -> Kind {
    match tlv {
        Tlv::Alpn => Kind::Alpn,
        Tlv::Authority => Kind::Authority,
        Tlv::CertificateSha256 => Kind::CertificateSha256,
        Tlv::SpiffeId => Kind::SpiffeId,
        Tlv::Ssl => Kind::Ssl,
        Tlv::UniqueId => Kind::UniqueId,
    }
}
