//! The inner gate opens to the front only, and the outer one to known names only.

use std::io;

use hyper::StatusCode;
use rustls::AlertDescription;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{
    Chapter, Mismatch, Outcome, Step, expect,
    verdict::{PAYMENTS, get},
};
use crate::{
    dialer::{self, Dialer},
    envoy::honest_header,
    error::HarnessError,
    http::Exchange,
    issuer::ALICE,
    mesh::{IssuerAtStart, Mesh},
};

/// The steps.
pub const CHAPTER: Chapter = Chapter {
    name: "the doors",
    issuer: IssuerAtStart::Up,
    steps: &[
        Step {
            name: "the gateway refuses a connection without a PROXY header",
            run: |mesh| Outcome::of(no_proxy_header(mesh)),
        },
        Step {
            name: "the gateway refuses a peer without a certificate",
            run: |mesh| Outcome::of(no_certificate(mesh)),
        },
        Step {
            name: "the gateway refuses a mesh member that is not the front",
            run: |mesh| Outcome::of(other_spiffe_id(mesh)),
        },
        Step {
            name: "the same header and the front's certificate are let in",
            run: |mesh| Outcome::of(front_is_let_in(mesh)),
        },
        Step {
            name: "a server name of no route is refused with a TLS alert",
            run: |mesh| Outcome::of(unknown_server_name(mesh)),
        },
        Step {
            name: "clear text is refused at the front",
            run: |mesh| Outcome::of(clear_text(mesh)),
        },
    ],
};

async fn no_proxy_header(mesh: &Mesh) -> Result<String, Mismatch> {
    let dialer = mesh.gateways[0].dialer_without_credentials(&mesh.pki);
    refused(mesh, &dialer.as_identity(&mesh.pki.front)).await
}

async fn no_certificate(mesh: &Mesh) -> Result<String, Mismatch> {
    let dialer = mesh.gateways[0].dialer_without_credentials(&mesh.pki);
    refused(mesh, &dialer.saying_first(honest_header())).await
}

async fn other_spiffe_id(mesh: &Mesh) -> Result<String, Mismatch> {
    let dialer = mesh.gateways[0].dialer_past_the_front(&mesh.pki);
    refused(mesh, &dialer.as_identity(&mesh.pki.stranger)).await
}

/// Without it, the refusals above could have any cause.
async fn front_is_let_in(mesh: &Mesh) -> Result<String, Mismatch> {
    let dialer = mesh.gateways[0].dialer_past_the_front(&mesh.pki);
    let token = mesh.issuer.token(ALICE).await?;
    let reply = Exchange::open(&dialer)
        .await?
        .send(get(PAYMENTS).bearer(&token))
        .await?;
    expect("the status", reply.status, StatusCode::OK)?;
    Ok("200".to_owned())
}

async fn unknown_server_name(mesh: &Mesh) -> Result<String, Mismatch> {
    let dialer = mesh.downstream("www.elsewhere.test");
    match dialer.connect_tls().await {
        Err(HarnessError::Connection { source, .. }) => {
            expect(
                "the alert",
                dialer::alert(&source),
                Some(AlertDescription::UnrecognisedName),
            )?;
            Ok("TLS alert unrecognized_name".to_owned())
        }
        Err(other) => Err(other.into()),
        Ok(_opened) => Err(opened_although_refused()),
    }
}

async fn clear_text(mesh: &Mesh) -> Result<String, Mismatch> {
    let before = mesh.requests_at_workloads();
    let mut exchange = Exchange::open_clear(mesh.front.address()).await?;
    let answered = exchange.send(get(PAYMENTS)).await;
    expect("an answer came", answered.is_ok(), false)?;
    expect(
        "the requests that reached a workload",
        mesh.requests_at_workloads(),
        before,
    )?;
    Ok("connection closed".to_owned())
}

/// In TLS 1.3 a refused certificate shows only after the downstream has finished its handshake, so
/// what tells is whether an answer comes.
async fn refused(mesh: &Mesh, dialer: &Dialer) -> Result<String, Mismatch> {
    let before = mesh.requests_at_workloads();
    let how = match dialer.connect_tls().await {
        Err(HarnessError::Connection { source, .. }) => source,
        Err(other) => return Err(other.into()),
        Ok(mut stream) => {
            let request = format!(
                "GET {} HTTP/1.1\r\nhost: {}\r\n\r\n",
                PAYMENTS.1, PAYMENTS.0
            );
            let mut answer = [0; 1];
            let asked = async {
                stream.write_all(request.as_bytes()).await?;
                stream.read(&mut answer).await
            };
            match asked.await {
                Ok(0) => io::ErrorKind::UnexpectedEof.into(),
                Ok(_answered) => return Err(opened_although_refused()),
                Err(source) => source,
            }
        }
    };
    expect(
        "the requests that reached a workload",
        mesh.requests_at_workloads(),
        before,
    )?;
    Ok(dialer::alert(&how).map_or_else(
        || format!("refused ({})", how.kind()),
        |alert| format!("refused (TLS alert {alert:?})"),
    ))
}

fn opened_although_refused() -> Mismatch {
    Mismatch::differs("the connection", "open", "a refusal")
}
