//! Programs that others wrote speak to the front, with HAProxy as the gateway behind it. After each
//! of them the next honest downstream is served.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests fail as tests do"
)]

mod chromium;
mod stage;

use e2e::tools;

use crate::stage::{Stage, run};

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

/// Of the judges.
const NAME: &str = "api.example.com";
const URL: &str = "https://api.example.com/";
const REQUEST: &str = "GET / HTTP/1.1\r\nhost: api.example.com\r\nconnection: close\r\n\r\n";
