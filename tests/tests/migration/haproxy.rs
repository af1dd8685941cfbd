//! HAProxy as those have it who follow the guide: a configuration, a process, its socket for orders.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use e2e::{process::Process, run_folder::RunFolder, tools};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
};

/// A running HAProxy.
pub(crate) struct HaProxy {
    process: Process,
    socket: PathBuf,
}

impl HaProxy {
    /// Checks this configuration and starts it, in the place of another process if there is one.
    pub(crate) async fn start(
        name: &str,
        config: &str,
        socket: PathBuf,
        before: Option<&Self>,
        folder: &RunFolder,
    ) -> Self {
        let config = folder.write(&format!("{name}.cfg"), config).unwrap();
        let config = config.to_string_lossy();
        let program = tools::haproxy().unwrap();
        let mut check = Process::start("check", &program, &["-c", "-f", &config], folder).unwrap();
        let status = check.ended(LIMIT).await.unwrap();
        assert!(status.success(), "{}", check.log_tail());
        let mut arguments = vec!["-db".to_owned(), "-f".to_owned(), config.into_owned()];
        if let Some(before) = before {
            arguments.extend(["-sf".to_owned(), before.process.id().to_string()]);
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut process = Process::start(name, &program, &arguments, folder).unwrap();
        let own = process.id().to_string();
        let answers = async || process_id(&socket).await == own;
        process.ready_when(LIMIT, answers).await.unwrap();
        Self { process, socket }
    }

    /// Gives an order over its socket; the answer is empty where it was taken.
    pub(crate) async fn order(&self, request: &str) {
        assert_eq!(ask(&self.socket, request).await.trim(), "", "{request}");
    }

    /// Waits until it has gone.
    pub(crate) async fn ended(&mut self) {
        self.process.ended(LIMIT).await.unwrap();
    }
}

/// Nothing where nobody answers.
async fn process_id(socket: &Path) -> String {
    let info = ask(socket, "show info").await;
    let line = info.lines().find_map(|line| line.strip_prefix("Pid: "));
    line.unwrap_or_default().to_owned()
}

async fn ask(socket: &Path, request: &str) -> String {
    let mut answer = String::new();
    if let Ok(mut stream) = UnixStream::connect(socket).await {
        let asked = stream.write_all(format!("{request}\n").as_bytes()).await;
        if asked.is_ok() {
            let _cut_short = stream.read_to_string(&mut answer).await;
        }
    }
    answer
}

/// It binds a few addresses.
const LIMIT: Duration = Duration::from_secs(20);
