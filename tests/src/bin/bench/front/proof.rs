//! What is checked of a subject before anything is measured: that it does the work whose cost is compared.

use std::{
    fmt::Debug,
    io,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use e2e::error::HarnessError;
use rustls::HandshakeKind;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

use super::{
    Bench,
    gateway::{CHUNK, ECHO, Gateway, Ledger, Seen},
    load::{Loader, NAME, Sessions, Stream, order},
    subject::Subject,
    suite::{Suite, Terms},
};

/// Longer than any subject takes to refuse.
const REFUSAL_LIMIT: Duration = Duration::from_secs(10);

/// Fails with the first thing that is not as it must be.
pub(crate) async fn check(subject: &Subject, bench: &Bench) -> Result<(), HarnessError> {
    let places = &subject.places;
    both_legs(subject, bench, Suite::Classic).await?;
    if subject.kind.is_hybrid() {
        both_legs(subject, bench, Suite::Hybrid).await?;
    }
    pass_through(subject, bench).await?;
    for (gateway, place) in [
        (&bench.untrusted, places.untrusted),
        (&bench.misnamed, places.misnamed),
    ] {
        let loader = bench.loader(place, Suite::Classic, Sessions::Fresh)?;
        refusal(subject, gateway, &loader).await?;
    }
    Ok(())
}

/// The first connection makes full handshakes, those after it resume on both legs.
async fn both_legs(subject: &Subject, bench: &Bench, suite: Suite) -> Result<(), HarnessError> {
    let (place, ledger) = match suite {
        Suite::Classic => (subject.places.classic, &bench.classic.ledger),
        Suite::Hybrid => (subject.places.hybrid, &bench.hybrid.ledger),
    };
    let loader = bench.loader(place, suite, Sessions::Resumed)?;
    for resumed in [false, true] {
        let exchange = echo(subject, ledger, &loader).await?;
        let kind = match resumed {
            true => HandshakeKind::Resumed,
            false => HandshakeKind::Full,
        };
        let wanted = subject.wanted_behind(&exchange, suite, resumed);
        same(subject, &exchange.kind, &Some(kind))?;
        same(subject, &exchange.terms, &suite.terms())?;
        same(subject, &exchange.alpn.as_deref(), &Some(b"h2".as_slice()))?;
        same(subject, &exchange.seen, &Some(wanted))?;
    }
    // Nobody resumes without a ticket.
    let loader = bench.loader(place, suite, Sessions::Fresh)?;
    for _again in 0..2 {
        let exchange = echo(subject, ledger, &loader).await?;
        same(subject, &exchange.kind, &Some(HandshakeKind::Full))?;
    }
    Ok(())
}

/// The gateway ends the client's own TLS, behind a PROXY header.
async fn pass_through(subject: &Subject, bench: &Bench) -> Result<(), HarnessError> {
    let loader = bench.loader(subject.places.passed, Suite::Classic, Sessions::Fresh)?;
    let exchange = echo(subject, &bench.passed.ledger, &loader).await?;
    let header = exchange.seen.as_ref().map(|seen| seen.header.clone());
    let wanted = subject
        .wanted_behind(&exchange, Suite::Classic, false)
        .header;
    same(
        subject,
        &header.as_ref().map(|header| header.source),
        &Some(wanted.source),
    )?;
    same(
        subject,
        &header.map(|header| header.version),
        &Some(wanted.version),
    )?;
    same(subject, &exchange.alpn.as_deref(), &Some(b"h2".as_slice()))
}

/// Nothing reaches a gateway that cannot prove who it is, though the subject has tried it. nginx looks at what
/// verification found once the handshake is done, so that the handshake itself says nothing.
async fn refusal(
    subject: &Subject,
    gateway: &Gateway,
    loader: &Loader,
) -> Result<(), HarnessError> {
    let asked = async {
        let mut stream = loader.open().await?;
        exchange_bytes(&mut stream).await
    };
    let answered = timeout(REFUSAL_LIMIT, asked).await;
    same(
        subject,
        &answered.is_ok_and(|answer| answer.is_ok()),
        &false,
    )?;
    let count = |counter: &AtomicU32| counter.load(Ordering::Relaxed);
    same(subject, &count(&gateway.ledger.orders), &0)?;
    let tried = count(&gateway.ledger.connections) > 0;
    same(subject, &tried, &true)
}

/// One connection, as its downstream and its gateway saw it.
struct Exchange {
    source: Option<std::net::SocketAddr>,
    kind: Option<HandshakeKind>,
    terms: Terms,
    alpn: Option<Vec<u8>>,
    seen: Option<Seen>,
}

impl Subject {
    /// What the gateway must have seen of this exchange.
    fn wanted_behind(&self, exchange: &Exchange, suite: Suite, resumed: bool) -> Seen {
        let kind = self.kind;
        Seen {
            header: super::gateway::Header {
                version: kind.header_version(),
                source: exchange.source,
                authority: kind.sends_authority().then(|| NAME.to_owned()),
            },
            terms: suite.terms(),
            alpn: kind.sends_alpn().then(|| b"h2".to_vec()),
            server_name: Some(NAME.to_owned()),
            certified: true,
            resumed,
        }
    }
}

async fn echo(
    subject: &Subject,
    ledger: &Arc<Ledger>,
    loader: &Loader,
) -> Result<Exchange, HarnessError> {
    let exchanged = async {
        let mut stream = loader.open().await?;
        let source = stream.get_ref().0.local_addr().ok();
        exchange_bytes(&mut stream).await?;
        let connection = stream.get_ref().1;
        let exchange = Exchange {
            source,
            kind: connection.handshake_kind(),
            terms: Terms::of(connection),
            alpn: connection.alpn_protocol().map(<[u8]>::to_vec),
            seen: ledger.last(),
        };
        loader.close(stream).await?;
        Ok(exchange)
    };
    exchanged
        .await
        .map_err(|error: io::Error| unexpected(subject, &error, "an echo"))
}

/// Sends bytes that differ from place to place, and wants them back as they were.
async fn exchange_bytes(stream: &mut Stream) -> io::Result<()> {
    let sent: Vec<u8> = (0..=250).cycle().take(CHUNK).collect();
    stream.write_all(&order(ECHO, CHUNK as u64)).await?;
    stream.write_all(&sent).await?;
    stream.flush().await?;
    let mut got = vec![0; CHUNK];
    stream.read_exact(&mut got).await?;
    match got == sent {
        true => Ok(()),
        false => Err(io::Error::other("the bytes that came back are others")),
    }
}

fn same<T: Debug + PartialEq>(subject: &Subject, got: &T, wanted: &T) -> Result<(), HarnessError> {
    if got == wanted {
        return Ok(());
    }
    let wanted = format!("{got:?} in place of {wanted:?}");
    Err(unexpected(
        subject,
        &wanted,
        "what is checked before it is measured",
    ))
}

fn unexpected(
    subject: &Subject,
    got: &dyn std::fmt::Display,
    expected: &'static str,
) -> HarnessError {
    let log = subject.process.log_tail();
    HarnessError::Answer {
        peer: subject.kind.name().to_owned(),
        got: format!("{got}; the end of its log: {log:?}"),
        expected,
    }
}
