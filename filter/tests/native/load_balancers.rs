//! The presets of AWS' load balancers, configured as on their pages: tokens that say in their header who
//! made them, and keys that are fetched one by one.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use identity_filter::config::Config;
use identity_filter::decision::Denial;
use identity_filter::freshness::Freshness;
use identity_filter::gate::Outcome;
use identity_filter::keyring::{Fetched, Keyring, Moment};
use identity_filter::lease::Board;
use identity_filter::time::UnixTime;
use serde_json::{Value, json};

use crate::documents::plugin_config;
use crate::host::HostStandIn;
use crate::issuer::Signer;
use crate::request::{NOW, Request, Worker, forwarded};

pub(crate) const PRESETS: [&str; 2] = ["aws-alb", "aws-verified-access"];

const KID: &str = "0b3f1c2a-9f7e-4a51-8a55-1f0e3f6d2c11";
const OTHER_KID: &str = "5f3cfb4a-6c1d-4f8e-b9a6-0d2f7e8c9b1a";
const ISSUER: &str = "https://id.example.com";

static P256: LazyLock<Signer> = LazyLock::new(|| Signer::new(KID, "ES256"));
static P384: LazyLock<Signer> = LazyLock::new(|| Signer::new(KID, "ES384"));

/// The host's board, for one worker.
#[derive(Default)]
struct Notes(RefCell<BTreeMap<String, (Vec<u8>, u32)>>);

impl Board for Notes {
    fn read(&self, key: &str) -> (Option<Vec<u8>>, Option<u32>) {
        let notes = self.0.borrow();
        let note = notes.get(key);
        (note.map(|note| note.0.clone()), note.map(|note| note.1))
    }

    fn write(&self, key: &str, value: &[u8], _version: Option<u32>) -> bool {
        let mut notes = self.0.borrow_mut();
        let (old, version) = notes.entry(key.into()).or_default();
        *old = value.into();
        *version += 1;
        true
    }
}

/// A gateway and the region's key server.
struct Region {
    preset: &'static str,
    config: Config,
    keyring: Keyring,
    worker: Worker,
    notes: Notes,
    published: BTreeMap<String, String>,
    asked: Vec<String>,
    elapsed: Duration,
}

impl Region {
    fn new(preset: &'static str, change: impl Fn(&mut Value)) -> Self {
        let mut document = plugin_config(preset);
        change(&mut document);
        let config = Config::parse(document.to_string().as_bytes()).unwrap();
        let signer = signer(preset);
        Self {
            preset,
            keyring: Keyring::new(&config, 1),
            worker: Worker::new(&config),
            config,
            notes: Notes::default(),
            published: [(format!("/{KID}"), signer.pem())].into(),
            asked: Vec::new(),
            elapsed: Duration::ZERO,
        }
    }

    fn send(&mut self, token: &str) -> Outcome {
        let request = || {
            Request::new("GET", "api.example.com", "/orders/1")
                .with("x-amzn-oidc-identity", "admin")
                .with("X_Amzn-Oidc_AccessToken", "e30.e30.AA")
                .with(header(self.preset), token)
        };
        let (config, engines) = (&self.config, HostStandIn::engines());
        let first = self
            .worker
            .decide(request(), config, &self.keyring, &engines);
        let wanted = first.wanted_key.as_ref();
        let wait = wanted.and_then(|wanted| self.keyring.on_wanted(wanted, self.elapsed));
        if wait.is_none() {
            self.worker.settle(&first);
            return first;
        }
        let now = Moment {
            elapsed: self.elapsed,
            wall: UnixTime::from_millis(NOW * 1000),
        };
        for (id, remote) in self.keyring.due(now, &self.notes) {
            let body = self.published.get(&remote.path);
            self.asked.push(format!(
                "{}://{}{}",
                remote.scheme, remote.authority, remote.path
            ));
            let answer = Fetched::Response {
                status: Some(if body.is_some() { 200 } else { 404 }),
                freshness: Freshness::Unsaid,
                body: body.map_or(b"", |body| body.as_bytes()),
            };
            let _logged = self.keyring.on_fetched(id, now, &self.notes, answer);
        }
        let second = self
            .worker
            .decide(request(), config, &self.keyring, &engines);
        self.worker.settle(&second);
        second
    }

    fn denial(&mut self, token: &str) -> Option<Denial> {
        self.send(token).denial
    }
}

fn signer(preset: &str) -> &'static Signer {
    if preset == "aws-alb" { &P256 } else { &P384 }
}

fn header(preset: &str) -> &'static str {
    if preset == "aws-alb" {
        "x-amzn-oidc-data"
    } else {
        "x-amzn-ava-user-context"
    }
}

/// A good token, with these changes in its header and its claims; `null` takes a member away.
fn token(preset: &str, header_changes: &Value, claim_changes: &Value) -> String {
    let changed = |mut object: Value, changes: &Value| {
        for (name, value) in changes.as_object().unwrap() {
            match value {
                Value::Null => drop(object.as_object_mut().unwrap().remove(name)),
                value => object[name] = value.clone(),
            }
        }
        object
    };
    if preset == "aws-alb" {
        let header = json!({"typ": "JWT", "kid": KID, "alg": "ES256", "iss": ISSUER, "client": "0oa1orders",
            "signer": "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/app/shop/50dc6c495c0c9188",
            "exp": NOW + 120});
        let claims = json!({"sub": "alice", "email": "alice@example.com", "groups": ["readers"], "iss": ISSUER,
            "exp": NOW + 120});
        P256.sign_padded(
            &changed(header, header_changes),
            &changed(claims, claim_changes),
        )
    } else {
        let header = json!({"kid": KID, "alg": "ES384", "iss": ISSUER, "exp": NOW + 120,
            "signer": "arn:aws:ec2:eu-central-1:123456789012:verified-access-instance/vai-0ce000c0b7643abea"});
        let claims = json!({"sub": "alice", "email": "alice@example.com", "groups": ["readers"],
            "additional_user_context": {"aud": "x", "iss": ISSUER}});
        P384.sign(
            &changed(header, header_changes),
            &changed(claims, claim_changes),
        )
    }
}

#[test]
fn tokens_of_load_balancers_are_judged_as_on_the_page() {
    use Denial::{
        AlgorithmRefused, AudienceMismatch, IssuerUnknown, RuleMissing, SignerRefused,
        TokenExpired, TokenMalformed, TokenTypeRefused,
    };
    let none = json!({});
    for preset in PRESETS {
        let arn = if preset == "aws-alb" {
            [
                "arn:aws:elasticloadbalancing:eu-central-1:",
                ":loadbalancer/app/shop/50dc6c495c0c9188",
            ]
        } else {
            [
                "arn:aws:ec2:eu-central-1:",
                ":verified-access-instance/vai-0ce000c0b7643abea",
            ]
        };
        let signed_by = |region: &str, account: &str, more: &str| {
            let arn = format!("{}{account}{}{more}", arn[0], arn[1]);
            json!({"signer": arn.replace("eu-central-1", region)})
        };
        let mut region = Region::new(preset, |_document| {});
        let good = region.send(&token(preset, &none, &none));
        assert_eq!(good.denial, None, "{preset}");
        let workload = forwarded(&good, "x-identity-workload");
        let workload = workload.as_deref();
        assert_eq!(workload, Some("spiffe://cluster.local/ns/people/sa/alice"));
        assert_eq!(
            forwarded(&good, "x-identity-subject").as_deref(),
            Some("https://id.example.com#alice")
        );
        if preset == "aws-alb" {
            for name in [
                "x-amzn-oidc-data",
                "x-amzn-oidc-identity",
                "x_amzn-oidc_accesstoken",
            ] {
                assert_eq!(forwarded(&good, name), None, "{name}");
            }
        }
        assert_eq!(region.asked.len(), 1, "{:?}", region.asked);
        let cases = [
            (
                "another account",
                signed_by("eu-central-1", "210987654321", ""),
                none.clone(),
                Some(SignerRefused),
            ),
            (
                "another region",
                signed_by("us-east-1", "123456789012", ""),
                none.clone(),
                Some(SignerRefused),
            ),
            (
                "a longer name",
                signed_by("eu-central-1", "123456789012", "9"),
                none.clone(),
                Some(SignerRefused),
            ),
            (
                "no signer",
                json!({"signer": null}),
                json!({"iss": ISSUER}),
                Some(SignerRefused),
            ),
            (
                "signer is no text",
                json!({"signer": [arn.concat()]}),
                json!({"iss": ISSUER}),
                Some(SignerRefused),
            ),
            (
                "another issuer",
                json!({"iss": "https://evil.test"}),
                json!({"iss": null}),
                Some(IssuerUnknown),
            ),
            (
                "another issuer in the claims",
                none.clone(),
                json!({"iss": "https://evil.test"}),
                Some(IssuerUnknown),
            ),
            (
                "another issuer in the header",
                json!({"iss": "https://evil.test"}),
                json!({"iss": ISSUER}),
                Some(SignerRefused),
            ),
            (
                "issuer in the header alone",
                none.clone(),
                json!({"iss": null}),
                None,
            ),
            (
                "expired in the header",
                json!({"exp": NOW - 61}),
                json!({"exp": NOW + 120}),
                Some(TokenExpired),
            ),
            (
                "expired in the claims",
                none.clone(),
                json!({"exp": NOW - 61}),
                Some(TokenExpired),
            ),
            (
                "end in the header alone",
                none.clone(),
                json!({"exp": null}),
                None,
            ),
            (
                "end in the claims alone",
                json!({"exp": null}),
                json!({"exp": NOW + 120}),
                Some(TokenMalformed),
            ),
            (
                "end is a text",
                json!({"exp": "1800000120"}),
                none.clone(),
                Some(TokenMalformed),
            ),
            (
                "no subject",
                none.clone(),
                json!({"sub": null}),
                Some(TokenMalformed),
            ),
            (
                "logout",
                json!({"typ": "logout+jwt"}),
                none.clone(),
                Some(TokenTypeRefused),
            ),
            (
                "another algorithm",
                json!({"alg": "RS256"}),
                none.clone(),
                Some(AlgorithmRefused),
            ),
            (
                "no group",
                none.clone(),
                json!({"groups": []}),
                Some(RuleMissing),
            ),
        ];
        for (name, header, claims, want) in cases {
            let got = region.denial(&token(preset, &header, &claims));
            assert_eq!(got, want, "{preset}: {name}");
        }
        if preset == "aws-alb" {
            for client in [json!("0oa1other"), Value::Null] {
                let got = region.denial(&token(
                    preset,
                    &json!({"client": client}),
                    &json!({"aud": "0oa1orders"}),
                ));
                assert_eq!(got, Some(AudienceMismatch), "{client}");
            }
        }
        assert_eq!(
            region.asked.len(),
            1,
            "one key, one fetch: {:?}",
            region.asked
        );
    }
}

#[test]
fn keys_come_from_the_region_of_the_signer() {
    let hosts = [
        "https://public-keys.auth.elb.eu-central-1.amazonaws.com/",
        "https://public-keys.prod.verified-access.eu-central-1.amazonaws.com/",
    ];
    for (preset, host) in PRESETS.into_iter().zip(hosts) {
        let mut region = Region::new(preset, |_document| {});
        assert_eq!(region.denial(&token(preset, &json!({}), &json!({}))), None);
        assert_eq!(region.asked, [format!("{host}{KID}")]);
    }
}

#[test]
fn padding_is_for_the_tokens_of_one_preset_and_canonical() {
    let mut alb = Region::new("aws-alb", |_document| {});
    let good = token("aws-alb", &json!({}), &json!({}));
    assert!(good.ends_with("=="), "a signature of 64 bytes");
    assert_eq!(alb.denial(&good), None);
    let unpadded = good.replace('=', "");
    let stray = format!(
        "{}B==",
        good.strip_suffix("==").unwrap().split_at(good.len() - 3).0
    );
    for (name, changed) in [
        ("one too many", format!("{good}=")),
        ("four too many", format!("{good}====")),
        ("one too few", good.strip_suffix('=').unwrap().to_owned()),
        ("stray bits", stray),
    ] {
        assert_eq!(alb.denial(&changed), Some(Denial::TokenMalformed), "{name}");
    }
    // Where the text before it has padding, taking it away changes what is signed.
    if unpadded.rsplit_once('.').unwrap().0 != good.rsplit_once('.').unwrap().0 {
        assert_eq!(alb.denial(&unpadded), Some(Denial::SignatureInvalid));
    }
    let verified_access = token("aws-verified-access", &json!({}), &json!({}));
    let mut region = Region::new("aws-verified-access", |_document| {});
    assert_eq!(
        region.denial(&format!("{verified_access}==")),
        Some(Denial::TokenMalformed)
    );
    assert_eq!(region.denial(&verified_access), None);
}

#[test]
fn a_kid_that_is_no_uuid_never_becomes_part_of_an_address() {
    let upper = KID.to_uppercase();
    for kid in [
        json!("key-1"),
        json!(""),
        json!("."),
        json!(".."),
        json!("../../../latest/meta-data"),
        json!("..%2f..%2fx"),
        json!(format!("{KID}/../x")),
        json!(format!("{KID}?x")),
        json!(format!("{KID}#x")),
        json!(format!("{KID}@evil.test")),
        json!("//evil.test/0b3f1c2a-9f7e-4a51-8a55-1"),
        json!(upper),
        Value::Null,
    ] {
        let mut region = Region::new("aws-alb", |_document| {});
        let got = region.denial(&token("aws-alb", &json!({"kid": kid}), &json!({})));
        assert_eq!(got, Some(Denial::KeyUnknown), "{kid}");
        assert!(region.asked.is_empty(), "{kid}: {:?}", region.asked);
    }
}

#[test]
fn a_key_that_does_not_exist_is_asked_for_once() {
    let mut region = Region::new("aws-alb", |_document| {});
    let forged = token("aws-alb", &json!({"kid": OTHER_KID}), &json!({}));
    for _attempt in 0..3 {
        assert_eq!(region.denial(&forged), Some(Denial::KeyUnknown));
    }
    assert_eq!(region.asked.len(), 1);
    // The region's key of somebody else: its name leads to it, and the signature is not its own.
    let foreign = Signer::new(OTHER_KID, "ES256");
    region
        .published
        .insert(format!("/{OTHER_KID}"), foreign.pem());
    region.elapsed = Duration::from_secs(31);
    let moment = Moment {
        elapsed: region.elapsed,
        wall: UnixTime::from_millis(NOW * 1000 + 31_000),
    };
    assert!(region.keyring.due(moment, &region.notes).is_empty());
    assert_eq!(region.denial(&forged), Some(Denial::SignatureInvalid));
    assert_eq!(
        region.denial(&token("aws-alb", &json!({}), &json!({}))),
        None
    );
}

#[test]
fn a_flood_of_unknown_kids_does_not_keep_good_tokens_out() {
    let mut region = Region::new("aws-alb", |_document| {});
    let good = token("aws-alb", &json!({}), &json!({}));
    assert_eq!(region.denial(&good), None);
    let mut unavailable = 0;
    for number in 0..500 {
        let kid = format!("00000000-0000-4000-8000-{number:012x}");
        let denial = region.denial(&token("aws-alb", &json!({"kid": kid}), &json!({})));
        match denial {
            Some(Denial::KeysUnavailable) => unavailable += 1,
            denial => assert_eq!(denial, Some(Denial::KeyUnknown), "{number}"),
        }
    }
    assert_eq!(
        (region.asked.len(), unavailable),
        (8, 493),
        "eight names at once, the good one among them"
    );
    assert_eq!(region.denial(&good), None);
}

#[test]
fn a_key_of_another_kind_is_no_key() {
    for body in [
        P384.pem(),
        format!("{0}{0}", P256.pem()),
        format!("{}x", P256.pem()),
        P256.pem().replace("PUBLIC", "PRIVATE"),
        String::new(),
    ] {
        let mut region = Region::new("aws-alb", |_document| {});
        region.published.insert(format!("/{KID}"), body.clone());
        let got = region.denial(&token("aws-alb", &json!({}), &json!({})));
        assert_eq!(got, Some(Denial::KeyUnknown), "{body}");
    }
}

#[test]
fn two_load_balancers_of_one_issuer_are_two_providers() {
    let second = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/app/shop/1111111111111111";
    let mut region = Region::new("aws-alb", |document| {
        let mut provider = document["providers"][0].clone();
        provider["name"] = "alb-2".into();
        provider["signer"] = second.into();
        document["providers"].as_array_mut().unwrap().push(provider);
    });
    let provider = |outcome: &Outcome| {
        let record: Value = serde_json::from_str(&outcome.line()).unwrap();
        record["provider"].clone()
    };
    let first = region.send(&token("aws-alb", &json!({}), &json!({})));
    assert_eq!(provider(&first), "alb");
    let second = region.send(&token("aws-alb", &json!({"signer": second}), &json!({})));
    assert_eq!(provider(&second), "alb-2");
    let third = json!({"signer": "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/app/shop/2"});
    assert_eq!(
        region.denial(&token("aws-alb", &third, &json!({}))),
        Some(Denial::SignerRefused)
    );
}
