//! HAProxy as the front's gateway: its `accept-proxy` is a strict judge of PROXY headers (it
//! refuses what overruns, what is left over, and a wrong CRC32C), and it says what it read.

use std::{net::SocketAddr, time::Duration};

use tokio::net::TcpStream;

use crate::{
    error::HarnessError,
    pki::{self, Pki},
    ports,
    process::Process,
    run_folder::RunFolder,
    tools,
};

/// A running HAProxy that answers every request with what it knows of the connection. For browsers
/// there is a page at `/page`, and at `/cut` the end of the connection without an answer.
#[derive(Debug)]
pub struct HaProxy {
    process: Process,
    address: SocketAddr,
}

impl HaProxy {
    /// Starts it with the gateway's certificate; like the gateway, it wants a mesh certificate.
    ///
    /// # Errors
    /// [`HarnessError::ToolMissing`], [`HarnessError::Ended`] or [`HarnessError::Deadline`].
    pub async fn start(pki: &Pki, folder: &RunFolder) -> Result<Self, HarnessError> {
        let (address, ready) = (ports::free()?, ports::free()?);
        let chain = pki::read_pem(&pki.gateway.certificate)?;
        let key = pki::read_pem(&pki.gateway.private_key)?;
        let identity = folder.write_secret("haproxy.pem", &format!("{chain}{key}"))?;
        let page = folder.write("page.html", PAGE)?;
        let config = format!(
            r#"global
  maxconn 100
defaults
  mode http
  timeout connect 5s
  timeout client 10s
  timeout server 10s
frontend gateway
  bind {address} accept-proxy ssl crt {identity} ca-file {ca} verify required alpn h2,http/1.1
  http-request return status 200 content-type text/html file "{page}" if {{ path /page }}
  http-request reject if {{ path /cut }}
  http-request return status 200 content-type text/plain lf-string "{SAYS}"
frontend ready
  bind {ready}
  http-request return status 200
"#,
            identity = identity.display(),
            ca = pki.mesh.certificate().display(),
            page = page.display(),
        );
        let config = folder.write("haproxy.cfg", &config)?;
        let arguments = ["-db", "-f", &config.to_string_lossy()];
        let mut process = Process::start("haproxy", &tools::haproxy()?, &arguments, folder)?;
        process
            .ready_when(START_LIMIT, async || {
                TcpStream::connect(ready).await.is_ok()
            })
            .await?;
        Ok(Self { process, address })
    }

    /// The process, to be stopped where it is.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Where the front is to connect.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// One fact a line: the header's addresses and TLVs, then the TLS that it spoke with the front
/// itself.
const SAYS: &str = concat!(
    r"source %[src]:%[src_port]\ndestination %[dst]:%[dst_port]\n",
    r"authority %[fc_pp_authority]\nid %[fc_pp_unique_id]\n",
    r"sni %[ssl_fc_sni]\nalpn %[ssl_fc_alpn]\nversion %[ssl_fc_protocol]\n",
);

/// What a browser makes of it says how the page itself came, then what is said on a new connection.
const PAGE: &str = r#"<!doctype html>
<title>A page</title>
<pre id="said">nothing</pre>
<script>
(async () => {
  const said = ["page " + performance.getEntriesByType("navigation")[0].nextHopProtocol];
  await fetch("/cut").catch(() => said.push("cut"));
  said.push(await (await fetch("/")).text());
  document.getElementById("said").textContent = said.join("\n");
})();
</script>
"#;

const START_LIMIT: Duration = Duration::from_secs(10);
