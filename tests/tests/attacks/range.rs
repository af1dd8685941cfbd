//! Where the attacks take place: one gateway, the key sets of several providers, and who signs for them.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use e2e::{
    conversation::{Mismatch, mirror::Mirror},
    deadline::eventually,
    error::HarnessError,
    http::{Ask, Reply},
    key_server::{Answer, KeyServer},
    plugin::ISSUER_CLUSTER,
    stand::{Stand, url},
    token::{SigningKey, Token},
};
use hyper::StatusCode;
use serde_json::{Value, json};

use crate::{Place, curve::Curves, forge::Draft, key_set::Careless, rsa_forge::RawRsa};

/// The gateway and the keys.
#[derive(Debug)]
pub(crate) struct Range {
    pub(crate) stand: Stand,
    pub(crate) keys: Keys,
    jti: AtomicU64,
}

/// The keys of the honest providers, and those that an attacker can get published.
#[derive(Debug)]
pub(crate) struct Keys {
    /// Of [`PEOPLE`]; each is bound to its algorithm.
    pub(crate) rsa: SigningKey,
    pub(crate) pss: SigningKey,
    pub(crate) p256: SigningKey,
    pub(crate) p384: SigningKey,
    pub(crate) ed25519: SigningKey,
    /// Of [`PEOPLE`], bound to no algorithm, able to sign what no library would.
    pub(crate) raw_rsa: RawRsa,
    /// Of [`PARTNERS`], under the name of [`Keys::p256`].
    pub(crate) partners: SigningKey,
    /// Of nobody.
    pub(crate) attacker: SigningKey,
    /// Of [`CARELESS`].
    pub(crate) careless: Careless,
    /// Of [`CARELESS`], on no curve or of small order.
    pub(crate) curves: Curves,
}

impl Keys {
    fn new() -> Result<Self, HarnessError> {
        let p256 = SigningKey::es256("p256")?;
        Ok(Self {
            rsa: SigningKey::rs256("rsa")?,
            pss: SigningKey::ps256("pss")?,
            p384: SigningKey::es384("p384")?,
            ed25519: SigningKey::ed25519("ed25519", "EdDSA")?,
            raw_rsa: RawRsa::new(2048, 65537)?,
            partners: SigningKey::es256("p256")?,
            attacker: SigningKey::es256("attacker")?,
            careless: Careless::new()?,
            curves: Curves::new(&p256.public_jwk()),
            p256,
        })
    }

    fn of_people(&self) -> Vec<Value> {
        let bound = [&self.rsa, &self.pss, &self.p256, &self.p384, &self.ed25519];
        let bound = bound.into_iter().map(SigningKey::public_jwk);
        bound.chain([self.raw_rsa.jwk(RAW_RSA)]).collect()
    }
}

impl Place for Range {
    /// Starts the gateway and waits until it has the keys of every provider.
    async fn start() -> Result<Self, Mismatch> {
        let keys = Keys::new()?;
        let publish = |server: &KeyServer| {
            let good = keys.p256.public_jwk();
            server.answer("/people", Answer::keys(&keys.of_people()));
            server.answer("/partners", Answer::keys([&keys.partners.public_jwk()]));
            server.answer("/strict", Answer::keys([&good]));
            let mut careless = keys.careless.jwks();
            careless.extend(keys.curves.jwks());
            careless.push(good.clone());
            server.answer("/careless", Answer::keys(&careless));
            server.answer("/brief", Answer::keys([&good]));
            for number in 0..Answer::hostile().len() {
                server.answer(&hostile_page(number), Answer::keys([&good]));
            }
            configuration(server)
        };
        let stand = Stand::start(1, publish).await?;
        let range = Self {
            stand,
            keys,
            jti: AtomicU64::new(0),
        };
        eventually("the keys of every provider", KEYS_LIMIT, async || {
            for issuer in every_issuer() {
                let token = range.draft_of(&issuer, &range.keys.p256);
                let key = if issuer == PARTNERS {
                    &range.keys.partners
                } else {
                    &range.keys.p256
                };
                let ask = ask().bearer(&token.signed(key).ok()?);
                range.stand.allowed(ask).await.ok()?;
            }
            Some(())
        })
        .await?;
        Ok(range)
    }

    fn end(mut self, has_failed: bool) {
        if has_failed {
            self.stand.keep_files();
        }
    }
}

impl Range {
    /// What [`PEOPLE`] would state, for this key, not yet signed. No two are the same.
    pub(crate) fn draft(&self, key: &SigningKey) -> Draft {
        self.draft_of(PEOPLE, key)
    }

    /// The same of another provider.
    pub(crate) fn draft_of(&self, issuer: &str, key: &SigningKey) -> Draft {
        let typ = if issuer == STRICT { "at+jwt" } else { "JWT" };
        let header = json!({ "alg": key.algorithm(), "kid": key.id(), "typ": typ });
        let jti = self.jti.fetch_add(1, Ordering::Relaxed);
        let claims = Token::honest(issuer, AUDIENCE, "alice")
            .with("jti", json!(jti))
            .with("token_use", json!("access"))
            .with("tid", json!("our-tenant"))
            .claims();
        Draft::new(header, claims)
    }

    /// A token that was never seen before passes.
    pub(crate) async fn honest_passes(&self) -> Result<Mirror, Mismatch> {
        let token = self.draft(&self.keys.p256).signed(&self.keys.p256)?;
        self.passes("an honest token", &token).await
    }

    /// This token passes.
    pub(crate) async fn passes(&self, case: &str, token: &str) -> Result<Mirror, Mismatch> {
        let passed = self.stand.allowed(ask().bearer(token)).await;
        passed.map_err(|mismatch| of_case(case, &mismatch))
    }

    /// This token gets 401 for this reason, the workload hears nothing of it, and an honest one passes
    /// right after.
    pub(crate) async fn refused(
        &self,
        case: &str,
        token: &str,
        reason: &str,
    ) -> Result<Reply, Mismatch> {
        self.refused_ask(case, ask().bearer(token), reason).await
    }

    /// The same of a whole request.
    pub(crate) async fn refused_ask(
        &self,
        case: &str,
        ask: Ask,
        reason: &str,
    ) -> Result<Reply, Mismatch> {
        let denied = self.stand.denied(ask, StatusCode::UNAUTHORIZED, reason);
        let reply = denied.await.map_err(|mismatch| of_case(case, &mismatch))?;
        let honest = self.honest_passes().await;
        honest.map_err(|mismatch| of_case(&format!("what came after {case}"), &mismatch))?;
        Ok(reply)
    }
}

/// A mismatch that says in which case it was found.
pub(crate) fn of_case(case: &str, mismatch: &Mismatch) -> Mismatch {
    Mismatch::differs(case, &mismatch.to_string(), "what the test says")
}

/// A request that whoever has a valid token may make.
pub(crate) fn ask() -> Ask {
    Ask::get("api.example.com", "/payments/list")
}

/// The page of the provider that will meet this hostile answer.
pub(crate) fn hostile_page(number: usize) -> String {
    format!("/hostile-{number}")
}

/// The issuer of the same.
pub(crate) fn hostile_issuer(number: usize) -> String {
    format!("https://hostile-{number}.example")
}

fn every_issuer() -> Vec<String> {
    let named = [PEOPLE, PARTNERS, STRICT, CARELESS, BRIEF].map(str::to_owned);
    let hostile = (0..Answer::hostile().len()).map(hostile_issuer);
    named.into_iter().chain(hostile).collect()
}

fn configuration(server: &KeyServer) -> Value {
    let provider = |name: &str, issuer: &str, refresh: u64| {
        json!({
            "name": name,
            "issuer": issuer,
            "audiences": [AUDIENCE],
            "algorithms": ["RS256", "PS256", "ES256", "ES384", "EdDSA"],
            "jwks": {
                "cluster": ISSUER_CLUSTER,
                "uri": url(server, &format!("/{name}")),
                "refresh_seconds": refresh,
                "refresh_max_seconds": refresh,
                "timeout_seconds": 1,
            },
        })
    };
    let mut strict = provider("strict", STRICT, 300);
    strict["types"] = json!(["at+jwt"]);
    strict["max_lifetime_seconds"] = json!(600);
    strict["required_claims"] = json!([
        { "claim": "token_use", "equals": "access" },
        { "claim": "tid", "equals": "our-tenant" },
        { "claim": "cnf", "present": false },
    ]);
    strict["tokens"] = json!([
        { "header": "authorization", "scheme": "Bearer" },
        { "header": "x-token" },
        { "cookie": "session" },
    ]);
    let mut brief = provider("brief", BRIEF, REFRESH_SECONDS);
    brief["clock_skew_seconds"] = json!(0);
    let mut providers = vec![
        provider("people", PEOPLE, 300),
        provider("partners", PARTNERS, 300),
        strict,
        provider("careless", CARELESS, 300),
        brief,
    ];
    let hostile = (0..Answer::hostile().len()).map(|number| {
        let name = format!("hostile-{number}");
        provider(&name, &hostile_issuer(number), REFRESH_SECONDS)
    });
    providers.extend(hostile);
    json!({
        "providers": providers,
        "namespaces": [{ "name": "payments", "routes": [{ "host": "api.example.com" }] }],
        "policy": { "rules": [
            { "name": "everybody-known", "namespace": "payments", "authenticated": true },
        ] },
        "headers": { "set": [
            { "name": "x-identity-email", "provider": "people", "value": "{claim:email}" },
            { "name": "x-identity-groups", "provider": "people", "list": "groups" },
        ] },
        // Every attack comes from one address.
        "limits": { "failures_per_source": 1_000_000, "failure_window_seconds": 1 },
    })
}

/// The provider that most tokens are of.
pub(crate) const PEOPLE: &str = "https://issuer.example/people";
/// Another, whose name differs by a slash.
pub(crate) const PARTNERS: &str = "https://issuer.example/people/";
/// Says of its tokens all that can be said.
pub(crate) const STRICT: &str = "https://strict.example";
/// Publishes keys that nobody should use, and one good one.
pub(crate) const CARELESS: &str = "https://careless.example";
/// Its keys are fetched again after five seconds, and its clock is never wrong.
pub(crate) const BRIEF: &str = "https://brief.example";
/// The `kid` of [`Keys::raw_rsa`].
pub(crate) const RAW_RSA: &str = "raw-rsa";
/// What the gateway asks for.
pub(crate) const AUDIENCE: &str = "api://orders";

/// The filter takes no less.
const REFRESH_SECONDS: u64 = 5;

/// The longest pause between two attempts to fetch keys.
pub(crate) const KEYS_LIMIT: Duration = Duration::from_secs(30);
