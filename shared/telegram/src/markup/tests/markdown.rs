//! Markdown that becomes messages.

use super::{Markup, assert_cases};

#[test]
fn inline_markup_becomes_tags() {
    assert_cases(
        Markup::Markdown,
        &[
            (
                "**b** __b__ *i* _i_ ~~s~~ `c`",
                &["<b>b</b> <b>b</b> <i>i</i> <i>i</i> <s>s</s> <code>c</code>"],
            ),
            ("***bi*** **b _bi_**", &["<i><b>bi</b></i> <b>b <i>bi</i></b>"]),
            ("snake_case_name 2*3*4 5~10 20~30", &["snake_case_name 2<i>3</i>4 5~10 20~30"]),
            ("**use `x < y`**", &["<b>use </b><code>x &lt; y</code>"]),
            ("[t](https://x.y/?a=1&b=2 \"title\")", &["<a href=\"https://x.y/?a=1&amp;b=2\">t</a>"]),
            (
                "[`f`](https://x.y) [](https://z.y)",
                &["<a href=\"https://x.y\">f</a> <a href=\"https://z.y\">https://z.y</a>"],
            ),
            ("[a](javascript:x) [b](./c.md) [d][e]\n\n[e]: ftp://x", &["a b d"]),
            ("![cat](https://x/c.png)", &["<a href=\"https://x/c.png\">cat</a>"]),
            ("[![cat](https://x/c.png)](https://y.z)", &["<a href=\"https://y.z\">cat</a>"]),
            ("[![cat](c.png)](d.md) **x**", &["cat <b>x</b>"]),
            ("<https://x.y> <me@x.y>", &["<a href=\"https://x.y\">https://x.y</a> me@x.y"]),
            ("a\nb  \nc\\\nd", &["a\nb\nc\nd"]),
            ("\\*x\\* &lt; &amp; &nope; a < b", &["*x* &lt; &amp; &amp;nope; a &lt; b"]),
            ("unclosed **bold and `code", &["unclosed **bold and `code"]),
        ],
    );
}

#[test]
fn strong_text_beside_letters_without_spaces_is_strong() {
    assert_cases(
        Markup::Markdown,
        &[
            ("**标题：**内容，**重点：**说明。", &["<b>标题：</b>内容，<b>重点：</b>说明。"]),
            ("これは**「世界」**です", &["これは<b>「世界」</b>です"]),
            ("**텍스트(설명)**은 **a**", &["<b>텍스트(설명)</b>은 <b>a</b>"]),
            (
                "注意：**内容**是。`（a）**b` [**见：**书](https://x.y/a)",
                &["注意：<b>内容</b>是。<code>（a）**b</code> <a href=\"https://x.y/a\"><b>见：</b>书</a>"],
            ),
            ("```\n（**）**语\n```", &["<pre>（**）**语</pre>"]),
            ("内容**（说明", &["内容**（说明"]),
            ("**a**：b \\*\\*内：\\*\\*文", &["<b>a</b>：b **内：**文"]),
            ("⸱**注：**文", &["⸱**注：**文"]),
        ],
    );
}

#[test]
fn blocks_become_lines() {
    assert_cases(
        Markup::Markdown,
        &[
            ("# One\ntext\n## Two *x*\n\ntext", &["<b>One</b>\n\ntext\n\n<b>Two <i>x</i></b>\n\ntext"]),
            ("Title\n===\nx", &["<b>Title</b>\n\nx"]),
            ("a\n\nb\n\n\n\nc", &["a\n\nb\n\nc"]),
            ("- a\n- b\n  - c\n    - d\n- e", &["• a\n• b\n  • c\n    • d\n• e"]),
            ("Do:\n1. a\n2. b\n   - c\n10. d", &["Do:\n\n1. a\n2. b\n  • c\n3. d"]),
            ("7) a\n8) b", &["7. a\n8. b"]),
            ("* a\n\n  more\n\n* b", &["• a\n\nmore\n\n• b"]),
            ("- [ ] a\n- [x] **b**", &["☐ a\n☑ <b>b</b>"]),
            ("> a\n> b\n\nc", &["<blockquote>a\nb</blockquote>\n\nc"]),
            ("> a\n>> b\n>\n> c", &["<blockquote>a\n\nb\n\nc</blockquote>"]),
            ("> a\n\n> b", &["<blockquote>a</blockquote>\n\n<blockquote>b</blockquote>"]),
            ("> - a\n> - `b`", &["<blockquote>• a\n• <code>b</code></blockquote>"]),
            ("a\n\n---\n\nb", &["a\n\n———\n\nb"]),
        ],
    );
}

#[test]
fn code_blocks_keep_their_text() {
    assert_cases(
        Markup::Markdown,
        &[
            (
                "Run:\n```rust\n    fn f() {\n\n    }\n```\ndone",
                &["Run:\n\n<pre><code class=\"language-rust\">    fn f() {\n\n    }</code></pre>\n\ndone"],
            ),
            ("```\n<b>&amp;*x*\n```", &["<pre>&lt;b&gt;&amp;amp;*x*</pre>"]),
            ("```c++ title=\"x\"\ny\n```", &["<pre><code class=\"language-c++\">y</code></pre>"]),
            ("```rust,ignore\ny\n```", &["<pre><code class=\"language-rust\">y</code></pre>"]),
            ("~~~\"bad\"\ny\n~~~", &["<pre>y</pre>"]),
            ("    indented\n      more", &["<pre>indented\n  more</pre>"]),
            ("```py\nno end", &["<pre><code class=\"language-py\">no end</code></pre>"]),
            ("- a\n  ```\n  x\n   y\n  ```\n- b", &["• a\n<pre>x\n y</pre>\n\n• b"]),
            ("> ```\n> x\n> ```", &["<blockquote><pre>x</pre></blockquote>"]),
            (
                "```go\nif x {\n\ty()\n}\n```",
                &["<pre><code class=\"language-go\">if x {\n    y()\n}</code></pre>"],
            ),
            ("```\n\n```\nx", &["x"]),
        ],
    );
}

#[test]
fn tables_become_aligned_text() {
    let wide = format!("| a | b |\n|---|---|\n| {} | y |", "x".repeat(300));
    let wide_text =
        format!("<pre>a{} | b\n{}-+--\n{} | y</pre>", " ".repeat(39), "-".repeat(40), "x".repeat(300));
    let columns = format!("|{}\n|{}\n|{}", " head |".repeat(40), "-|".repeat(40), " c |".repeat(3));
    let columns_text =
        format!("<pre>{}\n{}\nc | c | c</pre>", vec!["head"; 40].join(" | "), vec!["-"; 40].join("-+-"));
    assert_cases(
        Markup::Markdown,
        &[
            (
                "| Name | Qty | Mid |\n|---|--:|:-:|\n| Apple | 3 | x |\n| Pear | 12345 | yyyyy |",
                &[
                    "<pre>Name  |   Qty |  Mid\n------+-------+------\nApple |     3 |   x\nPear  | 12345 | yyyyy</pre>",
                ],
            ),
            ("a | b\n--|--\n日本 | x", &["<pre>a    | b\n-----+--\n日本 | x</pre>"]),
            (
                "|a|b|\n|-|-|\n|**x** `y \\| z`|[l](https://x.y) <br> &amp;|",
                &["<pre>a       | b\n--------+----\nx y | z | l &amp;</pre>\n<a href=\"https://x.y\">l</a>"],
            ),
            (
                "|a|\n|-|\n|[l **m**](https://x.y) [n](o)|\n|[p](https://q.r)|\n\nx",
                &[
                    "<pre>a\n-----\nl m n\np</pre>\n<a href=\"https://x.y\">l m</a>\n<a href=\"https://q.r\">p</a>\n\nx",
                ],
            ),
            ("x\n\n|a|\n|-|\n\ny", &["x\n\n<pre>a\n-</pre>\n\ny"]),
            (&wide, &[&wide_text]),
            (&columns, &[&columns_text]),
        ],
    );
}

#[test]
fn html_in_markdown_is_read() {
    assert_cases(
        Markup::Markdown,
        &[
            ("<b>x *y*</b> <u>z</u>", &["<b>x <i>y</i></b> <u>z</u>"]),
            ("a<br>b<br/>\nc", &["a\nb\nc"]),
            ("x Vec<String> <TOKEN> 10<sup>3</sup>", &["x Vec&lt;String&gt; &lt;TOKEN&gt; 10³"]),
            ("<!-- c -->\nx <!-- d --> y", &["x  y"]),
            ("<details><summary>S</summary>\n\n*x*\n\n</details>\n\ny", &["<b>S</b>\n\n<i>x</i>\n\ny"]),
            ("<script>\nalert(1)\n</script>\n\nx", &["x"]),
            (
                "use <b> and\n\n- <i>x\n- y\n\n# a <b>b\nc",
                &["use <b> and</b>\n\n• <i>x</i>\n• y\n\n<b>a b</b>\n\nc"],
            ),
            ("<think>\nhm\n</think>\n\nx", &["&lt;think&gt;\nhm\n&lt;/think&gt;\n\nx"]),
        ],
    );
}

#[test]
fn a_reply_of_a_model_is_readable() {
    let reply = "Here's how to fix **`E0382`** (use of moved value):\n\n### 1. Clone it\n\n```rust\nlet a = s.clone();\n```\n\n### 2. Borrow it\n\n- Change `fn f(s: String)` to `fn f(s: &str)`.\n- Call `f(&s)` — see the [book](https://doc.rust-lang.org/book/ch04-02.html).\n\n| Way | Cost |\n|:----|-----:|\n| clone | O(n) |\n| borrow | O(1) |\n\n> **Note:** `Rc<T>` also works.";
    let html = "Here's how to fix <code>E0382</code> (use of moved value):\n\n<b>1. Clone it</b>\n\n<pre><code class=\"language-rust\">let a = s.clone();</code></pre>\n\n<b>2. Borrow it</b>\n\n• Change <code>fn f(s: String)</code> to <code>fn f(s: &amp;str)</code>.\n• Call <code>f(&amp;s)</code> — see the <a href=\"https://doc.rust-lang.org/book/ch04-02.html\">book</a>.\n\n<pre>Way    | Cost\n-------+-----\nclone  | O(n)\nborrow | O(1)</pre>\n\n<blockquote><b>Note:</b> <code>Rc&lt;T&gt;</code> also works.</blockquote>";
    assert_cases(Markup::Markdown, &[(reply, &[html])]);
}
