//! What is between the quotes of a string of JSON.

/// The characters of a string of JSON, unescaped, each with its place in the content; an error is half of a surrogate
/// pair. Escapes are sound: the [`Scan`](super::scan::Scan) has seen to that.
#[derive(Clone)]
pub(super) struct Unescaped<'t> {
    content: &'t str,
    at: usize,
}

impl<'t> Unescaped<'t> {
    pub fn new(content: &'t str) -> Unescaped<'t> {
        Unescaped { content, at: 0 }
    }

    /// The number behind `\u` at this place.
    fn unit(&self, at: usize) -> Option<u16> {
        let digits = self.content.get(at..at + 6)?.strip_prefix("\\u")?;
        u16::from_str_radix(digits, 16).ok()
    }
}

impl Iterator for Unescaped<'_> {
    type Item = (usize, Result<char, u16>);

    fn next(&mut self) -> Option<Self::Item> {
        let at = self.at;
        let mut rest = self.content.get(at..)?.chars();
        let char = match rest.next()? {
            '\\' => rest.next().unwrap_or('\\'),
            char => {
                self.at += char.len_utf8();
                return Some((at, Ok(char)));
            }
        };
        self.at += 1 + char.len_utf8();
        let char = match char {
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                let Some(unit) = self.unit(at) else { return Some((at, Ok('u'))) };
                self.at = at + 6;
                let low = self.unit(self.at).filter(|_| (0xd800..0xdc00).contains(&unit));
                match char::decode_utf16([unit].into_iter().chain(low)).next() {
                    Some(Ok(char)) => {
                        self.at += if char.len_utf16() == 2 { 6 } else { 0 };
                        char
                    }
                    _ => return Some((at, Err(unit))),
                }
            }
            char => char,
        };
        Some((at, Ok(char)))
    }
}

/// Whether a string of JSON with this content is this text.
pub(super) fn is(content: &str, text: &str) -> bool {
    match content.contains('\\') {
        false => content == text,
        true => Unescaped::new(content).map(|(_, char)| char.ok()).eq(text.chars().map(Some)),
    }
}
