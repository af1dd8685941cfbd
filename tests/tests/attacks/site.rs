//! Where attacks on paths, hosts, methods and headers take place: Envoy with the filter, and behind it
//! an nginx that reads paths in its own way and writes down what it made of each request. Nothing that
//! nginx has served may be something that the policy keeps from the caller.

pub(crate) mod doors;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use e2e::{
    clock::unix_now,
    conversation::Mismatch,
    deadline::eventually,
    nginx::Nginx,
    plain_gateway::PlainGateway,
    raw_http::{Answer, Wire},
    raw_http2::Frames,
    run_folder::RunFolder,
    workload::Workload,
};
use serde_json::{Value, json};
use signatures::signer::Signer;

use crate::Place;

/// Everything of it. Fields are dropped in this order.
#[derive(Debug)]
pub(crate) struct Site {
    envoy: PlainGateway,
    nginx: Nginx,
    _mirror: Workload,
    folder: RunFolder,
    key: Signer,
    probes: AtomicU64,
}

/// Where a request comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    /// The filter, in a gateway that leaves paths as they come.
    Bare,
    /// The filter, in a gateway that normalises paths as Istio does unless told otherwise.
    Istio,
    /// No filter: Envoy's own jwt_authn and rbac with the same rules, and Istio's normalisation.
    Native,
    /// No gateway at all.
    Nginx,
}

/// The doors that have the filter.
pub(crate) const GUARDED: [Door; 2] = [Door::Bare, Door::Istio];

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Caller {
    /// May what everybody known may.
    Alice,
    /// Without a token.
    Nobody,
    /// With a token that is in the request already.
    OfItsOwn,
}

/// A request that was sent, under the name by which nginx's log knows it.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) case: String,
    pub(crate) door: Door,
    caller: Caller,
    probe: String,
    pub(crate) answer: Answer,
    /// Whose refusal is 200 with a status of its own behind it.
    is_grpc: bool,
}

/// What nginx wrote down, by probe.
pub(crate) type Seen = BTreeMap<String, Vec<Value>>;

impl Place for Site {
    async fn start() -> Result<Self, Mismatch> {
        let folder = RunFolder::create()?;
        let mirror = Workload::start("mirror").await?;
        let nginx = Nginx::start(&doors::servers(&folder, mirror.address()), &folder).await?;
        let key = Signer::es256("site");
        let envoy = doors::start(&key, nginx.address(), &folder).await?;
        let site = Self {
            envoy,
            nginx,
            _mirror: mirror,
            folder,
            key,
            probes: AtomicU64::new(0),
        };
        Ok(site)
    }

    fn end(mut self, has_failed: bool) {
        if has_failed {
            self.folder.keep();
        }
    }
}

impl Site {
    fn address(&self, door: Door) -> SocketAddr {
        match door {
            Door::Nginx => self.nginx.address(),
            Door::Bare => self.envoy.beside[0],
            Door::Istio => self.envoy.beside[1],
            Door::Native => self.envoy.beside[2],
        }
    }

    /// A connection to a door.
    pub(crate) fn wire(&self, door: Door) -> Wire {
        Wire::to(self.address(door))
    }

    /// A token of the caller, with these claims besides.
    pub(crate) fn token(&self, more: &Value) -> String {
        let now = unix_now();
        let mut claims = json!({
            "iss": doors::ISSUER, "aud": doors::AUDIENCE, "sub": "alice", "iat": now, "exp": now + 600,
        });
        for (name, value) in more.as_object().into_iter().flatten() {
            claims[name] = value.clone();
        }
        self.key.token(&claims)
    }

    fn probe(&self) -> String {
        format!("probe-{}", self.probes.fetch_add(1, Ordering::Relaxed))
    }

    fn credential(&self, caller: Caller) -> Option<Vec<u8>> {
        (caller == Caller::Alice).then(|| format!("Bearer {}", self.token(&json!({}))).into_bytes())
    }

    /// Sends `head`, which is a request line and header fields without the empty line, as HTTP/1.1.
    pub(crate) async fn say(
        &self,
        wire: &mut Wire,
        (door, caller): (Door, Caller),
        case: &str,
        head: &[u8],
    ) -> Result<Sent, Mismatch> {
        let probe = self.probe();
        let mut bytes = head.to_vec();
        bytes.extend(format!("\r\nx-probe: {probe}\r\n").into_bytes());
        if let Some(credential) = self.credential(caller) {
            bytes.extend(b"authorization: ");
            bytes.extend(credential);
            bytes.extend(b"\r\n");
        }
        bytes.extend(b"\r\n");
        let answer = wire.say(&bytes).await?;
        Ok(Sent {
            case: format!("{case}, HTTP/1.1"),
            door,
            caller,
            probe,
            answer,
            is_grpc: false,
        })
    }

    /// The same on a connection of its own.
    pub(crate) async fn say_alone(
        &self,
        of: (Door, Caller),
        case: &str,
        head: &[u8],
    ) -> Result<Sent, Mismatch> {
        self.say(&mut self.wire(of.0), of, case, head).await
    }

    /// Sends this as HTTP/2.
    pub(crate) async fn send(
        &self,
        (door, caller): (Door, Caller),
        case: &str,
        frames: Frames,
    ) -> Result<Sent, Mismatch> {
        let probe = self.probe();
        let mut frames = frames.field("x-probe", probe.as_bytes());
        if let Some(credential) = self.credential(caller) {
            frames = frames.field("authorization", credential);
        }
        let answer = frames.send(self.address(door)).await?;
        Ok(Sent {
            case: format!("{case}, HTTP/2"),
            door,
            caller,
            probe,
            answer,
            is_grpc: frames
                .fields
                .iter()
                .any(|(_, value)| value == b"application/grpc"),
        })
    }

    /// What nginx has written down up to now.
    ///
    /// It has one process and writes a line when a request is answered: once it has written one for a
    /// request that was made after all others, it has written theirs.
    pub(crate) async fn seen(&self) -> Result<Seen, Mismatch> {
        let head = b"GET /last HTTP/1.1\r\nhost: open.example.com";
        let of = (Door::Nginx, Caller::Nobody);
        let last = self.say_alone(of, "the last", head).await?;
        let lines = eventually("nginx's log of every request", LOG_LIMIT, async || {
            let lines = self.nginx.seen();
            let is_last = |line: &Value| line["probe"] == last.probe.as_str();
            lines.iter().any(is_last).then_some(lines)
        });
        let mut seen = Seen::new();
        for line in lines.await? {
            let probe = line["probe"].as_str().unwrap_or_default().to_owned();
            seen.entry(probe).or_default().push(line);
        }
        Ok(seen)
    }

    /// Whatever nginx has served of these, the policy allows; and no answer but a refusal came for what
    /// it has not.
    pub(crate) async fn all_is_allowed(&self, sent: &[Sent]) -> Result<Seen, Mismatch> {
        let seen = self.seen().await?;
        let mut faults = Vec::new();
        for sent in sent.iter().filter(|sent| GUARDED.contains(&sent.door)) {
            let lines = seen.get(&sent.probe).map_or(&[][..], Vec::as_slice);
            let may = |line: &&Value| !doors::policy_allows(sent.is_known(), line);
            if let Some(line) = lines.iter().find(may) {
                faults.push(format!("{} at {:?} reached {line}", sent.case, sent.door));
            }
            if lines.len() > 1 {
                faults.push(format!("{} at {:?} was served twice", sent.case, sent.door));
            }
            let refused = sent.answer.status.is_none_or(|status| status >= 400)
                || sent.is_grpc && sent.answer.body.is_empty();
            if lines.is_empty() != refused {
                let status = sent.answer.status;
                faults.push(format!(
                    "{} at {:?}: {status:?}, {lines:?}",
                    sent.case, sent.door
                ));
            }
        }
        // A request that nobody has sent was hidden in another one.
        if let Some(lines) = seen.get("") {
            faults.extend(
                lines
                    .iter()
                    .filter(|line| line["status"] != "400")
                    .map(|line| format!("a request without a name reached {line}")),
            );
        }
        if faults.is_empty() {
            return Ok(seen);
        }
        let count = faults.len();
        faults.truncate(5);
        let about = format!("what nginx has served, {count} times");
        Err(Mismatch::differs(
            &about,
            &faults.join("\n"),
            "what the policy allows",
        ))
    }
}

impl Sent {
    /// Whether it has a token.
    pub(crate) fn is_known(&self) -> bool {
        self.caller != Caller::Nobody
    }

    /// The path that nginx has served it as.
    pub(crate) fn served<'seen>(&self, seen: &'seen Seen) -> Option<&'seen str> {
        self.line(seen)?["uri"].as_str()
    }

    /// What nginx has written down about it.
    pub(crate) fn line<'seen>(&self, seen: &'seen Seen) -> Option<&'seen Value> {
        seen.get(&self.probe)?.first()
    }

    /// Whether a path that is denied to everybody was served.
    pub(crate) fn reached_what_is_denied(&self, seen: &Seen) -> bool {
        self.served(seen).is_some_and(doors::is_denied)
    }

    /// A header as the application behind nginx saw it.
    pub(crate) fn mirrored(&self) -> Vec<(String, String)> {
        let mirror: Value = serde_json::from_slice(&self.answer.body).unwrap_or_default();
        let fields = mirror["headers"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        let pair = |field: &Value| {
            let (name, value) = field.as_str()?.split_once(": ")?;
            Some((name.to_owned(), value.to_owned()))
        };
        fields.iter().filter_map(pair).collect()
    }
}

/// nginx writes a line right after it has answered.
const LOG_LIMIT: Duration = Duration::from_secs(10);
