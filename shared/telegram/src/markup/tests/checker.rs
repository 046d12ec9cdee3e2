//! A second reader of Telegram's HTML, written from its documentation alone. It accepts less than Telegram does.

/// The most entities that Telegram keeps.
const MAX_ENTITIES: usize = 100;

/// Returns the visible text, or what is wrong.
pub(super) fn check(html: &str) -> Result<String, String> {
    let mut visible = String::new();
    let mut open: Vec<&str> = Vec::new();
    let mut entities = 0;
    let mut rest = html;
    while let Some(ch) = rest.chars().next() {
        let length = match ch {
            '<' => {
                let end = rest.find('>').ok_or("a tag without an end")?;
                let inside = &rest[1..end];
                if let Some(name) = inside.strip_prefix('/') {
                    let last = open.pop().ok_or_else(|| format!("</{name}> ends nothing"))?;
                    if last != name {
                        return Err(format!("</{name}> ends <{last}>"));
                    }
                } else {
                    let name = start_tag(inside)?;
                    nesting(&open, name, inside)?;
                    if !(name == "code" && open.last() == Some(&"pre")) {
                        entities += 1;
                    }
                    if html[..html.len() - rest.len()].ends_with("<pre>") != (inside.contains("language-")) {
                        // A language is only known directly within `<pre>`.
                        return Err(format!("<{inside}> has its language at the wrong place"));
                    }
                    open.push(name);
                }
                end + 1
            }
            '>' => return Err("a raw >".to_owned()),
            '&' => {
                let end = rest.find(';').ok_or("a raw &")?;
                visible.push(character(&rest[1..end])?);
                end + 1
            }
            ch => {
                visible.push(ch);
                ch.len_utf8()
            }
        };
        rest = &rest[length..];
    }
    match open.last() {
        Some(name) => Err(format!("<{name}> has no end")),
        None if entities > MAX_ENTITIES => Err(format!("{entities} entities")),
        None => Ok(visible),
    }
}

/// Returns the name of a start tag whose attributes are right.
fn start_tag(inside: &str) -> Result<&str, String> {
    let wrong = || format!("<{inside}> is not allowed");
    let (name, attribute) = inside.split_once(' ').unwrap_or((inside, ""));
    let value = |key: &str| {
        let quoted =
            attribute.strip_prefix(key).and_then(|rest| rest.strip_prefix("=\"")).ok_or_else(wrong)?;
        quoted.strip_suffix('"').filter(|value| !value.contains('"')).ok_or_else(wrong)
    };
    let is_right = match name {
        "a" => {
            let url = value("href")?;
            references(url)?;
            ["http:", "https:", "tg:", "mailto:"].iter().any(|s| url.to_ascii_lowercase().starts_with(s))
                && !url.contains(char::is_whitespace)
        }
        "span" => value("class")? == "tg-spoiler",
        "tg-emoji" => value("emoji-id")?.parse::<i64>().is_ok_and(|id| id > 0),
        "code" if !attribute.is_empty() => {
            value("class")?.strip_prefix("language-").is_some_and(|language| !language.is_empty())
        }
        "blockquote" => ["", "expandable"].contains(&attribute),
        "b" | "strong" | "i" | "em" | "u" | "ins" | "s" | "strike" | "del" | "tg-spoiler" | "code"
        | "pre" => attribute.is_empty(),
        _ => false,
    };
    if is_right { Ok(name) } else { Err(wrong()) }
}

/// Checks which tags may contain each other.
fn nesting(open: &[&str], name: &str, inside: &str) -> Result<(), String> {
    let is_language = name == "code" && inside.contains("language-");
    for outer in open {
        let is_allowed = match (*outer, name) {
            ("pre", "code") => is_language && open.last() == Some(outer),
            ("pre" | "code", _) => false,
            ("blockquote", "blockquote") => false,
            ("blockquote", _) => true,
            ("a" | "tg-emoji", "a" | "tg-emoji" | "code" | "pre" | "blockquote") => false,
            (
                "b" | "strong" | "i" | "em" | "u" | "ins" | "s" | "strike" | "del" | "tg-spoiler" | "span",
                inner,
            ) => !["code", "pre"].contains(&inner) && *outer != inner,
            _ => true,
        };
        if !is_allowed {
            return Err(format!("<{name}> within <{outer}>"));
        }
    }
    Ok(())
}

/// The character of the reference `&name;`.
fn character(name: &str) -> Result<char, String> {
    let wrong = || format!("&{name}; is not allowed");
    Ok(match name {
        "lt" => '<',
        "gt" => '>',
        "amp" => '&',
        "quot" => '"',
        _ => {
            let number = name.strip_prefix('#').ok_or_else(wrong)?;
            let code = match number.strip_prefix('x') {
                Some(digits) => u32::from_str_radix(digits, 16),
                None => number.parse(),
            };
            code.ok().and_then(char::from_u32).ok_or_else(wrong)?
        }
    })
}

/// Checks the references of an attribute.
fn references(value: &str) -> Result<(), String> {
    let mut rest = value;
    while let Some(at) = rest.find(['&', '<', '>']) {
        let end = rest[at..].find(';').ok_or("a raw character in an attribute")?;
        character(&rest[at..at + end][1..])?;
        rest = &rest[at + end..];
    }
    Ok(())
}

#[test]
fn the_checker_accepts_the_examples_of_the_documentation() {
    for html in [
        "<b>bold</b>, <strong>bold</strong>\n<i>italic</i>, <em>italic</em>",
        "<u>underline</u>, <ins>underline</ins>, <s>s</s>, <strike>s</strike>, <del>s</del>",
        "<span class=\"tg-spoiler\">spoiler</span>, <tg-spoiler>spoiler</tg-spoiler>",
        "<b>bold <i>italic bold <s>italic bold strike <tg-spoiler>spoiler</tg-spoiler></s> <u>u</u></i> b</b>",
        "<a href=\"http://www.example.com/\">URL</a><a href=\"tg://user?id=123456789\">mention</a>",
        "<tg-emoji emoji-id=\"5368324170671202286\">👍</tg-emoji>",
        "<code>code</code> <pre>pre</pre> <pre><code class=\"language-python\">python</code></pre>",
        "<blockquote>Quote\nThe last line</blockquote><blockquote expandable>Expandable</blockquote>",
        "&lt;&gt;&amp;&quot;&#39;&#x27;",
    ] {
        assert!(check(html).is_ok(), "{html}: {:?}", check(html));
    }
}

#[test]
fn the_checker_refuses_what_the_documentation_does_not_allow() {
    for html in [
        "<p>x</p>",
        "<b>x",
        "x</b>",
        "<b><i>x</b></i>",
        "a < b",
        "a > b",
        "a & b",
        "&nbsp;",
        "<span>x</span>",
        "<a>x</a>",
        "<a href=\"javascript:x\">x</a>",
        "<a href=\"http://x\" id=\"1\">x</a>",
        "<b class=\"x\">x</b>",
        "<pre><b>x</b></pre>",
        "<b><code>x</code></b>",
        "<code><b>x</b></code>",
        "<code class=\"language-c\">x</code>",
        "<a href=\"http://x\"><code>x</code></a>",
        "<tg-emoji emoji-id=\"x\">x</tg-emoji>",
        "<B>x</B>",
        "<blockquote><blockquote>x</blockquote></blockquote>",
        "<a href=\"http://x?a&b\">x</a>",
        "<b",
        "<br/>",
    ] {
        assert!(check(html).is_err(), "{html}");
    }
}
