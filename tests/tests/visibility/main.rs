//! What is to be seen of the filter from outside: by Envoy's own policies behind it, in Envoy's access log, in its
//! own log at Istio's default level, and by Prometheus, with the labels and the dashboard that the docs give.
#![expect(clippy::panic, reason = "a failed test says what it saw")]

mod exposition;
mod ground;
mod metrics;

use std::collections::BTreeSet;

use e2e::{
    conversation::{Mismatch, expect},
    deadline::eventually,
    http::{Ask, Reply},
    mesh::LOG_LIMIT,
};
use hyper::StatusCode;
use serde_json::{Value, json};

use self::{
    exposition::documented,
    ground::{Ground, example, get},
};

#[tokio::test]
async fn envoys_own_policies_and_its_access_log_read_what_the_filter_found_out() {
    held(read_by_others().await);
}

#[tokio::test]
async fn what_the_filter_has_written_no_other_plugin_changes() {
    held(written_once().await);
}

#[tokio::test]
async fn prometheus_reads_the_metrics_that_page_and_dashboard_name() {
    held(metrics::measured().await);
}

#[test]
fn the_tags_are_those_that_istio_makes_of_its_setting() {
    let tags = example("extraStatTags")["extraStatTags"].clone();
    let tags: Vec<&str> = tags
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let made = tags
        .iter()
        .map(|tag| json!({ "tag_name": tag, "regex": format!(r"({tag}=\.=(.*?);\.;)") }));
    let written = &example("stats_config")["stats_config"]["stats_tags"];
    assert_eq!(*written, made.collect::<Value>());
    let labels = documented()
        .into_values()
        .flatten()
        .collect::<BTreeSet<_>>();
    assert!(labels.iter().map(String::as_str).eq(tags), "{labels:?}");
}

async fn read_by_others() -> Result<(), Mismatch> {
    let ground = Ground::start().await?;
    let stand = &ground.stand;
    stand.allowed(ground.ask("alice", "/payments/7")?).await?;
    let line = access_line(&ground, "/payments/7").await?;
    let want = json!({
        "decision": "allow",
        "namespace": "payments",
        "provider": "people",
        "roles": "auditor,reader",
        "rule": "v1.read_it",
        "subject": "https://people.example#alice",
        "workload": "spiffe://cluster.local/ns/people/sa/alice",
    });
    expect("the values in the access log", state(&line), want)?;
    expect("the comparison in CEL", &line["cel"], "true")?;
    let allowed = record(&line["allowed"]);
    expect(
        "the template",
        &allowed["path_template"],
        "/payments/{what}",
    )?;
    let took = allowed["duration_microseconds"]
        .as_u64()
        .unwrap_or_default();
    expect(
        "the decision took some time, and no minute",
        (1..60_000_000).contains(&took),
        true,
    )?;
    let logged = stand
        .gateway
        .audit()
        .into_iter()
        .find(|record| record["decision_id"] == allowed["decision_id"]);
    expect(
        "the sampled record is in the log",
        logged.map(|record| record["decision"].clone()),
        Some(json!("allow")),
    )?;

    // Whom the filter lets in and Envoy's own policy does not know.
    let ask = ground.ask("bob", "/payments/8")?;
    let forged = "spiffe://cluster.local/ns/people/sa/alice";
    let ask = ask
        .header("wasm.sallyport.workload", forged)
        .header("x-identity-workload", forged)
        .header("sallyport.workload", forged);
    expect(
        "the status of another workload",
        send(&ground, ask).await?.status,
        StatusCode::FORBIDDEN,
    )?;
    let line = access_line(&ground, "/payments/8").await?;
    expect(
        "who denied it",
        &line["details"],
        "rbac_access_denied_matched_policy[none]",
    )?;
    expect("the filter's decision", &line["state_decision"], "allow")?;
    expect(
        "the workload",
        &line["state_workload"],
        "spiffe://cluster.local/ns/people/sa/bob",
    )?;

    // Whoever is let in without being asked is nobody, with a token and without.
    for ask in [
        get("/payments/healthz"),
        ground
            .ask("bob", "/payments/healthz")?
            .header("wasm.sallyport.subject", forged),
    ] {
        stand.allowed(ask).await?;
    }
    let nobody = json!({ "decision": "allow", "namespace": "payments", "provider": null, "roles": null,
        "rule": "health", "subject": null, "workload": null });
    for line in access_lines(&ground, "/payments/healthz", 2).await? {
        expect("the values of nobody", state(&line), nobody.clone())?;
    }

    for (path, ask, status, reason) in [
        (
            "/payments/secrets/1",
            ground.ask("alice", "/payments/secrets/1")?,
            StatusCode::FORBIDDEN,
            "rule_denied",
        ),
        (
            "/nowhere",
            ground.ask("alice", "/nowhere")?,
            StatusCode::FORBIDDEN,
            "rule_missing",
        ),
        (
            "/payments/9",
            get("/payments/9"),
            StatusCode::UNAUTHORIZED,
            "token_missing",
        ),
    ] {
        stand.denied(ask, status, reason).await?;
        let line = access_line(&ground, path).await?;
        let details = format!("identity_filter_access_denied{{{reason}}}");
        expect(
            "the details of the response",
            &line["details"],
            details.as_str(),
        )?;
        expect("the decision", &line["state_decision"], "deny")?;
        expect(
            "no record of an allowed request",
            &line["allowed"],
            &Value::Null,
        )?;
    }
    Ok(())
}

/// A second filter is the plugin at hand that would write the same. It is refused, and lives on.
async fn written_once() -> Result<(), Mismatch> {
    let ground = Ground::start_with_two_filters().await?;
    for _request in 0..2 {
        let reply = send(&ground, get("/payments/healthz")).await?;
        let internal = StatusCode::INTERNAL_SERVER_ERROR;
        expect(
            "the status and body",
            (reply.status, reply.text()),
            (internal, String::new()),
        )?;
    }
    for line in access_lines(&ground, "/payments/healthz", 2).await? {
        expect(
            "the details",
            &line["details"],
            "identity_filter_host_call_failed",
        )?;
        let allowed = &record(&line["allowed"])["rule"];
        expect("the record of the first filter", allowed, "health")?;
    }
    expect(
        "the requests at the workload",
        ground.stand.workload.requests(),
        0,
    )
}

async fn send(ground: &Ground, ask: Ask) -> Result<Reply, Mismatch> {
    Ok(ground.stand.open().await?.send(ask).await?)
}

async fn access_line(ground: &Ground, path: &str) -> Result<Value, Mismatch> {
    let mut lines = access_lines(ground, path, 1).await?;
    lines
        .pop()
        .ok_or_else(|| Mismatch::differs("the access log", "nothing", path))
}

async fn access_lines(ground: &Ground, path: &str, count: usize) -> Result<Vec<Value>, Mismatch> {
    let what = format!("{count} lines of the access log about {path}");
    let lines = eventually(&what, LOG_LIMIT, async || {
        let lines = ground.stand.gateway.access_log().into_iter();
        let lines: Vec<_> = lines.filter(|line| line["path"] == path).collect();
        (lines.len() == count).then_some(lines)
    });
    Ok(lines.await?)
}

fn state(line: &Value) -> Value {
    let members = line.as_object().into_iter().flatten();
    let values = members
        .filter_map(|(name, value)| Some((name.strip_prefix("state_")?.to_owned(), value.clone())));
    Value::Object(values.collect())
}

fn record(text: &Value) -> Value {
    let text = text.as_str().unwrap_or_default();
    serde_json::from_str(text).unwrap_or_default()
}

fn held(outcome: Result<(), Mismatch>) {
    outcome.unwrap_or_else(|mismatch| panic!("{mismatch}"));
}
