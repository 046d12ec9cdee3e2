//! Texts that are long, deep or empty.

use std::fmt::Write as _;
use std::time::Duration;

use super::{Markup, assert_cases, checked_parts, solid};

const ALL: [Markup; 3] = [Markup::Plain, Markup::Html, Markup::Markdown];

/// The length of a long text in bytes.
const LONG: usize = 60_000;
/// The longest time for one. A debug build takes a fifth of a second, and quadratic time takes longer
/// than this.
const LONGEST: Duration = Duration::from_secs(5);
/// The stack for one. A recursion for each of 20 000 tags would need more.
const STACK_BYTES: usize = 256 * 1_024;

#[test]
fn a_text_without_visible_characters_has_no_parts() {
    for text in [
        "",
        " ",
        "\n\t\r\n",
        "\u{200b}",
        "\u{feff}\u{a0}\u{2800}",
        "\u{200d}\u{200e}\u{200f} \u{202e}",
        "\u{180e}\n\u{fffc}",
        "\u{2028}\u{202a}",
        "\u{1}\u{0}",
    ] {
        for markup in ALL {
            assert_eq!(checked_parts(text, markup), [], "{markup:?} {text:?}");
        }
    }
    for html in ["<b></b>", "<p>&nbsp;</p>", "<!-- x -->", "<script>x</script>", "<table></table>", "&#8203;"]
    {
        assert_eq!(checked_parts(html, Markup::Html), [], "{html}");
        assert_eq!(checked_parts(html, Markup::Markdown), [], "{html}");
    }
    assert_eq!(checked_parts("[x]: https://y.z", Markup::Markdown), []);
}

#[test]
fn a_part_without_visible_characters_is_left_out() {
    let text = format!("{}\n\n{}\n\n{}", "a".repeat(4_000), "\u{200b}".repeat(4_000), "b".repeat(4_000));
    for markup in ALL {
        let parts = checked_parts(&text, markup);
        assert_eq!(parts.len(), 2, "{markup:?}");
        assert_eq!(parts[1].plain, "b".repeat(4_000));
    }
}

#[test]
fn plain_text_is_sent_as_it_is() {
    let parts = checked_parts("<b>a</b> & *b*", Markup::Plain);
    assert_eq!((parts.len(), parts[0].text.as_str(), parts[0].parse_mode), (1, "<b>a</b> & *b*", None));
}

#[test]
fn open_tags_are_closed_and_opened_again() {
    let (a, b) = ("a ".repeat(2_000), "b ".repeat(2_000));
    let (a, b) = (a.trim(), b.trim());
    for (start, end) in [
        ("<b><i>", "</i></b>"),
        ("<pre>", "</pre>"),
        ("<pre><code class=\"language-rust\">", "</code></pre>"),
        ("<a href=\"https://x.y/?a&amp;b\">", "</a>"),
        ("<blockquote expandable>", "</blockquote>"),
        ("<blockquote><tg-spoiler>", "</tg-spoiler></blockquote>"),
        ("<tg-emoji emoji-id=\"1\">", "</tg-emoji>"),
        ("<code>", "</code>"),
    ] {
        let text = format!("{start}{a}\n\n{b}{end}");
        let parts = [format!("{start}{a}{end}"), format!("{start}{b}{end}")];
        assert_cases(Markup::Html, &[(&text, &[&parts[0], &parts[1]])]);
    }
    let (text, parts) = (
        format!("<span class=\"tg-spoiler\">{a}\n{b}</span>"),
        [format!("<tg-spoiler>{a}</tg-spoiler>"), format!("<tg-spoiler>{b}</tg-spoiler>")],
    );
    assert_cases(Markup::Html, &[(&text, &[&parts[0], &parts[1]])]);
}

#[test]
fn a_block_of_code_that_fits_is_not_split() {
    let (text, code) = ("a ".repeat(1_500), "x = 1\n\n".repeat(500));
    let (text, code) = (text.trim(), code.trim());
    let source = format!("{text}\n\n```py\n{code}\n```\n\nend");
    let block = format!("<pre><code class=\"language-py\">{code}</code></pre>\n\nend");
    assert_cases(Markup::Markdown, &[(&source, &[text, &block])]);
    // A longer one is split where the message is full.
    let long = code.repeat(3);
    let parts = checked_parts(&format!("{text}\n\n```py\n{long}\n```"), Markup::Markdown);
    assert!(parts[0].plain.len() > 4_000 && parts.len() == 4, "{}", parts.len());
}

#[test]
fn the_limit_counts_what_is_visible() {
    let text = format!("<b>{}</b>", "&amp;".repeat(4_096));
    assert_eq!(checked_parts(&text, Markup::Html).len(), 1);
    let text = format!("<b>{}</b>", "&amp;".repeat(4_097));
    let parts = checked_parts(&text, Markup::Html);
    assert_eq!(parts[1].text, "<b>&amp;</b>");
    let parts = checked_parts(&"😀".repeat(2_049), Markup::Markdown);
    assert_eq!((parts.len(), parts[1].text.as_str()), (2, "😀"));
    let family = "👨\u{200d}👩\u{200d}👧";
    let parts = checked_parts(&family.repeat(600), Markup::Html);
    assert!(parts.iter().all(|part| part.plain.chars().count() % 5 == 0), "a family is not split");
}

#[test]
fn a_part_has_no_more_entities_than_telegram_keeps() {
    let lines: String = (0..250).fold(String::new(), |mut text, i| {
        let _ = writeln!(text, "- **k{i}**: `v{i}`");
        text
    });
    let parts = checked_parts(&lines, Markup::Markdown);
    assert!(parts.len() >= 5);
    assert!(parts[1].text.starts_with("• <b>k"), "the split is at a line: {}", parts[1].text);
    let links: String = (0..90).fold(String::new(), |mut text, i| {
        let _ = writeln!(text, "[l{i}](https://x.y/{})", "z".repeat(500));
        text
    });
    let parts = checked_parts(&links, Markup::Markdown);
    assert!(parts.len() > 4 && parts.iter().all(|part| part.text.len() < 9_500), "{}", parts.len());
}

/// Pieces that are hard to read in large numbers.
const HARD: &[&str] = &[
    "：**内",
    "a",
    "<",
    ">",
    "&",
    "[",
    "](",
    "![",
    "*",
    "_",
    "**a",
    "`",
    "``` ",
    "~",
    "<b>",
    "</b>",
    "<b>x</b>",
    "<a ",
    "<a href=\"",
    "<a href=\"'",
    "<!--",
    "<!-- <",
    "<script>",
    "<script",
    "<?xml",
    "<!doctype",
    "<p>",
    "<ul><li>",
    "<li>",
    "<table>",
    "<table><tr><td>",
    "<td>x",
    "<blockquote>",
    "<pre>",
    "<pre><code class=",
    "> ",
    ">\n",
    "> a\n",
    "- ",
    "- a\n",
    "1. ",
    "  - a\n",
    "|",
    "|a",
    "a|b\n-|-\n",
    "||x\n",
    "\n",
    " ",
    "\t",
    "\u{200b}",
    "&a;",
    "&amp;",
    "&#1;",
    "e\u{301}",
    "\u{301}",
    "🇩🇪",
    "👩\u{200d}",
    "\\",
    "<br>",
    "<sup>",
    "<span>",
    "# ",
    "---\n",
    "a\n===\n",
    "[a]: b\n",
    "[a][",
    "<!",
    "<x@y.z>",
    "\"",
    "x<y ",
    "*a_ ",
    "**x* ",
    "_a*b ",
    "`a``b```c````d",
    "<![CDATA[",
    "<!A ",
    "<?",
    "[a](<b",
    "[a](b",
    "\\[",
    "[x]\n",
];

#[test]
fn long_and_deep_texts_take_linear_time_and_little_stack() {
    let mut texts: Vec<String> = HARD.iter().map(|piece| piece.repeat(LONG / piece.len())).collect();
    texts.push(format!("{}a\n", "> ".repeat(250)).repeat(LONG / 500));
    texts.push(format!("{}a\n", "- ".repeat(250)).repeat(LONG / 500));
    texts.push((0..300).map(|depth| format!("{}- a\n", "  ".repeat(depth))).collect());
    texts.push(format!("{}{}", ">".repeat(LONG / 2), "\na".repeat(LONG / 4)));
    texts.push(format!("|{}\n|{}\n{}", "a|".repeat(LONG / 6), "-|".repeat(LONG / 6), "a\n".repeat(LONG / 6)));
    for hidden in ["<!--", "<script>", "<?xml"] {
        texts.push(format!("<pre>{}</pre>-->", hidden.repeat(LONG / hidden.len())));
    }
    texts.push((1..400).map(|length| "`".repeat(length) + " ").collect());
    for text in texts {
        for markup in [Markup::Html, Markup::Markdown] {
            let start = text.chars().take(40).collect::<String>();
            let before = tokio::time::Instant::now();
            let copy = text.clone();
            let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
            let parts = thread.spawn(move || super::text_parts(&copy, markup)).unwrap().join().unwrap();
            let took = before.elapsed();
            assert!(took < LONGEST, "{markup:?} {start:?}: {took:?}, {} parts", parts.len());
        }
    }
}

#[test]
fn a_long_table_is_written_once() {
    let rows = "| some | cell |\n".repeat(20_000);
    let parts = checked_parts(&format!("| a | b |\n|---|---|\n{rows}"), Markup::Markdown);
    assert_eq!(solid(&parts).matches("some|cell").count(), 20_000);
}
