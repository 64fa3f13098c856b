//! Writes that are a transaction of their own: what they ask for. Both backends take a batch before each of them and another
//! one after it, so that they keep their place in the order of the calls.

use std::borrow::Cow;

use super::answer::{Answer, JobAnswer};
use super::compaction::CompactionStep;
use super::error::Quoted;
use super::fork::ForkRequest;
use super::labels::LabelChanges;
use super::operation::{Measured, Operation};
use super::prune::{Extent, PruneStep, Rest};

/// A write that is a transaction of its own, as it was called.
#[derive(Debug)]
pub enum SingleRequest {
    /// Set and remove labels of a session.
    SetLabels {
        /// The session's id.
        session_id: String,
        /// What is set and removed.
        changes: LabelChanges,
    },
    /// Delete a session: its record, its events and its labels.
    DeleteSession {
        /// The session's id.
        session_id: String,
    },
    /// Copy a session under a new id.
    Fork(ForkRequest),
    /// A step of pruning a session.
    Prune(PruneStep),
    /// Join some events of a session.
    Compact(CompactionStep),
}

impl SingleRequest {
    /// The session in whose order of writes it stands.
    #[must_use]
    pub fn session_id(&self) -> &str {
        match self {
            Self::SetLabels { session_id, .. }
            | Self::DeleteSession { session_id }
            | Self::Compact(CompactionStep { session_id, .. }) => session_id,
            Self::Fork(fork) => fork.source_id(),
            Self::Prune(step) => &step.session_id,
        }
    }

    /// The session that it changes, so that it must know what is stored of it.
    #[must_use]
    pub fn changed_session_id(&self) -> &str {
        match self {
            Self::SetLabels { session_id, .. }
            | Self::DeleteSession { session_id }
            | Self::Compact(CompactionStep { session_id, .. }) => session_id,
            Self::Fork(fork) => fork.fork_id(),
            Self::Prune(step) => &step.session_id,
        }
    }

    /// The session that it adds to, which so must not have been deleted. A fork sees for itself whether its new id is free.
    #[must_use]
    pub fn adds_to(&self) -> Option<&str> {
        match self {
            Self::SetLabels { session_id, .. } => Some(session_id),
            Self::DeleteSession { .. } | Self::Fork(_) | Self::Prune(_) | Self::Compact(_) => None,
        }
    }

    /// The session that nothing is left of, if it was answered so.
    #[must_use]
    pub fn removed_session(&self, answer: &Answer) -> Option<&str> {
        match (self, answer) {
            (Self::DeleteSession { session_id }, _) => Some(session_id),
            (Self::Prune(step), Answer::OfJob(JobAnswer::Pruned(pruned)))
                if step.extent == Extent::All && pruned.rest == Rest::Nothing =>
            {
                Some(&step.session_id)
            }
            _ => None,
        }
    }

    /// The session to which it adds events, or of which it deletes all, so that followers must hear of it.
    #[must_use]
    pub fn session_of_events(&self) -> Option<&str> {
        match self {
            Self::SetLabels { .. } | Self::Compact(_) => None,
            Self::DeleteSession { session_id } => Some(session_id),
            Self::Fork(fork) => Some(fork.fork_id()),
            Self::Prune(step) => Some(&step.session_id),
        }
    }

    /// The session that may have more or fewer events than before, so that a count of them holds no more.
    #[must_use]
    pub fn recounted_session(&self) -> Option<&str> {
        match self {
            Self::Compact(step) => Some(&step.session_id),
            _ => self.session_of_events(),
        }
    }

    /// How much text it keeps in memory.
    #[must_use]
    pub fn text_bytes(&self) -> usize {
        match self {
            Self::SetLabels { session_id, changes } => session_id.len() + changes.text_bytes(),
            Self::DeleteSession { session_id } | Self::Compact(CompactionStep { session_id, .. }) => session_id.len(),
            Self::Fork(fork) => fork.text_bytes(),
            Self::Prune(step) => step.texts().into_iter().map(str::len).sum(),
        }
    }

    /// What an error says was being done; the name of the database follows.
    #[must_use]
    pub fn doing(&self) -> String {
        match self {
            Self::SetLabels { session_id, .. } => format!("setting labels of session {} in", Quoted(session_id)),
            Self::DeleteSession { session_id } => format!("deleting session {} from", Quoted(session_id)),
            Self::Fork(fork) => format!("forking session {} in", Quoted(fork.source_id())),
            Self::Prune(step) => step.doing(),
            Self::Compact(step) => format!("compacting session {} in", Quoted(&step.session_id)),
        }
    }
}

impl Measured for SingleRequest {
    fn operation(&self) -> Option<Operation> {
        match self {
            Self::SetLabels { .. } => Some(Operation::SetLabels),
            Self::DeleteSession { .. } => Some(Operation::DeleteSession),
            Self::Fork(_) => Some(Operation::ForkSession),
            Self::Prune(_) | Self::Compact(_) => None,
        }
    }

    fn session_id(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(self.session_id()))
    }
}
