//! Generated texts, and the properties that the messages of every text have.

use super::super::{Markup, html, markdown, with_unix_lines, writer::Writer};
use super::{checked_parts, solid};

/// Pieces of HTML, right and wrong.
const HTML: &[&str] = &[
    "<b>",
    "</b>",
    "<i>",
    "</i>",
    "<u>",
    "</u>",
    "<s>",
    "</s>",
    "<tg-spoiler>",
    "</tg-spoiler>",
    "<code>",
    "</code>",
    "<pre>",
    "</pre>",
    "<pre><code class=\"language-c\">",
    "<a href=\"https://x.y/?a&b\">",
    "</a>",
    "<blockquote>",
    "<blockquote expandable>",
    "</blockquote>",
    "<tg-emoji emoji-id=\"7\">",
    "</tg-emoji>",
    "<span class=\"tg-spoiler\">",
    "<span>",
    "</span>",
    "<p>",
    "</p>",
    "<div>",
    "</div>",
    "<br>",
    "<h2>",
    "</h2>",
    "<",
    ">",
    "&",
    "&lt;",
    "&nbsp;",
    "&#8203;",
    "\"",
    "'",
    "<b",
    "<x>",
    "</",
    "<!-- -->",
    "é",
    "😀",
    "e\u{301}",
    "\u{200b}",
    " ",
    "\n",
    "\n\n",
    "\t",
];

/// Pieces that add text of their own: marks, numbers, lines. The words are still in order.
const ADDING: &[&str] = &[
    "<ul>",
    "</ul>",
    "<ol start=\"9\">",
    "</ol>",
    "<li>",
    "</li>",
    "<hr>",
    "<table>",
    "</table>",
    "<tr>",
    "<td>",
    "<th>",
    "</tr>",
    "<img src=\"https://x.y\" alt=\"z\">",
    "<sup>",
    "</sup>",
    "<summary>",
    "</summary>",
];

/// Pieces of Markdown.
const MARKDOWN: &[&str] = &[
    "：**内",
    "文**（",
    "*",
    "**",
    "_",
    "__",
    "~~",
    "~",
    "`",
    "```\n",
    "\n```rust\n",
    "[",
    "](https://x.y)",
    "](x:y)",
    "![",
    "]",
    "(",
    ")",
    "\n# ",
    "\n- ",
    "\n  - ",
    "\n1. ",
    "\n> ",
    "\n>> ",
    "\n---\n",
    " | ",
    "|\n",
    "\\",
    "\n\n",
    "\n    ",
    "<b>",
    "</b>",
    "<br>",
    "\n<div>\n",
    "</div>\n\n",
    "&amp;",
    "<x>",
    "😀",
    " ",
    "\n- [ ] ",
];

/// Pieces that hide text: comments, and cells for which a table has no column.
const HIDING: &[&str] = &["<!--", "-->", "\n| a | b |\n|---|:-:|\n| c |"];

struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }

    /// A text of pieces with a numbered word behind each one, and its words.
    fn text(&mut self, pieces: &[&str]) -> (String, Vec<String>) {
        let (mut text, mut words) = (String::new(), Vec::new());
        let length = [12, 60, 400][self.below(3)];
        let padding = [0, 0, 30, 500][self.below(4)];
        for number in 0..1 + self.below(length) {
            text.push_str(pieces[self.below(pieces.len())]);
            let word = format!("w{number}{}q", "x".repeat(self.below(padding + 1)));
            text.push_str(&word);
            words.push(word);
        }
        (text, words)
    }
}

/// The visible text of the whole document without white space.
fn whole(text: &str, markup: Markup) -> String {
    let mut writer = Writer::default();
    let text = with_unix_lines(text);
    match markup {
        Markup::Plain => return text.split_whitespace().collect(),
        Markup::Html => html::Reader::default().read(&text, &mut writer),
        Markup::Markdown => markdown::read(&text, &mut writer),
    }
    writer.finish().text.split_whitespace().collect()
}

fn assert_words_in_order(visible: &str, words: &[String], text: &str) {
    let mut rest = visible;
    for word in words {
        let at = rest
            .find(word.as_str())
            .unwrap_or_else(|| panic!("{word} is missing in {visible:?} of {text:?}"));
        rest = &rest[at + word.len()..];
    }
}

#[test]
fn generated_html_becomes_accepted_messages_with_all_its_words() {
    let mut draw = Draw(7);
    let all = [HTML, ADDING].concat();
    for round in 0..600 {
        let (text, words) = draw.text(if round % 2 == 0 { HTML } else { &all });
        let visible = solid(&checked_parts(&text, Markup::Html));
        assert_eq!(visible, whole(&text, Markup::Html), "{text:?}");
        // `w1q` behind `<b` makes an unknown tag or an attribute, which ends at the next `>`.
        if !text.contains("<bw") && !text.contains("</w") {
            assert_words_in_order(
                &raised(&visible),
                &words.iter().map(|word| raised(word)).collect::<Vec<_>>(),
                &text,
            );
        }
    }
}

/// The text without digits, which `<sup>` replaces.
fn raised(text: &str) -> String {
    text.chars().filter(|ch| !ch.is_numeric()).collect()
}

#[test]
fn generated_markdown_becomes_accepted_messages_with_all_its_words() {
    let mut draw = Draw(11);
    let all = [MARKDOWN, HIDING].concat();
    for round in 0..600 {
        let (text, words) = draw.text(if round % 2 == 0 { MARKDOWN } else { &all });
        let visible = solid(&checked_parts(&text, Markup::Markdown));
        assert_eq!(visible, whole(&text, Markup::Markdown), "{text:?}");
        if round % 2 == 0 {
            assert_words_in_order(&visible, &words, &text);
        }
    }
}

#[test]
fn generated_noise_becomes_accepted_messages() {
    let mut draw = Draw(13);
    let noise = "<>&;/=\"'!-?abpi#x012*_`~[]()|\\ \n\t\r\0\u{200d}é😀界\u{301}\u{feff}";
    let noise: Vec<char> = noise.chars().collect();
    for _ in 0..1_500 {
        let length = draw.below(300);
        let text: String = (0..length).map(|_| noise[draw.below(noise.len())]).collect();
        for markup in [Markup::Plain, Markup::Html, Markup::Markdown] {
            let visible = solid(&checked_parts(&text, markup));
            if !visible.is_empty() {
                assert_eq!(visible, whole(&text, markup), "{markup:?} {text:?}");
            }
        }
    }
}
