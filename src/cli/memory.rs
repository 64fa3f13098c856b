//! How the process of a command gets memory: large blocks come from the system, and go back to it as soon as they are free.
//!
//! glibc does so with blocks of 128 KiB and more at first. But each one that is freed raises that bound to its own size, up to 32 MiB,
//! and below the bound every thread keeps what it has freed. Large events go through several threads.

/// How large a block is that goes back at once.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const LARGE_BYTES: std::ffi::c_int = 1 << 20;

/// Begins to do so, where the system's allocator does not by itself.
pub(super) fn give_back_large_blocks() {
    // SAFETY: the call takes no pointer. It sets two numbers, each in one store under a lock of the allocator's; a thread that allocates
    // meanwhile finds the old ones or the new ones, and can go on with either.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE_BYTES);
    }
}
