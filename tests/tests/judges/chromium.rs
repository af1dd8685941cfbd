//! A browser as people use it, without its window: Chromium loads a page through the front.

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine, engine::general_purpose::STANDARD};
use e2e::deadline::eventually;
use serde_json::{Value, json};

use crate::{
    NAME,
    stage::{LIMIT, Stage, run},
};

#[tokio::test]
async fn chromium_loads_a_page_over_http_2_and_resumes_its_session() {
    for (versions, version, group) in [
        ("", "TLSv1.3", "X25519MLKEM768"),
        ("    versions: [\"1.2\"]\n", "TLSv1.2", "X25519"),
    ] {
        let edit = |config: String| config.replace("    alpn:", &format!("{versions}    alpn:"));
        let stage = Stage::set(edit).await;
        let trusted = format!(
            "--ignore-certificate-errors-spki-list={}",
            key_of_the_front(&stage).await
        );
        let page = browse(&stage, &[&trusted]).await;
        // What the page says of itself, that its connection was cut, and what came on the next one.
        for part in ["page h2\n", "cut\n", "alpn h2\n", "version TLSv1.3\n"] {
            assert!(page.contains(part), "{version}: {part:?} is not in {page}");
        }
        let log = connections(&stage, 2).await;
        for line in &log {
            // Where TLS 1.2 resumes, no keys are exchanged.
            let is_without = version == "TLSv1.2" && line["tls_resumed"] == true;
            let group = (!is_without).then_some(group);
            assert_eq!(
                (&line["tls_version"], &line["alpn"]),
                (&json!(version), &json!("h2")),
                "{line}"
            );
            assert_eq!(line["tls_group"], json!(group), "{line}");
        }
        let resumed = |line: &&Value| line["tls_resumed"] == true;
        assert_ne!(log[0]["tls_resumed"], true, "{log:?}");
        assert!(log.iter().any(|line| resumed(&line)), "{version}: {log:?}");
        stage.serves_the_next().await;
    }
}

/// What the other test rests on: this judge can say no.
#[tokio::test]
async fn chromium_shows_no_page_of_a_front_whose_certificate_it_does_not_trust() {
    let stage = Stage::set(|config| config).await;
    let page = browse(&stage, &[]).await;
    assert!(page.contains("ERR_CERT_AUTHORITY_INVALID"), "{page}");
    assert!(!page.contains("page h2"), "{page}");
    stage.serves_the_next().await;
}

/// The page at `/page` when its script has run to its end. No name leads anywhere but to the front.
async fn browse(stage: &Stage, arguments: &[&str]) -> String {
    let home = stage.folder.file("chromium").display().to_string();
    let address = stage.front.address();
    let profile = format!("--user-data-dir={home}");
    let hosts = format!("--host-resolver-rules=MAP {NAME}:443 {address}, MAP * ~NOTFOUND");
    let url = format!("https://{NAME}/page");
    let mut all = vec!["--headless", "--disable-gpu", "--disable-dev-shm-usage"];
    // Its own sandbox refuses to be started by root; what it loads here is ours.
    all.push("--no-sandbox");
    // The script's own time, which stands still while something is loaded.
    all.push("--virtual-time-budget=10000");
    all.extend([profile.as_str(), &hosts, "--dump-dom"]);
    all.extend(arguments);
    all.push(&url);
    run("chromium", &all, "").await.succeeded()
}

/// Of the browser: those with HTTP that have ended, once there are so many. It gives some others up in their handshake,
/// before it loads anything.
async fn connections(stage: &Stage, least: usize) -> Vec<Value> {
    eventually("the browser's connections", LIMIT, async || {
        let mut log = stage.front.access_log();
        log.retain(|line| line["sni"] == NAME && !line["alpn"].is_null());
        (log.len() >= least).then_some(log)
    })
    .await
    .unwrap_or_else(|_late| panic!("{:?}", stage.front.access_log()))
}

/// The SHA-256 of the public key in the front's certificate, in base64.
async fn key_of_the_front(stage: &Stage) -> String {
    let certificate = stage.folder.file("public.crt").display().to_string();
    let all = ["x509", "-in", &certificate, "-pubkey", "-noout"];
    let pem = run("openssl", &all, "").await.succeeded();
    let base64: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let key = STANDARD.decode(base64).unwrap();
    STANDARD.encode(digest(&SHA256, &key))
}
