//! Starts the successor: the program that is now at the path where this one was started from.

use std::ffi::OsString;
use std::io;

use tokio::process::{Child, Command};

/// What the service manager said to this process alone.
const OURS_ALONE: [&str; 4] = ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "WATCHDOG_PID"];

/// Starts it with the arguments of this process and `--take-over`.
///
/// # Errors
/// If the program cannot be started.
pub(crate) fn successor() -> io::Result<Child> {
    let mut arguments = std::env::args_os();
    let program = arguments.next().unwrap_or_default();
    let mut command = Command::new(program);
    command.args(with_take_over(arguments));
    for name in OURS_ALONE {
        command.env_remove(name);
    }
    command.spawn()
}

fn with_take_over(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut arguments: Vec<_> = arguments.collect();
    let flag = OsString::from("--take-over");
    if !arguments.contains(&flag) {
        arguments.push(flag);
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_stands_there_once() {
        let plain = ["run", "--config", "a"].map(OsString::from);
        let flagged = ["run", "--config", "a", "--take-over"].map(OsString::from);
        assert_eq!(with_take_over(plain.into_iter()), flagged);
        assert_eq!(with_take_over(flagged.clone().into_iter()), flagged);
    }
}
