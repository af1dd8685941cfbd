//! A front before HAProxy, and how a program is asked for its judgement.

use std::{ffi::OsStr, process::Stdio, time::Duration};

use e2e::{
    dialer::Dialer,
    front::Front,
    haproxy::HaProxy,
    http::{Ask, Exchange},
    pki::Pki,
    ports,
    run_folder::RunFolder,
};
use tokio::{io::AsyncWriteExt, process::Command, time::timeout};

/// See the module.
pub(crate) struct Stage {
    pub(crate) front: Front,
    _gateway: HaProxy,
    /// Whose root verifies the front, and where it stands.
    pki: Pki,
    pub(crate) root: String,
    pub(crate) folder: RunFolder,
}

impl Stage {
    pub(crate) async fn set(edit: impl FnOnce(String) -> String) -> Self {
        let folder = RunFolder::create().unwrap();
        let pki = Pki::create(&folder).unwrap();
        Self::set_in(folder, pki, edit).await
    }

    /// The judges' name has a certificate of its own, which like public ones is good for less than a
    /// year.
    pub(crate) async fn set_for_a_season(edit: impl FnOnce(String) -> String) -> Self {
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
    pub(crate) async fn serves_the_next(&self) {
        let dialer = Dialer::public(self.front.address(), OTHER_NAME, self.pki.edge.root())
            .speaking(&["h2"]);
        let mut exchange = Exchange::open(&dialer).await.unwrap();
        let reply = exchange.send(Ask::get(OTHER_NAME, "/")).await.unwrap();
        let text = reply.text();
        assert!(text.contains(&format!("authority {OTHER_NAME}")), "{text}");
    }
}

/// What a program said, on both its outputs, and how it ended.
pub(crate) struct Said {
    pub(crate) success: bool,
    pub(crate) text: String,
}

impl Said {
    pub(crate) fn succeeded(self) -> String {
        assert!(self.success, "{}", self.text);
        self.text
    }
}

/// Runs a program until it ends by itself; its input stays open that long.
pub(crate) async fn run(program: impl AsRef<OsStr>, arguments: &[&str], input: &str) -> Said {
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

/// Of the honest downstream.
const OTHER_NAME: &str = "shop.example.com";

/// The longest of these programs takes a few seconds alone.
pub(crate) const LIMIT: Duration = Duration::from_secs(120);
