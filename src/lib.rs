//! Durable session storage for the `sandbox-agent` SDK, as a Node native addon.
//!
//! `bindings` is what JavaScript sees, and `cli` what a shell does; `store` does the work and knows nothing of either.
//! ARCHITECTURE.md follows one event through `bindings` and `store`.

mod bindings;
mod cli;
pub mod store;
