//! Cuts a long text into messages.

/// Telegram's limit: 4096 characters after entity parsing. We count the raw text in UTF-16 code units, which is
/// never fewer than the characters Telegram counts, so a part within the limit here is within it there.
pub const MAX_MESSAGE_UNITS: usize = 4_096;

/// How good a place to cut is: the last of the best kind within the limit is taken.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Border {
    Word,
    Line,
    Paragraph,
}

/// Cuts `text` into parts of at most `limit` UTF-16 code units: on paragraph borders (an empty line), where a
/// paragraph is too long on its lines, then between words, then between characters. White space at the cuts and
/// at both ends is dropped (Telegram would trim it), nothing else is. A text of white space only gives no part.
///
/// A `limit` below two still takes one character a part, so that the cutting ends.
pub fn split(text: &str, limit: usize) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (part, after) = rest.split_at(cut(rest, limit));
        parts.push(part.trim_end());
        rest = after.trim_start();
    }
    parts
}

/// Where the first part of `text` ends, in bytes. `text` starts with a character that is not white space, so
/// that every part holds at least one character.
fn cut(text: &str, limit: usize) -> usize {
    let mut units = 0;
    let mut best: Option<(Border, usize)> = None;
    // The run of white space that the scan is in: where it began and how many line breaks it has so far.
    let mut run: Option<(usize, usize)> = None;
    for (at, ch) in text.char_indices() {
        if ch.is_whitespace() {
            let (start, lines) = run.unwrap_or((at, 0));
            let lines = lines + usize::from(ch == '\n');
            run = Some((start, lines));
            let border = match lines {
                0 => Border::Word,
                1 => Border::Line,
                _ => Border::Paragraph,
            };
            if best.is_none_or(|(kind, _)| border >= kind) {
                best = Some((border, start));
            }
            // A run that starts within the limit may end behind it: it is dropped at the cut anyway.
            if units <= limit {
                units += ch.len_utf16();
            }
            continue;
        }
        run = None;
        units += ch.len_utf16();
        if units > limit {
            return best.map_or(if at == 0 { ch.len_utf8() } else { at }, |(_, start)| start);
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(text: &str) -> usize {
        text.encode_utf16().count()
    }

    fn solid(text: &str) -> String {
        text.chars().filter(|c| !c.is_whitespace()).collect()
    }

    #[test]
    fn a_short_text_is_one_part() {
        assert_eq!(split("hello", 10), ["hello"]);
        assert_eq!(split("  hello \n", 5), ["hello"]);
        assert_eq!(split("exactly10!", 10), ["exactly10!"]);
    }

    #[test]
    fn white_space_is_no_message() {
        assert!(split("", 10).is_empty());
        assert!(split(" \n\t\n ", 2).is_empty());
    }

    #[test]
    fn paragraphs_come_before_lines_and_lines_before_words() {
        assert_eq!(split("a b\n\nc d\ne f", 9), ["a b", "c d\ne f"]);
        assert_eq!(split("a b\nc d e", 8), ["a b", "c d e"]);
        assert_eq!(split("aa bb cc", 6), ["aa bb", "cc"]);
        assert_eq!(split("aa\r\n\r\nbb cc", 8), ["aa", "bb cc"]);
    }

    #[test]
    fn as_many_paragraphs_as_fit_share_a_part() {
        assert_eq!(split("one\n\ntwo\n\nthree", 9), ["one\n\ntwo", "three"]);
    }

    #[test]
    fn a_word_that_is_too_long_is_cut_between_characters() {
        assert_eq!(split("abcdefgh", 3), ["abc", "def", "gh"]);
        assert_eq!(split("ääää", 3), ["äää", "ä"]);
        assert_eq!(split("😀😀😀", 3), ["😀", "😀", "😀"]);
        assert_eq!(split("😀x", 1), ["😀", "x"]);
        assert_eq!(split("ab", 0), ["a", "b"]);
    }

    #[test]
    fn a_long_run_of_white_space_is_dropped_at_the_cut() {
        assert_eq!(split(&format!("a{}b", " ".repeat(50)), 5), ["a", "b"]);
        assert_eq!(split(&format!("abcde{}\n\nb", " ".repeat(50)), 5), ["abcde", "b"]);
    }

    /// A few thousand texts from a small generator: every property that a reader of the parts relies on.
    #[test]
    fn parts_are_within_the_limit_and_lose_nothing_but_white_space() {
        let alphabet =
            ["a", "bc", "ä", "😀", "界", " ", " ", "\n", "\n\n", "\t", "\r\n", "e\u{301}", "</b>", "\u{a0}"];
        let mut state: u64 = 0x2545_f491_4f6c_dd1d;
        let mut draw = |bound: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(state >> 33).unwrap() % bound
        };
        for _ in 0..4_000 {
            let text: String = (0..draw(120)).map(|_| alphabet[draw(alphabet.len())]).collect();
            let limit = 2 + draw(40);
            let parts = split(&text, limit);
            for part in &parts {
                assert!(units(part) <= limit, "{part:?} > {limit} in {text:?}");
                assert!(!part.is_empty() && part.trim() == *part, "{part:?} in {text:?}");
            }
            assert_eq!(solid(&parts.concat()), solid(&text), "limit {limit}");
            if units(text.trim()) <= limit {
                assert!(parts.len() <= 1, "{text:?} fits {limit}");
            }
        }
    }
}
