//! A front that can reach no more of the file system than its configuration named at start. The
//! kernel under these tests must enforce that: on one that does not, they fail and say so.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests fail as tests do"
)]

use std::{fs, time::Duration};

use e2e::{
    echo::{Echo, say},
    error::HarnessError,
    pki::Pki,
    run_folder::RunFolder,
};
use serde_json::Value;

#[tokio::test]
async fn files_that_were_not_granted_cannot_be_read_by_a_reload() {
    let stage = start("sandbox: {}\n").await;
    let elsewhere = RunFolder::create().unwrap();
    for name in ["public.crt", "public.key"] {
        fs::copy(stage.folder.file(name), elsewhere.file(name)).unwrap();
    }
    let text = stage.config().unwrap();
    let outside = elsewhere.path().display();
    let moved = text.replace(
        &format!("\"{}/public.", stage.folder.path().display()),
        &format!("\"{outside}/public."),
    );
    assert_ne!(moved, text);
    let error = apply(&stage, &moved).await["last_error"].to_string();
    for part in [
        "sandbox.read",
        &format!("cannot read {outside}/public.crt"),
        "Permission denied",
    ] {
        assert!(error.contains(part), "{part}: {error}");
    }
    worked(say(&mut worked(stage.connect().await)).await);
    // A file that is new in a folder that was granted.
    for (from, to) in [("public.crt", "renewed.crt"), ("public.key", "renewed.key")] {
        fs::copy(stage.folder.file(from), stage.folder.file(to)).unwrap();
    }
    let renewed = text.replace("/public.crt", "/renewed.crt");
    let renewed = renewed.replace("/public.key", "/renewed.key");
    assert_eq!(apply(&stage, &renewed).await["last_error"], Value::Null);
    worked(say(&mut worked(stage.connect().await)).await);
    let another = apply(&stage, &text.replace("sandbox: {}\n", "")).await["last_error"].to_string();
    assert!(
        another.contains("sandbox: another one is asked for"),
        "{another}"
    );
}

#[tokio::test]
async fn what_is_named_in_the_sandbox_can_be_read() {
    let elsewhere = RunFolder::create().unwrap();
    let outside = elsewhere.path().display();
    let stage = start(&format!("sandbox: {{ read: [\"{outside}\"] }}\n")).await;
    for name in ["public.crt", "public.key"] {
        fs::copy(stage.folder.file(name), elsewhere.file(name)).unwrap();
    }
    let text = stage.config().unwrap();
    let moved = text.replace(
        &format!("\"{}/public.", stage.folder.path().display()),
        &format!("\"{outside}/public."),
    );
    assert_eq!(apply(&stage, &moved).await["last_error"], Value::Null);
}

/// The log is opened again under its name, and the next process is started: both from inside.
#[tokio::test]
async fn rotation_of_the_log_and_an_upgrade_need_no_more() {
    let folder = RunFolder::create().unwrap();
    let pki = worked(Pki::create(&folder));
    let socket = folder.file("upgrade.sock");
    let edit = |config| {
        let upgrade = format!("upgrade: {{ socket: \"{}\" }}", socket.display());
        format!("{config}sandbox: {{}}\n{upgrade}\n")
    };
    let mut stage = worked(Echo::start_in(folder, pki, edit).await);
    worked(say(&mut worked(stage.connect().await)).await);
    let log = stage.folder.file("front-access.jsonl");
    fs::rename(&log, stage.folder.file("before.jsonl")).unwrap();
    worked(stage.front.reload().await);
    worked(say(&mut worked(stage.connect().await)).await);
    let old = stage.front.process().id();
    worked(stage.front.process().upgrade());
    let status = worked(stage.front.process().ended(LIMIT).await);
    assert!(status.success(), "{}", stage.log().unwrap());
    worked(say(&mut worked(stage.connect().await)).await);
    assert!(log.exists());
    // It was started by the front, so nobody but this test ends it.
    let text = stage.log().unwrap();
    let pid = text.rsplit("the successor is started pid=").next().unwrap();
    let pid: i32 = pid.split_whitespace().next().unwrap().parse().unwrap();
    assert_ne!(pid.unsigned_abs(), old);
    let pid = nix::unistd::Pid::from_raw(pid);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
}

async fn start(sandbox: &str) -> Echo {
    let stage = Echo::start(|config| format!("{config}{sandbox}")).await;
    let stage = stage.unwrap_or_else(|error| {
        panic!(
            "no sandbox was tested; is this a kernel with Landlock? {}",
            error.chain()
        )
    });
    let log = stage.log().unwrap();
    assert!(log.contains("only what the configuration names"), "{log}");
    stage
}

/// Writes the configuration and has it read; gives the status after that.
async fn apply(stage: &Echo, text: &str) -> Value {
    fs::write(stage.front.config(), text).unwrap();
    worked(stage.front.reload().await);
    serde_json::from_str(&worked(stage.front.page("/config").await)).unwrap()
}

fn worked<T>(outcome: Result<T, HarnessError>) -> T {
    outcome.unwrap_or_else(|error| panic!("{}", error.chain()))
}

/// For everything that is waited for here.
const LIMIT: Duration = Duration::from_secs(30);
