//! What is there before anybody migrates: a gateway with the filter, whose old port asks for no
//! certificate of a client, and a workload. Its new port is for the front alone.

use std::{
    net::{IpAddr, SocketAddr},
    path::Path,
};

use e2e::{
    deadline::eventually,
    dialer::Dialer,
    envoy::{Gateway, Surroundings},
    front::Front,
    http::{Ask, Exchange, Reply},
    issuer::{AUDIENCE, Issuer, KEY_SET},
    key_server::{Answer, KeyServer},
    mesh::{DOWNSTREAM, LOG_LIMIT},
    pki::{self, Pki},
    plugin, ports,
    run_folder::RunFolder,
    token::{SigningKey, Token},
    workload::Workload,
};
use serde_json::{Value, json};

use crate::{guide::Guide, haproxy::HaProxy};

/// Fields are dropped in this order: first who sends, last the files.
pub(crate) struct Ground {
    pub(crate) gateway: Gateway,
    /// The gateway's old port.
    pub(crate) old: SocketAddr,
    pub(crate) pki: Pki,
    pub(crate) folder: RunFolder,
    /// Where HAProxy serves.
    pub(crate) public: SocketAddr,
    /// Where the front will.
    pub(crate) front: SocketAddr,
    inner: SocketAddr,
    issuer: Issuer,
    _keys: KeyServer,
    key: SigningKey,
    _workload: Workload,
}

impl Ground {
    /// The filter's configuration is that of the conversation, with these changes.
    pub(crate) async fn prepare(edit: impl FnOnce(&mut Value)) -> Self {
        let folder = RunFolder::create().unwrap();
        let pki = Pki::create(&folder).unwrap();
        let issuer = Issuer::prepare(&pki, &folder).unwrap();
        let keys = KeyServer::start_at(issuer.address(), &pki.issuer)
            .await
            .unwrap();
        let key = SigningKey::es256("ground").unwrap();
        keys.answer(KEY_SET, Answer::keys([&key.public_jwk()]));
        let workload = Workload::start("workload").await.unwrap();
        let mut plugin = plugin::configuration(&issuer);
        edit(&mut plugin);
        let around = Surroundings {
            pki: &pki,
            keys: issuer.address(),
            plugin: &plugin,
            workers: 1,
            bootstrap: with_an_old_port,
            payments: workload.address(),
            orders: workload.address(),
        };
        let gateway = Gateway::start("gateway", &around, &folder).await.unwrap();
        let old = address_of(OLD, &gateway).await;
        let chain = pki::read_pem(&pki.public.certificate).unwrap();
        let private_key = pki::read_pem(&pki.public.private_key).unwrap();
        folder
            .write_secret("public.pem", &format!("{chain}{private_key}"))
            .unwrap();
        Self {
            public: ports::free().unwrap(),
            front: ports::free().unwrap(),
            inner: ports::free().unwrap(),
            gateway,
            old,
            _workload: workload,
            pki,
            folder,
            issuer,
            _keys: keys,
            key,
        }
    }

    /// HAProxy as it is before anything has changed.
    pub(crate) async fn haproxy(&self, guide: &Guide) -> HaProxy {
        let config = guide.block_here("haproxy", BEFORE, &self.haproxy_here());
        let socket = self.folder.file("admin.sock");
        HaProxy::start("haproxy", &config, socket, None, &self.folder).await
    }

    /// HAProxy as it shares connections with the front, in the place of this one.
    pub(crate) async fn haproxy_with_a_share(&self, guide: &Guide, before: &HaProxy) -> HaProxy {
        let mut here = self.haproxy_here();
        here.push(("127.0.0.1:8442", self.inner.to_string()));
        here.push(("10.0.0.5:8443", self.front.to_string()));
        let config = guide.block_here("haproxy", SHARE, &here);
        let socket = self.folder.file("admin.sock");
        HaProxy::start("share", &config, socket, Some(before), &self.folder).await
    }

    fn haproxy_here(&self) -> Vec<(&'static str, String)> {
        let file = |name| self.folder.file(name).display().to_string();
        vec![
            ("0.0.0.0:443", self.public.to_string()),
            ("10.0.0.11:443", self.old.to_string()),
            ("/etc/haproxy/public.pem", file("public.pem")),
            (
                "/etc/haproxy/gateway-ca.crt",
                self.pki.edge.certificate().display().to_string(),
            ),
            ("/run/haproxy/admin.sock", file("admin.sock")),
        ]
    }

    /// The front of the guide.
    pub(crate) async fn front(&self, guide: &Guide) -> Front {
        let mesh = self.pki.mesh.certificate().display().to_string();
        let path = |path: &Path| path.display().to_string();
        let (public, own) = (&self.pki.public, &self.pki.front);
        let mut here = vec![
            ("0.0.0.0:8443", self.front.to_string()),
            ("10.0.0.4", "127.0.0.1".to_owned()),
            ("10.0.0.11:8443", self.gateway.address().to_string()),
            ("/etc/l4-front/public.crt", path(&public.certificate)),
            ("/etc/l4-front/public.key", path(&public.private_key)),
            ("/etc/l4-front/mesh-ca.crt", mesh),
            ("/etc/l4-front/front.crt", path(&own.certificate)),
            ("/etc/l4-front/front.key", path(&own.private_key)),
            (
                "spiffe://cluster.local/ns/istio-ingress/sa/gateway",
                pki::GATEWAY.to_owned(),
            ),
        ];
        let edit = |harness: String| {
            let written = |key: &str| {
                let line = harness.lines().find(|line| line.starts_with(key)).unwrap();
                line.split('"').nth(1).unwrap().to_owned()
            };
            here.push(("127.0.0.1:9900", written("admin:")));
            here.push(("/var/log/l4-front/access.jsonl", written("access_log:")));
            guide.block_here("yaml", FRONT, &here)
        };
        let (address, folder) = (self.front, &self.folder);
        Front::start_with(address, &[self.gateway.address()], &self.pki, folder, edit)
            .await
            .unwrap()
    }

    /// A downstream of whoever is at this address.
    pub(crate) fn downstream(&self, address: SocketAddr) -> Dialer {
        Dialer::public(address, "api.example.com", self.pki.edge.root())
            .from(DOWNSTREAM)
            .speaking(&["h2", "http/1.1"])
    }

    /// Asks there for this path, with a token of somebody in this group.
    pub(crate) async fn ask(&self, address: SocketAddr, path: &str, group: &str) -> Reply {
        let ask = Ask::get("api.example.com", path).bearer(&self.token(group));
        self.send(&self.downstream(address), ask).await
    }

    pub(crate) async fn send(&self, dialer: &Dialer, ask: Ask) -> Reply {
        Exchange::open(dialer)
            .await
            .unwrap()
            .send(ask)
            .await
            .unwrap()
    }

    pub(crate) fn token(&self, group: &str) -> String {
        let token = Token::honest(&self.issuer.url(), AUDIENCE, "alice");
        token
            .with("groups", json!([group]))
            .signed(&self.key)
            .unwrap()
    }

    /// The audit records, as soon as there are so many.
    pub(crate) async fn audit(&self, records: usize) -> Vec<Value> {
        eventually("audit records", LOG_LIMIT, async || {
            let audit = self.gateway.audit();
            (audit.len() >= records).then_some(audit)
        })
        .await
        .unwrap()
    }
}

/// The same listener once more, with the certificate of the hosts, and without the demand for one of the
/// client.
fn with_an_old_port(envoy: &mut Value) {
    let listeners = envoy["static_resources"]["listeners"]
        .as_array_mut()
        .unwrap();
    let mut old = listeners[0].clone();
    old["name"] = json!(OLD);
    old["address"]["socket_address"]["port_value"] = json!(0);
    let tls = &mut old["filter_chains"][0]["transport_socket"]["typed_config"];
    tls["require_client_certificate"] = json!(false);
    let common = tls["common_tls_context"].as_object_mut().unwrap();
    common.remove("validation_context").unwrap();
    for (part, file) in [
        ("certificate_chain", "public.crt"),
        ("private_key", "public.key"),
    ] {
        let path = &mut common["tls_certificates"][0][part]["filename"];
        *path = json!(Path::new(path.as_str().unwrap()).with_file_name(file));
    }
    listeners.push(old);
}

/// Where Envoy has bound a listener that may have any port.
async fn address_of(listener: &str, gateway: &Gateway) -> SocketAddr {
    let admin = gateway.admin();
    let ask = Ask::get(&admin.to_string(), "/listeners?format=json");
    let mut exchange = Exchange::open_clear(admin).await.unwrap();
    let page = exchange.send(ask).await.unwrap().json();
    let statuses = page["listener_statuses"].as_array().unwrap();
    let named = statuses.iter().find(|one| one["name"] == listener).unwrap();
    let bound = &named["local_address"]["socket_address"];
    let address: IpAddr = bound["address"].as_str().unwrap().parse().unwrap();
    let port = bound["port_value"].as_u64().unwrap();
    SocketAddr::new(address, port.try_into().unwrap())
}

const OLD: &str = "old";
const BEFORE: &str = "/etc/haproxy/haproxy.cfg, as it is";
const SHARE: &str = "/etc/haproxy/haproxy.cfg, with a share for the front";
const FRONT: &str = "/etc/l4-front/front.yaml";
