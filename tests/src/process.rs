//! A process of the harness: its output goes to a log file, and it never outlives the harness.
//!
//! It is killed when its [`Process`] is dropped, so also by a panic. Should the harness itself be
//! killed, the kernel ends its children: each is started through `setpriv --pdeathsig`, the way to
//! that signal without unsafe code.

use std::{
    fs, io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{LazyLock, mpsc},
    thread,
    time::Duration,
};

use nix::{
    sys::signal::{self, Signal},
    unistd::Pid,
};

use crate::{deadline::eventually, error::HarnessError, run_folder::RunFolder};

/// What a service manager hands to a process that it starts.
#[derive(Debug, Default)]
pub struct Handed {
    /// Variables beside those of the harness.
    pub environment: Vec<(&'static str, String)>,
    /// Found by the process as number 3, with a LISTEN_PID that is its own (sd_listen_fds(3)).
    pub socket: Option<OwnedFd>,
}

impl Handed {
    /// The socket comes as standard input, which is the way without unsafe code; a shell puts it in
    /// its place and says whom it is for. The process then has the shell's id.
    fn shell(&self) -> Vec<&'static str> {
        const PLACE: &str =
            "exec 3<&0 </dev/null; export LISTEN_PID=$$ LISTEN_FDS=1; exec \"$0\" \"$@\"";
        match self.socket {
            Some(_) => vec!["sh", "-c", PLACE],
            None => Vec::new(),
        }
    }
}

/// A running child process.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `program`; both its outputs go to `<name>.log` in the run folder.
    ///
    /// # Errors
    /// [`HarnessError::Spawn`], or [`HarnessError::File`] for the log.
    pub fn start(
        name: &str,
        program: &Path,
        arguments: &[&str],
        folder: &RunFolder,
    ) -> Result<Self, HarnessError> {
        Self::start_by_manager(name, program, arguments, folder, Handed::default())
    }

    /// The same, as a service manager would.
    ///
    /// # Errors
    /// As [`Process::start`].
    pub fn start_by_manager(
        name: &str,
        program: &Path,
        arguments: &[&str],
        folder: &RunFolder,
        handed: Handed,
    ) -> Result<Self, HarnessError> {
        let log = folder.write(&format!("{name}.log"), "")?;
        let output = || {
            fs::OpenOptions::new()
                .append(true)
                .open(&log)
                .map(Stdio::from)
        };
        let spawn_failed = |source: io::Error| HarnessError::Spawn {
            process: name.to_owned(),
            source,
        };
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL", "--"])
            .args(handed.shell())
            .arg(program)
            .args(arguments)
            .current_dir(folder.path())
            .envs(handed.environment)
            .stdin(handed.socket.map_or_else(Stdio::null, Stdio::from))
            .stdout(output().map_err(spawn_failed)?)
            .stderr(output().map_err(spawn_failed)?);
        let child = spawn_from_lasting_thread(command).map_err(spawn_failed)?;
        Ok(Self {
            name: name.to_owned(),
            child,
            log,
        })
    }

    /// Looks until `ready` says so.
    ///
    /// # Errors
    /// [`HarnessError::Ended`] as soon as the process is gone, [`HarnessError::Deadline`] with the
    /// tail of its log.
    pub async fn ready_when(
        &mut self,
        within: Duration,
        mut ready: impl AsyncFnMut() -> bool,
    ) -> Result<(), HarnessError> {
        let child = &mut self.child;
        let outcome = eventually("ready", within, async || match child.try_wait() {
            Ok(Some(status)) => Some(Err(status)),
            Ok(None) | Err(_) => ready().await.then_some(Ok(())),
        })
        .await;
        let (process, log_tail) = (self.name.clone(), self.log_tail());
        match outcome {
            Ok(Ok(())) => Ok(()),
            Ok(Err(status)) => Err(HarnessError::Ended {
                process,
                status,
                log_tail,
            }),
            Err(_late) => Err(HarnessError::Deadline {
                what: format!("the start of {process}"),
                within,
                log_tail,
            }),
        }
    }

    /// Everything that the process has printed so far.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// The last lines of the log.
    #[must_use]
    pub fn log_tail(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
    }

    /// The process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Resident memory in KiB (proc(5), status VmRSS); nothing where the process is gone.
    #[must_use]
    pub fn resident_kib(&self) -> Option<u32> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id())).ok()?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.split_ascii_whitespace().next()?.parse().ok()
    }

    /// How many file descriptors the process has open; nothing where it is gone.
    #[must_use]
    pub fn descriptors(&self) -> Option<usize> {
        let open = fs::read_dir(format!("/proc/{}/fd", self.id())).ok()?;
        Some(open.count())
    }

    /// What these descriptors are of, in order: paths, `socket:[NUMBER]` and so on (proc(5)).
    #[must_use]
    pub fn open_files(&self) -> Option<Vec<String>> {
        let open = fs::read_dir(format!("/proc/{}/fd", self.id())).ok()?;
        // One that is closed between the two calls is not open.
        let names = open.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
        let mut names: Vec<_> = names
            .map(|name| name.to_string_lossy().into_owned())
            .collect();
        names.sort_unstable();
        Some(names)
    }

    /// Asks the process to end (SIGTERM).
    ///
    /// # Errors
    /// [`HarnessError::Signal`] if it is gone already.
    pub fn terminate(&self) -> Result<(), HarnessError> {
        self.signal(Signal::SIGTERM)
    }

    /// Asks the process to read its configuration again (SIGHUP).
    ///
    /// # Errors
    /// [`HarnessError::Signal`] if it is gone already.
    pub fn hang_up(&self) -> Result<(), HarnessError> {
        self.signal(Signal::SIGHUP)
    }

    /// Asks the process to start its program anew, in its place (SIGUSR2).
    ///
    /// # Errors
    /// [`HarnessError::Signal`] if it is gone already.
    pub fn upgrade(&self) -> Result<(), HarnessError> {
        self.signal(Signal::SIGUSR2)
    }

    /// Stops the process where it is (SIGSTOP): its sockets stay, and nobody answers on them.
    ///
    /// # Errors
    /// [`HarnessError::Signal`] if it is gone already.
    pub fn freeze(&self) -> Result<(), HarnessError> {
        self.signal(Signal::SIGSTOP)
    }

    /// The id of its thread of this name.
    #[must_use]
    pub fn thread(&self, name: &str) -> Option<i32> {
        let threads = fs::read_dir(format!("/proc/{}/task", self.id())).ok()?;
        threads.flatten().find_map(|thread| {
            let called = fs::read_to_string(thread.path().join("comm")).ok()?;
            let id = thread.file_name().to_string_lossy().parse().ok()?;
            (called.trim_end() == name).then_some(id)
        })
    }

    fn signal(&self, signal: Signal) -> Result<(), HarnessError> {
        i32::try_from(self.child.id())
            .map_err(io::Error::other)
            .and_then(|id| signal::kill(Pid::from_raw(id), signal).map_err(io::Error::from))
            .map_err(|source| HarnessError::Signal {
                process: self.name.clone(),
                signal: signal.as_str(),
                source,
            })
    }

    /// Waits until the process has ended by itself.
    ///
    /// # Errors
    /// [`HarnessError::Deadline`] with the tail of its log.
    pub async fn ended(&mut self, within: Duration) -> Result<ExitStatus, HarnessError> {
        let child = &mut self.child;
        let status = eventually("ended", within, async || child.try_wait().ok().flatten()).await;
        status.map_err(|_late| HarnessError::Deadline {
            what: format!("the end of {}", self.name),
            within,
            log_tail: self.log_tail(),
        })
    }

    /// Ends the process and all that it started in a process namespace of its own, at once: none of
    /// them is left when this returns, because the namespace's first process is the last to go.
    pub fn kill_with_children(&mut self) {
        let place = format!("/proc/{0}/task/{0}/children", self.id());
        let children = fs::read_to_string(place).unwrap_or_default();
        let children: Vec<i32> = children
            .split_ascii_whitespace()
            .filter_map(|id| id.parse().ok())
            .collect();
        if children.is_empty() {
            return self.kill();
        }
        for child in children {
            let _gone_already = signal::kill(Pid::from_raw(child), Signal::SIGKILL);
        }
        let _reaped = self.child.wait();
    }

    /// Ends the process at once, as a crash would.
    pub fn kill(&mut self) {
        let _gone_already = self.child.kill();
        let _reaped = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The parent-death signal is sent when the *thread* that started the child ends. So one thread,
/// which never ends, starts every child: a test's own thread ends before the process does.
fn spawn_from_lasting_thread(command: Command) -> io::Result<Child> {
    let (answer, spawned) = mpsc::channel();
    SPAWNER
        .send(Order { command, answer })
        .map_err(io::Error::other)?;
    spawned.recv().map_err(io::Error::other)?
}

struct Order {
    command: Command,
    answer: mpsc::Sender<io::Result<Child>>,
}

static SPAWNER: LazyLock<mpsc::Sender<Order>> = LazyLock::new(|| {
    let (orders, queue) = mpsc::channel::<Order>();
    thread::spawn(move || {
        for Order {
            mut command,
            answer,
        } in queue
        {
            let _asker_gone = answer.send(command.spawn());
        }
    });
    orders
});

/// Enough to show why a start failed, little enough to read in a test's output.
const TAIL_LINES: usize = 25;
