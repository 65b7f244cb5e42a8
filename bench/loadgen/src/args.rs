//! The command line: a command and `--name value` pairs; a name without a value is a flag.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    io,
    str::FromStr,
};

use crate::fail;

/// What was asked for.
pub struct Args {
    /// The first word.
    pub command: String,
    named: BTreeMap<String, String>,
    /// Names that the command knows, to notice those that it does not.
    known: RefCell<BTreeSet<String>>,
}

impl Args {
    /// Takes the words behind the program's name.
    pub fn parse(words: impl Iterator<Item = String>) -> Option<Self> {
        let mut words = words.peekable();
        let command = words.next().filter(|word| !word.starts_with("--"))?;
        let mut named = BTreeMap::new();
        while let Some(word) = words.next() {
            let name = word.strip_prefix("--")?.to_owned();
            let value = words.next_if(|next| !next.starts_with("--"));
            named.insert(name, value.unwrap_or_else(|| "true".to_owned()));
        }
        Some(Self { command, named, known: RefCell::default() })
    }

    /// The value of `--name`, if it was given.
    pub fn find<T: FromStr>(&self, name: &str) -> io::Result<Option<T>> {
        self.known.borrow_mut().insert(name.to_owned());
        let Some(value) = self.named.get(name) else { return Ok(None) };
        let parsed = value.parse().map_err(|_| fail(format!("bad value for --{name}: {value}")))?;
        Ok(Some(parsed))
    }

    /// The value of `--name`, or what it is by default.
    pub fn get<T: FromStr>(&self, name: &str, default: T) -> io::Result<T> {
        Ok(self.find(name)?.unwrap_or(default))
    }

    /// Refuses names that nobody asked for; called once a command has asked for all of its own.
    pub fn refuse_unknown(&self) -> io::Result<()> {
        let known = self.known.borrow();
        match self.named.keys().find(|name| !known.contains(*name)) {
            Some(name) => Err(fail(format!("unknown option --{name}"))),
            None => Ok(()),
        }
    }
}
