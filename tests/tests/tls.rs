//! What the front's listeners negotiate, as OpenSSL's client sees it.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests fail as tests do"
)]

use std::{process::Stdio, sync::Arc, time::Duration};

use e2e::{
    deadline::eventually,
    dialer::Dialer,
    front::Front,
    pki::{Identity, Pki},
    ports,
    receiver::Receiver,
    run_folder::RunFolder,
};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, pem::PemObject},
};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    process::Command,
    time::timeout,
};
use tokio_rustls::TlsConnector;

/// RSA and ECDSA side by side for one name.
#[tokio::test]
async fn a_client_gets_the_kind_of_key_that_it_can_verify() {
    let (folder, pki) = prepared();
    let rsa = rsa_certificate(&folder).await;
    let edit = |config: String| add_certificate(&config, &pki.public, &rsa);
    let stage = Stage::set(folder, &pki, edit).await;
    for (schemes, kind) in [
        ("rsa_pss_rsae_sha256", "RSA-PSS"),
        ("ecdsa_secp256r1_sha256", "ECDSA"),
        ("rsa_pss_rsae_sha256:ecdsa_secp256r1_sha256", "ECDSA"),
    ] {
        let said = stage.s_client(&["-sigalgs", schemes]).await;
        let line = format!("Peer signature type: {kind}");
        assert!(said.contains(&line), "{schemes}: {said}");
    }
}

#[tokio::test]
async fn a_client_that_can_verify_nothing_is_told_from_other_failures() {
    let (folder, pki) = prepared();
    let stage = Stage::set(folder, &pki, |config| config).await;
    let said = stage.s_client(&["-sigalgs", "rsa_pss_rsae_sha256"]).await;
    assert!(said.contains("alert handshake failure"), "{said}");
    let line = stage.ended().await;
    let error = line["error"].as_str().unwrap();
    assert!(
        error.contains("[RSA_PSS_SHA256]") && error.contains("[ECDSA]"),
        "{error}"
    );
}

#[tokio::test]
async fn a_client_without_a_cipher_in_common_hears_and_leaves_that_reason() {
    for arguments in [
        &["-tls1_3", "-ciphersuites", "TLS_AES_128_CCM_SHA256"][..],
        &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-CCM"],
    ] {
        let (folder, pki) = prepared();
        let stage = Stage::set(folder, &pki, |config| config).await;
        let said = stage.s_client(arguments).await;
        assert!(
            said.contains("alert handshake failure"),
            "{arguments:?}: {said}"
        );
        let line = stage.ended().await;
        let error = line["error"].as_str().unwrap();
        assert!(error.contains("NoCipherSuitesInCommon"), "{error}");
    }
}

#[tokio::test]
async fn versions_and_ciphers_are_what_is_configured() {
    let (folder, pki) = prepared();
    let edit = |config: String| {
        config.replace(
            "    alpn:",
            "    versions: [\"1.2\"]\n    \
             ciphers: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]\n    alpn:",
        )
    };
    let stage = Stage::set(folder, &pki, edit).await;
    for (arguments, works) in [
        (&["-tls1_3"][..], false),
        (&["-tls1_2"], true),
        (
            &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES256-GCM-SHA384"],
            false,
        ),
        (&["-tls1_1"], false),
    ] {
        let said = stage.s_client(arguments).await;
        let agreed = said.contains("Cipher is ECDHE-ECDSA-AES128-GCM-SHA256");
        assert_eq!(agreed, works, "{arguments:?}: {said}");
    }
}

#[tokio::test]
async fn the_hybrid_group_is_on_and_can_be_left_out() {
    for (groups, want) in [
        ("", "X25519MLKEM768"),
        ("    groups: [X25519, secp256r1]\n", "X25519"),
    ] {
        let (folder, pki) = prepared();
        let edit = |config: String| config.replace("    alpn:", &format!("{groups}    alpn:"));
        let stage = Stage::set(folder, &pki, edit).await;
        stage.handshake_of_tomorrow().await;
        assert_eq!(stage.ended().await["tls_group"], want);
    }
}

#[tokio::test]
async fn sessions_are_resumed_by_tickets_unless_there_are_none() {
    for (version, tickets, resumed) in [
        ("-tls1_3", 2, true),
        ("-tls1_2", 2, true),
        ("-tls1_3", 0, false),
        ("-tls1_2", 0, false),
    ] {
        let (folder, pki) = prepared();
        let edit = |config: String| {
            config.replace(
                "    alpn:",
                &format!("    session_tickets: {tickets}\n    alpn:"),
            )
        };
        let stage = Stage::set(folder, &pki, edit).await;
        let path = stage.folder.file("session.pem");
        let file = path.display().to_string();
        let arguments = [version, "-sess_out", &file];
        // In TLS 1.3 the ticket comes after the handshake.
        let enough = || tickets == 0 || path.exists();
        let first = stage.s_client_until(&arguments, enough).await;
        assert!(first.contains("New, "), "{first}");
        if tickets == 0 && version == "-tls1_3" {
            // Nothing to resume is not even written.
            assert!(!path.exists());
            continue;
        }
        let second = stage.s_client(&[version, "-sess_in", &file]).await;
        assert_eq!(
            second.contains("Reused, "),
            resumed,
            "{version} {tickets}: {second}"
        );
    }
}

#[tokio::test]
async fn a_revoked_certificate_is_refused() {
    let (folder, pki) = prepared();
    let other = pki
        .partners
        .issue(
            "other-partner",
            &["spiffe://partners.example/other"],
            &folder,
        )
        .unwrap();
    let authority = &pki.partners;
    let lists = [
        authority.revoke("none.crl", None, 2040, &folder).unwrap(),
        authority
            .revoke("one.crl", Some(&pki.partner), 2040, &folder)
            .unwrap(),
        authority.revoke("old.crl", None, 2025, &folder).unwrap(),
    ];
    let partners = [pki.partner.clone(), other];
    let accepted = [[true, true], [false, true], [false, false]];
    for (list, accepted) in lists.iter().zip(accepted) {
        let (folder, new_pki) = prepared();
        drop(new_pki);
        let edit = |config: String| {
            config.replace(
                "client_auth: { mode: optional,",
                &format!(
                    "client_auth: {{ mode: required, crl: \"{}\",",
                    list.display()
                ),
            )
        };
        let stage = Stage::set(folder, &pki, edit).await;
        for (partner, accepted) in partners.iter().zip(accepted) {
            let dialer = Dialer::public(stage.front.address(), NAME, pki.edge.root())
                .speaking(&["h2"])
                .as_identity(partner);
            let shaken = async {
                let mut stream = dialer.connect_tls().await.map_err(|error| error.chain())?;
                stream
                    .write_all(b"x")
                    .await
                    .map_err(|error| error.to_string())?;
                stream.flush().await.map_err(|error| error.to_string())?;
                Ok::<_, String>(stream)
            };
            let (stream, received) = tokio::join!(shaken, async {
                if accepted {
                    Some(stage.receiver.accept().await)
                } else {
                    None
                }
            });
            if accepted {
                received
                    .unwrap()
                    .unwrap_or_else(|error| panic!("{}", error.chain()));
            } else if let Ok(mut stream) = stream {
                let error = stream.read_u8().await.unwrap_err().to_string();
                let expected = [
                    "CertificateRevoked",
                    "CertificateExpired",
                    "CertificateUnknown",
                ];
                assert!(
                    expected.iter().any(|alert| error.contains(alert)) || error.contains("alert"),
                    "{}: {error}",
                    list.display()
                );
            }
        }
    }
}

/// A front before one receiver.
struct Stage {
    front: Front,
    receiver: Receiver,
    folder: RunFolder,
}

impl Stage {
    async fn set(folder: RunFolder, pki: &Pki, edit: impl FnOnce(String) -> String) -> Self {
        let receiver = Receiver::start(pki).await.unwrap();
        let address = ports::free().unwrap();
        let front = Front::start_with(address, &[receiver.address()], pki, &folder, edit)
            .await
            .unwrap_or_else(|error| panic!("{}", error.chain()));
        Self {
            front,
            receiver,
            folder,
        }
    }

    /// What `openssl s_client` says about its handshake with these arguments.
    async fn s_client(&self, arguments: &[&str]) -> String {
        self.s_client_until(arguments, || true).await
    }

    /// The same; it stays connected until this is so.
    async fn s_client_until(&self, arguments: &[&str], enough: impl Fn() -> bool) -> String {
        let mut client = Command::new("timeout")
            .args(["10", "openssl", "s_client", "-servername", NAME, "-connect"])
            .arg(self.front.address().to_string())
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // It ends when its input does.
        let input = client.stdin.take();
        let received = timeout(Duration::from_secs(1), self.receiver.accept()).await;
        eventually("what it is to see", LIMIT, async || enough().then_some(()))
            .await
            .unwrap();
        drop(input);
        let output = client.wait_with_output().await.unwrap();
        drop(received);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        format!("{}{}", text(&output.stdout), text(&output.stderr))
    }

    /// By a client that has left all other groups behind but for one.
    async fn handshake_of_tomorrow(&self) {
        let provider = CryptoProvider {
            kx_groups: vec![
                aws_lc_rs::kx_group::X25519MLKEM768,
                aws_lc_rs::kx_group::X25519,
            ],
            ..aws_lc_rs::default_provider()
        };
        let mut roots = RootCertStore::empty();
        let pem = std::fs::read(self.folder.file("edge-ca.crt")).unwrap();
        let root = CertificateDer::from_pem_slice(&pem).unwrap();
        roots.add(root).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let stream = TcpStream::connect(self.front.address()).await.unwrap();
        let connector = TlsConnector::from(Arc::new(config));
        let name = NAME.try_into().unwrap();
        let (stream, _received) =
            tokio::join!(connector.connect(name, stream), self.receiver.accept());
        drop(stream.unwrap());
    }

    /// The access log's line about the first connection.
    async fn ended(&self) -> Value {
        eventually("the access log's line", LIMIT, async || {
            self.front.access_log().into_iter().next()
        })
        .await
        .unwrap()
    }
}

fn prepared() -> (RunFolder, Pki) {
    let folder = RunFolder::create().unwrap();
    let pki = Pki::create(&folder).unwrap();
    (folder, pki)
}

async fn rsa_certificate(folder: &RunFolder) -> Identity {
    let identity = Identity {
        certificate: folder.file("rsa.crt"),
        private_key: folder.file("rsa.key"),
        serial: 0,
    };
    let output = Command::new("openssl")
        .args([
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=rsa",
        ])
        .args(["-addext", "subjectAltName=DNS:*.example.com"])
        .arg("-keyout")
        .arg(&identity.private_key)
        .arg("-out")
        .arg(&identity.certificate)
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    identity
}

fn add_certificate(config: &str, beside: &Identity, added: &Identity) -> String {
    let entry = |identity: &Identity| {
        format!(
            "{{ certificate: \"{}\", private_key: \"{}\" }}",
            identity.certificate.display(),
            identity.private_key.display()
        )
    };
    let (one, other) = (entry(beside), entry(added));
    config.replace(&one, &format!("{one}, {other}"))
}

const NAME: &str = "api.example.com";

/// For everything that is waited for here.
const LIMIT: Duration = Duration::from_secs(10);
