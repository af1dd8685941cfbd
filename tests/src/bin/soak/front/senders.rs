//! Who comes to the front, how many of each kind, and how their days are counted.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use e2e::{error::HarnessError, random::Random};
use tokio::{task::JoinSet, time::sleep};

use super::{honest, hostile, stage::Town};
use crate::tally::Tally;

/// How many exchanges went as they should, or what was wrong.
pub(crate) type Outcome = Result<u64, String>;

type Step =
    for<'a> fn(&'a Town, &'a mut Random) -> Pin<Box<dyn Future<Output = Outcome> + Send + 'a>>;

/// One kind of sender.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    /// How many at a time.
    senders: usize,
    /// Between one step and the next.
    pause: Duration,
    step: Step,
}

macro_rules! kind {
    ($name:literal, $senders:literal, $milliseconds:literal, $step:path) => {
        Kind {
            name: $name,
            senders: $senders,
            pause: Duration::from_millis($milliseconds),
            step: |town, random| Box::pin($step(town, random)),
        }
    };
}

/// In the order of the report.
pub(crate) const KINDS: [Kind; 15] = [
    kind!(
        "request on a new connection, full handshake",
        2,
        20,
        honest::fresh
    ),
    kind!("connection with a resumed session", 1, 50, honest::resumed),
    kind!(
        "HTTP/1.1 request on a kept connection",
        3,
        10,
        honest::kept_1
    ),
    kind!("HTTP/2 request on a kept connection", 3, 10, honest::kept_2),
    kind!("download of 4 MiB", 1, 200, honest::download),
    kind!("upload of 4 MiB", 1, 200, honest::upload),
    kind!(
        "request through TLS that passes through",
        2,
        100,
        honest::through
    ),
    kind!("download by a slow reader", 2, 100, honest::slow_reader),
    kind!("conversation with a half-close", 2, 50, honest::half_close),
    kind!("request behind a PROXY header", 2, 50, honest::proxied),
    kind!("reset in mid connection", 2, 50, hostile::reset),
    kind!("ClientHello that drips", 3, 100, hostile::slowloris),
    kind!("name without a route", 1, 100, hostile::wrong_name),
    kind!("garbage", 1, 100, hostile::garbage),
    kind!("broken PROXY header", 1, 100, hostile::broken_header),
];

/// The running senders.
pub(crate) struct Senders {
    ends: Arc<AtomicBool>,
    running: JoinSet<(usize, Tally)>,
}

impl Senders {
    /// Starts all of them.
    pub(crate) fn start(town: Town) -> Self {
        let ends = Arc::new(AtomicBool::new(false));
        let mut running = JoinSet::new();
        for (index, kind) in KINDS.iter().enumerate() {
            for number in 0..kind.senders {
                let seed = u64::try_from(index * 100 + number).unwrap_or_default();
                let (town, ends) = (town.clone(), ends.clone());
                running.spawn(async move { (index, send(kind, &town, seed, &ends).await) });
            }
        }
        Self { ends, running }
    }

    /// Lets each end what it is at, and tells what became of it all, by kind.
    pub(crate) async fn ended(mut self) -> Result<Vec<Tally>, HarnessError> {
        self.ends.store(true, Ordering::SeqCst);
        let mut all = vec![Tally::default(); KINDS.len()];
        while let Some(done) = self.running.join_next().await {
            let (index, tally) = done.map_err(|broken| HarnessError::Answer {
                peer: "a sender".to_owned(),
                got: broken.to_string(),
                expected: "that it ends by itself",
            })?;
            all[index].add(tally);
        }
        Ok(all)
    }
}

async fn send(kind: &Kind, town: &Town, seed: u64, ends: &AtomicBool) -> Tally {
    let (mut random, mut tally) = (Random::new(seed), Tally::default());
    while !ends.load(Ordering::SeqCst) {
        match (kind.step)(town, &mut random).await {
            Ok(exchanges) => {
                tally.sent += exchanges;
                tally.passed += exchanges;
            }
            Err(problem) => {
                tally.sent += 1;
                tally.is_wrong(problem);
            }
        }
        sleep(kind.pause).await;
    }
    tally
}

/// What an error says.
pub(crate) fn said(error: io::Error) -> String {
    error.to_string()
}
