//! Patterns of object paths and bus names.

use std::fmt;

/// An object's path, or with a `*` as its last part all objects there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathPattern {
    text: String,
}

impl PathPattern {
    /// A pattern from what the schema lets through.
    pub(crate) fn new(text: &str) -> Self {
        Self {
            text: text.to_owned(),
        }
    }

    /// The object, or the one above all that are meant.
    pub fn parent(&self) -> &str {
        match self.text.strip_suffix("/*") {
            Some("") => "/",
            Some(parent) => parent,
            None => &self.text,
        }
    }

    /// Whether one object is meant.
    pub fn is_exact(&self) -> bool {
        !self.text.ends_with("/*")
    }

    /// Whether a path is meant.
    pub fn matches(&self, path: &str) -> bool {
        match self.text.strip_suffix('*') {
            Some(prefix) => path
                .strip_prefix(prefix)
                .is_some_and(|last| !last.is_empty() && !last.contains('/')),
            None => path == self.text,
        }
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Whether a text fits a pattern in which `*` stands for any characters.
pub(crate) fn fits(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let parts: Vec<_> = parts.collect();
    let Some((last, middle)) = parts.split_last() else {
        return rest.is_empty();
    };
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_mean_one_object_or_all_of_one_place() {
        let all = PathPattern::new("/a/b/*");
        assert!(all.matches("/a/b/c") && !all.matches("/a/b") && !all.matches("/a/b/c/d"));
        assert_eq!((all.parent(), all.is_exact()), ("/a/b", false));
        let one = PathPattern::new("/a/b");
        assert!(one.matches("/a/b") && !one.matches("/a/b/c"));
        assert_eq!(PathPattern::new("/*").parent(), "/");
    }

    #[test]
    fn names_fit_patterns() {
        for (pattern, text, expected) in [
            ("a.b", "a.b", true),
            ("a.b", "a.bc", false),
            ("a.*", "a.b.c", true),
            ("a*c", "abcc", true),
            ("a*b*c", "a-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("*", "", true),
            ("ab*ba", "aba", false),
        ] {
            assert_eq!(fits(pattern, text), expected, "{pattern} {text}");
        }
    }
}
