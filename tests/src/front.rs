//! The front of a run: the product's own binary with a configuration as an operator would write it.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use hyper::StatusCode;
use serde_json::Value;

use crate::{
    deadline::eventually,
    error::HarnessError,
    http::{Ask, Exchange},
    log,
    pki::{self, Pki},
    ports,
    process::{Handed, Process},
    run_folder::RunFolder,
    tools,
};

/// A running front.
#[derive(Debug)]
pub struct Front {
    process: Process,
    address: SocketAddr,
    admin: SocketAddr,
    access_log: PathBuf,
    config: PathBuf,
}

impl Front {
    /// Starts the front on this address before these gateways and waits until it says that it is
    /// ready.
    ///
    /// # Errors
    /// [`HarnessError::NotBuilt`], [`HarnessError::Ended`] or [`HarnessError::Deadline`].
    pub async fn start(
        address: SocketAddr,
        gateways: &[SocketAddr],
        pki: &Pki,
        folder: &RunFolder,
    ) -> Result<Self, HarnessError> {
        Self::start_with(address, gateways, pki, folder, |config| config).await
    }

    /// The same with its configuration edited.
    ///
    /// # Errors
    /// As [`Front::start`].
    pub async fn start_with(
        address: SocketAddr,
        gateways: &[SocketAddr],
        pki: &Pki,
        folder: &RunFolder,
        edit: impl FnOnce(String) -> String,
    ) -> Result<Self, HarnessError> {
        Self::start_by_manager(address, gateways, pki, folder, edit, Handed::default()).await
    }

    /// The same, as a service manager would.
    ///
    /// # Errors
    /// As [`Front::start`].
    pub async fn start_by_manager(
        address: SocketAddr,
        gateways: &[SocketAddr],
        pki: &Pki,
        folder: &RunFolder,
        edit: impl FnOnce(String) -> String,
        handed: Handed,
    ) -> Result<Self, HarnessError> {
        let admin = ports::free()?;
        let access_log = folder.file("front-access.jsonl");
        let text = edit(configuration(address, admin, gateways, pki, &access_log));
        let config = folder.write("front.yaml", &text)?;
        let arguments = ["run", "--config", &config.to_string_lossy()];
        let program = tools::front()?;
        let mut process = Process::start_by_manager("front", &program, &arguments, folder, handed)?;
        process
            .ready_when(START_LIMIT, async || says_ready(admin).await)
            .await?;
        Ok(Self {
            process,
            address,
            admin,
            access_log,
            config,
        })
    }

    /// Starts one more process, with this configuration, to take the place of the one that serves,
    /// and waits until it has done so. The name is that of its files.
    ///
    /// # Errors
    /// As [`Front::start`].
    pub async fn take_over(
        &self,
        name: &str,
        text: &str,
        folder: &RunFolder,
    ) -> Result<Self, HarnessError> {
        let config = folder.write(&format!("{name}.yaml"), text)?;
        let path = config.to_string_lossy();
        let arguments = ["run", "--config", &path, "--take-over"];
        let mut process = Process::start(name, &tools::front()?, &arguments, folder)?;
        let log = process.log().to_owned();
        let took_over = async || fs::read_to_string(&log).is_ok_and(|log| log.contains(TOOK_OVER));
        process.ready_when(START_LIMIT, took_over).await?;
        Ok(Self {
            process,
            config,
            address: self.address,
            admin: self.admin,
            access_log: self.access_log.clone(),
        })
    }

    /// Its configuration file.
    #[must_use]
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// Asks it to read its configuration again, and waits until it has tried.
    ///
    /// # Errors
    /// [`HarnessError::Signal`], or [`HarnessError::Deadline`] if it does not.
    pub async fn reload(&self) -> Result<(), HarnessError> {
        let attempts = async || {
            let mut sum = 0;
            for result in ["applied", "refused"] {
                let name = format!("l4_front_config_reloads_total{{result=\"{result}\"}}");
                sum += self.metric(&name).await?;
            }
            Ok::<_, HarnessError>(sum)
        };
        let before = attempts().await?;
        self.process.hang_up()?;
        eventually("a reload", START_LIMIT, async || {
            attempts().await.is_ok_and(|now| now > before).then_some(())
        })
        .await
    }

    /// Asks it to read its configuration again.
    ///
    /// # Errors
    /// [`HarnessError::Signal`] if it is gone.
    pub fn hang_up(&self) -> Result<(), HarnessError> {
        self.process.hang_up()
    }

    /// An admin page, as text.
    ///
    /// # Errors
    /// [`HarnessError::Connection`] or [`HarnessError::Http`].
    pub async fn page(&self, path: &str) -> Result<String, HarnessError> {
        let mut exchange = Exchange::open_clear(self.admin).await?;
        let ask = Ask::get(&self.admin.to_string(), path);
        Ok(exchange.send(ask).await?.text())
    }

    /// Where downstreams connect.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where `/healthz`, `/readyz` and `/metrics` are.
    #[must_use]
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// A counter or gauge by its name and labels, as `/metrics` shows it now; 0 if it is not there
    /// yet.
    ///
    /// # Errors
    /// [`HarnessError::Connection`] or [`HarnessError::Http`].
    pub async fn metric(&self, name: &str) -> Result<u64, HarnessError> {
        let text = self.page("/metrics").await?;
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        Ok(line.and_then(|rest| rest.trim().parse().ok()).unwrap_or(0))
    }

    /// The access log so far: one object for each connection that has ended.
    #[must_use]
    pub fn access_log(&self) -> Vec<Value> {
        log::json_lines(&self.access_log)
    }

    /// The process id.
    #[must_use]
    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// The process, to be asked to end.
    #[must_use]
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

async fn says_ready(admin: SocketAddr) -> bool {
    let asked = async {
        let mut exchange = Exchange::open_clear(admin).await?;
        exchange.send(Ask::get(&admin.to_string(), "/readyz")).await
    };
    asked
        .await
        .is_ok_and(|reply| reply.status == StatusCode::OK)
}

/// The front's configuration file.
fn configuration(
    address: SocketAddr,
    admin: SocketAddr,
    gateways: &[SocketAddr],
    pki: &Pki,
    access_log: &Path,
) -> String {
    let endpoints: String = gateways
        .iter()
        .map(|gateway| format!("\n  - {{ address: \"{gateway}\", weight: 1 }}"))
        .collect();
    format!(
        r#"workers: 2
admin: {{ bind: "{admin}" }}
listeners:
- name: public
  bind: "{address}"
  tls:
    certificates: [{{ certificate: "{public_certificate}", private_key: "{public_key}" }}]
    alpn: [h2, http/1.1]
    client_auth: {{ mode: optional, ca: "{partners}" }}
  routes:
  - {{ sni: ["*.example.com", "*.orders.example.com"], cluster: gateway }}
  timeouts: {{ handshake_seconds: 10, idle_seconds: 300 }}
clusters:
- name: gateway
  endpoints:{endpoints}
  balance: round_robin
  proxy_protocol: v2
  tls:
    ca: "{mesh}"
    server_name: forward
    spiffe_id: {gateway_id}
    certificate: "{front_certificate}"
    private_key: "{front_key}"
  connect: {{ timeout_seconds: 2, attempts: 3 }}
access_log: {{ path: "{access_log}", format: json }}
shutdown: {{ drain_seconds: 30 }}
"#,
        public_certificate = pki.public.certificate.display(),
        public_key = pki.public.private_key.display(),
        partners = pki.partners.certificate().display(),
        mesh = pki.mesh.certificate().display(),
        gateway_id = pki::GATEWAY,
        front_certificate = pki.front.certificate.display(),
        front_key = pki.front.private_key.display(),
        access_log = access_log.display(),
    )
}

/// What a process says in its log that serves in the place of another.
const TOOK_OVER: &str = "took the place of another process";

/// The front binds and says so; nothing there takes long.
const START_LIMIT: Duration = Duration::from_secs(10);
