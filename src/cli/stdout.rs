//! Stdout, written to in whatever mode it is. Another program that has the same pipe or terminal may have made it non-blocking, which
//! is a mode of what both have, and not of either.

use std::io::{self, Write};
use std::thread;
use std::time::Duration;

/// How long to wait before a full pipe is tried again.
const PAUSE: Duration = Duration::from_millis(2);

/// See the module's description.
pub(super) struct Stdout(io::Stdout);

impl Stdout {
    /// The stdout of this process.
    pub(super) fn of_process() -> Self {
        Self(io::stdout())
    }
}

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        once_ready(|| self.0.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        once_ready(|| self.0.flush())
    }
}

fn once_ready<R>(mut attempt: impl FnMut() -> io::Result<R>) -> io::Result<R> {
    loop {
        match attempt() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(PAUSE),
            done => return done,
        }
    }
}
