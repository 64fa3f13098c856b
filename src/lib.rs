//! Durable session storage for the `sandbox-agent` SDK, as a Node native addon.
//!
//! `bindings` is what JavaScript sees; `store` does the work and knows nothing of Node. ARCHITECTURE.md
//! follows one event through both.

mod bindings;
pub mod store;
