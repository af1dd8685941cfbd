//! One Envoy with two doors for each policy, and what they say to requests.

use std::{collections::HashMap, net::SocketAddr, time::Duration};

use e2e::{
    clock::unix_now,
    deadline::eventually,
    log,
    plain_gateway::{Beside, PlainGateway, Plan, Records, identity_filter},
    process::Process,
    raw_http::{Answer, Wire},
    run_folder::RunFolder,
    token::with_broken_signature,
    tools,
};
use serde_json::{Value, json};
use signatures::signer::Signer;

use crate::{
    native,
    policy::{AUDIENCE, ISSUER, Policy},
    request::{ADDRESSES, Caller, Request},
};

/// The doors, and the tokens of those who knock.
pub(crate) struct Doors {
    envoy: PlainGateway,
    rules: Vec<usize>,
    tokens: [(Caller, Option<String>); 5],
}

/// A request, and what was said to it.
#[derive(Debug)]
pub(crate) struct Judged {
    pub(crate) policy: usize,
    /// How many the policy has.
    pub(crate) rules: usize,
    pub(crate) request: Request,
    pub(crate) filter: Verdict,
    pub(crate) native: Verdict,
}

impl Judged {
    /// What the doors said, the filter's first.
    pub(crate) fn said(&self) -> String {
        let of = |verdict: &Verdict| {
            let status = verdict.status.unwrap_or_default();
            format!("{status} {}", verdict.reason)
        };
        format!("{}; {}", of(&self.filter), of(&self.native))
    }
}

/// What a door said.
#[derive(Debug)]
pub(crate) struct Verdict {
    status: Option<u16>,
    /// The filter's reason, else the body.
    pub(crate) reason: String,
}

impl Verdict {
    pub(crate) fn is_allowed(&self) -> bool {
        self.status == Some(200)
    }

    /// Whether it is one, and no failure of the gateway.
    pub(crate) fn is_verdict(&self) -> bool {
        matches!(self.status, Some(200 | 400 | 401 | 403))
    }
}

impl Doors {
    pub(crate) async fn open(policies: &[Policy], folder: &RunFolder) -> Self {
        let key = Signer::es256("key");
        let module = tools::filter().unwrap();
        let door = |filters: Vec<Value>| Beside {
            filters,
            // As Istio has it, unless told otherwise.
            options: json!({ "use_remote_address": true, "normalize_path": true }),
            ..Beside::default()
        };
        let doors = policies.iter().flat_map(|policy| {
            let guard = identity_filter(&module, &policy.for_filter(&key.jwk()));
            [door(vec![guard]), door(native::filters(policy, &key.jwk()))]
        });
        let plan = Plan {
            beside: doors.collect(),
            records: Records::Kept,
            ..Plan::default()
        };
        let envoy = PlainGateway::start("rbac", plan, Process::start, folder)
            .await
            .unwrap();
        Self {
            envoy,
            rules: policies.iter().map(|policy| policy.rules.len()).collect(),
            tokens: tokens(&key),
        }
    }

    /// Asks both doors of each policy about its requests.
    pub(crate) async fn judge(&self, requests: Vec<Vec<Request>>) -> Vec<Judged> {
        let mut asked = Vec::new();
        for (policy, requests) in requests.into_iter().enumerate() {
            let [filter, native] = [0, 1].map(|side| self.envoy.beside[2 * policy + side]);
            let (filter, native) =
                tokio::join!(self.ask(filter, &requests), self.ask(native, &requests));
            let answers = filter.into_iter().zip(native);
            asked.extend(requests.into_iter().zip(answers).map(|pair| (policy, pair)));
        }
        let decision = |answer: &Answer| {
            let body: Value = serde_json::from_slice(&answer.body).ok()?;
            body["decision"].as_str().map(str::to_owned)
        };
        let wanted = asked
            .iter()
            .filter_map(|(_, (_, (filter, _)))| decision(filter))
            .count();
        let reasons = eventually("the audit records", AUDIT_LIMIT, async || {
            let reasons = log::reasons(self.envoy.process.log());
            (reasons.len() >= wanted).then_some(reasons)
        });
        let reasons = reasons.await.unwrap();
        let judged = asked
            .into_iter()
            .map(|(policy, (request, (filter, native)))| {
                let reason = decision(&filter).and_then(|decision| reasons.get(&decision).cloned());
                let text = |answer: &Answer| String::from_utf8_lossy(&answer.body).into_owned();
                Judged {
                    policy,
                    rules: self.rules[policy],
                    request,
                    filter: Verdict {
                        status: filter.status,
                        reason: reason.unwrap_or_else(|| text(&filter)),
                    },
                    native: Verdict {
                        status: native.status,
                        reason: text(&native),
                    },
                }
            });
        judged.collect()
    }

    async fn ask(&self, door: SocketAddr, requests: &[Request]) -> Vec<Answer> {
        let wire = |address| (address, Wire::to(door).from(SocketAddr::new(address, 0)));
        let mut wires: HashMap<_, _> = ADDRESSES.map(Into::into).map(wire).into();
        let mut answers = Vec::new();
        for request in requests {
            let token = self
                .tokens
                .iter()
                .find(|(caller, _)| *caller == request.caller);
            let bytes = request.bytes(token.and_then(|(_, token)| token.as_deref()));
            let wire = wires.get_mut(&request.source.into()).unwrap();
            answers.push(wire.say(&bytes).await.unwrap());
        }
        answers
    }
}

fn tokens(key: &Signer) -> [(Caller, Option<String>); 5] {
    let token = |subject: &str, more: Value| {
        let now = unix_now();
        let mut claims = json!({
            "iss": ISSUER, "aud": AUDIENCE, "sub": subject, "iat": now, "exp": now + 600,
        });
        for (name, value) in more.as_object().unwrap() {
            claims[name] = value.clone();
        }
        key.token(&claims)
    };
    let alice = token("alice", json!({ "roles": ["reader"], "tier": "gold" }));
    let bob = token(
        "bob",
        json!({ "roles": ["writer", "reader"], "tier": "gone" }),
    );
    // Of one role alone some issuers make a text.
    let carol = token("carol", json!({ "roles": "admin" }));
    let forged = with_broken_signature(&alice);
    [
        (Caller::Nobody, None),
        (Caller::Alice, Some(alice)),
        (Caller::Bob, Some(bob)),
        (Caller::Carol, Some(carol)),
        (Caller::Impostor, Some(forged)),
    ]
}

/// What Envoy was told.
pub(crate) fn as_text(filters: &[Value]) -> String {
    serde_json::to_string_pretty(filters).unwrap()
}

/// The gateway writes its log when it has time.
const AUDIT_LIMIT: Duration = Duration::from_secs(20);
