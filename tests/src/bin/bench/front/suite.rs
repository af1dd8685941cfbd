//! What is negotiated on every leg, whatever the subjects would prefer.

use std::sync::Arc;

use rustls::{
    NamedGroup, ProtocolVersion,
    crypto::{
        CryptoProvider, SupportedKxGroup,
        aws_lc_rs::{cipher_suite, default_provider, kx_group},
    },
};

/// The key exchange; version and cipher are always the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Suite {
    /// X25519.
    Classic,
    /// X25519MLKEM768.
    Hybrid,
}

impl Suite {
    /// TLS_AES_128_GCM_SHA256 and this key exchange alone.
    pub(crate) fn provider(self) -> Arc<CryptoProvider> {
        let group: &'static dyn SupportedKxGroup = match self {
            Self::Classic => kx_group::X25519,
            Self::Hybrid => kx_group::X25519MLKEM768,
        };
        Arc::new(CryptoProvider {
            cipher_suites: vec![cipher_suite::TLS13_AES_128_GCM_SHA256],
            kx_groups: vec![group],
            ..default_provider()
        })
    }

    /// What one leg must have settled on.
    pub(crate) fn terms(self) -> Terms {
        Terms {
            version: Some(ProtocolVersion::TLSv1_3),
            cipher: Some(rustls::CipherSuite::TLS13_AES_128_GCM_SHA256),
            group: Some(match self {
                Self::Classic => NamedGroup::X25519,
                Self::Hybrid => NamedGroup::X25519MLKEM768,
            }),
        }
    }
}

/// What one leg has settled on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Terms {
    version: Option<ProtocolVersion>,
    cipher: Option<rustls::CipherSuite>,
    group: Option<NamedGroup>,
}

impl Terms {
    /// Those of a connection after its handshake.
    pub(crate) fn of(connection: &rustls::CommonState) -> Self {
        Self {
            version: connection.protocol_version(),
            cipher: connection
                .negotiated_cipher_suite()
                .map(|suite| suite.suite()),
            group: connection
                .negotiated_key_exchange_group()
                .map(|group| group.name()),
        }
    }
}
