//! CPU time of a process, and who runs where.

use std::{fs, path::Path, time::Duration};

use e2e::{error::HarnessError, process::Process, run_folder::RunFolder};
use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    unistd::Pid,
};

/// Keeps this process off CPU 0; what it starts by [`start_on_first`] runs there.
pub(crate) fn leave_first_to_the_subject() -> Result<(), String> {
    let mine = sched_getaffinity(Pid::from_raw(0)).map_err(|errno| errno.to_string())?;
    let mut rest = CpuSet::new();
    let mut left = 0;
    for cpu in 1..CpuSet::count() {
        if mine.is_set(cpu).unwrap_or(false) {
            rest.set(cpu).map_err(|errno| errno.to_string())?;
            left += 1;
        }
    }
    if left == 0 || !mine.is_set(0).unwrap_or(false) {
        return Err(
            "CPU 0 and one more are needed, so that the load does not take the subject's"
                .to_owned(),
        );
    }
    sched_setaffinity(Pid::from_raw(0), &rest).map_err(|errno| errno.to_string())
}

/// Starts a process on CPU 0 alone.
pub(crate) fn start_on_first(
    name: &str,
    program: &Path,
    arguments: &[&str],
    folder: &RunFolder,
) -> Result<Process, HarnessError> {
    let program = program.to_string_lossy();
    let mut all = vec!["-c", "0", &program];
    all.extend(arguments);
    Process::start(name, Path::new("taskset"), &all, folder)
}

/// User and system time of the process so far, in the kernel's resolution of 10 ms (proc(5), stat 14 and 15).
pub(crate) fn time_of(process: &Process) -> Duration {
    const TICK: Duration = Duration::from_millis(10);
    let stat = fs::read_to_string(format!("/proc/{}/stat", process.id())).unwrap_or_default();
    // The second field is the name in parentheses and may hold spaces.
    let fields = stat
        .rsplit_once(')')
        .map_or("", |(_, rest)| rest)
        .split_ascii_whitespace();
    let ticks: u32 = fields
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<u32>().ok())
        .sum();
    TICK * ticks
}
