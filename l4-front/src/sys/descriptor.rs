//! Descriptors that others hand to this process: a parent by their numbers, another process in a
//! message.

use std::io::{self, IoSliceMut};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::cmsg_space;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, UnixAddr, recvmsg};

/// The first number that a service manager uses (sd_listen_fds(3)).
const FIRST: RawFd = 3;

static TAKEN: AtomicBool = AtomicBool::new(false);

/// Takes over the `count` descriptors that a service manager left open from number 3 on. They are
/// no longer inherited by programs that this process starts.
///
/// To be called before this process opens anything, and only where the manager said so: whatever
/// else had these numbers would be taken over too. A second call gives nothing.
///
/// # Errors
/// If one of them is not open.
pub(crate) fn inherited(count: usize) -> io::Result<Vec<OwnedFd>> {
    if TAKEN.swap(true, Ordering::SeqCst) {
        return Ok(Vec::new());
    }
    let numbers = (FIRST..).take(count);
    let take = |number| {
        // SAFETY: only lent for the call that asks whether it is open; if it is not, that call
        // fails and nothing else is done with it.
        let lent = unsafe { BorrowedFd::borrow_raw(number) };
        fcntl(lent, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
        // SAFETY: it is open, as the call before found; the manager left it to this process, the
        // caller has opened nothing that could have this number, and `TAKEN` sees to it that it is
        // taken over once.
        Ok(unsafe { OwnedFd::from_raw_fd(number) })
    };
    numbers.map(take).collect()
}

/// Receives one byte and the one descriptor that came with it; `None` where there was none, or more
/// than one.
///
/// # Errors
/// Those of recvmsg(2).
pub(crate) fn receive(socket: BorrowedFd<'_>) -> io::Result<Option<OwnedFd>> {
    let mut byte = [0_u8];
    let mut slices = [IoSliceMut::new(&mut byte)];
    let mut space = cmsg_space!([RawFd; 1]);
    let message = recvmsg::<UnixAddr>(
        socket.as_raw_fd(),
        &mut slices,
        Some(&mut space),
        MsgFlags::MSG_CMSG_CLOEXEC,
    )?;
    if message.bytes == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let mut received = Vec::new();
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(numbers) = control {
            for number in numbers {
                // SAFETY: the kernel has just made this descriptor for this process, in the
                // message that is read here and nowhere else.
                received.push(unsafe { OwnedFd::from_raw_fd(number) });
            }
        }
    }
    let one = received.pop();
    Ok(one.filter(|_one| received.is_empty()))
}

#[cfg(test)]
mod tests {
    use std::io::{IoSlice, Write};
    use std::net::TcpListener;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use nix::sys::socket::{ControlMessage, sendmsg};

    use super::*;

    fn send(to: &UnixStream, numbers: &[RawFd]) {
        let rights = [ControlMessage::ScmRights(numbers)];
        let slices = [IoSlice::new(b"x")];
        let flags = MsgFlags::empty();
        sendmsg::<UnixAddr>(to.as_raw_fd(), &slices, &rights, flags, None).unwrap();
    }

    #[test]
    fn a_descriptor_comes_with_its_byte_and_is_not_inherited() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        send(&ours, &[listener.as_raw_fd()]);
        let received = receive(theirs.as_fd()).unwrap().unwrap();
        let flags = fcntl(&received, FcntlArg::F_GETFD).unwrap();
        assert_eq!(flags & FdFlag::FD_CLOEXEC.bits(), FdFlag::FD_CLOEXEC.bits());
        let received = TcpListener::from(received);
        assert_eq!(
            received.local_addr().unwrap(),
            listener.local_addr().unwrap()
        );
    }

    #[test]
    fn a_byte_alone_and_two_descriptors_at_once_are_no_hand_over() {
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        ours.write_all(b"x").unwrap();
        assert!(receive(theirs.as_fd()).unwrap().is_none());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        send(&ours, &[listener.as_raw_fd(), listener.as_raw_fd()]);
        assert!(receive(theirs.as_fd()).unwrap().is_none());
        drop(ours);
        let kind = receive(theirs.as_fd()).unwrap_err().kind();
        assert_eq!(kind, io::ErrorKind::UnexpectedEof);
    }
}
