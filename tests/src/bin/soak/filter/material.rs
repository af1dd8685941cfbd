//! The tokens of a run, made before it: those of an honest provider with its keys before and after a change, and those that
//! somebody spoilt.

use e2e::{
    clock::unix_now,
    dialer::Dialer,
    error::HarnessError,
    http::{Ask, Exchange},
    issuer::{self, ALICE, BOB, Issuer},
    pki::Pki,
    run_folder::RunFolder,
    token::{SigningKey, Token},
};
use serde_json::{Value, json};

/// Tokens of each set of keys: more than a worker remembers, so that the cache turns over all the time.
pub(crate) const POOL: usize = 3000;

/// A token that the filter must believe, and whom it names.
#[derive(Debug)]
pub(crate) struct Good {
    /// The compact form.
    pub(crate) token: String,
    /// What the workload learns of its subject.
    pub(crate) subject: String,
}

/// Everything that is sent.
#[derive(Debug)]
pub(crate) struct Material {
    issuer: Issuer,
    keys_before: Value,
    keys_after: Value,
    /// Of the RSA key that is given up in the course of the run.
    pub(crate) old: Vec<Good>,
    /// Of the RSA key that takes its place.
    pub(crate) new: Vec<Good>,
    /// Of the key that stays.
    pub(crate) lasting: Vec<Good>,
    /// Signed, and of somebody without a role.
    pub(crate) without_role: String,
    /// Names a key that nobody has.
    pub(crate) unknown_key: String,
    /// Spoilt in one way each.
    pub(crate) spoilt: Vec<String>,
    /// Longer than a token may be.
    pub(crate) huge: String,
}

impl Material {
    /// Lets the real provider make its keys twice, and signs with both.
    pub(crate) async fn make(pki: &Pki, folder: &RunFolder) -> Result<Self, HarnessError> {
        let mut issuer = Issuer::prepare(pki, folder)?;
        issuer.start(folder).await?;
        let keys_before = key_set(&issuer, pki).await?;
        let old = good(&issuer, issuer.rsa(), "old")?;
        let lasting = good(&issuer, issuer.ec(), "lasting")?;
        let spoilt = spoilt(&issuer)?;
        let without_role = long_lived(issuer.draft(BOB)).signed(issuer.ec())?;
        let unknown_key = long_lived(issuer.draft(ALICE)).signed(&SigningKey::es256("nobody")?)?;
        let huge = long_lived(issuer.draft(ALICE))
            .padded_to(20_000)
            .signed(issuer.ec())?;
        issuer.rotate(folder).await?;
        Ok(Self {
            keys_before,
            keys_after: key_set(&issuer, pki).await?,
            old,
            new: good(&issuer, issuer.rsa(), "new")?,
            lasting,
            without_role,
            unknown_key,
            spoilt,
            huge,
            issuer,
        })
    }

    /// Whose tokens they are.
    pub(crate) fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    /// The key set at the beginning.
    pub(crate) fn keys_before(&self) -> Value {
        self.keys_before.clone()
    }

    /// The key set while the key is being changed: the old one and the new one are both there.
    pub(crate) fn keys_meanwhile(&self) -> Value {
        let mut all = keys(&self.keys_after());
        all.extend(keys(&self.keys_before).into_iter().filter(is_old));
        json!({ "keys": all })
    }

    /// The key set at the end.
    pub(crate) fn keys_after(&self) -> Value {
        let mut all = keys(&self.keys_after);
        all.retain(|key| !is_old(key));
        json!({ "keys": all })
    }
}

fn keys(set: &Value) -> Vec<Value> {
    set["keys"].as_array().cloned().unwrap_or_default()
}

/// The provider's first RSA key, whatever it does with it after it has changed keys.
fn is_old(key: &Value) -> bool {
    key["kid"] == "rsa-1"
}

async fn key_set(issuer: &Issuer, pki: &Pki) -> Result<Value, HarnessError> {
    let dialer = Dialer::public(issuer.address(), issuer::HOST, pki.provider.root());
    let ask = Ask::get(issuer::HOST, "/jwks");
    Ok(Exchange::open(&dialer).await?.send(ask).await?.json())
}

/// Valid for longer than any run.
fn long_lived(token: Token) -> Token {
    token.with("exp", json!(unix_now() + 24 * 3600))
}

fn good(issuer: &Issuer, key: &SigningKey, name: &str) -> Result<Vec<Good>, HarnessError> {
    let one = |number: usize| {
        let name = format!("{name}-{number:05}");
        let token = long_lived(issuer.draft(ALICE))
            .with("sub", json!(name))
            .with("email", json!(format!("{name}@example.com")));
        Ok(Good {
            token: token.signed(key)?,
            subject: format!("{}#{name}", issuer.url()),
        })
    };
    (0..POOL).map(one).collect()
}

/// Each differs from an honest token in one thing.
fn spoilt(issuer: &Issuer) -> Result<Vec<String>, HarnessError> {
    let (rsa, ec) = (issuer.rsa(), issuer.ec());
    let draft = || long_lived(issuer.draft(ALICE));
    let stranger = SigningKey::es256(ec.id())?;
    let signed = [
        draft().expired_by(3600),
        draft().with("aud", json!("api://other")),
        draft().with("aud", json!(["api://orders", 1])),
        draft().with("iss", json!(format!("{}/", issuer.url()))),
        draft().with("iss", json!(1)),
        draft().with("sub", json!("")),
        draft().with("exp", json!("tomorrow")),
        draft().with("exp", json!(1.5)),
        draft().with("nbf", json!(unix_now() + 48 * 3600)),
        draft().with("iat", json!(unix_now() + 48 * 3600)),
        draft().with("deep", deep(40)),
    ];
    let mut all = Vec::new();
    for token in &signed {
        all.push(token.signed(rsa)?);
        all.push(token.signed(ec)?);
    }
    all.push(draft().signed(&stranger)?);
    all.push(draft().unsigned(rsa));
    all.push(draft().authenticated_with_public_key(rsa));
    Ok(all)
}

fn deep(levels: usize) -> Value {
    (0..levels).fold(json!(1), |inner, _| json!([inner]))
}
