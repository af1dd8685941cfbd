//! One HTTP/2 request made of frames by hand (RFC 9113), for what no library would send: pseudo-headers
//! that contradict each other, bytes that no path may hold, identity headers among the trailers.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::{error::HarnessError, raw_http::Answer};

/// A request, field by field and in this order; names are sent as they are written.
#[derive(Debug, Clone, Default)]
pub struct Frames {
    /// The header fields, pseudo-headers among them.
    pub fields: Vec<(Vec<u8>, Vec<u8>)>,
    /// Trailers; with them goes a body of one byte.
    pub trailers: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Frames {
    /// With these pseudo-headers.
    #[must_use]
    pub fn new(method: &str, authority: &[u8], path: &[u8]) -> Self {
        let pseudo: [(&[u8], &[u8]); 4] = [
            (b":method", method.as_bytes()),
            (b":scheme", b"http"),
            (b":authority", authority),
            (b":path", path),
        ];
        let fields = pseudo.map(|(name, value)| (name.to_vec(), value.to_vec()));
        Self {
            fields: fields.into(),
            trailers: Vec::new(),
        }
    }

    /// With one more field.
    #[must_use]
    pub fn field(mut self, name: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> Self {
        self.fields.push((name.into(), value.into()));
        self
    }

    /// With one more trailer.
    #[must_use]
    pub fn trailer(mut self, name: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> Self {
        self.trailers.push((name.into(), value.into()));
        self
    }

    /// Sends it on a connection of its own, without TLS and with prior knowledge, and reads the answer.
    ///
    /// # Errors
    /// [`HarnessError::Connection`] if nobody listens, [`HarnessError::Deadline`] if nothing comes.
    pub async fn send(&self, peer: SocketAddr) -> Result<Answer, HarnessError> {
        let stream = TcpStream::connect(peer)
            .await
            .map_err(|source| HarnessError::Connection { peer, source })?;
        match timeout(ANSWER_LIMIT, self.exchange(stream)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_reset)) => Ok(Answer::none()),
            Err(_late) => Err(HarnessError::Deadline {
                what: format!("the answer to {self:?}"),
                within: ANSWER_LIMIT,
                log_tail: String::new(),
            }),
        }
    }

    async fn exchange(&self, mut stream: TcpStream) -> io::Result<Answer> {
        let mut bytes = PREFACE.to_vec();
        bytes.extend(frame(SETTINGS, 0, 0, &NO_TABLE));
        let is_last = if self.trailers.is_empty() {
            END_STREAM
        } else {
            0
        };
        bytes.extend(frame(
            HEADERS,
            END_HEADERS | is_last,
            STREAM,
            &block(&self.fields),
        ));
        if !self.trailers.is_empty() {
            bytes.extend(frame(DATA, 0, STREAM, b"x"));
            let trailers = block(&self.trailers);
            bytes.extend(frame(HEADERS, END_HEADERS | END_STREAM, STREAM, &trailers));
        }
        stream.write_all(&bytes).await?;
        let mut answer = Answer::none();
        loop {
            let mut head = [0; 9];
            stream.read_exact(&mut head).await?;
            let [high, middle, low, kind, flags, stream_id @ ..] = head;
            let length = u32::from_be_bytes([0, high, middle, low]);
            let mut payload = vec![0; usize::try_from(length).map_err(io::Error::other)?];
            stream.read_exact(&mut payload).await?;
            match kind {
                HEADERS if answer.status.is_none() => answer.status = status(&payload),
                DATA => answer.body.extend(payload),
                RESET | GO_AWAY => return Ok(answer),
                _ => {}
            }
            let is_ours = u32::from_be_bytes(stream_id) == STREAM;
            if is_ours && matches!(kind, HEADERS | DATA) && flags & END_STREAM != 0 {
                return Ok(answer);
            }
        }
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len())
        .unwrap_or(u32::MAX)
        .to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// Literal fields without indexing and with new names (RFC 7541 section 6.2.2).
fn block(fields: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            integer(&mut block, text.len());
            block.extend(text);
        }
    }
    block
}

/// With a prefix of seven bits (RFC 7541 section 5.1).
fn integer(block: &mut Vec<u8>, value: usize) {
    let byte = |value: usize| u8::try_from(value).unwrap_or(u8::MAX);
    let Some(mut rest) = value.checked_sub(127) else {
        block.push(byte(value));
        return;
    };
    block.push(127);
    while rest >= 128 {
        block.push(byte(rest % 128 + 128));
        rest /= 128;
    }
    block.push(byte(rest));
}

/// The status, which every server writes first. With no dynamic table it is an entry of the static
/// one, or a text under its eighth name.
fn status(block: &[u8]) -> Option<u16> {
    let updates = block
        .iter()
        .take_while(|byte| **byte & 0xe0 == 0x20)
        .count();
    let (first, rest) = block.get(updates..)?.split_first()?;
    let known = [200, 204, 206, 304, 400, 404, 500];
    if let Some(index) = first.checked_sub(0x88)
        && let Some(status) = known.get(usize::from(index))
    {
        return Some(*status);
    }
    let (length, text) = rest.split_first()?;
    let text = text.get(..usize::from(length & 0x7f))?;
    if length & 0x80 == 0 {
        return std::str::from_utf8(text).ok()?.parse().ok();
    }
    digits(text)
}

/// Digits in the code of RFC 7541 appendix B: 0, 1 and 2 have five bits, the others six.
fn digits(coded: &[u8]) -> Option<u16> {
    let bits: Vec<u8> = coded
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1))
        .collect();
    let number = |bits: &[u8]| {
        bits.iter()
            .fold(0_u16, |number, bit| number * 2 + u16::from(*bit))
    };
    let (mut at, mut value) = (0, 0);
    for _digit in 0..3 {
        let short = number(bits.get(at..at + 5)?);
        let (digit, length) = if short < 3 {
            (short, 5)
        } else {
            (number(bits.get(at..at + 6)?).checked_sub(0b01_1001)? + 3, 6)
        };
        value = value * 10 + digit;
        at += length;
    }
    Some(value)
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const GO_AWAY: u8 = 7;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// The first that a client may open.
const STREAM: u32 = 1;
/// `SETTINGS_HEADER_TABLE_SIZE` of zero: the peer refers to the static table alone.
const NO_TABLE: [u8; 6] = [0, 1, 0, 0, 0, 0];

/// Loopback: an answer that takes longer does not come.
const ANSWER_LIMIT: Duration = Duration::from_secs(20);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read_in_each_of_its_forms() {
        let cases: [(&[u8], Option<u16>); 6] = [
            (&[0x88], Some(200)),
            (&[0x20, 0x8c], Some(400)),
            (&[0x08, 3, b'4', b'0', b'3'], Some(403)),
            // 4, 0 and 3: 011010 00000 011001, filled up with ones.
            (
                &[0x08, 0x83, 0b0110_1000, 0b0000_1100, 0b1111_1111],
                Some(403),
            ),
            (&[0x08, 0x83, 0b0110_1000], None),
            (&[], None),
        ];
        for (block, want) in cases {
            assert_eq!(status(block), want, "{block:02x?}");
        }
    }

    #[test]
    fn lengths_of_every_size_are_written() {
        for (value, want) in [
            (0, vec![0]),
            (126, vec![126]),
            (127, vec![127, 0]),
            (1337, vec![127, 186, 9]),
        ] {
            let mut block = Vec::new();
            integer(&mut block, value);
            assert_eq!(block, want, "{value}");
        }
    }
}
