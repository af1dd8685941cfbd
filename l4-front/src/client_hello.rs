//! Reads the server name and the protocols out of a TLS ClientHello without ending its TLS.
//!
//! Pure: bytes in, facts out. It follows RFC 8446 sections 4.1.2 and 5.1, RFC 6066 section 3 and
//! RFC 7301 section 3.1, and rules a peer out at the first byte that does not fit. It looks at
//! nothing that routing does not need: what the ClientHello offers beyond that is between the
//! client and the server that ends its TLS.

use rustls::pki_types::ServerName;

/// The most that is read in wait for a ClientHello, records' headers included. One with a
/// post-quantum key share takes less than 2 KiB.
pub(crate) const MAX_BYTES: usize = 16 * 1024;

const RECORD_HEADER: usize = 5;
const CONTENT_HANDSHAKE: u8 = 22;
/// RFC 8446 section 5.1: the length of a record in clear.
const MAX_FRAGMENT: usize = 1 << 14;
const MESSAGE_HEADER: usize = 4;
const MESSAGE_CLIENT_HELLO: u8 = 1;
const EXTENSION_SERVER_NAME: u16 = 0;
const EXTENSION_ALPN: u16 = 16;
const NAME_HOST: u8 = 0;

/// What routing needs to know.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ClientHello {
    /// In lower case. An address is not a server name (RFC 6066 section 3) and counts as none.
    pub(crate) server_name: Option<String>,
    /// The application protocols offered, in the client's order.
    pub(crate) alpn: Vec<Vec<u8>>,
}

/// Why what came is no ClientHello.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HelloError {
    #[error("the ClientHello is malformed: {0}")]
    Malformed(&'static str),
    #[error("the first bytes are not those of a TLS handshake")]
    NotTls,
    #[error("the ClientHello does not end within {MAX_BYTES} bytes")]
    TooLarge,
}

/// Puts a ClientHello together that may come in any number of segments and records.
#[derive(Debug, Default)]
pub(crate) struct HelloReader {
    /// Bytes of the input that are taken into `message`, with their records' headers.
    taken: usize,
    message: Vec<u8>,
}

impl HelloReader {
    /// Looks at `input`, which is everything that came so far: each call passes what the call
    /// before did, and more. `None`: more is needed.
    ///
    /// # Errors
    /// As soon as no continuation could make it a ClientHello of allowed size.
    pub(crate) fn read(&mut self, input: &[u8]) -> Result<Option<ClientHello>, HelloError> {
        // The bound is the same whether all of it comes at once or byte by byte.
        let input = &input[..input.len().min(MAX_BYTES)];
        loop {
            if let Some(body) = self.body()? {
                return parse(body).map(Some);
            }
            let rest = input.get(self.taken..).unwrap_or_default();
            let Some(fragment) = record(rest)? else {
                return if input.len() < MAX_BYTES {
                    Ok(None)
                } else {
                    Err(HelloError::TooLarge)
                };
            };
            self.message.extend_from_slice(fragment);
            self.taken += RECORD_HEADER + fragment.len();
        }
    }

    /// The message without its header, once it is whole. RFC 8446 section 5.1 lets more messages
    /// follow in the same record only where the keys do not change; a client has none to send.
    fn body(&self) -> Result<Option<&[u8]>, HelloError> {
        let Some((&[kind, high, middle, low], rest)) =
            self.message.split_first_chunk::<MESSAGE_HEADER>()
        else {
            return match self.message.first() {
                None | Some(&MESSAGE_CLIENT_HELLO) => Ok(None),
                Some(_) => Err(HelloError::NotTls),
            };
        };
        if kind != MESSAGE_CLIENT_HELLO {
            return Err(HelloError::NotTls);
        }
        let length = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
        if length > MAX_BYTES - RECORD_HEADER - MESSAGE_HEADER {
            return Err(HelloError::TooLarge);
        }
        if rest.len() > length {
            return Err(HelloError::Malformed("more follows in its last record"));
        }
        Ok((rest.len() == length).then_some(rest))
    }
}

/// The content of the record at the front of `bytes`; `None` if it is not whole.
fn record(bytes: &[u8]) -> Result<Option<&[u8]>, HelloError> {
    // Every ClientHello's record says 3.x, whatever version it offers inside.
    for (got, wanted) in bytes.iter().zip([CONTENT_HANDSHAKE, 3]) {
        if *got != wanted {
            return Err(HelloError::NotTls);
        }
    }
    let Some((&[_, _, _, high, low], rest)) = bytes.split_first_chunk::<RECORD_HEADER>() else {
        return Ok(None);
    };
    match usize::from(u16::from_be_bytes([high, low])) {
        0 => Err(HelloError::Malformed("an empty record")),
        length if length > MAX_FRAGMENT => Err(HelloError::TooLarge),
        length => Ok(rest.get(..length)),
    }
}

/// RFC 8446 section 4.1.2, from `legacy_version` to the end.
fn parse(body: &[u8]) -> Result<ClientHello, HelloError> {
    let mut body = Bytes(body);
    let mut hello = ClientHello::default();
    body.take(2 + 32, "version and random")?;
    if body.list8("session id")?.0.len() > 32 {
        return Err(HelloError::Malformed("session id"));
    }
    let suites = body.list16("cipher suites")?.0.len();
    if suites < 2 || suites % 2 != 0 {
        return Err(HelloError::Malformed("cipher suites"));
    }
    if body.list8("compression methods")?.0.is_empty() {
        return Err(HelloError::Malformed("compression methods"));
    }
    // A TLS 1.2 client may leave them all out (RFC 5246 section 7.4.1.2).
    if body.0.is_empty() {
        return Ok(hello);
    }
    let mut extensions = body.list16("extensions")?;
    body.end("bytes after the extensions")?;
    let (mut named, mut offered) = (false, false);
    while !extensions.0.is_empty() {
        let kind = extensions.number("extension type")?;
        let mut value = extensions.list16("extension")?;
        match kind {
            EXTENSION_SERVER_NAME if !std::mem::replace(&mut named, true) => {
                hello.server_name = server_name(&mut value)?;
            }
            EXTENSION_ALPN if !std::mem::replace(&mut offered, true) => {
                hello.alpn = protocols(&mut value)?;
            }
            EXTENSION_SERVER_NAME | EXTENSION_ALPN => {
                return Err(HelloError::Malformed("the same extension twice"));
            }
            _ => {}
        }
    }
    Ok(hello)
}

/// RFC 6066 section 3: exactly one name, since there is one type of them and none may be repeated.
fn server_name(value: &mut Bytes<'_>) -> Result<Option<String>, HelloError> {
    const WHAT: &str = "server name";
    let mut list = value.list16(WHAT)?;
    value.end(WHAT)?;
    if list.take(1, WHAT)? != [NAME_HOST] {
        return Err(HelloError::Malformed(WHAT));
    }
    let name = list.list16(WHAT)?.0;
    list.end("more than one server name")?;
    match std::str::from_utf8(name).map(ServerName::try_from) {
        Ok(Ok(ServerName::DnsName(name))) => Ok(Some(name.as_ref().to_ascii_lowercase())),
        Ok(Ok(_)) => Ok(None),
        Ok(Err(_)) | Err(_) => Err(HelloError::Malformed(WHAT)),
    }
}

/// RFC 7301 section 3.1: at least one protocol, none of them empty.
fn protocols(value: &mut Bytes<'_>) -> Result<Vec<Vec<u8>>, HelloError> {
    const WHAT: &str = "application protocols";
    let mut list = value.list16(WHAT)?;
    value.end(WHAT)?;
    let mut protocols = Vec::new();
    while !list.0.is_empty() {
        match list.list8(WHAT)?.0 {
            [] => return Err(HelloError::Malformed(WHAT)),
            name => protocols.push(name.to_vec()),
        }
    }
    if protocols.is_empty() {
        return Err(HelloError::Malformed(WHAT));
    }
    Ok(protocols)
}

/// What is left to read.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize, what: &'static str) -> Result<&'a [u8], HelloError> {
        let (taken, rest) = self
            .0
            .split_at_checked(count)
            .ok_or(HelloError::Malformed(what))?;
        self.0 = rest;
        Ok(taken)
    }

    fn number(&mut self, what: &'static str) -> Result<u16, HelloError> {
        self.take(2, what).map(|bytes| {
            bytes
                .iter()
                .fold(0, |number, byte| number << 8 | u16::from(*byte))
        })
    }

    /// A run of bytes after its length in one byte.
    fn list8(&mut self, what: &'static str) -> Result<Self, HelloError> {
        let length = self.take(1, what)?.iter().copied().map(usize::from).sum();
        self.take(length, what).map(Self)
    }

    /// A run of bytes after its length in two bytes.
    fn list16(&mut self, what: &'static str) -> Result<Self, HelloError> {
        let length = self.number(what)?;
        self.take(usize::from(length), what).map(Self)
    }

    const fn end(&self, what: &'static str) -> Result<(), HelloError> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(HelloError::Malformed(what))
        }
    }
}

#[cfg(test)]
mod tests;
