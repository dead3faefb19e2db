//! Splits Rust text into code, comments and literals, line by line.
//!
//! Rules that look for words must know whether a word is code, prose or data. Knows the lexical grammar only;
//! what the code means is `syn`'s business.

/// One line of a file, taken apart. Characters of the other classes are left out.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// Everything that is neither comment nor inside quotes; the quotes themselves stay.
    pub code: String,
    /// Text of comments, slashes included.
    pub comment: String,
    /// Text inside string and character literals.
    pub literal: String,
}

impl Line {
    /// Whether the line counts as code: not blank and not comment alone.
    pub(crate) fn is_code(&self) -> bool {
        !self.code.trim().is_empty() || !self.literal.trim().is_empty()
    }
}

/// Takes `text` apart. Unterminated literals and comments run to the end, as the compiler would say better.
pub(crate) fn lines(text: &str) -> Vec<Line> {
    let mut lexer = Lexer { chars: text.chars().collect(), at: 0, lines: vec![Line::default()] };
    while let Some(next) = lexer.peek(0) {
        match next {
            '/' if lexer.peek(1) == Some('/') => lexer.line_comment(),
            '/' if lexer.peek(1) == Some('*') => lexer.block_comment(),
            '"' => lexer.string(),
            '\'' => lexer.quote(),
            _ if is_word(next) => lexer.word(),
            _ => lexer.take(Class::Code),
        }
    }
    lexer.lines
}

/// Whether a character may stand in an identifier.
pub(crate) fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

#[derive(Clone, Copy)]
enum Class {
    Code,
    Comment,
    Literal,
}

struct Lexer {
    chars: Vec<char>,
    at: usize,
    lines: Vec<Line>,
}

impl Lexer {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    fn take(&mut self, class: Class) {
        let Some(next) = self.peek(0) else { return };
        self.at += 1;
        if next == '\n' {
            self.lines.push(Line::default());
        } else if let Some(line) = self.lines.last_mut() {
            match class {
                Class::Code => line.code.push(next),
                Class::Comment => line.comment.push(next),
                Class::Literal => line.literal.push(next),
            }
        }
    }

    fn take_many(&mut self, count: usize, class: Class) {
        for _ in 0..count {
            self.take(class);
        }
    }

    fn line_comment(&mut self) {
        while self.peek(0).is_some_and(|next| next != '\n') {
            self.take(Class::Comment);
        }
    }

    fn block_comment(&mut self) {
        let mut depth = 0_usize;
        while self.peek(0).is_some() {
            let pair = (self.peek(0), self.peek(1));
            if pair == (Some('/'), Some('*')) {
                depth += 1;
                self.take_many(2, Class::Comment);
            } else if pair == (Some('*'), Some('/')) {
                depth -= 1;
                self.take_many(2, Class::Comment);
                if depth == 0 {
                    return;
                }
            } else {
                self.take(Class::Comment);
            }
        }
    }

    fn string(&mut self) {
        self.take(Class::Code);
        while let Some(next) = self.peek(0) {
            match next {
                '\\' => self.take_many(2, Class::Literal),
                '"' => return self.take(Class::Code),
                _ => self.take(Class::Literal),
            }
        }
    }

    /// A character literal, or the tick of a lifetime.
    fn quote(&mut self) {
        let escaped = self.peek(1) == Some('\\');
        self.take(Class::Code);
        if escaped {
            self.take_many(2, Class::Literal);
            while self.peek(0).is_some_and(|next| next != '\'') {
                self.take(Class::Literal);
            }
            self.take(Class::Code);
        } else if self.peek(1) == Some('\'') {
            self.take(Class::Literal);
            self.take(Class::Code);
        }
    }

    /// An identifier or number; then a raw string, if that is what it announced.
    fn word(&mut self) {
        let mut word = String::new();
        while let Some(next) = self.peek(0).filter(|next| is_word(*next)) {
            word.push(next);
            self.take(Class::Code);
        }
        if matches!(word.as_str(), "r" | "br" | "cr") {
            let mut hashes = 0;
            while self.peek(hashes) == Some('#') {
                hashes += 1;
            }
            if self.peek(hashes) == Some('"') {
                self.raw_string(hashes);
            }
        }
    }

    fn raw_string(&mut self, hashes: usize) {
        self.take_many(hashes + 1, Class::Code);
        while let Some(next) = self.peek(0) {
            let closes = next == '"' && (1..=hashes).all(|ahead| self.peek(ahead) == Some('#'));
            if closes {
                return self.take_many(hashes + 1, Class::Code);
            }
            self.take(Class::Literal);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::lines;

    #[test]
    fn every_class_lands_in_its_own_column() {
        // text, code, comment, literal: each joined by `|` over lines
        let table = [
            ("let a = 1; // one", "let a = 1; ", "// one", ""),
            ("a /* x /* y */ z */ b", "a  b", "/* x /* y */ z */", ""),
            (r#"f("a // b")"#, r#"f("")"#, "", "a // b"),
            (r#"f("\"", 'x', '\'')"#, r#"f("", '', '')"#, "", r#"\"x\'"#),
            ("fn f<'a>(x: &'a str)", "fn f<'a>(x: &'a str)", "", ""),
            ("r#\"a \" b\"# + r#type", "r#\"\"# + r#type", "", "a \" b"),
            ("br\"\\\" + b\"\\\\\"", "br\"\" + b\"\"", "", "\\\\\\"),
            ("\"a\nb\" c", "\"|\" c", "|", "a|b"),
            ("'\\u{1F600}' /// doc", "'' ", "/// doc", "\\u{1F600}"),
        ];
        for (text, code, comment, literal) in table {
            let found = lines(text);
            let join = |pick: fn(&super::Line) -> &String| {
                found.iter().map(pick).cloned().collect::<Vec<_>>().join("|")
            };
            assert_eq!(join(|line| &line.code), code, "code of {text}");
            assert_eq!(join(|line| &line.comment), comment, "comment of {text}");
            assert_eq!(join(|line| &line.literal), literal, "literal of {text}");
        }
    }

    #[test]
    fn unterminated_text_ends() {
        for text in ["\"abc", "/* abc", "r#\"abc\"", "'\\", "'"] {
            assert_eq!(lines(text).len(), 1, "{text}");
        }
    }

    #[test]
    fn blank_and_comment_lines_are_no_code() {
        let found: Vec<bool> =
            lines("a\n\n// b\n/* c\n d */\n\"\n text\"").iter().map(super::Line::is_code).collect();
        assert_eq!(found, [true, false, false, false, false, true, true]);
    }
}
