//! What `lib` sees, and the only code that knows Node-API. It calls `store`.
//!
//! [`driver`] is the one native class, over a store of either kind, and [`open`] what it holds; [`follower`], [`job`] and [`copying`] are
//! the classes of what goes on for long. [`options`], [`requests`] and the files that are named after a method check what the caller passes,
//! by [`fields`] and [`arguments`]. [`outgoing`] has the calls on their way to the store; [`promises`] settles what it answers, as [`answers`]
//! says, and [`watched`] passes on what it tells. [`error`] and [`realm`] make JavaScript errors and values,
//! and [`option_names`] has what errors call options; [`password`] asks the caller's
//! function for a password; [`environment`] releases what an ending worker leaves behind; [`command_line`] runs the command line.

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
mod option_names;
mod options;
mod outgoing;
mod password;
mod promises;
mod prune;
mod realm;
mod requests;
mod watched;
