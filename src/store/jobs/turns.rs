//! Leaves other writers their turns between the steps of a job, and the larger part of the time while there are any.
//!
//! A call of a job that took much longer than its step has waited for the writes of others: so there are others. Other processes
//! wait for their turn without anybody knowing; a short pause is enough for one of them to begin.

use std::thread;
use std::time::{Duration, Instant};

/// How long a process that waits for SQLite's lock sleeps at most before it looks again, and a little more.
const SHORTEST: Duration = Duration::from_micros(2_200);

/// However long a step took: the job is to go on, too.
const LONGEST: Duration = Duration::from_millis(100);

/// See the module's description.
#[derive(Debug)]
pub struct Turns {
    began: Instant,
}

impl Default for Turns {
    fn default() -> Self {
        Self { began: Instant::now() }
    }
}

impl Turns {
    /// A step is called.
    pub fn begin(&mut self) {
        self.began = Instant::now();
    }

    /// It is done, and took so long once it was its turn: waits for as long as the others are to have.
    pub fn end(&mut self, took: Duration) {
        thread::sleep(pause(self.began.elapsed(), took));
    }
}

/// A step is done that took so long, and whose caller had something else to do meanwhile: lets one of another process begin, unless
/// there was time for that since the step was called.
pub fn leave_one(called: Duration, took: Duration) {
    let free = called.saturating_sub(took);
    if took > SHORTEST {
        thread::sleep(SHORTEST.saturating_sub(free));
    }
}

fn pause(called: Duration, took: Duration) -> Duration {
    let waited = called.saturating_sub(took);
    if waited > took / 10 {
        (took * 2).clamp(SHORTEST, LONGEST)
    } else if took > SHORTEST {
        SHORTEST
    } else {
        // Most of such a step is the sync of a commit, beside which others may begin to wait.
        Duration::ZERO
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_that_write_get_twice_the_time_of_a_step() {
        let pauses = [(10, 10), (30, 10), (1, 1), (9, 1), (900, 500)].map(|(called, took)| {
            let [called, took] = [called, took].map(Duration::from_millis);
            pause(called, took)
        });
        let twice = Duration::from_millis(20);
        assert_eq!(pauses, [SHORTEST, twice, Duration::ZERO, SHORTEST, LONGEST]);
    }
}
