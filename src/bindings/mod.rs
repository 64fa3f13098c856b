//! What JavaScript sees, and the only code that knows Node-API. It calls `store`.
//!
//! [`sqlite`] is the exported class; [`options`] and [`arguments`] check what the caller passes; [`driver`] turns calls
//! into requests to the store; [`promises`] settles what the store answers; [`error`] makes JavaScript errors.

mod arguments;
mod driver;
mod error;
mod options;
mod postgres;
mod promises;
mod sqlite;

use napi::bindgen_prelude::{Function, JsObjectValue, Object, Unknown};
use napi::{Env, Result, ValueType};
use napi_derive::napi;

/// Makes `close` of each class what `await using` calls. Runs once, when the addon is loaded.
#[napi(module_exports)]
#[cfg_attr(test, allow(dead_code))] // only a loaded addon runs it
pub fn add_async_dispose(exports: Object, env: Env) -> Result<()> {
    let symbols: Function = env.get_global()?.get_named_property("Symbol")?;
    let async_dispose: Unknown = symbols.get_named_property("asyncDispose")?;
    if async_dispose.get_type()? != ValueType::Symbol {
        return Ok(()); // a Node that has no such symbol
    }
    for name in ["SQLiteSessionPersistDriver", "PostgresSessionPersistDriver"] {
        let class: Function = exports.get_named_property(name)?;
        let mut prototype: Object = class.get_named_property("prototype")?;
        let close: Unknown = prototype.get_named_property("close")?;
        prototype.set_property(async_dispose, close)?;
    }
    Ok(())
}
