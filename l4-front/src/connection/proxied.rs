//! A connection that comes through a trusted proxy: its PROXY header says who the client is.

use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use super::Termination;
use super::first_bytes::read_until;
use crate::access_log::Record;
use crate::admission::{Admission, Admitted};
use crate::buffer::Buffer;
use crate::proxy_protocol::MAX_HEADER;
use crate::proxy_protocol::decode::decode;
use crate::shared::Shared;

/// Reads the header and judges the client that it names. What was read behind it stays in `read`.
pub(super) async fn read_header(
    socket: &mut TcpStream,
    start: Instant,
    read: &mut Buffer,
    shared: &Shared,
    record: &mut Record,
) -> Result<Admitted, Termination> {
    record.proxy = Some(record.downstream);
    let deadline = start + shared.listener.timeouts.client_hello;
    let receive = read_until(socket, read, MAX_HEADER, decode);
    let decoded = match timeout_at(deadline, receive).await {
        Err(_elapsed) => return Err(Termination::plain("proxy_header_timeout")),
        Ok(Err(error)) => return Err(Termination::because("proxy_header_invalid", &error)),
        Ok(Ok(decoded)) => decoded,
    };
    read.consume(decoded.used);
    let Some((source, destination)) = decoded.addresses else {
        return Ok(Admission::admit_proxy());
    };
    record.downstream = source;
    record.local = destination;
    shared
        .admission
        .admit(source.ip(), Instant::now())
        .map_err(|refusal| Termination::plain(refusal.label()))
}
