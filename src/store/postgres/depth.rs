//! How many transactions may be under way on one connection, learnt from how long they take. `pipeline` asks it.
//!
//! A server does those of one connection one after another. While one is on its way, and while its answer is, the server
//! could work on others: as many as fit into the round trip. More would only wait in front of the server, where those that
//! wait here become one larger batch, which is less work. So a server that is near has one at a time.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// How many of the last figures count.
const REMEMBERED: usize = 9;

/// How often the round trip is measured.
const MEASURE_EVERY: Duration = Duration::from_millis(100);

/// The most that may be under way on a connection, whatever the figures say.
const DEEPEST: usize = 128;

/// What is known of the way to the server, and of the server.
#[derive(Debug)]
pub(super) struct Depth {
    /// How long the server took to answer a statement with nothing to do.
    round_trips: Recent,
    /// How much longer it took for a transaction.
    service_times: Recent,
    next_measurement: Instant,
    /// What follows from the figures.
    at_once: usize,
    usual_time: Duration,
}

impl Depth {
    pub(super) fn new() -> Self {
        Self {
            round_trips: Recent::default(),
            service_times: Recent::default(),
            next_measurement: Instant::now(),
            at_once: 1,
            usual_time: Duration::ZERO,
        }
    }

    /// How many transactions may be under way on a connection.
    pub(super) fn at_once(&self) -> usize {
        self.at_once
    }

    /// How long a transaction usually takes, with its way there and back.
    pub(super) fn usual_time(&self) -> Duration {
        self.usual_time
    }

    /// Whether the round trip is to be measured now.
    pub(super) fn is_measurement_due(&mut self) -> bool {
        let now = Instant::now();
        let is_due = now >= self.next_measurement;
        if is_due {
            self.next_measurement = now + MEASURE_EVERY;
        }
        is_due
    }

    /// Notes how long a transaction took, and the round trip if it was measured with it.
    pub(super) fn note(&mut self, took: Duration, round_trip: Option<Duration>) {
        if let Some(round_trip) = round_trip {
            self.round_trips.note(round_trip);
        }
        // The shortest: the others had to wait for transactions in front of them.
        let round_trip = self.round_trips.sorted().first().copied().unwrap_or_default();
        self.service_times.note(took.saturating_sub(round_trip));
        // The median: a transaction now and then waits for a lock.
        let service_times = self.service_times.sorted();
        let service_time = service_times[service_times.len() / 2];
        // To the nearest whole one.
        let meanwhile = (round_trip + service_time / 2).as_micros() / service_time.as_micros().max(1);
        self.at_once = usize::try_from(1 + meanwhile).unwrap_or(DEEPEST).min(DEEPEST);
        self.usual_time = round_trip + service_time;
    }
}

/// The last figures of a kind.
#[derive(Debug, Default)]
struct Recent {
    sorted: Vec<Duration>,
    latest: VecDeque<Duration>,
}

impl Recent {
    fn note(&mut self, figure: Duration) {
        if self.latest.len() == REMEMBERED {
            self.latest.pop_front();
        }
        self.latest.push_back(figure);
        self.sorted.clear();
        self.sorted.extend(&self.latest);
        self.sorted.sort_unstable();
    }

    fn sorted(&self) -> &[Duration] {
        &self.sorted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learnt(round_trip: u64, took: u64) -> usize {
        let mut depth = Depth::new();
        depth.note(Duration::from_micros(took), Some(Duration::from_micros(round_trip)));
        depth.at_once()
    }

    #[test]
    fn as_many_are_under_way_as_the_server_does_in_a_round_trip() {
        assert_eq!(Depth::new().at_once(), 1);
        assert_eq!(learnt(60, 400), 1);
        assert_eq!(learnt(1_000, 1_400), 1 + 3);
        assert_eq!(learnt(10_000, 10_500), 1 + 20);
        assert_eq!(learnt(1_000, 21_000), 1);
        assert_eq!(learnt(500_000, 500_001), DEEPEST);
        assert_eq!(learnt(500, 500), DEEPEST);
    }

    #[test]
    fn what_is_slow_once_changes_nothing() {
        let mut depth = Depth::new();
        for took in [1_400, 1_400, 101_000, 1_400, 1_400] {
            depth.note(
                Duration::from_micros(took),
                Some(Duration::from_micros(took.min(5_000) - 400)),
            );
        }
        assert_eq!(depth.at_once(), 1 + 3);
    }
}
