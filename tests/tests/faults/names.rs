//! A name server that goes away while its endpoints are in use.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use e2e::{
    deadline::eventually,
    name_server::{Behaviour, NameServer},
    pod::Pod,
    ports,
};
use hickory_proto::rr::{Name, RData, Record};
use tokio::task::JoinSet;

use crate::stage::{LIMIT, Stage, greeted};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_connection_fails_while_the_name_server_is_gone_or_comes_back_with_another_address() {
    let stage = Stage::prepare();
    let port = ports::free().unwrap().port();
    let address = |last| SocketAddr::from(([127, 0, 6, last], port));
    let (old, new) = (address(1), address(2));
    let old_pod = Pod::start_at(old, &stage.pki).await.unwrap();
    let new_pod = Pod::start_at(new, &stage.pki).await.unwrap();
    let names = NameServer::start(answer(old)).await.unwrap();
    let server = names.address();
    let mut stage = stage.discovering(server, port, old_pod).await;
    is(&stage, old, "healthy").await;

    let (served, done) = (
        Arc::new(AtomicUsize::new(0)),
        Arc::new(AtomicBool::new(false)),
    );
    let mut load = JoinSet::new();
    for _client in 0..4 {
        let (dialer, served, done) = (stage.dialer(), Arc::clone(&served), Arc::clone(&done));
        load.spawn(async move {
            while !done.load(Ordering::Relaxed) {
                assert!(greeted(&dialer).await.is_some(), "a connection failed");
                served.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    drop(names);
    let before = served.load(Ordering::Relaxed);
    let failed = stage.resolutions("failed").await;
    eventually("failures, and connections meanwhile", LIMIT, async || {
        let failed = stage.resolutions("failed").await - failed;
        (failed >= 3 && served.load(Ordering::Relaxed) > before + 100).then_some(())
    })
    .await
    .unwrap();
    assert!(new_pod.seen().connections.is_empty());

    let _names = NameServer::start_at(server, answer(new)).await.unwrap();
    is(&stage, new, "healthy").await;
    let after = served.load(Ordering::Relaxed);
    eventually("connections to the new address", LIMIT, async || {
        (served.load(Ordering::Relaxed) > after + 100).then_some(())
    })
    .await
    .unwrap();
    done.store(true, Ordering::Relaxed);
    while let Some(ended) = load.join_next().await {
        ended.unwrap();
    }
    assert!(new_pod.seen().connections.len() > 50);
    let log = stage.process_log();
    for said in [
        "the name cannot be resolved",
        "the name can be resolved again",
    ] {
        assert_eq!(log.matches(said).count(), 1, "{said}: {log}");
    }
}

impl Stage<(), ()> {
    /// With endpoints from this name server, asked for every second or two.
    async fn discovering(self, server: SocketAddr, port: u16, good: Pod) -> Stage {
        let dns = format!(
            "  dns: {{ name: gateway.test, port: {port}, timeout_seconds: 1, \
             name_servers: [\"{server}\"], min_ttl_seconds: 1, max_ttl_seconds: 2 }}\n"
        );
        let edit = |config: String| config.replace("  endpoints:\n", &dns);
        self.open_before(good, &[], edit).await
    }
}

impl Stage {
    /// How many resolutions ended so.
    async fn resolutions(&self, result: &str) -> u64 {
        let metric =
            format!("l4_front_dns_resolutions_total{{cluster=\"gateway\",result=\"{result}\"}}");
        self.front.metric(&metric).await.unwrap()
    }
}

/// Waits until the front says this about an endpoint.
async fn is(stage: &Stage, address: SocketAddr, state: &str) {
    eventually(&format!("{address} {state}"), LIMIT, async || {
        let about = stage.endpoint(address).await?;
        (about["state"] == state).then_some(())
    })
    .await
    .unwrap();
}

fn answer(address: SocketAddr) -> Behaviour {
    let SocketAddr::V4(address) = address else {
        panic!("an IPv4 address is needed");
    };
    let name = Name::from_ascii("gateway.test.").unwrap();
    let data = RData::A((*address.ip()).into());
    Behaviour::Records(vec![Record::from_rdata(name, 1, data)])
}
