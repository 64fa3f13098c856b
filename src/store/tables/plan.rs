//! A migration before it is done: its steps, the SQL of each, and what others feel of it. A backend runs this very SQL when it
//! migrates; the command line shows it.

use serde::Serialize;

/// A step, and the statements that do it, in their order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SqlStep {
    /// What it does, in words.
    pub step: String,
    /// The statements, without a semicolon at their end.
    pub sql: Vec<String>,
}

impl SqlStep {
    /// A step of these statements.
    pub fn new(step: impl Into<String>, sql: Vec<String>) -> Self {
        Self { step: step.into(), sql }
    }

    /// All of it in one text, as databases take it.
    #[must_use]
    pub fn batch(&self) -> String {
        self.sql.iter().map(|statement| terminated(statement)).collect()
    }
}

/// The statement with a semicolon, on a line of its own where the statement may end in a comment: it may be one of the owner's.
fn terminated(statement: &str) -> String {
    let ends_in_comment = statement.lines().last().is_some_and(|line| line.contains("--"));
    let before = if ends_in_comment { "\n" } else { "" };
    format!("{statement}{before};\n")
}

/// What making the tables of a database ready would do. Nothing, where they are ready.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MigrationPlan {
    /// What comes before the transaction, since it cannot be a part of one.
    pub settings: Vec<PlannedStep>,
    /// The steps, which are one transaction.
    pub steps: Vec<PlannedStep>,
}

impl MigrationPlan {
    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.settings.is_empty() && self.steps.is_empty()
    }

    /// All steps, in their order.
    pub fn all(&self) -> impl Iterator<Item = &PlannedStep> {
        self.settings.iter().chain(&self.steps)
    }
}

/// A step, and what it means for the rows and for others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlannedStep {
    /// What is done.
    #[serde(flatten)]
    pub step: SqlStep,
    /// The table that it works on, if it is one table.
    pub table: Option<String>,
    /// What becomes of the rows.
    #[serde(flatten)]
    pub work: Work,
    /// What others can do with the table, from this step to the end of the transaction.
    pub others: Others,
}

/// What a step does with the rows of its table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "work", rename_all = "lowercase")]
pub enum Work {
    /// Nothing: it makes something new, or changes a definition.
    Define,
    /// It reads them all, for an index.
    Index {
        /// How many.
        rows: u64,
    },
    /// It writes them anew.
    Rewrite {
        /// How many.
        rows: u64,
    },
}

/// What others can do meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Others {
    /// All that they do else.
    ReadAndWrite,
    /// Read. What they write waits.
    Read,
    /// Wait.
    Wait,
}
