//! Reads what `backup` is called with.

use napi::bindgen_prelude::Unknown;

use super::arguments;
use super::error::Failure;
use super::fields::Fields;
use super::job;
use crate::store::sqlite::BackupRequest;

/// The arguments of `backup`.
pub(super) fn request(path: Unknown<'_>, options: Option<Unknown<'_>>) -> Result<BackupRequest, Failure> {
    let path = arguments::string("path", path)?;
    let options = Fields::of("options", options)?;
    let overwrite = options.boolean("overwrite")?.unwrap_or(false);
    options.only(&[&["overwrite"][..], &job::FIELDS].concat(), "backup")?;
    Ok(BackupRequest::new(&path, overwrite)?)
}
