//! nginx as a workload: it reads a path in its own way (escapes decoded, `..` resolved, slashes merged)
//! and writes down which path and which host came of it.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use serde_json::Value;
use tokio::net::TcpStream;

use crate::{error::HarnessError, log, ports, process::Process, run_folder::RunFolder, tools};

/// A running nginx.
#[derive(Debug)]
pub struct Nginx {
    _process: Process,
    address: SocketAddr,
    log: PathBuf,
}

impl Nginx {
    /// Starts it with these `server` blocks, which all are to `listen` where `ADDRESS` stands. One
    /// process, so that lines of the log have the order of the requests.
    ///
    /// # Errors
    /// [`HarnessError::ToolMissing`], [`HarnessError::Ended`] or [`HarnessError::Deadline`].
    pub async fn start(servers: &str, folder: &RunFolder) -> Result<Self, HarnessError> {
        let address = ports::free()?;
        let log = folder.write("nginx-seen.jsonl", "")?;
        let servers = servers.replace("ADDRESS", &address.to_string());
        let config = format!(
            r#"daemon off;
master_process off;
error_log stderr warn;
pid nginx.pid;
events {{ worker_connections 1024; }}
http {{
  client_body_temp_path nginx-temporary;
  proxy_temp_path nginx-temporary;
  fastcgi_temp_path nginx-temporary;
  uwsgi_temp_path nginx-temporary;
  scgi_temp_path nginx-temporary;
  keepalive_requests 100000;
  underscores_in_headers on;
  merge_slashes on;
  log_format seen escape=json '{SEEN}';
  access_log {log} seen;
  {servers}
}}
"#,
            log = log.display(),
        );
        let config = folder.write("nginx.conf", &config)?;
        let prefix = format!("{}/", folder.path().display());
        let arguments = ["-p", &prefix, "-c", &config.to_string_lossy()];
        let mut process = Process::start("nginx", &tools::nginx()?, &arguments, folder)?;
        process
            .ready_when(START_LIMIT, async || {
                TcpStream::connect(address).await.is_ok()
            })
            .await?;
        Ok(Self {
            _process: process,
            address,
            log,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Every request that it has finished, in order: `uri` is the path as nginx serves it, `target` the
    /// one that came, `file` what it would read from disk; and `method`, `host`, `server`, `probe`
    /// (the header `x-probe`) and `subject` (`x-identity-subject`, or `_` for `-` in it).
    #[must_use]
    pub fn seen(&self) -> Vec<Value> {
        log::json_lines(&self.log)
    }
}

const SEEN: &str = concat!(
    r#"{"probe":"$http_x_probe","method":"$request_method","target":"$request_uri","uri":"$uri","#,
    r#""file":"$request_filename","host":"$host","server":"$server_name","status":"$status","#,
    r#""subject":"$http_x_identity_subject"}"#,
);

const START_LIMIT: Duration = Duration::from_secs(10);
