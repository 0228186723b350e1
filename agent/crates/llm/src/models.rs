//! The list of a server's models.

use serde_json::Value;

use crate::bounds;

/// The names in a list, in one of the shapes that servers give it.
pub(crate) fn names(answer: &Value) -> Option<Vec<String>> {
    let lists = [&answer["data"], &answer["models"], answer];
    let list = lists.iter().find_map(|list| list.as_array())?;
    let name = |model: &Value| {
        let keys = ["id", "name", "model"];
        let named = keys.iter().find_map(|key| model[*key].as_str());
        named
            .or(model.as_str())
            .map(|name| printable(name, bounds::NAME))
    };
    let mut names: Vec<_> = list.iter().filter_map(name).take(bounds::MODELS).collect();
    names.sort();
    names.dedup();
    Some(names)
}

/// Text of a server in one line, without what terminals act on.
pub(crate) fn printable(text: &str, most: usize) -> String {
    let shown = text.split(|c: char| c.is_control() || c.is_whitespace());
    let words: Vec<_> = shown.filter(|word| !word.is_empty()).collect();
    let line = words.join(" ");
    match line.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lists_come_in_several_shapes() {
        for list in [
            json!({ "object": "list", "data": [{ "id": "b" }, { "id": "a" }, { "id": "a" }, {}] }),
            json!({ "models": [{ "name": "a" }, { "model": "b" }] }),
            json!(["a", "b"]),
        ] {
            assert_eq!(
                names(&list),
                Some(vec!["a".to_owned(), "b".to_owned()]),
                "{list}"
            );
        }
        assert_eq!(names(&json!({ "data": [] })), Some(vec![]));
        assert_eq!(names(&json!({ "models": null })), None);
        assert_eq!(names(&json!("a")), None);
    }

    #[test]
    fn what_servers_say_is_one_line() {
        assert_eq!(printable("a\n\u{1b}[31m  b", 20), "a [31m b");
        assert_eq!(printable("ääää", 2), "ää…");
    }
}
