//! Looks at a database for what its operator should know. It only reads.

use serde::Serialize;

use super::{Calls, Ended, Job};
use crate::store::ReadRequest;
use crate::store::answer::{Answer, JobAnswer};
use crate::store::check::{Finding, Findings, Look};

/// See the module's description.
#[derive(Debug)]
pub struct Check;

/// How far a check is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// How many rows it has read.
    pub rows: u64,
    /// How many findings there are.
    pub findings: usize,
}

impl Job for Check {
    type Progress = Checked;
    type Result = Vec<Finding>;

    fn run(&self, store: &dyn Calls<Checked>) -> Result<Vec<Finding>, Ended> {
        let mut findings = Findings::default();
        let mut rows = 0;
        for look in Look::all() {
            let mut next = Some(look);
            while let Some(look) = next {
                let looked = match store.read(ReadRequest::Check(look))? {
                    Answer::OfJob(JobAnswer::Looked(looked)) => looked,
                    answer => return Err(Ended::unexpected(&answer)),
                };
                rows += looked.rows;
                next = looked.next;
                looked.findings.into_iter().for_each(|finding| findings.add(finding));
                store.progress(&Checked {
                    rows,
                    findings: findings.count(),
                })?;
            }
        }
        Ok(findings.into_list())
    }
}
