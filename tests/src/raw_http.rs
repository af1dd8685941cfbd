//! HTTP/1.1 as whoever writes the bytes wants it: no library on this side refuses or mends a request
//! before the gateway has seen it.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

use crate::error::HarnessError;

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status; nothing where the peer closed or reset without one.
    pub status: Option<u16>,
    /// The status line and the header fields of HTTP/1.1.
    pub head: String,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// No answer at all.
    #[must_use]
    pub fn none() -> Self {
        Self {
            status: None,
            head: String::new(),
            body: Vec::new(),
        }
    }

    /// Whether it has this status.
    #[must_use]
    pub fn is(&self, status: u16) -> bool {
        self.status == Some(status)
    }
}

/// A connection that is opened when it is needed, and again after the peer has closed it.
#[derive(Debug)]
pub struct Wire {
    peer: SocketAddr,
    source: Option<SocketAddr>,
    stream: Option<TcpStream>,
}

impl Wire {
    /// To this peer, without TLS.
    #[must_use]
    pub fn to(peer: SocketAddr) -> Self {
        Self {
            peer,
            source: None,
            stream: None,
        }
    }

    /// From this address.
    #[must_use]
    pub fn from(mut self, source: SocketAddr) -> Self {
        self.source = Some(source);
        self
    }

    /// Sends these bytes, which hold one request, and reads the answer. A connection that the peer has
    /// closed since the last answer is opened once more.
    ///
    /// # Errors
    /// [`HarnessError::Connection`] if nobody listens, [`HarnessError::Deadline`] if nothing comes.
    pub async fn say(&mut self, request: &[u8]) -> Result<Answer, HarnessError> {
        let was_open = self.stream.is_some();
        let mut answer = self.exchange(request).await?;
        if was_open && answer.status.is_none() {
            answer = self.exchange(request).await?;
        }
        Ok(answer)
    }

    async fn exchange(&mut self, request: &[u8]) -> Result<Answer, HarnessError> {
        let failed = |source| HarnessError::Connection {
            peer: self.peer,
            source,
        };
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => self.open().await.map_err(failed)?,
        };
        let answered = timeout(ANSWER_LIMIT, async {
            stream.write_all(request).await?;
            read(&mut stream, request.starts_with(b"HEAD ")).await
        });
        match answered.await {
            Ok(Ok((answer, After::Open))) => {
                self.stream = Some(stream);
                Ok(answer)
            }
            Ok(Ok((answer, After::Closed))) => Ok(answer),
            Ok(Err(_reset)) => Ok(Answer::none()),
            Err(_late) => Err(HarnessError::Deadline {
                what: format!("the answer to {}", request.escape_ascii()),
                within: ANSWER_LIMIT,
                log_tail: String::new(),
            }),
        }
    }

    async fn open(&self) -> io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        if let Some(source) = self.source {
            socket.bind(source)?;
        }
        let stream = socket.connect(self.peer).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

/// Whether the connection takes another request.
enum After {
    Closed,
    Open,
}

async fn read(stream: &mut TcpStream, is_head: bool) -> io::Result<(Answer, After)> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at;
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok((Answer::none(), After::Closed));
        }
    };
    let mut body = bytes.split_off(end + 4);
    let head = String::from_utf8_lossy(&bytes).into_owned();
    let status = head.get(9..12).and_then(|status| status.parse().ok());
    let field = |name: &str| {
        head.lines().find_map(|line| {
            let (field, value) = line.split_once(':')?;
            field
                .eq_ignore_ascii_case(name)
                .then(|| value.trim().to_owned())
        })
    };
    let length: Option<usize> = field("content-length").and_then(|length| length.parse().ok());
    let closes = field("connection").is_some_and(|value| value == "close");
    let is_switched = status.is_some_and(|status| status < 200);
    let wanted = if is_head || matches!(status, Some(204 | 304)) || is_switched {
        Some(0)
    } else {
        length
    };
    // Without a length it ends with the connection, or in chunks that nobody here needs taken apart.
    let is_chunked = wanted.is_none() && field("transfer-encoding").is_some();
    let ended = |body: &[u8]| match wanted {
        Some(wanted) => body.len() >= wanted,
        None => is_chunked && body.ends_with(b"0\r\n\r\n"),
    };
    while !ended(&body) {
        if stream.read_buf(&mut body).await? == 0 {
            break;
        }
    }
    // More than was asked for answers something that nobody sent.
    let is_whole = wanted.is_none_or(|wanted| body.len() == wanted);
    let after = if closes || is_switched || !is_whole || (wanted.is_none() && !is_chunked) {
        After::Closed
    } else {
        After::Open
    };
    Ok((Answer { status, head, body }, after))
}

/// Loopback: an answer that takes longer does not come.
const ANSWER_LIMIT: Duration = Duration::from_secs(20);
