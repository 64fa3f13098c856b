//! What `lib` sees, and the only code that knows Node-API. It calls `store`.
//!
//! [`driver`] is the one native class, over a store of either kind; [`options`], [`requests`], [`fields`] and [`arguments`] check
//! what the caller passes; [`promises`] settles what the store answers; [`error`] and [`realm`] make JavaScript errors and values;
//! [`password`] asks the caller's function for a password; [`environment`] releases what an ending worker leaves behind;
//! [`command_line`] runs the command line.

mod answers;
mod arguments;
mod backup;
mod command_line;
mod compaction;
mod conditions;
mod copying;
mod driver;
mod environment;
mod error;
mod fields;
mod follower;
mod fork;
mod handover;
mod job;
mod labels;
mod open;
mod options;
mod outgoing;
mod password;
mod promises;
mod prune;
mod realm;
mod requests;
mod watched;
