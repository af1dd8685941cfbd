//! One line per downstream connection, at its end.
//!
//! Lines go to a thread of their own through a bounded queue: a slow disk must not slow down the
//! relay. A line that finds the queue full is counted as lost, never waited for.

use std::fs::{File, OpenOptions};
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use prometheus_client::metrics::counter::Counter;
use serde::Serialize;

use self::writer::Writer;

mod line;
mod writer;

/// Lines that may wait for the disk; at about 600 bytes each this is 5 MiB.
const QUEUE: usize = 8192;

/// What is told about one connection. Facts that never came to be are `null`.
#[derive(Debug, Serialize)]
pub(crate) struct Record {
    /// RFC 3339, UTC, milliseconds: when the connection ended.
    pub(crate) time: String,
    pub(crate) connection_id: String,
    pub(crate) listener: String,
    pub(crate) downstream: SocketAddr,
    pub(crate) local: SocketAddr,
    /// Who sent the PROXY header that `downstream` and `local` are from.
    pub(crate) proxy: Option<SocketAddr>,
    pub(crate) sni: Option<String>,
    pub(crate) tls_version: Option<&'static str>,
    pub(crate) tls_cipher: Option<String>,
    pub(crate) tls_group: Option<String>,
    pub(crate) tls_resumed: Option<bool>,
    pub(crate) alpn: Option<String>,
    pub(crate) client_spiffe_id: Option<String>,
    pub(crate) cluster: Option<String>,
    pub(crate) endpoint: Option<SocketAddr>,
    pub(crate) attempts: u32,
    /// Bytes of data, without TLS and headers, from the downstream to the endpoint.
    pub(crate) bytes_up: u64,
    /// The same from the endpoint to the downstream.
    pub(crate) bytes_down: u64,
    /// Of both, what the kernel moved by splice(2); not in the line.
    #[serde(skip)]
    pub(crate) bytes_spliced: u64,
    pub(crate) duration_ms: u64,
    pub(crate) termination: &'static str,
    /// What went wrong, for the operator; `null` if nothing did.
    pub(crate) error: Option<String>,
}

impl Record {
    /// A connection of which nothing is known yet but its two ends.
    pub(crate) fn new(
        connection_id: String,
        listener: String,
        downstream: SocketAddr,
        local: SocketAddr,
    ) -> Self {
        Self {
            time: String::new(),
            connection_id,
            listener,
            downstream,
            local,
            proxy: None,
            sni: None,
            tls_version: None,
            tls_cipher: None,
            tls_group: None,
            tls_resumed: None,
            alpn: None,
            client_spiffe_id: None,
            cluster: None,
            endpoint: None,
            attempts: 0,
            bytes_up: 0,
            bytes_down: 0,
            bytes_spliced: 0,
            duration_ms: 0,
            termination: "",
            error: None,
        }
    }
}

/// The queue's end that connections hold.
#[derive(Debug, Clone)]
pub(crate) struct AccessLog {
    queue: SyncSender<String>,
    format: Format,
    next: Arc<Mutex<Option<File>>>,
}

/// What a line looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// An object.
    Json,
    /// `key=value`.
    Line,
}

impl AccessLog {
    /// Starts the thread that writes to `file` and counts its failures. It ends, with everything
    /// written that can be, once the last [`AccessLog`] is dropped.
    ///
    /// # Errors
    /// If there is no thread to be had.
    pub(crate) fn start(
        file: File,
        format: Format,
        failures: Counter,
    ) -> io::Result<(Self, JoinHandle<()>)> {
        let (queue, lines) = sync_channel(QUEUE);
        let next = Arc::new(Mutex::new(None));
        let writer = Writer::new(file, Arc::clone(&next), failures);
        let writer = thread::Builder::new()
            .name("access-log".to_owned())
            .spawn(move || writer.run(&lines))?;
        let log = Self {
            queue,
            format,
            next,
        };
        Ok((log, writer))
    }

    /// The same log with lines of this form; from the next line on, all go to `file`.
    pub(crate) fn go_on_in(&self, file: File, format: Format) -> Self {
        *self.next.lock().unwrap_or_else(PoisonError::into_inner) = Some(file);
        Self {
            format,
            ..self.clone()
        }
    }

    /// Queues one line; false if it is lost.
    #[must_use]
    pub(crate) fn write(&self, record: &Record) -> bool {
        let object = serde_json::to_string(record).ok();
        let line = match self.format {
            Format::Json => object,
            Format::Line => object.as_deref().and_then(line::from_json),
        };
        let Some(line) = line else {
            return false;
        };
        match self.queue.try_send(line) {
            Ok(()) => true,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => false,
        }
    }
}

/// Opens `path` for appending.
///
/// # Errors
/// If that cannot be done.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn started(path: &Path) -> (AccessLog, JoinHandle<()>) {
        AccessLog::start(open(path).unwrap(), Format::Json, Counter::default()).unwrap()
    }

    /// Nothing can be written to /dev/full.
    #[test]
    fn a_full_disk_holds_lines_back_and_the_next_file_gets_them() {
        let path = std::env::temp_dir().join(format!("access-log-{}", uuid::Uuid::now_v7()));
        let failures = Counter::default();
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let (log, writer) = AccessLog::start(full, Format::Json, failures.clone()).unwrap();
        let address = "127.0.0.1:1".parse().unwrap();
        let record = Record::new("id".to_owned(), "public".to_owned(), address, address);
        let written = (0..QUEUE * 2).filter(|_line| log.write(&record)).count();
        assert!((QUEUE..QUEUE * 2).contains(&written), "{written}");
        while failures.get() == 0 {
            thread::yield_now();
        }
        let next = log.go_on_in(open(&path).unwrap(), Format::Json);
        while std::fs::metadata(&path).unwrap().len() == 0 {
            thread::yield_now();
        }
        drop((log, next));
        writer.join().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(
            text.lines().count(),
            written,
            "none is lost that was queued"
        );
    }

    #[test]
    fn a_full_disk_does_not_keep_the_process_from_its_end() {
        let (log, writer) = started(Path::new("/dev/full"));
        let address = "127.0.0.1:1".parse().unwrap();
        let record = Record::new("id".to_owned(), "public".to_owned(), address, address);
        assert!((0..100).all(|_line| log.write(&record)));
        drop(log);
        writer.join().unwrap();
    }

    #[test]
    fn lines_go_on_in_the_next_file() {
        let folder = std::env::temp_dir();
        let paths = [0, 1].map(|_| folder.join(format!("access-log-{}", uuid::Uuid::now_v7())));
        let (log, writer) = started(&paths[0]);
        let address = "127.0.0.1:1".parse().unwrap();
        let record = Record::new("id".to_owned(), "public".to_owned(), address, address);
        assert!(log.write(&record));
        while std::fs::metadata(&paths[0]).unwrap().len() == 0 {
            thread::yield_now();
        }
        let next = log.go_on_in(open(&paths[1]).unwrap(), Format::Json);
        assert!(next.write(&record) && next.write(&record));
        drop((log, next));
        writer.join().unwrap();
        let lines = paths.map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            std::fs::remove_file(&path).unwrap();
            text.lines().count()
        });
        assert_eq!(lines, [1, 2]);
    }

    #[test]
    fn every_queued_line_is_written_before_the_end() {
        let path = std::env::temp_dir().join(format!("access-log-{}", uuid::Uuid::now_v7()));
        let (log, writer) = started(&path);
        let address = "127.0.0.1:1".parse().unwrap();
        let mut record = Record::new("id".to_owned(), "public".to_owned(), address, address);
        for attempts in 0..100 {
            record.attempts = attempts;
            assert!(log.write(&record));
        }
        drop(log);
        writer.join().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let lines: Vec<serde_json::Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines.len(), 100);
        assert_eq!(lines[99]["attempts"], 99);
        assert!(lines[0]["sni"].is_null());
    }
}
