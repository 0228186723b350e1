//! Texts as HTML that can do nothing: no tags of the text itself, no images, links only to web pages.

use pulldown_cmark::{CowStr, Event, Options, Parser, Tag, TagEnd, html};

/// The longest text that is rendered, in bytes; a longer one is shown as it is.
const LONGEST: usize = 256 << 10;

/// A text in Markdown.
pub fn render(text: &str) -> String {
    rendered(text, true)
}

/// A text in Markdown whose links lead nowhere: a language model may have been told by others where to lead people.
pub fn render_without_links(text: &str) -> String {
    rendered(text, false)
}

fn rendered(text: &str, links: bool) -> String {
    if text.len() > LONGEST {
        return plain(text);
    }
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH;
    let mut open = Vec::new();
    let events = Parser::new_ext(text, options).map(|event| tame(event, links, &mut open));
    let mut rendered = String::new();
    html::push_html(&mut rendered, events);
    rendered
}

/// A text that is no Markdown: names and messages from tools.
pub fn plain(text: &str) -> String {
    format!("<p>{}</p>", escape(text).replace('\n', "<br>"))
}

/// A text as it may stand between tags and in quoted attributes.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// Takes out what a text may not do. `open` says of each link that is open whether it leads anywhere.
fn tame<'a>(event: Event<'a>, links: bool, open: &mut Vec<bool>) -> Event<'a> {
    match event {
        Event::Html(text) | Event::InlineHtml(text) => Event::Text(text),
        Event::Start(Tag::HtmlBlock) => Event::Start(Tag::Paragraph),
        Event::End(TagEnd::HtmlBlock) => Event::End(TagEnd::Paragraph),
        Event::Start(Tag::Link { dest_url, .. }) => {
            let leads = links && is_web(&dest_url);
            open.push(leads);
            match leads {
                true => Event::InlineHtml(CowStr::from(format!(
                    "<a href=\"{}\" rel=\"noopener noreferrer nofollow\" target=\"_blank\">",
                    escape(&dest_url)
                ))),
                false => Event::Text("".into()),
            }
        }
        Event::End(TagEnd::Link) => match open.pop() {
            Some(true) => Event::InlineHtml("</a>".into()),
            _ => Event::Text("".into()),
        },
        // Its text stays.
        Event::Start(Tag::Image { .. }) | Event::End(TagEnd::Image) => Event::Text("".into()),
        Event::Start(Tag::CodeBlock(_)) => {
            Event::Start(Tag::CodeBlock(pulldown_cmark::CodeBlockKind::Indented))
        }
        other => other,
    }
}

fn is_web(address: &str) -> bool {
    let address = address.to_ascii_lowercase();
    let rest = address
        .strip_prefix("https://")
        .or_else(|| address.strip_prefix("http://"));
    rest.is_some_and(|rest| !rest.is_empty() && !address.contains(char::is_control))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// All that may stand between `<` and `>`.
    const TAGS: [&str; 30] = [
        "p",
        "br",
        "br /",
        "hr /",
        "em",
        "strong",
        "del",
        "code",
        "pre",
        "blockquote",
        "ul",
        "ol",
        "li",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "a",
        "sup",
        "div",
        "span",
        "section",
    ];

    fn assert_tame(html: &str) {
        for part in html.split('<').skip(1) {
            let tag = part.split('>').next().unwrap().trim_start_matches('/');
            let link = tag.starts_with("a href=\"http") && tag.ends_with("\" target=\"_blank\"");
            let aligned = ["th style=\"text-align: ", "td style=\"text-align: "];
            let cell = aligned.iter().any(|start| tag.starts_with(start)) && !tag.contains("url");
            let list = tag
                .strip_prefix("ol start=\"")
                .is_some_and(|rest| rest.trim_end_matches('"').parse::<u64>().is_ok());
            assert!(
                TAGS.contains(&tag) || link || cell || list,
                "{tag:?} in {html}"
            );
        }
    }

    #[test]
    fn what_would_run_is_text() {
        for text in [
            "<script>alert(1)</script>",
            "a <img src=x onerror=alert(1)> b",
            "[x](javascript:alert(1))",
            "[x](JaVaScRiPt:alert(1))",
            "[x](data:text/html,<script>1</script>)",
            "[x]( \u{1}javascript:1)",
            "<javascript:alert(1)>",
            "![x](https://evil.example/leak.png)",
            "[x](https://a.example/\"onmouseover=\"alert(1))",
            "```\"><script>\nx\n```",
            "[a]: javascript:1\n[a]",
            "<div>\n*x*\n</div>",
            "<https://ok.example>",
        ] {
            let html = render(text);
            assert_tame(&html);
            assert!(
                !html.contains("href=\"j") && !html.contains("<img"),
                "{html}"
            );
        }
        assert_eq!(plain("<b>\n&"), "<p>&lt;b&gt;<br>&amp;</p>");
    }

    #[test]
    fn what_is_good_stays() {
        let html = render("**b** `c` [l](https://a.example/?x=1&y=2)\n\n| a |\n|---|\n| 1 |");
        assert!(html.contains("<strong>b</strong> <code>c</code>"));
        assert!(html.contains("href=\"https://a.example/?x=1&amp;y=2\" rel=\"noopener"));
        assert!(html.contains("<td>1</td>"));
        let html = render_without_links("[l](https://a.example/) <https://b.example>");
        assert_eq!(html, "<p>l https://b.example</p>\n");
    }

    proptest! {
        #[test]
        fn no_text_gets_a_tag_through(text in "[a-z<>\"'&!\\[\\]():/ =\n`|*-]{0,200}") {
            assert_tame(&render(&text));
            assert_tame(&plain(&text));
        }
    }
}
