//! Reads what a fork is to be from what the caller passes.

use napi::bindgen_prelude::Unknown;

use super::arguments;
use super::error::Failure;
use super::fields::Fields;
use crate::store::error::StoreError;
use crate::store::fork::ForkRequest;

/// A copy of the session `id`. `random_id` is its id unless the options have one.
pub(super) fn request(
    id: Unknown<'_>,
    options: Option<Unknown<'_>>,
    random_id: Unknown<'_>,
) -> Result<ForkRequest, Failure> {
    let id = arguments::string("id", id)?;
    let options = Fields::of("options", options)?;
    options.only(&["id", "throughIndex"], "forkSession")?;
    let fork_id = match options.string("id")? {
        Some(given) if given.is_empty() => return Err(StoreError::invalid("options.id must not be empty").into()),
        Some(given) => given,
        None => arguments::string("the random id", random_id)?,
    };
    let through_index = options.safe_integer("throughIndex")?;
    if let Some(index) = through_index
        && index < 0
    {
        return Err(StoreError::invalid(format!("options.throughIndex must not be negative, it is {index}")).into());
    }
    Ok(ForkRequest::new(id, fork_id, through_index)?)
}
