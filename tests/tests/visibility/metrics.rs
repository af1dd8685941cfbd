//! What Prometheus reads after traffic that causes each of the filter's metrics.

use std::net::Ipv4Addr;

use e2e::{
    conversation::{Mismatch, expect},
    deadline::eventually,
    http::{Ask, Exchange},
    key_server::Answer,
    mesh::LOG_LIMIT,
};
use hyper::StatusCode;

use crate::{
    access_line,
    exposition::{Series, documented, on_the_dashboard},
    ground::{Ground, get},
    record,
};

pub(crate) async fn measured() -> Result<(), Mismatch> {
    let ground = Ground::start().await?;
    cause(&ground).await?;
    // What it needs to be stale is there before it goes away.
    shown(&ground, "key_sets{provider=wilting,state=fresh}").await?;
    ground.stand.keys.answer("/wilting", Answer::Failure);
    let series = shown(&ground, "key_sets{provider=wilting,state=stale}").await?;
    for (name, value) in EXACTLY {
        expect(name, series.value(name), Some(*value))?;
    }
    for name in SOME {
        let has_grown = series.value(name).is_some_and(|value| value > 0.0);
        expect(&format!("{name} has grown"), has_grown, true)?;
    }
    expect(
        "metrics and labels of the page",
        series.metrics(),
        documented(),
    )?;
    for (name, labels) in on_the_dashboard() {
        let there = series.metrics().remove(&name);
        let is_there = there.is_some_and(|there| labels.is_subset(&there));
        expect(
            &format!("{name} of the dashboard, with {labels:?}"),
            is_there,
            true,
        )?;
    }
    expect(
        "the metrics on the dashboard",
        on_the_dashboard().len(),
        documented().len(),
    )
}

/// All series, as soon as this one is there and not zero.
async fn shown(ground: &Ground, name: &str) -> Result<Series, Mismatch> {
    let series = eventually(name, LOG_LIMIT, async || {
        let series = Series::parse(&ground.scrape().await.ok()?);
        (series.value(name)? > 0.0).then_some(series)
    });
    Ok(series.await?)
}

/// Sends what the metrics are to tell of.
async fn cause(ground: &Ground) -> Result<(), Mismatch> {
    let stand = &ground.stand;
    // A request of a provider whose keys are on their way.
    let mut exchange = stand.open().await?;
    let slow = get("/payments/1").bearer(&ground.token("slow", "alice", &ground.rsa)?);
    let release = async {
        let waits = async || (stand.metric(WAITING).await.ok()? == 1).then_some(());
        eventually("a request that waits", LOG_LIMIT, waits).await?;
        ground.slow.close();
        Ok::<_, Mismatch>(())
    };
    let (reply, released) = tokio::join!(exchange.send(slow), release);
    released?;
    // Envoy's own policy knows no workload of that provider.
    expect(
        "the status after the wait",
        reply?.status,
        StatusCode::FORBIDDEN,
    )?;
    let line = access_line(ground, "/payments/1").await?;
    let waited = record(&line["allowed"])["waited_microseconds"].as_u64();
    expect(
        "the wait is recorded",
        waited.is_some_and(|waited| waited > 0),
        true,
    )?;

    let known = ground.token("people", "alice", &ground.rsa)?;
    let known = || get("/payments/2").bearer(&known);
    for ask in [known(), known(), ground.ask("alice", "/payments/old")?] {
        stand.allowed(ask).await?;
    }
    let software = get("/payments/3").bearer(&ground.token("people", "alice", &ground.ed25519)?);
    stand.allowed(software).await?;
    let away = get("/payments/4").bearer(&ground.token("away", "alice", &ground.rsa)?);
    stand
        .denied(away, StatusCode::SERVICE_UNAVAILABLE, "keys_unavailable")
        .await?;
    stand
        .denied(
            ground.ask("alice", "/later")?,
            StatusCode::FORBIDDEN,
            "rule_missing",
        )
        .await?;
    stand
        .denied(
            ground.ask("alice", "/payments/secrets/1")?,
            StatusCode::FORBIDDEN,
            "rule_denied",
        )
        .await?;
    for _failure in 0..3 {
        let status = send_from(ground, get("/payments/5").bearer("a.b.c")).await?;
        expect("a bad token", status, StatusCode::UNAUTHORIZED)?;
    }
    let status = send_from(ground, get("/payments/5").bearer("a.b.c")).await?;
    expect("one too many", status, StatusCode::TOO_MANY_REQUESTS)?;
    Ok(())
}

/// From an address of its own, whose failures are its own.
async fn send_from(ground: &Ground, ask: Ask) -> Result<StatusCode, Mismatch> {
    let dialer = ground.stand.dialer_for(Ipv4Addr::new(192, 0, 2, 99));
    Ok(Exchange::open(&dialer).await?.send(ask).await?.status)
}

const WAITING: &str = "wasmcustom.identity_filter.waiting_requests";

/// What was caused, and nothing else.
const EXACTLY: &[(&str, f64)] = &[
    ("decisions_total{decision=allow,provider=people}", 4.0),
    ("decisions_total{decision=allow,provider=slow}", 1.0),
    (
        "decisions_total{decision=deny,provider=away,reason=keys_unavailable}",
        1.0,
    ),
    (
        "decisions_total{decision=deny,provider=people,reason=rule_denied}",
        1.0,
    ),
    (
        "decisions_total{decision=deny,provider=people,reason=rule_missing}",
        1.0,
    ),
    ("decisions_total{decision=deny,reason=token_malformed}", 3.0),
    (
        "decisions_total{decision=deny,reason=source_throttled}",
        1.0,
    ),
    ("rule_decisions_total{decision=allow,rule=v1.read_it}", 5.0),
    ("rule_decisions_total{decision=deny,rule=no-secrets}", 1.0),
    ("token_cache_lookups_total{result=hit}", 1.0),
    (
        "signature_checks_total{algorithm=EdDSA,engine=software}",
        1.0,
    ),
    ("would_have_denied{}", 1.0),
    ("would_have_allowed{}", 1.0),
    ("waiting_requests{}", 0.0),
];

/// What was caused; how often depends on the machine, and on the VM that the gateway's main thread has as well.
const SOME: &[&str] = &[
    "signature_checks_total{algorithm=RS256,engine=host}",
    "token_cache_lookups_total{result=miss}",
    "token_cache_evictions_total{}",
    "key_fetches_total{provider=away,result=failure}",
    "key_fetches_total{provider=slow,result=success}",
    "key_sets{provider=away,state=missing}",
    "key_sets{provider=people,state=fresh}",
    "stale_providers{}",
    "keys_fetched_timestamp_seconds{provider=people}",
    "private_keys_refused{}",
    "host_checked_algorithms{}",
    "software_checked_algorithms{}",
    "memory_bytes{}",
];
