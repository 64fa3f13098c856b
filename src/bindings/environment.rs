//! The end of a JavaScript environment: a worker that ends, or the process. What its drivers hold is released then.
//!
//! Node would release a driver when its object is finalized. Other runtimes never finalize the objects of a worker that
//! ends, but they do run the clean-up hook of its environment.

use std::cell::RefCell;
use std::rc::{Rc, Weak};

use napi::bindgen_prelude::Object;
use napi::{Env, Result};
use napi_derive::napi;

/// What a driver does at the end of its environment.
pub(super) trait Release {
    /// Releases what the driver still holds. Called on the JavaScript thread, whose environment takes no answers any more.
    fn release(&self);
}

thread_local! {
    /// The drivers of the environment that this thread runs.
    static DRIVERS: RefCell<Vec<Weak<dyn Release>>> = const { RefCell::new(Vec::new()) };
}

/// Has `driver` released when the environment of this thread ends before it does.
pub(super) fn release_at_end(driver: &Rc<impl Release + 'static>) {
    let driver: Weak<dyn Release> = Rc::<_>::downgrade(&(Rc::clone(driver) as Rc<dyn Release>));
    DRIVERS.with_borrow_mut(|drivers| {
        drivers.retain(|driver| driver.strong_count() > 0);
        drivers.push(driver);
    });
}

/// Runs once an environment, when it loads the addon.
#[napi(module_exports)]
#[cfg_attr(test, allow(dead_code))] // only a loaded addon runs it
pub fn add_cleanup_hook(_exports: Object, env: Env) -> Result<()> {
    env.add_env_cleanup_hook((), |()| {
        for driver in DRIVERS.take() {
            if let Some(driver) = driver.upgrade() {
                driver.release();
            }
        }
    })
    .map(drop)
}
