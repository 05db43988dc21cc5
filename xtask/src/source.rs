//! Rust source without its comments and literals, so that a word found in it is code.

/// `text` with comments, strings and character literals blanked out; lines keep their numbers.
pub(crate) fn code_of(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut i = 0;
    while i < chars.len() {
        let end = literal_end(&chars, i);
        if end == i {
            out.push(chars[i]);
            i += 1;
        } else {
            out.extend(chars[i..end].iter().map(|&c| if c == '\n' { '\n' } else { ' ' }));
            i = end;
        }
    }
    out
}

/// Where the comment or literal that begins at `i` ends; `i` itself when none does.
fn literal_end(chars: &[char], i: usize) -> usize {
    let at = |k: usize| chars.get(k).copied().unwrap_or('\0');
    let after_word = i > 0 && (at(i - 1).is_alphanumeric() || at(i - 1) == '_');
    match (at(i), at(i + 1)) {
        ('/', '/') => (i..chars.len()).find(|&k| chars[k] == '\n').unwrap_or(chars.len()),
        ('/', '*') => block_comment_end(chars, i),
        ('"', _) => string_end(chars, i + 1),
        ('r', '"' | '#') if !after_word => raw_string_end(chars, i + 1).unwrap_or(i),
        ('b', 'r') if !after_word => raw_string_end(chars, i + 2).unwrap_or(i),
        ('\'', '\\') => {
            (i + 3..chars.len()).find(|&k| chars[k] == '\'').map_or(chars.len(), |k| k + 1)
        }
        // A lifetime has no closing quote two characters on.
        ('\'', _) if at(i + 2) == '\'' => i + 3,
        _ => i,
    }
}

fn block_comment_end(chars: &[char], start: usize) -> usize {
    let (mut depth, mut i) = (0_usize, start);
    while i + 1 < chars.len() {
        match (chars[i], chars[i + 1]) {
            ('/', '*') => (depth, i) = (depth + 1, i + 2),
            ('*', '/') => (depth, i) = (depth - 1, i + 2),
            _ => i += 1,
        }
        if depth == 0 {
            return i;
        }
    }
    chars.len()
}

fn string_end(chars: &[char], mut i: usize) -> usize {
    while i < chars.len() {
        match chars[i] {
            '\\' => i += 2,
            '"' => return i + 1,
            _ => i += 1,
        }
    }
    chars.len()
}

/// The end of a raw string whose hashes (if any) begin at `i`; `None` for a raw identifier.
fn raw_string_end(chars: &[char], i: usize) -> Option<usize> {
    let hashes = chars[i..].iter().take_while(|&&c| c == '#').count();
    if chars.get(i + hashes) != Some(&'"') {
        return None;
    }
    let closes = |k: usize| {
        chars[k] == '"' && (1..=hashes).all(|h| chars.get(k + h).is_some_and(|&c| c == '#'))
    };
    let close = (i + hashes + 1..chars.len()).find(|&k| closes(k));
    Some(close.map_or(chars.len(), |k| k + hashes + 1))
}

/// Whether `word` stands in `line` as a token: no identifier character before or after it.
pub(crate) fn has_word(line: &str, word: &str) -> bool {
    let part_of_name = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        !line[..at].ends_with(part_of_name) && !line[at + word.len()..].starts_with(part_of_name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_go_and_code_stays() {
        let cases = [
            ("a // b\nc", "a c"),
            ("a /* b /* c */ d\n */ e", "a e"),
            (r#"f("x \" y") + 1"#, "f( ) + 1"),
            (r###"r#"a " b"# + c"###, "+ c"),
            (r#"br"a" + c"#, "+ c"),
            ("r#type = 1", "r#type = 1"),
            (r#"'a' + '\'' + '\u{1F600}' + '"' + b"#, "+ + + + b"),
            ("fn f<'a>(x: &'a str)", "fn f<'a>(x: &'a str)"),
            ("for \"unclosed", "for"),
        ];
        for (text, expected) in cases {
            let code = code_of(text);
            let words: Vec<&str> = code.split_whitespace().collect();
            assert_eq!(words.join(" "), expected, "{text}");
            assert_eq!(code.chars().count(), text.chars().count(), "{text}");
            assert_eq!(code.matches('\n').count(), text.matches('\n').count(), "{text}");
        }
    }

    #[test]
    fn words_are_whole_tokens() {
        assert!(has_word("unsafe {", "unsafe"));
        assert!(!has_word("#![deny(unsafe_code)]", "unsafe"));
        assert!(!has_word("not_unsafe", "unsafe"));
        assert!(has_word("let x = todo!();", "todo!"));
    }
}
