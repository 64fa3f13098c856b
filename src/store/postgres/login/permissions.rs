//! Who may use a file that holds a secret, by libpq's rules. Where there are no such permissions, anybody.

use std::fs::Metadata;

/// Whether others than its owner may use a file of passwords.
pub(super) fn is_open_passfile(file: &Metadata) -> bool {
    allows(file, 0o077)
}

/// Whether others may use a file with a private key: a group may read one that root owns, which is how a system shares a key.
pub(super) fn is_open_key(file: &Metadata) -> bool {
    allows(file, if is_owned_by_root(file) { 0o037 } else { 0o077 })
}

#[cfg(unix)]
fn allows(file: &Metadata, what: u32) -> bool {
    std::os::unix::fs::MetadataExt::mode(file) & what != 0
}

#[cfg(unix)]
fn is_owned_by_root(file: &Metadata) -> bool {
    std::os::unix::fs::MetadataExt::uid(file) == 0
}

#[cfg(not(unix))]
fn allows(_: &Metadata, _: u32) -> bool {
    false
}

#[cfg(not(unix))]
fn is_owned_by_root(_: &Metadata) -> bool {
    false
}
