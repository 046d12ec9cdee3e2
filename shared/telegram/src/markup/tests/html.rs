//! HTML that becomes messages.

use super::{Markup, assert_cases};

#[test]
fn the_html_of_telegram_is_kept() {
    assert_cases(
        Markup::Html,
        &[
            ("plain", &["plain"]),
            ("<b>bold</b>, <strong>bold</strong>", &["<b>bold</b>, <b>bold</b>"]),
            ("<i>it</i> <em>it</em> <u>u</u> <ins>u</ins>", &["<i>it</i> <i>it</i> <u>u</u> <u>u</u>"]),
            ("<s>s</s> <strike>s</strike> <del>s</del>", &["<s>s</s> <s>s</s> <s>s</s>"]),
            (
                "<span class=\"tg-spoiler\">a</span> <tg-spoiler>b</tg-spoiler>",
                &["<tg-spoiler>a</tg-spoiler> <tg-spoiler>b</tg-spoiler>"],
            ),
            ("<b>b <i>bi <s>bis</s> <u>biu</u></i> b</b>", &["<b>b <i>bi <s>bis</s> <u>biu</u></i> b</b>"]),
            ("<i><b>x</b>y</i>", &["<i><b>x</b>y</i>"]),
            (
                "<a href=\"http://www.example.com/\">URL</a> <a href='tg://user?id=1'>name</a>",
                &["<a href=\"http://www.example.com/\">URL</a> <a href=\"tg://user?id=1\">name</a>"],
            ),
            (
                "<tg-emoji emoji-id=\"5368324170671202286\">👍</tg-emoji>",
                &["<tg-emoji emoji-id=\"5368324170671202286\">👍</tg-emoji>"],
            ),
            ("a <code>x &lt; y</code> b", &["a <code>x &lt; y</code> b"]),
            ("<pre>one\n  two</pre>", &["<pre>one\n  two</pre>"]),
            (
                "<pre><code class=\"language-rust\">fn f() {}\n</code></pre>\nend",
                &["<pre><code class=\"language-rust\">fn f() {}</code></pre>\nend"],
            ),
            ("a\n<blockquote>q\nr</blockquote>\nb", &["a\n<blockquote>q\nr</blockquote>\nb"]),
            ("<blockquote expandable>q</blockquote>\n\nb", &["<blockquote expandable>q</blockquote>\n\nb"]),
            ("<B>x</B> <A HREF=\"HTTPS://x.y\">z</A>", &["<b>x</b> <a href=\"HTTPS://x.y\">z</a>"]),
            ("one\n\n\n\n  two", &["one\n\n\n\n  two"]),
        ],
    );
}

#[test]
fn characters_of_html_in_text_are_readable() {
    assert_cases(
        Markup::Html,
        &[
            ("a < b && c > d", &["a &lt; b &amp;&amp; c &gt; d"]),
            ("1<2, x<y", &["1&lt;2, x&lt;y"]),
            ("if a <b and c> d", &["if a &lt;b and c&gt; d"]),
            ("<3 & <- & -> & <>", &["&lt;3 &amp; &lt;- &amp; -&gt; &amp; &lt;&gt;"]),
            (
                "AT&T R&D; &nope; &#0; &#xd800; &",
                &["AT&amp;T R&amp;D; &amp;nope; &amp;#0; &amp;#xd800; &amp;"],
            ),
            ("a&nbsp;b&mdash;&eacute;&hellip;&euro;", &["a\u{a0}b—é…€"]),
            ("&#39;&#x1F600;&apos;&quot;&lt;b&gt;&amp;lt;", &["'😀'\"&lt;b&gt;&amp;lt;"]),
            ("Vec<String>, <TOKEN>, <stdio.h>", &["Vec&lt;String&gt;, &lt;TOKEN&gt;, &lt;stdio.h&gt;"]),
            ("<https://x.y> <me@x.y>", &["&lt;https://x.y&gt; &lt;me@x.y&gt;"]),
            ("mv <source> <target>", &["mv &lt;source&gt; &lt;target&gt;"]),
            ("</think>done", &["&lt;/think&gt;done"]),
            ("<!-- no end", &["&lt;!-- no end"]),
            ("<a href=\"x", &["&lt;a href=\"x"]),
            ("\t x\tx\u{7}", &["x    x"]),
            ("a\r\nb\rc", &["a\nb\nc"]),
        ],
    );
}

#[test]
fn unclosed_and_crossed_tags_are_repaired() {
    assert_cases(
        Markup::Html,
        &[
            ("<b>x", &["<b>x</b>"]),
            ("x</b>y</i></pre>", &["xy"]),
            ("<b>x<i>y</b>z</i>", &["<b>x<i>y</i></b><i>z</i>"]),
            ("<b><b>x</b>y</b>z", &["<b>xy</b>z"]),
            ("<b></b><i> </i>x<u></u>", &["x"]),
            ("<pre>a <b>b</b> <code>c</code></pre>", &["<pre>a b c</pre>"]),
            ("<b>a <code>b</code> c</b>", &["<b>a </b><code>b</code><b> c</b>"]),
            ("<a href=\"http://x.y\">a <code>b</code></a>", &["<a href=\"http://x.y\">a b</a>"]),
            (
                "<a href=\"http://x.y\">a<a href=\"http://z.y\">b</a>",
                &["<a href=\"http://x.y\">a</a><a href=\"http://z.y\">b</a>"],
            ),
            (
                "<blockquote>a<blockquote>b</blockquote>c</blockquote>d",
                &["<blockquote>a\nb\nc</blockquote>\nd"],
            ),
            (
                "<blockquote>a</blockquote><blockquote>b</blockquote>",
                &["<blockquote>a</blockquote>\n<blockquote>b</blockquote>"],
            ),
            ("<span>a<span class=tg-spoiler>b</span>c</span>", &["a<tg-spoiler>b</tg-spoiler>c"]),
            ("<tg-emoji emoji-id=\"x\">👍</tg-emoji>", &["👍"]),
            ("<pre><code class=\"language-a&quot;b\">x</code></pre>", &["<pre>x</pre>"]),
            ("<blockquote><b>q</blockquote>x</b>", &["<blockquote><b>q</b></blockquote>\nx"]),
            ("<b><blockquote>q</b></blockquote>x", &["<blockquote><b>q</b></blockquote>\nx"]),
            ("<b><blockquote>q</blockquote>x</b>", &["<blockquote><b>q</b></blockquote>\n<b>x</b>"]),
            ("<pre>print(\"<b>\")</pre>x", &["<pre>print(\"\")</pre>\nx"]),
            (
                "<a href=\"http://x.y\">a<blockquote>b",
                &["<a href=\"http://x.y\">a</a>\n<blockquote><a href=\"http://x.y\">b</a></blockquote>"],
            ),
            (
                "Use <code><div></code> or <code><!-- x --></code>",
                &["Use <code>&lt;div&gt;</code> or <code>&lt;!-- x --&gt;</code>"],
            ),
            (
                "<pre><code class=\"hljs language-html\"><ul>\n  <li>x</li>\n</ul></code></pre>",
                &[
                    "<pre><code class=\"language-html\">&lt;ul&gt;\n  &lt;li&gt;x&lt;/li&gt;\n&lt;/ul&gt;</code></pre>",
                ],
            ),
        ],
    );
}

#[test]
fn the_html_of_browsers_is_readable() {
    assert_cases(
        Markup::Html,
        &[
            ("<p>one</p><p>two</p>", &["one\n\ntwo"]),
            ("<p>\n  one\n</p>\n\n<p>two</p>\n", &["one\n\ntwo"]),
            ("a<br>b<br/>c<br />\nd", &["a\nb\nc\nd"]),
            ("<div>a<div>b</div></div>c", &["a\nb\nc"]),
            (
                "<h1>Title</h1>text<h3>Next</h3>\n<p>more</p>",
                &["<b>Title</b>\n\ntext\n\n<b>Next</b>\n\nmore"],
            ),
            ("Do:<ul><li>one<li>two</ul>done", &["Do:\n\n• one\n• two\n\ndone"]),
            (
                "<ul>\n  <li>\n    one\n  </li>\n  <li>two\n    <ol start=\"3\"><li>x</li><li>y</li></ol></li>\n</ul>",
                &["• one\n• two\n  3. x\n  4. y"],
            ),
            ("<ul><li><p>a</p></li><li><p>b</p></li></ul>", &["• a\n\n• b"]),
            ("a<hr>b", &["a\n———\nb"]),
            (
                "<table><tr><th>Name</th><th>Qty</th></tr>\n<tr><td>Nut &amp; bolt</td><td>7</td></tr></table>",
                &["<pre>Name       | Qty\n-----------+----\nNut &amp; bolt | 7</pre>"],
            ),
            ("<table><tr><td>a<td><b>b</b><tr><td>c", &["<pre>a | b\nc</pre>"]),
            (
                "<html><head><title>T</title><style>b{}</style></head><body>x<script>1<2</script></body></html>",
                &["T\nx"],
            ),
            ("<!DOCTYPE html><!-- <b> -->x<SCRIPT a=b>y</Script >z", &["xz"]),
            ("<img src=\"https://x/y.png\" alt=\"cat\">", &["<a href=\"https://x/y.png\">cat</a>"]),
            (
                "<img src=\"https://x/y.png\"><img src='data:x' alt=dog>",
                &["<a href=\"https://x/y.png\">https://x/y.png</a>dog"],
            ),
            ("10<sup>6</sup> H<sub>2</sub>O <mark>m</mark> <kbd>k</kbd>", &["10⁶ H2O m <code>k</code>"]),
            (
                "<button type=\"submit\">Send</button><input name=x> <label>l</label>",
                &["Send &lt;label&gt;l&lt;/label&gt;"],
            ),
            ("<details open><summary>More</summary>text</details>", &["<b>More</b>\ntext"]),
        ],
    );
}

#[test]
fn only_links_with_known_schemes_are_links() {
    assert_cases(
        Markup::Html,
        &[
            ("<a href=\"javascript:alert(1)\">a</a> <a href=\"/x\">b</a> <a>c</a>", &["a b c"]),
            ("<a href=mailto:a@b.c>m</a>", &["<a href=\"mailto:a@b.c\">m</a>"]),
            (
                "<a href=\" https://x.y/?a=1&amp;b=2&c \">q</a>",
                &["<a href=\"https://x.y/?a=1&amp;b=2&amp;c\">q</a>"],
            ),
            ("<a href='https://x.y/\"z'>q</a>", &["<a href=\"https://x.y/%22z\">q</a>"]),
            ("<a href=\"https://x.y/a b\">q</a>", &["q"]),
            (
                "<a class=x target='_blank' href=\"https://x.y/>\">q</a>",
                &["<a href=\"https://x.y/&gt;\">q</a>"],
            ),
        ],
    );
}
