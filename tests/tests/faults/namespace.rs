//! Tests in a namespace of their own, which ends with its process and takes with it what was done to it.

use std::{env, process::Command};

/// Runs this test once more, in a new namespace of this kind, and the rest of it there alone.
pub(crate) fn run(test: &str, kind: &str, rest: impl Future<Output = ()>) {
    #[expect(
        clippy::disallowed_methods,
        reason = "the test runner takes no arguments of ours"
    )]
    let inside = env::var(INSIDE).is_ok();
    if inside {
        return tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(rest);
    }
    let output = Command::new("unshare")
        .args(["--map-root-user", kind, "--"])
        .arg(env::current_exe().unwrap())
        .args(["--exact", "--nocapture", test])
        .env(INSIDE, "yes")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}\n{complaint}"
    );
}

/// Set where the test runs in the namespace.
const INSIDE: &str = "FAULTS_INSIDE";
