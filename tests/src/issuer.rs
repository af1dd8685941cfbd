//! The OpenID provider of a run: npm `oidc-provider`, a certified one, behind HTTPS. People take
//! their tokens from its token endpoint; the gateways take its keys from its key set.

use std::{mem, net::SocketAddr, path::PathBuf, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use http_body_util::Full;
use hyper::StatusCode;
use rustls::pki_types::CertificateDer;
use serde_json::{Value, json};

use crate::{
    dialer::Dialer,
    error::HarnessError,
    http::{Ask, Exchange},
    key_server::{Answer, KeyServer},
    pki::{Identity, Pki},
    ports,
    process::Process,
    run_folder::RunFolder,
    token::{SigningKey, Token},
    tools,
};

/// Whoever asks for tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Person {
    /// The token's `sub`.
    pub name: &'static str,
    groups: &'static [&'static str],
    /// What the token is signed by.
    pub algorithm: &'static str,
    is_bound: bool,
}

/// Administrator of the namespace `payments`.
pub const ALICE: Person = Person {
    name: "alice",
    groups: &["staff", "payments-admins"],
    algorithm: "RS256",
    is_bound: false,
};
/// Known to the issuer, in no group that gives a role.
pub const BOB: Person = Person {
    name: "bob",
    groups: &["staff"],
    algorithm: "RS256",
    is_bound: false,
};
/// Administrator of the namespace `orders`; her tokens are signed by ES256.
pub const CAROL: Person = Person {
    name: "carol",
    groups: &["staff", "orders-admins"],
    algorithm: "ES256",
    is_bound: false,
};

/// Administrator of the namespace `payments`; his tokens are bound to the certificate that he shows
/// to the issuer (RFC 8705).
pub const DAVE: Person = Person {
    name: "dave",
    groups: &["staff", "payments-admins"],
    algorithm: "RS256",
    is_bound: true,
};
/// Administrator of the namespace `payments`; her tokens are signed by PS256.
pub const ERIN: Person = Person {
    name: "erin",
    algorithm: "PS256",
    ..ALICE
};
/// The same by Ed25519, under the name of RFC 8037.
pub const FRANK: Person = Person {
    name: "frank",
    algorithm: "EdDSA",
    ..ALICE
};
/// The same by Ed25519, under the name of RFC 9864.
pub const GRACE: Person = Person {
    name: "grace",
    algorithm: "Ed25519",
    ..ALICE
};
/// Everybody that the provider knows.
const PEOPLE: [Person; 7] = [ALICE, BOB, CAROL, DAVE, ERIN, FRANK, GRACE];

/// The provider: its address is fixed from the start, so that it can be started later or again.
#[derive(Debug)]
pub struct Issuer {
    process: Option<Process>,
    address: SocketAddr,
    root: CertificateDer<'static>,
    server: Identity,
    clients: PathBuf,
    settings: PathBuf,
    rsa: SigningKey,
    ec: SigningKey,
    /// Keys that only the provider uses, and those that it publishes and no longer uses.
    others: Vec<SigningKey>,
}

impl Issuer {
    /// Chooses a port, makes the signing keys, and writes the settings. Nothing runs yet.
    ///
    /// # Errors
    /// Whatever keeps files from being written.
    pub fn prepare(pki: &Pki, folder: &RunFolder) -> Result<Self, HarnessError> {
        let issuer = Self {
            process: None,
            address: ports::free()?,
            root: pki.provider.root(),
            server: pki.issuer.clone(),
            clients: pki.partners.certificate().clone(),
            settings: folder.file(SETTINGS),
            rsa: SigningKey::rs256("rsa-1")?,
            ec: SigningKey::es256("ec-1")?,
            others: vec![
                SigningKey::ps256("pss-1")?,
                SigningKey::ed25519("ed-1", FRANK.algorithm)?,
                SigningKey::ed25519("ed-2", GRACE.algorithm)?,
            ],
        };
        issuer.write_settings(folder)?;
        Ok(issuer)
    }

    /// Puts a new RSA key in the place of the old one, and starts the provider again with it.
    ///
    /// # Errors
    /// As [`Issuer::start`].
    pub async fn rotate(&mut self, folder: &RunFolder) -> Result<(), HarnessError> {
        self.process = None;
        self.rsa = SigningKey::rs256("rsa-2")?;
        self.write_settings(folder)?;
        self.start(folder).await
    }

    /// The same, but the old key is still published.
    ///
    /// # Errors
    /// As [`Issuer::start`].
    pub async fn rotate_beside_the_old(&mut self, folder: &RunFolder) -> Result<(), HarnessError> {
        self.process = None;
        let old = mem::replace(&mut self.rsa, SigningKey::rs256("rsa-2")?);
        self.others.push(old);
        self.write_settings(folder)?;
        self.start(folder).await
    }

    /// Publishes no more RSA keys than the one in use, and starts the provider again.
    ///
    /// # Errors
    /// As [`Issuer::start`].
    pub async fn withdraw_old_keys(&mut self, folder: &RunFolder) -> Result<(), HarnessError> {
        self.process = None;
        let in_use = self.rsa.algorithm();
        self.others.retain(|key| key.algorithm() != in_use);
        self.write_settings(folder)?;
        self.start(folder).await
    }

    fn write_settings(&self, folder: &RunFolder) -> Result<(), HarnessError> {
        let keys = [&self.rsa, &self.ec].into_iter().chain(&self.others);
        let keys = keys.map(|key| {
            let file = folder.write_secret(&format!("issuer-{}.key", key.id()), key.private_pem());
            file.map(|file| json!({ "kid": key.id(), "alg": key.algorithm(), "file": file }))
        });
        let people = PEOPLE.map(|person| {
            json!({
                "id": person.name,
                "secret": secret_of(person),
                "algorithm": person.algorithm,
                "bound": person.is_bound,
                "claims": { "groups": person.groups },
            })
        });
        let settings = json!({
            "issuer": self.url(),
            "port": self.address.port(),
            "tls": {
                "certificate": self.server.certificate,
                "key": self.server.private_key,
                "client_ca": self.clients,
            },
            "cookie_key": "no browser comes here",
            "keys": keys.collect::<Result<Vec<Value>, HarnessError>>()?,
            "people": people,
            "token_lifetime_seconds": TOKEN_LIFETIME.as_secs(),
        });
        folder
            .write_secret(SETTINGS, &format!("{settings:#}"))
            .map(|_written| ())
    }

    /// Starts the provider and waits until its discovery document can be read.
    ///
    /// # Errors
    /// [`HarnessError::ToolMissing`], [`HarnessError::Ended`] or [`HarnessError::Deadline`].
    pub async fn start(&mut self, folder: &RunFolder) -> Result<(), HarnessError> {
        let script = tools::issuer_script()?;
        let arguments = [script.to_string_lossy(), self.settings.to_string_lossy()];
        let arguments = arguments.each_ref().map(|argument| &**argument);
        let mut process = Process::start("issuer", &tools::node()?, &arguments, folder)?;
        let expected = self.url();
        process
            .ready_when(START_LIMIT, async || {
                self.discovery()
                    .await
                    .is_ok_and(|document| document["issuer"] == *expected)
            })
            .await?;
        self.process = Some(process);
        Ok(())
    }

    /// Ends the provider, and puts a fake in its place that gives no keys.
    ///
    /// # Errors
    /// As [`KeyServer::start_at`].
    pub async fn replace_by_hostile(&mut self) -> Result<KeyServer, HarnessError> {
        self.process = None;
        let hostile = KeyServer::start_at(self.address, &self.server).await?;
        hostile.answer_in_turn(KEY_SET, Answer::hostile());
        Ok(hostile)
    }

    /// The `iss` of its tokens.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://{HOST}:{}", self.address.port())
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where its key set is.
    #[must_use]
    pub fn key_set_url(&self) -> String {
        format!("{}{KEY_SET}", self.url())
    }

    /// The key that it signs RS256 with.
    #[must_use]
    pub fn rsa(&self) -> &SigningKey {
        &self.rsa
    }

    /// The key that it signs ES256 with.
    #[must_use]
    pub fn ec(&self) -> &SigningKey {
        &self.ec
    }

    /// A token of this person from the token endpoint (RFC 6749 section 4.4, RFC 8707).
    ///
    /// # Errors
    /// [`HarnessError::Answer`] if the provider refuses.
    pub async fn token(&self, person: Person) -> Result<String, HarnessError> {
        self.token_by(&self.dialer(), person).await
    }

    /// The same, asked for by whoever shows this certificate: some people get no other token.
    ///
    /// # Errors
    /// [`HarnessError::Answer`] if the provider refuses.
    pub async fn token_bound_to(
        &self,
        person: Person,
        identity: &Identity,
    ) -> Result<String, HarnessError> {
        self.token_by(&self.dialer().as_identity(identity), person)
            .await
    }

    async fn token_by(&self, dialer: &Dialer, person: Person) -> Result<String, HarnessError> {
        let form = "grant_type=client_credentials&resource=api%3A%2F%2Forders";
        let credentials = STANDARD.encode(format!("{}:{}", person.name, secret_of(person)));
        let ask = Ask::post(&self.authority(), "/token", Full::from(form))
            .header("authorization", format!("Basic {credentials}"))
            .header("content-type", "application/x-www-form-urlencoded");
        let reply = Exchange::open(dialer).await?.send(ask).await?;
        let token = reply.json()["access_token"].as_str().map(str::to_owned);
        token.ok_or_else(|| HarnessError::Answer {
            peer: self.url(),
            got: format!("{}: {}", reply.status, reply.text()),
            expected: "an access token",
        })
    }

    /// A token that states what the provider would state, not yet signed: to be spoilt, or to be
    /// used while the provider is down.
    #[must_use]
    pub fn draft(&self, person: Person) -> Token {
        Token::honest(&self.url(), AUDIENCE, person.name).with("groups", json!(person.groups))
    }

    async fn discovery(&self) -> Result<Value, HarnessError> {
        let ask = Ask::get(&self.authority(), "/.well-known/openid-configuration");
        let reply = Exchange::open(&self.dialer()).await?.send(ask).await?;
        if reply.status == StatusCode::OK {
            Ok(reply.json())
        } else {
            Ok(Value::Null)
        }
    }

    fn dialer(&self) -> Dialer {
        Dialer::public(self.address, HOST, self.root.clone())
    }

    fn authority(&self) -> String {
        format!("{HOST}:{}", self.address.port())
    }
}

fn secret_of(person: Person) -> String {
    format!("{}-knows-this", person.name)
}

/// The `aud` that the gateways ask for.
pub const AUDIENCE: &str = "api://orders";

/// The name in the provider's certificate.
pub const HOST: &str = "localhost";

/// Where the provider's key set is.
pub const KEY_SET: &str = "/jwks";

/// What the provider is told.
const SETTINGS: &str = "issuer.json";

/// Long enough to play with the demo.
const TOKEN_LIFETIME: Duration = Duration::from_secs(12 * 3600);

/// Node loads 36 packages from a cold disk within it.
const START_LIMIT: Duration = Duration::from_secs(30);
