//! The thread that writes the access log. While it cannot write, lines wait in the queue, and those
//! for which there is no room are lost and counted by the connections; it goes on where it stopped.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::MetadataExt;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;

/// What is written at once, so that a burst costs few system calls. A quiet line appears at once.
const BATCH: usize = 64 * 1024;

/// Between two attempts to write. A disk that is full costs one system call in this time.
const RETRY: Duration = Duration::from_millis(200);

/// See the module.
pub(super) struct Writer {
    file: File,
    /// Where to go on. The writer has the only one once nobody has a line to write any more.
    next: Arc<Mutex<Option<File>>>,
    failures: Counter,
    /// Whole lines.
    batch: Vec<u8>,
    /// So many bytes of the batch are in the file.
    written: usize,
    in_trouble: bool,
    lost: usize,
}

impl Writer {
    pub(super) fn new(file: File, next: Arc<Mutex<Option<File>>>, failures: Counter) -> Self {
        Self {
            file,
            next,
            failures,
            batch: Vec::new(),
            written: 0,
            in_trouble: false,
            lost: 0,
        }
    }

    /// Writes until nobody has a line to write any more and all are written, or can not be.
    pub(super) fn run(mut self, lines: &Receiver<String>) {
        while let Ok(line) = lines.recv() {
            self.take_next_file();
            self.add(&line);
            while self.batch.len() < BATCH
                && let Ok(line) = lines.try_recv()
            {
                self.add(&line);
            }
            self.write_batch();
        }
        if self.lost > 0 {
            tracing::error!(
                lines = self.lost,
                "access_log.path: the last lines are lost"
            );
        }
    }

    fn add(&mut self, line: &str) {
        self.batch.extend_from_slice(line.as_bytes());
        self.batch.push(b'\n');
    }

    fn write_batch(&mut self) {
        while let Some(rest) = self
            .batch
            .get(self.written..)
            .filter(|rest| !rest.is_empty())
        {
            match self.file.write(rest) {
                Ok(0) => self.failed(&ErrorKind::WriteZero.into()),
                Ok(bytes) => self.written += bytes,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => self.failed(&error),
            }
        }
        self.batch.clear();
        self.written = 0;
        if self.in_trouble && self.lost == 0 {
            self.in_trouble = false;
            tracing::info!("access_log.path: lines are written again");
        }
    }

    fn failed(&mut self, error: &io::Error) {
        self.failures.inc();
        if !self.in_trouble {
            self.in_trouble = true;
            tracing::error!(%error, "access_log.path: cannot write, lines wait or are lost");
        }
        self.forget_whole_lines();
        if Arc::strong_count(&self.next) == 1 {
            // The process ends, which must not wait for the disk.
            self.lost += self.batch.iter().filter(|byte| **byte == b'\n').count();
            self.batch.clear();
            self.written = 0;
            return;
        }
        let end = self.length();
        thread::sleep(RETRY);
        if self.take_next_file() {
            self.written = 0;
        } else if self.written > 0 && self.length() != end {
            // Somebody made room in the file itself, or wrote to it: what is there of the line is
            // gone, or is not at the end any more. The line begins anew, on a line of its own.
            self.written = 0;
            if self.length() > 0 {
                self.batch.insert(0, b'\n');
            }
        }
    }

    /// Of the batch, keeps what is not in the file, from the beginning of its line.
    fn forget_whole_lines(&mut self) {
        let in_file = self.batch.get(..self.written).unwrap_or_default();
        let whole = in_file.iter().rposition(|byte| *byte == b'\n');
        let whole = whole.map_or(0, |end| end + 1);
        self.batch.drain(..whole);
        self.written -= whole;
    }

    /// 0 for what is no file but a pipe or a terminal.
    fn length(&self) -> u64 {
        self.file.metadata().map_or(0, |about| about.len())
    }

    /// True if it is another file: a reload also opens the same one again.
    fn take_next_file(&mut self) -> bool {
        let next = self
            .next
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(next) = next else {
            return false;
        };
        let is_same = is_same(&self.file, &next).unwrap_or(false);
        self.file = next;
        !is_same
    }
}

fn is_same(one: &File, other: &File) -> io::Result<bool> {
    let (one, other) = (one.metadata()?, other.metadata()?);
    Ok((one.dev(), one.ino()) == (other.dev(), other.ino()))
}
