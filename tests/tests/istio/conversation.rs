//! The conversation behind the real Istio, with sidecars before the workloads, and what istiod makes of
//! the manifests.

use e2e::{
    conversation::{CHAPTERS, mirror::Mirror},
    envoy::Gateway,
    http::{Ask, Exchange},
    issuer::ALICE,
    istio::{
        Istio,
        control_plane::{ControlPlane, sum},
        manifests::REPLACEMENTS,
    },
    mesh::{Configured, IssuerAtStart, Mesh, Setup},
    pki::GATEWAY,
};
use serde_json::Value;

use crate::page;

pub(crate) async fn the_conversation_holds_behind_istio() {
    let mut mesh = mesh(IssuerAtStart::Down).await;
    let mut broken = Vec::new();
    for chapter in CHAPTERS {
        for step in chapter.steps {
            match step.run(&mut mesh).await {
                Ok(seen) => println!("✓ {}: {seen}", step.name),
                Err(mismatch) => {
                    println!("✗ {}: {mismatch}", step.name);
                    broken.push(format!("{}: {mismatch}", step.name));
                }
            }
        }
    }
    nothing_was_refused(&mesh.istio.as_ref().unwrap().control_planes).await;
    if !broken.is_empty() {
        mesh.folder.keep();
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

pub(crate) async fn istio_takes_the_manifests_and_puts_everything_in_its_place() {
    for replacement in REPLACEMENTS {
        println!("replaced: {}", replacement.what);
    }
    let mesh = mesh(IssuerAtStart::Up).await;
    let istio = mesh.istio.as_ref().unwrap();
    nothing_was_refused(&istio.control_planes).await;
    workloads_are_behind_their_sidecars(&mesh).await;
    the_filter_was_pulled_by_its_digest(istio, &mesh).await;
    for gateway in &mesh.gateways {
        filters_are_in_their_order(gateway).await;
    }
}

/// Gives the gateway's listener back.
pub(crate) async fn filters_are_in_their_order(gateway: &Gateway) -> Value {
    let listener = listener(gateway.admin(), gateway.address().port()).await;
    let names = |place: &Value| -> Vec<String> {
        let filters = place.as_array().unwrap();
        filters
            .iter()
            .map(|one| one["name"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        names(&listener["listener_filters"])[..2],
        [
            "envoy.filters.listener.proxy_protocol",
            "envoy.filters.listener.tls_inspector"
        ]
    );
    let chains = listener["filter_chains"].as_array().unwrap();
    assert!(!chains.is_empty());
    for chain in chains {
        let tls = &chain["transport_socket"];
        assert_eq!(tls["name"], "envoy.transport_sockets.tls");
        assert_eq!(tls["typed_config"]["require_client_certificate"], true);
        let manager = &chain["filters"].as_array().unwrap().last().unwrap()["typed_config"];
        let filters = names(&manager["http_filters"]);
        let expected = [
            FILTER,
            "envoy.filters.http.jwt_authn",
            "envoy.filters.http.rbac",
            "envoy.filters.http.router",
        ];
        let found: Vec<Option<usize>> = expected
            .iter()
            .map(|name| filters.iter().position(|filter| filter == name))
            .collect();
        assert!(
            found.iter().all(Option::is_some) && found.is_sorted(),
            "{filters:?}"
        );
        assert_eq!(found[0], Some(0), "nothing goes before it: {filters:?}");
    }
    listener
}

async fn mesh(issuer: IssuerAtStart) -> Mesh {
    let setup = Setup {
        issuer,
        gateways: Configured::ByIstio,
        ..Setup::default()
    };
    Mesh::start(setup)
        .await
        .unwrap_or_else(|error| panic!("{}", error.chain()))
}

/// The gateway takes the pod for no other, and its sidecar says whom it took the gateway for.
async fn workloads_are_behind_their_sidecars(mesh: &Mesh) {
    let account = "spiffe://cluster.local/ns/payments/sa/payments";
    let admin = mesh.gateways[0].admin();
    let dump = page(admin, "/config_dump?resource=dynamic_active_clusters").await;
    let clusters = dump["configs"].as_array().unwrap();
    let payments = clusters
        .iter()
        .map(|cluster| &cluster["cluster"])
        .find(|cluster| cluster["name"] == "outbound|8080||payments.payments.svc.cluster.local")
        .unwrap();
    let sockets = payments["transport_socket_matches"].to_string();
    assert!(
        sockets.contains(&format!(r#"{{"exact":"{account}"}}"#)),
        "{sockets}"
    );

    let token = mesh.issuer.token(ALICE).await.unwrap();
    let mut exchange = Exchange::open(&mesh.downstream("api.example.com"))
        .await
        .unwrap();
    let ask = Ask::get("api.example.com", "/payments/list").bearer(&token);
    let seen = Mirror::of(&exchange.send(ask).await.unwrap());
    let certificate = seen.value("x-forwarded-client-cert").unwrap();
    for part in [format!("By={account};"), format!("URI={GATEWAY}")] {
        assert!(certificate.contains(&part), "{certificate}");
    }
}

/// Envoy says so to istiod, and istiod counts it.
pub(crate) async fn nothing_was_refused(controls: &[ControlPlane]) {
    for control in controls {
        let metrics = control.metrics().await.unwrap();
        assert!(
            sum(&metrics, "pilot_xds_pushes").is_some_and(|pushes| pushes > 0.0),
            "{metrics}"
        );
        for name in ["pilot_total_xds_rejects", "pilot_total_xds_internal_errors"] {
            assert_eq!(sum(&metrics, name).unwrap_or(0.0), 0.0, "{name}");
        }
    }
}

async fn the_filter_was_pulled_by_its_digest(istio: &Istio, mesh: &Mesh) {
    for agent in &istio.agents {
        let metrics = agent.metrics().await.unwrap();
        let fetched: Vec<&str> = metrics
            .lines()
            .filter(|line| line.contains("wasm_remote_fetch_count{"))
            .collect();
        assert!(
            !fetched.is_empty()
                && fetched
                    .iter()
                    .all(|line| line.contains("result=\"success\"")),
            "{fetched:?}"
        );
    }
    for gateway in &mesh.gateways {
        let dump = page(gateway.admin(), "/config_dump?resource=ecds_filters").await;
        let code =
            &dump["configs"][0]["ecds_filter"]["typed_config"]["config"]["vm_config"]["code"];
        let file = code["local"]["filename"].as_str().unwrap();
        let digest = istio.digest.trim_start_matches("sha256:");
        assert!(file.ends_with(&format!("/{digest}.wasm")), "{file}");
    }
}

/// The gateway's listener, as Envoy has it.
async fn listener(admin: std::net::SocketAddr, port: u16) -> Value {
    let dump = page(admin, "/config_dump?resource=dynamic_listeners").await;
    let listeners = dump["configs"].as_array().unwrap();
    let found = listeners.iter().find_map(|listener| {
        let listener = &listener["active_state"]["listener"];
        let address = &listener["address"]["socket_address"]["port_value"];
        (*address == port).then(|| listener.clone())
    });
    found.unwrap_or_else(|| panic!("no listener on {port}: {dump:#}"))
}

/// The filter's name in Envoy, since istiod reads a WasmPlugin as a TrafficExtension.
const FILTER: &str = "extensions.istio.io/trafficextension/istio-ingress.identity-filter~istio-translated-wasmplugin";
