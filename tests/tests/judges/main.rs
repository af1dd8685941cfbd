//! Programs that others wrote speak to the front, with HAProxy as the gateway behind it. After each
//! of them the next honest downstream is served.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests fail as tests do"
)]

use std::{ffi::OsStr, process::Stdio, time::Duration};

use e2e::{
    dialer::Dialer,
    front::Front,
    haproxy::HaProxy,
    http::{Ask, Exchange},
    pki::Pki,
    ports,
    run_folder::RunFolder,
    tools,
};
use tokio::{io::AsyncWriteExt, process::Command, time::timeout};

#[tokio::test]
async fn curl_is_answered_over_http_2_and_http_1() {
    let stage = Stage::set(|config| config).await;
    let to = format!("::{}", stage.front.address());
    for (arguments, protocol, version) in [
        (&["--http2"][..], "h2", "version 2"),
        (&["--http1.1"], "http/1.1", "version 1.1"),
        (&["--http2", "--tls-max", "1.2"], "h2", "version 2"),
    ] {
        let mut all = vec!["-sS", "--max-time", "10", "--cacert", &stage.root];
        all.extend(["--connect-to", &to, "-w", "version %{http_version}"]);
        all.extend(arguments);
        all.push(URL);
        let said = run("curl", &all, "").await.succeeded();
        assert!(said.contains(version), "{arguments:?}: {said}");
        assert!(
            said.contains(&format!("alpn {protocol}\n")) && said.contains("authority api.example."),
            "{arguments:?}: {said}"
        );
        stage.serves_the_next().await;
    }
}

#[tokio::test]
async fn openssl_is_answered_and_resumes_its_session() {
    for (option, version) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
        let stage = Stage::set(|config| config).await;
        let address = stage.front.address().to_string();
        let session = stage.folder.file("session.pem").display().to_string();
        for (place, kind) in [("-sess_out", "New"), ("-sess_in", "Reused")] {
            let mut all = vec!["s_client", option, "-connect", &address, "-ign_eof"];
            all.extend(["-servername", NAME, "-verify_hostname", NAME]);
            all.extend(["-CAfile", &stage.root, "-verify_return_error"]);
            all.extend(["-alpn", "http/1.1", place, &session]);
            let said = run("openssl", &all, REQUEST).await.succeeded();
            let handshake = format!("{kind}, {version}, Cipher is ");
            assert!(said.contains(&handshake), "{option} {place}: {said}");
            assert!(said.contains("HTTP/1.1 200"), "{option} {place}: {said}");
            stage.serves_the_next().await;
        }
    }
}

#[tokio::test]
async fn gnutls_is_answered_and_resumes_its_session() {
    for (version, name) in [("VERS-TLS1.2", "TLS1.2"), ("VERS-TLS1.3", "TLS1.3")] {
        let stage = Stage::set(|config| config).await;
        let port = stage.front.address().port().to_string();
        let priority = format!("NORMAL:-VERS-ALL:+{version}");
        let mut all = vec!["--x509cafile", &stage.root, "--priority", &priority];
        all.extend(["--sni-hostname", NAME, "--verify-hostname", NAME]);
        // The first connection ends after its handshake, the second asks.
        all.extend(["--resume", "--waitresumption", "--alpn", "http/1.1"]);
        all.extend(["--port", &port, "127.0.0.1"]);
        let said = run("gnutls-cli", &all, REQUEST).await.succeeded();
        for part in [
            &format!("Description: ({name}"),
            "The certificate is trusted",
            "This is a resumed session",
            "HTTP/1.1 200",
        ] {
            assert!(said.contains(part), "{name}: {part} is not in {said}");
        }
        stage.serves_the_next().await;
    }
}

#[tokio::test]
async fn every_request_of_h2load_succeeds() {
    let stage = Stage::set(|config| config).await;
    let to = format!("--connect-to={}", stage.front.address());
    for (protocol, negotiated) in [
        ("--npn-list=h2", "Application protocol: h2"),
        ("--h1", "Application protocol: http/1.1"),
    ] {
        let load = ["-n", "600", "-c", "12", "-m", "10"];
        let all = [&load[..], &[protocol, &to, URL]].concat();
        let said = run("h2load", &all, "").await.succeeded();
        for part in [
            negotiated,
            "600 total, 600 started, 600 done, 600 succeeded, 0 failed, 0 errored, 0 timeout",
            "status codes: 600 2xx, 0 3xx, 0 4xx, 0 5xx",
        ] {
            assert!(said.contains(part), "{protocol}: {part} is not in {said}");
        }
        stage.serves_the_next().await;
    }
}

/// The last row shows that the judge can say no: "modern" is TLS 1.3 alone.
#[tokio::test]
async fn sslyze_finds_the_configurations_that_mozilla_recommends() {
    let sslyze = tools::sslyze().unwrap_or_else(|error| panic!("{}", error.chain()));
    for (versions, recommendation, complies) in [
        ("    versions: [\"1.3\"]\n", "modern", true),
        ("", "intermediate", true),
        ("", "modern", false),
    ] {
        let edit = |config: String| config.replace("    alpn:", &format!("{versions}    alpn:"));
        let stage = Stage::set_for_a_season(edit).await;
        let all = [
            &format!("--mozilla_config={recommendation}"),
            &format!("--sni={NAME}"),
            &format!(
                "--certinfo_ca_file={}",
                stage.folder.file("season-ca.crt").display()
            ),
            &stage.front.address().to_string(),
        ];
        let said = run(&sslyze, &all.map(String::as_str), "").await;
        let case = format!("{versions:?} as {recommendation}");
        assert_eq!(said.success, complies, "{case}: {}", said.text);
        let verdict = if complies {
            "OK - Compliant"
        } else {
            "FAILED - Not compliant"
        };
        assert!(said.text.contains(verdict), "{case}: {}", said.text);
        let heard = ["Error when running", "VULNERABLE -"];
        assert!(
            !heard.iter().any(|part| said.text.contains(part)),
            "{case}: {}",
            said.text
        );
        stage.serves_the_next().await;
    }
}

/// A front before HAProxy.
struct Stage {
    front: Front,
    _gateway: HaProxy,
    /// Whose root verifies the front, and where it stands.
    pki: Pki,
    root: String,
    folder: RunFolder,
}

impl Stage {
    async fn set(edit: impl FnOnce(String) -> String) -> Self {
        let folder = RunFolder::create().unwrap();
        let pki = Pki::create(&folder).unwrap();
        Self::set_in(folder, pki, edit).await
    }

    /// The judges' name has a certificate of its own, which like public ones is good for less than a
    /// year.
    async fn set_for_a_season(edit: impl FnOnce(String) -> String) -> Self {
        let folder = RunFolder::create().unwrap();
        let pki = Pki::create(&folder).unwrap();
        let file = |name: &str| folder.file(name).display().to_string();
        let (authority, authority_key) = (file("season-ca.crt"), file("season-ca.key"));
        let (certificate, key) = (file("season.crt"), file("season.key"));
        for (subject, names, extensions, signed_by) in [
            (
                "/CN=season-ca",
                [&authority, &authority_key],
                &[
                    "basicConstraints=critical,CA:TRUE",
                    "keyUsage=critical,keyCertSign",
                ][..],
                &[][..],
            ),
            (
                "/CN=season",
                [&certificate, &key],
                &[
                    "basicConstraints=CA:FALSE",
                    "keyUsage=critical,digitalSignature",
                    "extendedKeyUsage=serverAuth",
                    "subjectAltName=DNS:api.example.com",
                ],
                &["-CA", &authority, "-CAkey", &authority_key],
            ),
        ] {
            let mut all = vec!["req", "-x509", "-newkey", "ec", "-nodes", "-days", "60"];
            all.extend(["-pkeyopt", "ec_paramgen_curve:P-256", "-subj", subject]);
            all.extend([
                "-config",
                "/dev/null",
                "-out",
                names[0],
                "-keyout",
                names[1],
            ]);
            all.extend(
                extensions
                    .iter()
                    .flat_map(|extension| ["-addext", *extension]),
            );
            all.extend(signed_by);
            run("openssl", &all, "").await.succeeded();
        }
        let entry = format!(
            "certificates: [{{ certificate: \"{certificate}\", private_key: \"{key}\" }}, "
        );
        Self::set_in(folder, pki, |config| {
            edit(config).replace("certificates: [", &entry)
        })
        .await
    }

    async fn set_in(folder: RunFolder, pki: Pki, edit: impl FnOnce(String) -> String) -> Self {
        let gateway = HaProxy::start(&pki, &folder)
            .await
            .unwrap_or_else(|error| panic!("{}", error.chain()));
        let address = ports::free().unwrap();
        let front = Front::start_with(address, &[gateway.address()], &pki, &folder, edit)
            .await
            .unwrap_or_else(|error| panic!("{}", error.chain()));
        let root = pki.edge.certificate().display().to_string();
        Self {
            front,
            _gateway: gateway,
            pki,
            root,
            folder,
        }
    }

    /// By a name of its own, so that it sees the usual certificate always.
    async fn serves_the_next(&self) {
        let dialer = Dialer::public(self.front.address(), OTHER_NAME, self.pki.edge.root())
            .speaking(&["h2"]);
        let mut exchange = Exchange::open(&dialer).await.unwrap();
        let reply = exchange.send(Ask::get(OTHER_NAME, "/")).await.unwrap();
        let text = reply.text();
        assert!(text.contains(&format!("authority {OTHER_NAME}")), "{text}");
    }
}

/// What a program said, on both its outputs, and how it ended.
struct Said {
    success: bool,
    text: String,
}

impl Said {
    fn succeeded(self) -> String {
        assert!(self.success, "{}", self.text);
        self.text
    }
}

/// Runs a program until it ends by itself; its input stays open that long.
async fn run(program: impl AsRef<OsStr>, arguments: &[&str], input: &str) -> Said {
    let program = program.as_ref();
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|error| panic!("{program:?}: {error}: run ./scripts/setup"));
    let mut told = child.stdin.take().unwrap();
    told.write_all(input.as_bytes()).await.unwrap();
    told.flush().await.unwrap();
    let output = timeout(LIMIT, child.wait_with_output())
        .await
        .unwrap_or_else(|_late| panic!("{program:?} {arguments:?} does not end"))
        .unwrap();
    drop(told);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Said {
        success: output.status.success(),
        text: format!("{}{}", text(&output.stdout), text(&output.stderr)),
    }
}

/// Of the judges.
const NAME: &str = "api.example.com";
const URL: &str = "https://api.example.com/";
const REQUEST: &str = "GET / HTTP/1.1\r\nhost: api.example.com\r\nconnection: close\r\n\r\n";

/// Of the honest downstream.
const OTHER_NAME: &str = "shop.example.com";

/// The longest of these programs takes a few seconds alone.
const LIMIT: Duration = Duration::from_secs(120);
