//! Rust source as tokens, so that comments, doc comments and strings are never taken for code.

use af_tests::workspace::File;
use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// A token with its line.
pub struct Token {
    /// 1-based.
    pub line: usize,
    /// The token; a group is its opening bracket here, and its content follows.
    pub text: String,
}

/// All tokens of the file, groups opened up. Doc comments and literals are left out.
///
/// # Panics
/// When the file is not valid Rust, which cannot be compiled either.
pub fn of(file: &File) -> Vec<Token> {
    let stream: TokenStream = file.text.parse().unwrap_or_else(|e| panic!("{} is no Rust: {e}", file.path));
    let mut tokens = Vec::new();
    flatten(stream, &mut tokens);
    tokens
}

fn flatten(stream: TokenStream, tokens: &mut Vec<Token>) {
    for tree in stream {
        let line = tree.span().start().line;
        match tree {
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::None => ("", ""),
                };
                tokens.push(Token { line, text: open.into() });
                flatten(group.stream(), tokens);
                tokens.push(Token { line: group.span_close().start().line, text: close.into() });
            }
            TokenTree::Literal(_) => tokens.push(Token { line, text: "\"\"".into() }),
            other => tokens.push(Token { line, text: other.to_string() }),
        }
    }
}

/// The lines on which `pattern` occurs as consecutive tokens.
pub fn find(tokens: &[Token], pattern: &[&str]) -> Vec<usize> {
    let matches = |window: &&[Token]| window.iter().zip(pattern).all(|(token, want)| token.text == *want);
    tokens.windows(pattern.len()).filter(matches).map(|window| window[0].line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_strings_are_no_code() {
        let text =
            "//! async\n/// async\nfn f() -> &'static str { /* async */ \"async\" }\nasync fn g() {}\n";
        let tokens = of(&File { path: "lib.rs".into(), text: text.into() });
        assert_eq!(find(&tokens, &["async"]), [4]);
        assert_eq!(find(&tokens, &["fn", "g", "("]), [4]);
    }
}
