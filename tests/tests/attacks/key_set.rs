//! Key sets: keys that nobody should use, and what a key server can be made to do.

use aws_lc_rs::hmac;
use e2e::{
    clock::unix_now,
    conversation::{Mismatch, expect},
    deadline::eventually,
    error::HarnessError,
    key_server::Answer,
    token::SigningKey,
};
use serde_json::{Value, json};

use crate::{
    Attack,
    forge::{Draft, encode},
    range::{CARELESS, KEYS_LIMIT, Range, hostile_issuer, hostile_page},
    rsa_forge::{RawRsa, digest_info, jwk, pkcs1},
};

pub(crate) const ATTACKS: &[Attack] = &[
    Attack {
        row: 10,
        name: "weak_rsa_keys_are_left_out",
        run: |range| Box::pin(weak_rsa(range)),
    },
    Attack {
        row: 16,
        name: "lost_doubled_and_foreign_keys_are_left_out",
        run: |range| Box::pin(misplaced(range)),
    },
    Attack {
        row: 27,
        name: "unknown_kids_do_not_make_a_storm_of_fetches",
        run: |range| Box::pin(flood(range)),
    },
    Attack {
        row: 27,
        name: "hostile_answers_leave_the_last_good_keys",
        run: |range| Box::pin(hostile_answers(range)),
    },
    Attack {
        row: 27,
        name: "a_poisoned_set_spoils_no_key_but_its_own",
        run: |range| Box::pin(poisoned(range)),
    },
];

/// Keys that a provider should not have published.
#[derive(Debug)]
pub(crate) struct Careless {
    short: RawRsa,
    cubic: RawRsa,
    sound: RawRsa,
    lost: SigningKey,
    twins: [SigningKey; 2],
    encrypting: SigningKey,
    unfit: SigningKey,
}

impl Careless {
    /// New ones.
    pub(crate) fn new() -> Result<Self, HarnessError> {
        Ok(Self {
            short: RawRsa::new(1024, 65537)?,
            cubic: RawRsa::new(2048, 3)?,
            sound: RawRsa::new(2048, 65537)?,
            lost: SigningKey::es256("lost")?,
            twins: [SigningKey::es256("twin")?, SigningKey::es256("twin")?],
            encrypting: SigningKey::es256("encrypting")?,
            unfit: SigningKey::es256("unfit")?,
        })
    }

    /// To be published.
    pub(crate) fn jwks(&self) -> Vec<Value> {
        let with = |key: &SigningKey, member: &str, value: Value| {
            let mut key = key.public_jwk();
            key[member] = value;
            key
        };
        let modulus = self.sound.modulus();
        let mut even = modulus.clone();
        *even.last_mut().unwrap_or(&mut 0) &= 0xfe;
        let mut long = vec![0xff; 520];
        long[500] = 0x5a;
        let exponent = [1, 0, 1];
        let mut rsa_lost = jwk("rsa-lost", &modulus, &exponent);
        rsa_lost["d"] = json!(encode([3; 256]));
        let oct = json!({ "kty": "oct", "kid": "oct", "k": encode(SECRET) });
        let mut oct_named = oct.clone();
        (oct_named["kid"], oct_named["alg"]) = (json!("oct-hs256"), json!("HS256"));
        vec![
            self.short.jwk("of 1024 bits"),
            self.cubic.jwk("of exponent 3"),
            jwk("of exponent 1", &modulus, &[1]),
            jwk("of an even exponent", &modulus, &[1, 0, 0]),
            jwk("of an even modulus", &even, &exponent),
            jwk("of 4160 bits", &long, &exponent),
            jwk("without a modulus", &[], &exponent),
            with(&self.lost, "d", json!(encode([3; 32]))),
            rsa_lost,
            oct,
            oct_named,
            self.twins[0].public_jwk(),
            self.twins[1].public_jwk(),
            with(&self.encrypting, "use", json!("enc")),
            with(&self.unfit, "key_ops", json!(["encrypt", "wrapKey"])),
        ]
    }
}

/// Each token is signed as well as its key can: what is refused is the key.
async fn weak_rsa(range: &Range) -> Result<(), Mismatch> {
    let Careless {
        short,
        cubic,
        sound,
        ..
    } = &range.keys.careless;
    let draft = |id: &str| range.draft_of(CARELESS, &range.keys.rsa).head("kid", id);
    let signed = |id: &str, key: &RawRsa| {
        let draft = draft(id);
        let text = draft.signing_input();
        draft.with_signature(key.power(&pkcs1(key.size(), &digest_info(text.as_bytes()))))
    };
    let to_the_first_power = |draft: &Draft| {
        let text = draft.signing_input();
        draft.with_signature(pkcs1(sound.size(), &digest_info(text.as_bytes())))
    };
    let cases = [
        ("a key of 1024 bits", signed("of 1024 bits", short)),
        ("exponent 3", signed("of exponent 3", cubic)),
        (
            "exponent 1, signed by nobody",
            to_the_first_power(&draft("of exponent 1")),
        ),
        ("an even exponent", signed("of an even exponent", sound)),
        ("an even modulus", signed("of an even modulus", sound)),
        (
            "a key of 4160 bits",
            draft("of 4160 bits").with_signature([1; 520]),
        ),
        ("no modulus", draft("without a modulus").with_signature([])),
    ];
    for (case, token) in cases {
        range.refused(case, &token, "key_unknown").await?;
    }
    good_key_serves(range).await
}

async fn good_key_serves(range: &Range) -> Result<(), Mismatch> {
    let good = &range.keys.p256;
    let token = range.draft_of(CARELESS, good).signed(good)?;
    range.passes("the good key of the same set", &token).await?;
    Ok(())
}

async fn misplaced(range: &Range) -> Result<(), Mismatch> {
    let Careless {
        sound,
        lost,
        twins,
        encrypting,
        unfit,
        ..
    } = &range.keys.careless;
    for key in [lost, &twins[0], &twins[1], encrypting, unfit] {
        let token = range.draft_of(CARELESS, key).signed(key)?;
        range.refused(key.id(), &token, "key_unknown").await?;
    }
    let draft = range
        .draft_of(CARELESS, &range.keys.rsa)
        .head("kid", "rsa-lost");
    let text = draft.signing_input();
    let token =
        draft.with_signature(sound.power(&pkcs1(sound.size(), &digest_info(text.as_bytes()))));
    range
        .refused("an RSA key with its private part", &token, "key_unknown")
        .await?;
    for id in ["oct", "oct-hs256"] {
        let draft = range
            .draft_of(CARELESS, &range.keys.rsa)
            .head("kid", id)
            .head("alg", "HS256");
        let tag = hmac::sign(
            &hmac::Key::new(hmac::HMAC_SHA256, SECRET),
            draft.signing_input().as_bytes(),
        );
        range
            .refused(id, &draft.with_signature(tag), "algorithm_refused")
            .await?;
    }
    good_key_serves(range).await?;
    // Four of them each time that the set was read.
    let counter = "wasmcustom.identity_filter.private_keys_refused";
    let counted = range.stand.metric(counter).await?;
    expect(
        "the private keys that were counted",
        (counted >= 4, counted % 4),
        (true, 0),
    )
}

/// A stranger's tokens name keys that nobody has: at most one fetch in ten seconds comes of it.
async fn flood(range: &Range) -> Result<(), Mismatch> {
    let attacker = &range.keys.attacker;
    let (start, before) = (unix_now(), range.stand.keys.asked("/people"));
    for number in 0..FLOOD {
        let id = format!("nobody-{number}");
        let token = range.draft(attacker).head("kid", id).signed(attacker)?;
        range
            .refused(&format!("unknown kid {number}"), &token, "key_unknown")
            .await?;
    }
    let seconds = usize::try_from(unix_now() - start).unwrap_or(usize::MAX);
    let fetches = range.stand.keys.asked("/people") - before;
    let about = format!("{fetches} fetches in {seconds} s are few");
    expect(&about, fetches <= 2 + seconds / 10, true)
}

/// Every answer meets a provider of its own, so all of them come at the same time.
async fn hostile_answers(range: &Range) -> Result<(), Mismatch> {
    let (keys, good) = (&range.stand.keys, &range.keys.p256);
    let answers = Answer::hostile();
    let mut asked = Vec::new();
    for (number, answer) in answers.iter().enumerate() {
        asked.push(keys.asked(&hostile_page(number)));
        keys.answer(&hostile_page(number), answer.clone());
    }
    for (number, answer) in answers.iter().enumerate() {
        // One fetch may have been under way, the next two have met it.
        keys.was_asked(&hostile_page(number), asked[number] + 3)
            .await?;
        let issuer = hostile_issuer(number);
        let token = range.draft_of(&issuer, good).signed(good)?;
        range.passes(&format!("after {answer:?}"), &token).await?;
        let draft = range.draft_of(&issuer, &range.keys.attacker);
        let token = draft.signed(&range.keys.attacker)?;
        let case = format!("an unknown key after {answer:?}");
        range.refused(&case, &token, "key_unknown").await?;
    }
    expect("where redirects led", keys.strays(), [""; 0])
}

/// What is wrong with the document as a whole leaves the keys that were there; what is wrong with one key,
/// every other.
async fn poisoned(range: &Range) -> Result<(), Mismatch> {
    let (keys, good) = (&range.stand.keys, &range.keys.p256);
    let (page, issuer) = (hostile_page(0), hostile_issuer(0));
    let attacker = &range.keys.attacker;
    let many: Vec<Value> = (0..65)
        .map(|number| {
            let mut key = attacker.public_jwk();
            key["kid"] = json!(format!("many-{number}"));
            key
        })
        .collect();
    let attackers = attacker.public_jwk().to_string();
    let documents = [
        ("65 keys", json!({ "keys": many }).to_string()),
        (
            "two lists of keys",
            format!(r#"{{"keys":[{attackers}],"keys":[{attackers}]}}"#),
        ),
        ("a list of lists", format!(r#"{{"keys":[[{attackers}]]}}"#)),
        ("a key that is no set", attackers.clone()),
        (
            "a set 20 deep",
            format!(
                r#"{{"keys":[{attackers}],"x":{}1{}}}"#,
                "[".repeat(20),
                "]".repeat(20)
            ),
        ),
        ("a document cut off", format!(r#"{{"keys":[{attackers}]"#)),
    ];
    let before = keys.asked(&page);
    let count = documents.len();
    keys.answer_in_turn(
        &page,
        documents
            .iter()
            .map(|(_what, text)| Answer::Document(text.clone()))
            .collect(),
    );
    keys.was_asked(&page, before + count + 1).await?;
    let token = range.draft_of(&issuer, attacker).signed(attacker)?;
    range
        .refused("a key of the poisoned sets", &token, "key_unknown")
        .await?;
    let token = range.draft_of(&issuer, good).signed(good)?;
    range.passes("the last good key", &token).await?;
    // A set that can be read is taken whole: the broken key is out, the new one in, the old one gone.
    let newer = SigningKey::es256("newer")?;
    let broken = json!({ "kty": "EC", "crv": "P-256", "kid": "broken", "x": 5 });
    keys.answer(
        &page,
        Answer::keys([&broken, &json!(7), &newer.public_jwk()]),
    );
    eventually("the new key", KEYS_LIMIT, async || {
        let token = range.draft_of(&issuer, &newer).signed(&newer).ok()?;
        range.passes("the new key", &token).await.ok()
    })
    .await?;
    let token = range.draft_of(&issuer, good).signed(good)?;
    range
        .refused("the key that was withdrawn", &token, "key_unknown")
        .await?;
    keys.answer(&page, Answer::keys([&good.public_jwk()]));
    Ok(())
}

/// Tokens of the flood.
const FLOOD: usize = 100;

/// What the symmetric keys hold.
const SECRET: &[u8] = b"a secret that everybody can read";
