//! What a service manager such as systemd says to the process that it starts, and is told by it
//! (sd_listen_fds(3), sd_notify(3)). Without one, everything here does nothing.

mod notify;

use std::ffi::OsString;
use std::io;
use std::time::Duration;

pub(crate) use self::notify::Notifier;
use crate::inherited::Inherited;
use crate::sys::descriptor;

/// What stands in the environment.
#[derive(Debug)]
pub(crate) struct ServiceManager {
    pub(crate) notifier: Notifier,
    /// How often the manager wants to hear that the process makes progress.
    pub(crate) watchdog: Option<Duration>,
    pub(crate) sockets: Inherited,
}

/// Why the manager's sockets cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("LISTEN_FDS: descriptor {number}{}", in_brackets(.name))]
pub struct SocketError {
    /// Its number.
    pub number: usize,
    /// What LISTEN_FDNAMES says of it.
    pub name: Option<String>,
    /// Why.
    #[source]
    pub source: io::Error,
}

impl ServiceManager {
    /// Reads the environment, and takes over the sockets. To be called before anything is opened.
    ///
    /// # Errors
    /// If a socket is not one that listens for TCP connections.
    pub(crate) fn meet() -> Result<Self, SocketError> {
        let own = std::process::id();
        let count = sockets(variable("LISTEN_PID"), variable("LISTEN_FDS"), own);
        let names = variable("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':').map(str::to_owned);
        let failed = |number, name, source| SocketError {
            number,
            name,
            source,
        };
        let descriptors = match count {
            0 => Vec::new(),
            count => descriptor::inherited(count).map_err(|error| failed(3, None, error))?,
        };
        let mut inherited = Inherited::default();
        for (number, descriptor) in (3..).zip(descriptors) {
            let name = names.next().filter(|name| !name.is_empty());
            match inherited.adopt(descriptor) {
                Ok(address) => tracing::info!(%address, name, "socket of the service manager"),
                Err(error) => return Err(failed(number, name, error)),
            }
        }
        let watchdog = watchdog(variable("WATCHDOG_PID"), variable("WATCHDOG_USEC"), own);
        Ok(Self {
            notifier: Notifier::to(raw("NOTIFY_SOCKET")),
            watchdog,
            sockets: inherited,
        })
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "what a service manager says stands in the environment and nowhere else"
)]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn raw(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// How many sockets are for this process; a parent's are not.
fn sockets(pid: Option<String>, count: Option<String>, own: u32) -> usize {
    let ours = pid.and_then(|pid| pid.parse().ok()) == Some(own);
    let count = count.and_then(|count| count.parse().ok());
    count.filter(|_count| ours).unwrap_or(0)
}

/// Half of the time after which the manager ends a process that is silent.
fn watchdog(pid: Option<String>, micros: Option<String>, own: u32) -> Option<Duration> {
    let ours = pid.is_none_or(|pid| pid.parse() == Ok(own));
    let micros: u64 = micros?.parse().ok()?;
    (ours && micros > 0).then(|| Duration::from_micros(micros) / 2)
}

fn in_brackets(name: &Option<String>) -> String {
    name.as_deref()
        .map_or_else(String::new, |name| format!(" ({name})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn only_what_is_for_this_process_counts() {
        assert_eq!(sockets(text("7"), text("2"), 7), 2);
        assert_eq!(sockets(text("8"), text("2"), 7), 0, "a parent's");
        assert_eq!(sockets(None, text("2"), 7), 0);
        assert_eq!(sockets(text("7"), text("-2"), 7), 0);
        let second = Some(Duration::from_millis(500));
        assert_eq!(watchdog(text("7"), text("1000000"), 7), second);
        assert_eq!(watchdog(None, text("1000000"), 7), second);
        assert_eq!(watchdog(text("8"), text("1000000"), 7), None);
        assert_eq!(watchdog(None, text("0"), 7), None);
        assert_eq!(watchdog(None, None, 7), None);
    }
}
