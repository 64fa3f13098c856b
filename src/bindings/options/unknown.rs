//! What is said of a name that is no option: which option is meant, whose it is, or which options there are.

use crate::bindings::fields::shown;
use crate::store::error::StoreError;

/// The names of the options that one class takes.
pub(super) struct Names {
    /// The class.
    pub(super) class: &'static str,
    pub(super) options: &'static [&'static str],
    /// What other libraries call them, in small letters and without `_`.
    pub(super) aliases: &'static [(&'static str, &'static str)],
}

impl Names {
    /// What is wrong with `path.given`, if it is none of these options. `others` are those of the other driver.
    pub(super) fn refuse(&self, path: &str, given: &str, others: Option<&Self>) -> Option<StoreError> {
        if self.options.contains(&given) {
            return None;
        }
        let name = shown(given);
        let of_other = |others: &Self, meant: &[&str]| {
            StoreError::invalid(format!(
                "{path}.{name} is not an option of {}; {} is one of {}",
                self.class,
                list(meant),
                others.class
            ))
        };
        if let Some(others) = others
            && others.options.contains(&given)
        {
            return Some(of_other(others, &[given]));
        }
        let meant = self.meant(given);
        if !meant.is_empty() {
            return Some(StoreError::invalid(format!(
                "{path}.{name} is not an option; use {}",
                list(&meant)
            )));
        }
        if let Some(others) = others
            && let [meant] = others.meant(given).as_slice()
        {
            return Some(of_other(others, &[meant]));
        }
        Some(StoreError::invalid(format!(
            "{path}.{name} is not an option; the options are {}",
            self.options.join(", ")
        )))
    }

    /// The options that `given` may stand for: one that it is another name or a misspelling of, or else all that it is a
    /// part of.
    fn meant(&self, given: &str) -> Vec<&'static str> {
        let given = plain(given);
        if let Some((_, option)) = self.aliases.iter().find(|(alias, _)| *alias == given) {
            return vec![option];
        }
        let distance = |option: &str| strsim::damerau_levenshtein(&given, &plain(option));
        if let Some(closest) = self.options.iter().min_by_key(|option| distance(option))
            // One letter in four may be wrong.
            && distance(closest) <= (plain(closest).len() / 4).max(1)
            && given.len() > 1
        {
            return vec![closest];
        }
        let is_part = |option: &&&str| {
            let option = plain(option);
            given.len().min(option.len()) >= 4 && (option.contains(&given) || given.contains(&option))
        };
        self.options.iter().filter(is_part).copied().collect()
    }
}

/// A name as it is compared: `busy_timeout_ms` and `busyTimeoutSeconds` are `busytimeout`.
fn plain(name: &str) -> String {
    let name: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    let name = name.to_ascii_lowercase();
    let units = ["milliseconds", "millis", "seconds", "ms"];
    let without = units.iter().find_map(|unit| name.strip_suffix(unit));
    without.unwrap_or(&name).to_owned()
}

/// `a`, `a or b`, `a, b or c`.
fn list(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [rest @ .., last] => format!("{} or {last}", rest.join(", ")),
    }
}
