//! CPU time of a process, and who runs where.

use std::{path::Path, time::Duration};

use e2e::{error::HarnessError, process::Process, run_folder::RunFolder};
use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    sys::resource::{Resource, getrlimit, setrlimit},
    time::clock_getcpuclockid,
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

/// CPU time of all of the process's threads so far, by the kernel's own clock for it; nothing where it is gone.
pub(crate) fn time_of(process: &Process) -> Duration {
    i32::try_from(process.id())
        .ok()
        .and_then(|id| clock_getcpuclockid(Pid::from_raw(id)).ok())
        .and_then(|clock| clock.now().ok())
        .map_or(Duration::ZERO, Duration::from)
}

/// Lets this process, and what it starts, have so many descriptors open.
pub(crate) fn allow_descriptors(count: u64) -> Result<(), HarnessError> {
    let limit = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(_soft, hard)| {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
        Ok(hard)
    });
    match limit {
        Ok(hard) if hard >= count => Ok(()),
        other => Err(HarnessError::Answer {
            peer: "the limit of open files (ulimit -Hn)".to_owned(),
            got: format!("{other:?}"),
            expected: "two descriptors for each idle connection",
        }),
    }
}
