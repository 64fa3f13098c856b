//! When the next poll is due. `follow` keeps it.
//!
//! What others write is seen the sooner, the less time has passed since the last event, or since somebody began to follow: whoever
//! waits for the next part of an answer gets it within a few milliseconds, and who follows a session that nobody writes to
//! costs the server little.

use std::time::Duration;

use tokio::time::Instant;

/// The shortest pause between polls.
const SHORTEST: Duration = Duration::from_millis(20);

/// The longest. Fifty drivers that wait for nothing cost the server some 3% of one core.
const LONGEST: Duration = Duration::from_millis(200);

/// The longest where others write to the server all the time, and each poll is a query for events.
const LONGEST_AMONG_OTHERS: Duration = Duration::from_millis(600);

/// Between these bounds, the pause is this part of the time since events were last to be expected.
const PART: u32 = 100;

/// What a poll has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum News {
    /// Nobody has committed anything.
    None,
    /// Others have committed something, but no event that anybody waits for.
    OfOthers,
    Events,
}

/// See the module's description.
pub(super) struct Pace {
    last_expected: Instant,
    next_poll: Instant,
}

impl Pace {
    /// The first poll is due at once.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            last_expected: now,
            next_poll: now,
        }
    }

    pub(super) fn next_poll(&self) -> Instant {
        self.next_poll
    }

    /// A poll has come to its end.
    pub(super) fn polled(&mut self, news: News, now: Instant) {
        if news == News::Events {
            self.last_expected = now;
        }
        let longest = match news {
            News::OfOthers => LONGEST_AMONG_OTHERS,
            News::None | News::Events => LONGEST,
        };
        self.next_poll = now + ((now - self.last_expected) / PART).clamp(SHORTEST, longest);
    }

    /// Others may write soon: somebody has begun to follow, or an event of this driver's has come, which they may answer.
    pub(super) fn expect_events(&mut self, now: Instant) {
        self.last_expected = now;
        self.next_poll = self.next_poll.min(now + SHORTEST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pause_after(silence: Duration, news: News) -> Duration {
        let begin = Instant::now();
        let mut pace = Pace::new(begin);
        pace.polled(News::Events, begin);
        let now = begin + silence;
        pace.polled(news, now);
        pace.next_poll() - now
    }

    #[test]
    fn the_longer_nothing_has_come_the_longer_the_pause() {
        let pauses = [0, 2, 5, 10, 60].map(|seconds| pause_after(Duration::from_secs(seconds), News::None));
        assert_eq!(pauses.map(|pause| pause.as_millis()), [20, 20, 50, 100, 200]);
        let pause = pause_after(Duration::from_secs(60), News::OfOthers);
        assert_eq!(pause, LONGEST_AMONG_OTHERS);
    }

    #[test]
    fn polls_are_quick_again_where_events_are_to_be_expected() {
        let begin = Instant::now();
        let mut pace = Pace::new(begin);
        let later = begin + Duration::from_secs(60);
        pace.polled(News::None, later);
        assert_eq!(pace.next_poll() - later, LONGEST);
        pace.expect_events(later);
        assert_eq!(pace.next_poll() - later, SHORTEST);
        pace.polled(News::OfOthers, later + SHORTEST);
        assert_eq!(pace.next_poll() - later, 2 * SHORTEST);
    }
}
