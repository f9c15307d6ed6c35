//! What an input looks like from its head: lines, or a document.

use super::Extent;
use super::framer::{Framer, MARK, RECORD_SEPARATOR};
use super::parse::filler;

/// How the text of an input is cut into objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Lines, each of one or more objects.
    Lines,
    /// A stream of JSON values: an array of objects, or objects that are spread over lines, or have no line ends.
    Document,
}

/// How much of an input is looked at, at most.
pub const HEAD: usize = 1 << 20;

impl Shape {
    /// What begins with `head`; `None` if more has to be seen. [`HEAD`] bytes always tell.
    ///
    /// An input that grows is asked again on every run: what is said of a part must not take anything of it for good that the
    /// whole means otherwise.
    pub fn of(head: &[u8], extent: Extent) -> Option<Shape> {
        let whole = extent == Extent::Whole || head.len() >= HEAD;
        let head = &head[..head.len().min(HEAD)];
        let mut start = 0;
        loop {
            start += filler(&head[start..]).0;
            match head.get(start) {
                Some(b'\n') => start += 1,
                // A sequence of JSON texts (RFC 7464).
                Some(&RECORD_SEPARATOR) => return Some(Shape::Document),
                Some(b'[') => return array(&head[start + 1..], whole),
                Some(b'{') => return object(head, start, whole),
                // The rest of a byte-order mark may come.
                Some(_) if !whole && MARK.starts_with(&head[start..]) => return None,
                Some(_) => return Some(Shape::Lines),
                None => return whole.then_some(Shape::Lines),
            }
        }
    }
}

/// What begins with `[`, from behind it on: many a log line does.
fn array(rest: &[u8], whole: bool) -> Option<Shape> {
    match rest.iter().find(|byte| !matches!(byte, b' ' | b'\t' | b'\r' | b'\n')) {
        Some(b'{' | b'[' | b']') => Some(Shape::Document),
        Some(_) => Some(Shape::Lines),
        // Nothing is taken of a document that has no item yet.
        None => whole.then_some(Shape::Document),
    }
}

/// What has an object at `start`.
fn object(head: &[u8], start: usize, whole: bool) -> Option<Shape> {
    let mut framer = Framer::new(start as u64);
    let mut items = Vec::new();
    framer.feed(&head[start..], &mut items, 1);
    if framer.is_broken() || items.first().is_some_and(|item| item.broken) {
        return Some(Shape::Lines);
    }
    let end = items.first().map_or(head.len(), |item| item.end as usize);
    let is_spread = head[start..end].contains(&b'\n');
    let has_line_ends = head.contains(&b'\n');
    match items.is_empty() {
        // The first object is whole.
        false if is_spread => Some(Shape::Document),
        false if has_line_ends => Some(Shape::Lines),
        // It is not whole, and the rest may show that it is not an object.
        true if !whole => None,
        true if is_spread => Some(Shape::Document),
        // No line end so far.
        _ if head.len() >= HEAD => Some(Shape::Document),
        _ => whole.then_some(Shape::Lines),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_says_what_an_input_is() {
        use Shape::{Document, Lines};
        let long = "{}".repeat(HEAD / 2);
        let pretty = "{\n  \"a\": [\n    1\n  ]\n}";
        for (head, of_part, of_whole) in [
            ("", None, Lines),
            (" \n\0\u{feff}", None, Lines),
            ("x", Some(Lines), Lines),
            ("\u{ff01}", Some(Lines), Lines),
            ("[", None, Document),
            ("[\n ", None, Document),
            ("\u{feff}\n[ {", Some(Document), Document),
            ("[[", Some(Document), Document),
            ("[]", Some(Document), Document),
            ("[2026-11-27 11:00:00] {}\n", Some(Lines), Lines),
            ("[\"", Some(Lines), Lines),
            ("\u{1e}{}\n", Some(Document), Document),
            ("{", None, Lines),
            ("{}", None, Lines),
            ("{}{}", None, Lines),
            ("{}\n", Some(Lines), Lines),
            ("\n{}", Some(Lines), Lines),
            ("{\"a\":1,", None, Lines),
            ("{\"a\":1,\n", None, Document),
            ("{\n", None, Document),
            (pretty, Some(Document), Document),
            ("{\"a\":1,\n{\"a\":1}\n", Some(Lines), Lines),
            ("{\"a\":\"x\n{\"a\":1}\n", Some(Lines), Lines),
            ("{'a':1}", Some(Lines), Lines),
            (&long, Some(Document), Document),
            (&long[2..], None, Lines),
            (&format!("{long}\n"), Some(Document), Document),
            (&format!("{}\n{{}}", &long[2..]), Some(Lines), Lines),
            (&format!("{{\"a\":\"{}", "x".repeat(HEAD)), Some(Document), Document),
        ] {
            let shown = &head[..head.len().min(60)];
            assert_eq!(Shape::of(head.as_bytes(), Extent::Part), of_part, "a part: {shown:?}");
            assert_eq!(Shape::of(head.as_bytes(), Extent::Whole), Some(of_whole), "{shown:?}");
        }
        for cut in 1..3 {
            assert_eq!(Shape::of(&"\u{feff}".as_bytes()[..cut], Extent::Part), None);
        }
    }
}
