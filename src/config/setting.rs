//! A setting: one entry with its flag, help, completion values, other names, default and check.

use std::ffi::OsStr;
use std::marker::PhantomData;

use clap::builder::{PossibleValue, TypedValueParser};
use clap::{Arg, ArgMatches, Command, ValueHint};

use super::AsWritten;
use super::values::for_flag;
use crate::database::masked;

/// A type that a setting can have.
pub trait Value: Clone + Send + Sync + 'static {}

impl<T: Clone + Send + Sync + 'static> Value for T {}

/// One setting, with all of its names.
#[derive(Clone)]
pub struct Setting<T> {
    pub(super) flag: &'static str,
    value_name: &'static str,
    about: &'static str,
    pub(super) environment: Option<&'static str>,
    pub(super) key: Option<&'static str>,
    pub(super) default: Option<&'static str>,
    hint: ValueHint,
    choices: &'static [&'static str],
    /// What the flag means if it stands alone, if it can.
    alone: Option<&'static str>,
    parse: fn(&str) -> Result<T, String>,
}

impl<T: Value> Setting<T> {
    /// A setting that only a flag can change. The error of `parse` is a text that says what is allowed.
    pub(super) const fn new(
        flag: &'static str,
        value_name: &'static str,
        parse: fn(&str) -> Result<T, String>,
    ) -> Setting<T> {
        let (environment, key, default, alone) = (None, None, None, None);
        let (about, hint, choices): (_, _, &[&str]) = ("", ValueHint::Unknown, &[]);
        Setting { flag, value_name, about, environment, key, default, hint, choices, alone, parse }
    }

    /// Its meaning and unit, for the help.
    pub(super) const fn about(self, about: &'static str) -> Setting<T> {
        Setting { about, ..self }
    }

    pub(super) const fn default(self, text: &'static str) -> Setting<T> {
        Setting { default: Some(text), ..self }
    }

    pub(super) const fn environment(self, name: &'static str) -> Setting<T> {
        Setting { environment: Some(name), ..self }
    }

    /// Its name in the configuration file.
    pub(super) const fn key(self, name: &'static str) -> Setting<T> {
        Setting { key: Some(name), ..self }
    }

    /// The kind of value that a shell completes, such as a path.
    pub(super) const fn hint(self, hint: ValueHint) -> Setting<T> {
        Setting { hint, ..self }
    }

    /// The values that a shell offers.
    pub(super) const fn choices(self, choices: &'static [&'static str]) -> Setting<T> {
        Setting { choices, ..self }
    }

    /// The value of the flag if it stands alone. A value then needs `=`.
    pub(super) const fn alone(self, text: &'static str) -> Setting<T> {
        Setting { alone: Some(text), ..self }
    }

    pub(super) fn read(&self, text: &str) -> Result<AsWritten<T>, String> {
        // Whatever is shown of a setting shows no password.
        (self.parse)(text).map(|value| AsWritten { value, text: masked(text) })
    }

    /// The help text: the meaning, then the other names and the default.
    fn help(&self) -> String {
        let named = |what: &str, name: Option<&str>| name.map_or(String::new(), |name| format!(" [{what}: {name}]"));
        let (environment, key) = (named("env", self.environment), named("file", self.key));
        format!("{}{environment}{key}{}", self.about, named("default", self.default))
    }
}

impl<T: Value> TypedValueParser for Setting<T> {
    type Value = AsWritten<T>;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, text: &OsStr) -> Result<AsWritten<T>, clap::Error> {
        let setting = self.clone();
        (move |text: &str| setting.read(text).map_err(for_flag)).parse_ref(command, arg, text)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let values = self.choices.iter().map(PossibleValue::new);
        (!self.choices.is_empty()).then(|| Box::new(values) as Box<dyn Iterator<Item = PossibleValue>>)
    }
}

/// A setting, whatever the type of its value.
pub trait Entry: Sync {
    fn arg(&self) -> Arg;
    fn key(&self) -> Option<&'static str>;
}

impl<T: Value> Entry for Setting<T> {
    fn arg(&self) -> Arg {
        let arg = Arg::new(self.flag).long(self.flag).value_name(self.value_name).value_hint(self.hint);
        // The help text names the values where it needs to.
        let arg = arg.help(self.help()).value_parser(self.clone()).hide_possible_values(true);
        match self.alone {
            Some(text) => arg.num_args(0..=1).require_equals(true).default_missing_value(text),
            None => arg,
        }
    }

    fn key(&self) -> Option<&'static str> {
        self.key
    }
}

/// The settings of a command.
pub trait Settings {
    const ALL: &'static [&'static dyn Entry];
}

/// The flags of the command `C`, as given. A setting finds its value by its own name.
#[derive(Clone, Debug)]
pub struct Flags<C> {
    pub(super) matches: ArgMatches,
    command: PhantomData<C>,
}

impl<C: Settings> clap::FromArgMatches for Flags<C> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Flags<C>, clap::Error> {
        Ok(Flags { matches: matches.clone(), command: PhantomData })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.matches = matches.clone();
        Ok(())
    }
}

impl<C: Settings> clap::Args for Flags<C> {
    fn augment_args(command: Command) -> Command {
        command.args(C::ALL.iter().map(|setting| setting.arg()))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Flags::<C>::augment_args(command)
    }
}
