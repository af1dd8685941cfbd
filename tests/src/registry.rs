//! The real registry of a run, that of Debian's package `docker-registry`: images go into the run
//! folder. It lists no referrers by itself, so it shows the way by tag that clients take then.

use std::net::SocketAddr;

use hyper::StatusCode;

use crate::{
    error::HarnessError,
    http::{Ask, Exchange, Reply},
    ports,
    process::Process,
    run_folder::RunFolder,
    tools,
};

/// A running registry without TLS.
#[derive(Debug)]
pub struct Registry {
    process: Process,
    address: SocketAddr,
}

impl Registry {
    /// Starts it on a free port and waits until it answers.
    ///
    /// # Errors
    /// [`HarnessError::ToolMissing`], [`HarnessError::Ended`] or [`HarnessError::Deadline`].
    pub async fn start(folder: &RunFolder) -> Result<Self, HarnessError> {
        Self::start_at(ports::free()?, "", folder).await
    }

    /// The same for those alone who have a name and password of this line, as `htpasswd -B` writes it.
    ///
    /// # Errors
    /// As [`Registry::start`].
    pub async fn start_with_password(line: &str, folder: &RunFolder) -> Result<Self, HarnessError> {
        let path = folder.write_secret("htpasswd", &format!("{line}\n"))?;
        let auth = format!(
            "auth: {{ htpasswd: {{ realm: run, path: \"{}\" }} }}\n",
            path.display()
        );
        Self::start_at(ports::free()?, &auth, folder).await
    }

    /// Ends it as a crash would; what it has stored stays.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it where it was, with what it had.
    ///
    /// # Errors
    /// As [`Registry::start`].
    pub async fn start_again(&mut self, folder: &RunFolder) -> Result<(), HarnessError> {
        *self = Self::start_at(self.address, "", folder).await?;
        Ok(())
    }

    async fn start_at(
        address: SocketAddr,
        auth: &str,
        folder: &RunFolder,
    ) -> Result<Self, HarnessError> {
        let config = format!(
            "version: 0.1\n\
             log: {{ level: warn, accesslog: {{ disabled: true }} }}\n\
             storage: {{ filesystem: {{ rootdirectory: \"{}\" }} }}\n\
             http: {{ addr: \"{address}\" }}\n{auth}",
            folder.file("registry").display(),
        );
        let config = folder.write("registry.yaml", &config)?;
        let arguments = ["serve", &config.to_string_lossy()];
        let mut process = Process::start("registry", &tools::registry()?, &arguments, folder)?;
        process
            .ready_when(START_LIMIT, async || {
                let ask = Ask::get(&address.to_string(), "/v2/");
                let asked = async { Exchange::open_clear(address).await?.send(ask).await };
                let up = [StatusCode::OK, StatusCode::UNAUTHORIZED];
                asked.await.is_ok_and(|reply| up.contains(&reply.status))
            })
            .await?;
        Ok(Self { process, address })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A manifest of this repository, by tag or digest, as it is stored.
    ///
    /// # Errors
    /// [`HarnessError::Connection`] or [`HarnessError::Http`].
    pub async fn manifest(&self, repository: &str, which: &str) -> Result<Reply, HarnessError> {
        self.get(&format!("/v2/{repository}/manifests/{which}"))
            .await
    }

    /// What this digest names in the repository.
    ///
    /// # Errors
    /// [`HarnessError::Connection`] or [`HarnessError::Http`].
    pub async fn blob(&self, repository: &str, digest: &str) -> Result<Reply, HarnessError> {
        self.get(&format!("/v2/{repository}/blobs/{digest}")).await
    }

    async fn get(&self, path: &str) -> Result<Reply, HarnessError> {
        let ask = Ask::get(&self.address.to_string(), path).header("accept", ACCEPTED);
        Exchange::open_clear(self.address).await?.send(ask).await
    }
}

/// Without it, the registry translates what it has into something older.
const ACCEPTED: &str = "application/vnd.oci.image.manifest.v1+json, \
    application/vnd.oci.image.index.v1+json, application/octet-stream";

/// One small process that binds a port.
const START_LIMIT: std::time::Duration = std::time::Duration::from_secs(10);
