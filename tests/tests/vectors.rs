//! Signatures that others made, judged inside the real gateway: by its own `verify_signature` and by the
//! filter's software, both called as the filter calls them. The native tests ask the same of a stand-in
//! for the gateway.

#![expect(
    clippy::unwrap_used,
    reason = "a test that panics has failed, also in its helpers"
)]

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use e2e::{
    http::{Ask, Exchange},
    plain_gateway::{PlainGateway, Plan, identity_filter},
    process::Process,
    run_folder::RunFolder,
    tools,
};
use http_body_util::Full;
use hyper::{StatusCode, body::Bytes};
use serde_json::{Value, json};
use signatures::{
    case::{Case, Group, Signed},
    outside, primitives,
};

/// How often each algorithm was accepted and refused by the gateway and by the software.
type Counts = BTreeMap<String, [[usize; 2]; 2]>;

#[tokio::test]
async fn tokens_that_others_signed() {
    let Some(groups) = outside::groups("tokens that others signed, in the gateway").unwrap() else {
        return;
    };
    let counts = check(&groups).await;
    assert!(counts["RS256"][0][0] > 0 && counts["ES256"][0][0] > 0);
}

#[tokio::test]
async fn texts_that_others_signed() {
    let counts = check(&primitives::groups().unwrap()).await;
    assert_eq!(counts.len(), 10);
    for (name, [by_host, by_software]) in counts {
        let both_ways = |counts: [usize; 2]| counts.iter().all(|count| *count > 0);
        let (is_hosts, is_softwares) = (
            name.starts_with("RS") || name.starts_with("ES"),
            name != "ES512",
        );
        assert_eq!(both_ways(by_host), is_hosts, "{name} by the host");
        assert_eq!(
            both_ways(by_software),
            is_softwares,
            "{name} by the software"
        );
    }
}

/// Every case of every group, in as few requests as the gateway's buffer allows.
async fn check(groups: &[Group]) -> Counts {
    let folder = RunFolder::create().unwrap();
    let mut verifier = identity_filter(&tools::verifier().unwrap(), &json!({}));
    // The body is the question, so the headers must be able to wait for it.
    verifier["typed_config"]["config"]["allow_on_headers_stop_iteration"] = json!(true);
    let plan = Plan {
        filters: vec![verifier],
        ..Plan::default()
    };
    let envoy = PlainGateway::start("verifier", plan, Process::start, &folder)
        .await
        .unwrap();
    let mut exchange = Exchange::open_clear(envoy.address).await.unwrap();
    let mut counts = Counts::new();
    for group in groups {
        for cases in group.cases.chunks(CASES_PER_REQUEST) {
            let verdicts = ask(&mut exchange, group, cases).await;
            assert_eq!(verdicts.len(), cases.len(), "{}", group.name);
            for (case, verdicts) in cases.iter().zip(&verdicts) {
                judge(group, case, verdicts, &mut counts);
            }
        }
    }
    eprintln!("accepted and refused by the host, by the software: {counts:?}");
    counts
}

async fn ask(exchange: &mut Exchange, group: &Group, cases: &[Case]) -> Vec<Value> {
    let signed: Vec<_> = cases.iter().map(|case| written(&case.signed)).collect();
    let question = json!({ "keys": group.keys, "signed": signed }).to_string();
    let body = Full::new(Bytes::from(question));
    let reply = exchange.send(Ask::post("verifier.test", "/", body)).await;
    let reply = reply.unwrap();
    assert_eq!(reply.status, StatusCode::OK, "{}", group.name);
    let answer = reply.json();
    assert_eq!(answer["engines"], ENGINES, "by self-test");
    answer["verdicts"].as_array().unwrap().clone()
}

fn judge(group: &Group, case: &Case, verdicts: &Value, counts: &mut Counts) {
    let by_engine = [verdicts[0].as_bool(), verdicts[1].as_bool()];
    let said: Vec<bool> = by_engine.into_iter().flatten().collect();
    assert!(
        case.want.is_met_by(&said),
        "{}, {}: host and software say {by_engine:?}, {:?} is right",
        group.name,
        case.name,
        case.want
    );
    let count = counts.entry(algorithm(&case.signed)).or_default();
    for (count, verdict) in count.iter_mut().zip(by_engine) {
        if let Some(verdict) = verdict {
            count[usize::from(!verdict)] += 1;
        }
    }
}

fn written(signed: &Signed) -> Value {
    match signed {
        Signed::Token(token) => json!({ "token": token }),
        Signed::Text {
            algorithm,
            text,
            signature,
        } => json!({
            "algorithm": algorithm,
            "text": URL_SAFE_NO_PAD.encode(text),
            "signature": URL_SAFE_NO_PAD.encode(signature),
        }),
    }
}

/// What the header of a token says, if it can be read.
fn algorithm(signed: &Signed) -> String {
    match signed {
        Signed::Text { algorithm, .. } => (*algorithm).to_owned(),
        Signed::Token(token) => {
            let header = token.split('.').next().unwrap_or_default();
            let header = URL_SAFE_NO_PAD.decode(header).unwrap_or_default();
            let header: Value = serde_json::from_slice(&header).unwrap_or_default();
            header["alg"].as_str().unwrap_or("no algorithm").to_owned()
        }
    }
}

/// Which engine the gateway of the tests gives which algorithm.
const ENGINES: &str = "EdDSA software, ES256 host, ES384 host, ES512 host, PS256 software, PS384 software, \
                       PS512 software, RS256 host, RS384 host, RS512 host";

/// An RSA key of 4096 bits costs the software a few milliseconds a case, and for so long the gateway
/// does nothing else.
const CASES_PER_REQUEST: usize = 100;
