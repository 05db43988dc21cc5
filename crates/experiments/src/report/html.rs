//! HTML that plain text cannot get into unescaped.

use std::fmt::{self, Write as _};
use std::ops::Deref;

/// A piece of HTML (or SVG). It is made by [`html!`] and from texts in the code, and by nothing else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Html(String);

/// As `format!`, with every argument escaped but those that are [`Html`]. Arguments stand in order: a
/// name inside the braces would go past the escaping, and does not compile.
macro_rules! html {
    ($text:literal $(, $value:expr)* $(,)?) => {{
        const { assert!($crate::report::html::in_order($text), "html! takes its arguments in order") };
        $crate::report::html::Html::formatted(format_args!(
            $text $(, $crate::report::html::Escaped(&$value))*
        ))
    }};
}
pub(crate) use html;

impl Html {
    /// For [`html!`] alone.
    pub(crate) fn formatted(text: fmt::Arguments<'_>) -> Self {
        Self(text.to_string())
    }

    /// Appends a piece.
    pub(crate) fn push(&mut self, more: impl Into<Self>) {
        self.0.push_str(&more.into().0);
    }

    /// The text itself.
    pub fn into_string(self) -> String {
        self.0
    }
}

impl From<&'static str> for Html {
    fn from(text: &'static str) -> Self {
        Self(text.into())
    }
}

impl FromIterator<Html> for Html {
    fn from_iter<I: IntoIterator<Item = Self>>(pieces: I) -> Self {
        Self(pieces.into_iter().map(|piece| piece.0).collect())
    }
}

impl Deref for Html {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

/// An argument of [`html!`].
pub(crate) struct Escaped<'a, T: ?Sized>(pub(crate) &'a T);

/// What can stand in a page: HTML as it is, everything else as text.
pub(crate) trait Markup {
    fn markup(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result;
}

impl Markup for Html {
    fn markup(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Markup for &Html {
    fn markup(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<T: fmt::Display + ?Sized> Markup for T {
    fn markup(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match f.precision() {
            Some(digits) => write!(Escaper(f), "{self:.digits$}"),
            None => write!(Escaper(f), "{self}"),
        }
    }
}

impl<T: Markup + ?Sized> fmt::Display for Escaped<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.markup(f)
    }
}

impl<T: fmt::Debug + ?Sized> fmt::Debug for Escaped<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Escaper(f), "{:?}", self.0)
    }
}

impl fmt::LowerExp for Escaped<'_, f64> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Escapes text for elements and attributes of HTML and XML; what no XML may hold becomes U+FFFD.
struct Escaper<W>(W);

impl<W: fmt::Write> fmt::Write for Escaper<W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            match c {
                '&' => self.0.write_str("&amp;")?,
                '<' => self.0.write_str("&lt;")?,
                '>' => self.0.write_str("&gt;")?,
                '"' => self.0.write_str("&quot;")?,
                '\'' => self.0.write_str("&#39;")?,
                '\n' | '\t' | '\r' => self.0.write_char(c)?,
                '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => self.0.write_char('\u{fffd}')?,
                _ => self.0.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// Whether a format string names no argument: every `{` is followed by `}`, `:` or `{`.
pub(crate) const fn in_order(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut k = 0;
    while k < bytes.len() {
        if bytes[k] == b'{' {
            if k + 1 == bytes.len() || !matches!(bytes[k + 1], b'}' | b':' | b'{') {
                return false;
            }
            k += 1;
        }
        k += 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped_and_html_is_not() {
        let name = "<script>alert('1')</script> & \"x\"\u{1}";
        let safe = "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt; &amp; &quot;x&quot;\u{fffd}";
        let bold = html!("<b>{}</b>", name);
        assert_eq!(&*bold, format!("<b>{safe}</b>"));
        assert_eq!(
            &*html!("<i>{}{}</i>", bold, &bold),
            format!("<i><b>{safe}</b><b>{safe}</b></i>")
        );
        assert_eq!(
            &*html!("{:.2} {:e} {:?} {}", 0.125, 1e-200, ["<"], 7_u64),
            "0.12 1e-200 [&quot;&lt;&quot;] 7"
        );
        assert_eq!(
            &*[Html::from("<p>"), html!("{}", '<')].into_iter().collect::<Html>(),
            "<p>&lt;"
        );
    }

    #[test]
    fn names_inside_the_braces_are_seen() {
        for text in ["", "{}", "{:.4} {{}}", "a {} b"] {
            assert!(in_order(text), "{text}");
        }
        for text in ["{name}", "{0}", "{}{name:.2}", "{"] {
            assert!(!in_order(text), "{text}");
        }
    }
}
