//! A store that sessions come into, and what is told of those that are different there. `copy` and `import` have it.

use super::Context;
use super::confirm::Confirmation;
use super::failure::Failure;
use super::output::Output;
use super::store::{OpenStore, StoreArguments};
use super::text::Printable;
use crate::store::access::Access;
use crate::store::jobs::copy::Difference;
use crate::store::mode::Mode;

/// What is known before the store is opened.
pub(super) struct Incoming<'a> {
    /// Which store.
    pub(super) store: &'a StoreArguments,
    pub(super) mode: Mode,
    pub(super) confirmation: &'a Confirmation,
}

impl Incoming<'_> {
    /// The store, if there is one.
    pub(super) fn find(&self) -> Result<Option<OpenStore>, Failure> {
        self.store.open_if_any(match self.mode {
            Mode::Run => Access::Write,
            Mode::DryRun => Access::Read,
        })
    }

    /// The store that was found, or else a new one, once the user has agreed to `change`: a sentence without its full stop. A dry run
    /// asks nobody, and has an empty store where there is none.
    pub(super) fn agreed(
        &self,
        found: Option<OpenStore>,
        change: &str,
        context: &Context<'_>,
    ) -> Result<OpenStore, Failure> {
        match (self.mode, found) {
            (Mode::DryRun, found) => found.map_or_else(OpenStore::empty, Ok),
            (Mode::Run, Some(store)) => {
                self.confirmation.ask(change, context)?;
                Ok(store)
            }
            (Mode::Run, None) => {
                let change = format!("{change}, and creates its tables");
                self.confirmation.ask(&change, context)?;
                self.store.open(Access::Migrate)
            }
        }
    }
}

/// Prints which sessions are different in the store, and how: a line each.
pub(super) fn print_differences(differences: &[Difference], output: &mut Output) -> Result<(), Failure> {
    differences.iter().try_for_each(|difference| {
        let line = format!("different: {}: {}", difference.session_id, difference.message);
        output.line(Printable(&line))
    })
}
