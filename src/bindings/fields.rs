//! Reads the fields of an object that the caller passes: the options of a constructor, or what a method asks for.

use napi::bindgen_prelude::{FromNapiValue, JsObjectValue, Object, Unknown};
use napi::{Env, JsValue, ValueType};

use super::arguments::{self, object, read, wrong};
use super::error::Failure;
use crate::store::error::{Quoted, StoreError};
use crate::store::model::MAX_SAFE_INTEGER;

/// The fields of an object, or of none.
pub(super) struct Fields<'env> {
    /// What messages call it.
    path: &'static str,
    object: Option<Object<'env>>,
}

impl<'env> Fields<'env> {
    /// Those of an argument; one that is left out has none.
    pub(super) fn of(path: &'static str, value: Option<Unknown<'env>>) -> Result<Self, Failure> {
        let object = value.map(|value| object(path, value)).transpose()?;
        Ok(Self { path, object })
    }

    /// The names of those that can be listed.
    pub(super) fn names(&self) -> Result<Vec<String>, Failure> {
        let Some(object) = &self.object else {
            return Ok(Vec::new());
        };
        let mut names = Object::keys(object).map_err(|_| self.names_threw())?;
        names.retain(|name| !is_of_every_object(object, name));
        Ok(names)
    }

    /// Refuses an object with a field of another name that holds anything but `undefined`. `method` says whose fields they are.
    pub(super) fn only(&self, known: &[&str], method: &str) -> Result<(), Failure> {
        let Some(object) = &self.object else {
            return Ok(());
        };
        let names = object.get_property_names().map_err(|_| self.names_threw())?;
        for position in 0..names.get_array_length().map_err(|_| self.names_threw())? {
            let name: Unknown<'_> = names.get_element(position).map_err(|_| self.names_threw())?;
            let text = read::<String>(&name, ValueType::String).unwrap_or_default();
            if known.contains(&&*text) || is_of_every_object(object, &text) {
                continue;
            }
            // By the name as JavaScript has it: our text of it may be another one.
            let value: Unknown<'_> = object.get_property(name).map_err(|_| {
                let error = StoreError::invalid(format!("reading a field of {} threw (see `cause`)", self.path));
                Failure::thrown(&Env::from_raw(object.value().env), error)
            })?;
            if read::<()>(&value, ValueType::Undefined).is_none() {
                return Err(StoreError::invalid(format!(
                    "{}.{} is not a field of {method}; the fields are {}",
                    self.path,
                    shown(&text),
                    known.join(", ")
                ))
                .into());
            }
        }
        Ok(())
    }

    fn names_threw(&self) -> Failure {
        let error = StoreError::invalid(format!("reading the names of {} threw (see `cause`)", self.path));
        match &self.object {
            Some(object) => Failure::thrown(&Env::from_raw(object.value().env), error),
            None => error.into(),
        }
    }

    /// What messages call a field.
    pub(super) fn name(&self, field: &str) -> String {
        format!("{}.{field}", self.path)
    }

    /// The field's value. Only `undefined` leaves a field out: `null` is wrong, as any other wrong type.
    pub(super) fn given(&self, name: &str) -> Result<Option<Unknown<'env>>, Failure> {
        let Some(object) = &self.object else {
            return Ok(None);
        };
        let value = arguments::field(object, name)?;
        Ok(read::<()>(&value, ValueType::Undefined).is_none().then_some(value))
    }

    pub(super) fn string(&self, name: &str) -> Result<Option<String>, Failure> {
        self.given(name)?
            .map(|value| arguments::string(&self.name(name), value))
            .transpose()
    }

    /// A string that must be there.
    pub(super) fn required_string(&self, name: &str) -> Result<String, Failure> {
        match &self.object {
            Some(object) => arguments::string(&self.name(name), arguments::field(object, name)?),
            None => Err(StoreError::invalid(format!("{} must be a string, it is missing", self.name(name))).into()),
        }
    }

    pub(super) fn typed<V: FromNapiValue>(
        &self,
        name: &str,
        wanted: &str,
        wanted_type: ValueType,
    ) -> Result<Option<V>, Failure> {
        self.given(name)?
            .map(|value| read(&value, wanted_type).ok_or_else(|| wrong(&self.name(name), wanted, &value)))
            .transpose()
    }

    pub(super) fn boolean(&self, name: &str) -> Result<Option<bool>, Failure> {
        self.typed(name, "a boolean", ValueType::Boolean)
    }

    /// One of some texts, as what it stands for.
    pub(super) fn choice<V: Copy>(&self, name: &str, choices: &[(&str, V)]) -> Result<Option<V>, Failure> {
        let Some(given) = self.string(name)? else {
            return Ok(None);
        };
        if let Some((_, value)) = choices.iter().find(|(choice, _)| *choice == given) {
            return Ok(Some(*value));
        }
        let known: Vec<String> = choices.iter().map(|(choice, _)| format!("{choice:?}")).collect();
        Err(StoreError::invalid(format!(
            "{} must be {}, it is {}",
            self.name(name),
            known.join(" or "),
            Quoted(&given)
        ))
        .into())
    }

    /// An integer that a JavaScript number holds exactly.
    pub(super) fn safe_integer(&self, name: &str) -> Result<Option<i64>, Failure> {
        let Some(number) = self.typed::<f64>(name, "an integer", ValueType::Number)? else {
            return Ok(None);
        };
        #[allow(clippy::cast_precision_loss)] // it is one that an f64 holds
        let limit = MAX_SAFE_INTEGER as f64;
        if number.fract() == 0.0 && number.abs() <= limit {
            #[allow(clippy::cast_possible_truncation)] // it is within the limits of an i64
            return Ok(Some(number as i64));
        }
        Err(StoreError::invalid(format!(
            "{} must be an integer no larger than Number.MAX_SAFE_INTEGER, it is {number}",
            self.name(name)
        ))
        .into())
    }
}

/// Whether the object has the field only because a program has put it on `Object.prototype`: it is meant for nobody then.
fn is_of_every_object(object: &Object<'_>, name: &str) -> bool {
    let empty = Object::new(&Env::from_raw(object.value().env));
    empty.and_then(|empty| empty.has_named_property(name)).unwrap_or(false)
        && !object.has_own_property(name).unwrap_or(true)
}

/// A name as messages show it: as it is if it could be one in a program.
pub(super) fn shown(name: &str) -> String {
    let is_word = |c: char| c.is_ascii_alphanumeric() || "_$-".contains(c);
    if !name.is_empty() && name.len() <= 60 && name.chars().all(is_word) {
        name.to_owned()
    } else {
        Quoted(name).to_string()
    }
}
