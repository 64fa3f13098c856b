//! The settings of a session: its mode, its model, and what else an agent can be configured by. A transcript tells of changes alone.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::content;
use super::envelope::{items, string};

/// The values that are known, by the name of the setting.
#[derive(Debug, Default)]
pub(super) struct Settings(HashMap<String, Value>);

impl Settings {
    /// What a session begins or goes on with: nothing of it is told.
    pub(super) fn learn(&mut self, result: &Value) {
        let nested = |field: &str, name: &str| result.get(field).and_then(|state| state.get(name)).cloned();
        let mode = nested("modes", "currentModeId").map(|mode| (String::from("mode"), mode));
        let model = nested("models", "currentModelId").map(|model| (String::from("model"), model));
        self.changed(mode.into_iter().chain(model).chain(options(result)));
    }

    /// Those of these values that are new.
    pub(super) fn changed(&mut self, values: impl IntoIterator<Item = (String, Value)>) -> Map<String, Value> {
        let is_new =
            |(name, value): &(String, Value)| self.0.insert(name.clone(), value.clone()).as_ref() != Some(value);
        values.into_iter().filter(is_new).collect()
    }
}

/// The one value that a request sets, or an update tells.
pub(super) fn one(name: &str, params: &Value, field: &str) -> Option<(String, Value)> {
    Some((name.to_owned(), params.get(field)?.clone()))
}

/// All options in a list of them.
pub(super) fn options(of: &Value) -> impl Iterator<Item = (String, Value)> + '_ {
    items(of, "configOptions").iter().filter_map(|option| {
        let name = string(option, "id")?;
        Some((name.to_owned(), option.get("currentValue")?.clone()))
    })
}

/// `mode: plan, model: large`
pub(super) fn text(settings: &Map<String, Value>) -> String {
    let one = |(name, value): (&String, &Value)| format!("{name}: {}", content::value(value));
    settings.iter().map(one).collect::<Vec<_>>().join(", ")
}
