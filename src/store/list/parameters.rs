//! The parameters of a statement that reads a list: nothing of the caller's goes into its text. Both backends make statements with
//! it.

use std::borrow::Cow;

use super::super::cursor::SessionKey;

/// The value of a parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parameter<'a> {
    /// A number.
    Integer(i64),
    /// A text.
    Text(Cow<'a, str>),
}

/// The values of parameters. Each is added with its placeholder, which is a sign of the database's and a number.
#[derive(Debug)]
pub struct Parameters<'a> {
    sign: char,
    values: Vec<Parameter<'a>>,
}

impl<'a> Parameters<'a> {
    /// The first one is how many rows are wanted.
    #[must_use]
    pub fn new(sign: char, rows: i64) -> Self {
        Self {
            sign,
            values: vec![Parameter::Integer(rows)],
        }
    }

    /// Adds a number.
    pub fn integer(&mut self, number: i64) -> String {
        self.add(Parameter::Integer(number))
    }

    /// Adds a text.
    pub fn text(&mut self, text: impl Into<Cow<'a, str>>) -> String {
        self.add(Parameter::Text(text.into()))
    }

    /// Adds the two values of a key, as one value of the database's.
    pub fn key(&mut self, key: &'a SessionKey) -> String {
        format!("({}, {})", self.integer(key.created_at), self.text(&*key.id))
    }

    /// The values in order.
    #[must_use]
    pub fn into_values(self) -> Vec<Parameter<'a>> {
        self.values
    }

    fn add(&mut self, value: Parameter<'a>) -> String {
        self.values.push(value);
        format!("{}{}", self.sign, self.values.len())
    }
}
