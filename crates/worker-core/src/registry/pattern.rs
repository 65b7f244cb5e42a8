//! Patterns of keys.

use memchr::memmem;

/// A pattern that matches a whole key: `*` stands for any run of characters, `/` included; every
/// other character stands for itself.
#[derive(Clone, Debug)]
pub struct Pattern {
    first: String,
    /// What stands between two stars, and behind the last one. `None`: there is no star.
    rest: Option<(Vec<String>, String)>,
}

impl Pattern {
    /// Every text is a pattern.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let mut parts = text.split('*').map(str::to_owned);
        let first = parts.next().unwrap_or_default();
        let mut middle: Vec<String> = parts.collect();
        let rest = middle.pop().map(|last| {
            middle.retain(|part| !part.is_empty());
            (middle, last)
        });
        Self { first, rest }
    }

    /// What every key that matches starts with.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.first
    }

    /// Whether the whole key matches.
    #[must_use]
    pub fn matches(&self, key: &str) -> bool {
        let Some((middle, last)) = &self.rest else { return key == self.first };
        let Some(mut key) = key.strip_prefix(&self.first).and_then(|key| key.strip_suffix(&**last))
        else {
            return false;
        };
        for part in middle {
            let Some(found) = memmem::find(key.as_bytes(), part.as_bytes()) else { return false };
            key = key.get(found + part.len()..).unwrap_or_default();
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::Pattern;

    fn matches(pattern: &str, key: &str) -> bool {
        Pattern::new(pattern).matches(key)
    }

    #[test]
    fn a_star_is_any_run() {
        for (pattern, key) in [
            ("workers/*", "workers/a/b"),
            ("*", ""),
            ("*", "anything"),
            ("a*b*c", "a-b-b-c"),
            ("a**c", "abc"),
            ("*/events/*", "x/events/y"),
            ("plain", "plain"),
        ] {
            assert!(matches(pattern, key), "{pattern} {key}");
        }
    }

    #[test]
    fn all_else_stands_for_itself_and_the_whole_key_counts() {
        for (pattern, key) in [
            ("a.b", "aXb"),
            ("workers/*", "old/workers/a"),
            ("a?", "ab"),
            ("ab*ba", "aba"),
            ("(", "x"),
            ("plain", "plainer"),
            ("a*b", "a-b-"),
            ("a*x*b", "axb-"),
        ] {
            assert!(!matches(pattern, key), "{pattern} {key}");
        }
    }
}
