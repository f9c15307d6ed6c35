use super::*;
use crate::base::text::is_plain;
use crate::intake::parse::{self, Scratch};
use proptest::prelude::*;
use serde::de::IgnoredAny;
use serde_json::error::Category;
use std::time::{Duration, Instant};

const MESSAGE: &str = r#"{"id":"x","type":"message","from":"v","site_id":"1","timestamp":7,"data":{"message":"Hi"}}"#;
const STATUS: &str = r#"{"id":"x","type":"status","from":"o","site_id":"1","timestamp":7,"data":{"status":"online"}}"#;
const DATA_FIRST: &str =
    r#"{"data":{"message":"Hi"},"id":"x","type":"message","from":"v","site_id":"1","timestamp":7}"#;

/// A text, or an event in which one piece stands instead of another; `¦` stands before the fault, `EVENT` for an event. What
/// is said of it.
#[rustfmt::skip]
static TABLE: [(&str, &str, &str, &str); 284] = [
    // Commas and colons.
    (MESSAGE, r#""Hi"}}"#, r#""Hi"}¦,}"#, r#"not valid JSON: trailing comma before "}""#),
    (MESSAGE, r#""Hi"}}"#, r#""Hi" ¦, }}"#, r#"not valid JSON: trailing comma before "}""#),
    (MESSAGE, r#""id":"x""#, r#""a":[1¦, ],"id":"x""#, r#"not valid JSON: trailing comma before "]""#),
    (MESSAGE, r#""id":"x""#, r#""a":[¦,1],"id":"x""#, r#"not valid JSON: a comma behind "["; expected a value or "]""#),
    (MESSAGE, r#""id":"x""#, r#""a":[1,¦,2],"id":"x""#, "not valid JSON: two commas; expected one"),
    (MESSAGE, r#""id":"x""#, r#""a":[1 ¦2],"id":"x""#, "not valid JSON: missing comma before 2"),
    (MESSAGE, r#""id":"x""#, r#""a":[1¦:2],"id":"x""#, r#"not valid JSON: ":" where "," or "]" was expected"#),
    (MESSAGE, r#""id":"x","#, r#""id":"x",¦,"#, "not valid JSON: two commas; expected one"),
    (MESSAGE, r#""id":"x","#, r#""id":"x" ¦"#, r#"not valid JSON: missing comma before "type""#),
    (MESSAGE, r#"{"id""#, r#"{¦,"id""#, r#"not valid JSON: a comma behind "{"; expected a key or "}""#),
    (MESSAGE, r#""x","type""#, r#""x"¦"type""#, r#"not valid JSON: "type" directly behind a string; a comma is missing, or a quotation mark inside the string has to be written \""#),
    (MESSAGE, r#""x","type""#, r#""x"¦type""#, r#"not valid JSON: type directly behind a string; a comma is missing, or a quotation mark inside the string has to be written \""#),
    (MESSAGE, r#""x","type""#, r#""x"  ¦"type""#, r#"not valid JSON: missing comma before "type""#),
    (MESSAGE, r#"7,"data""#, r#"7 ¦"data""#, r#"not valid JSON: missing comma before "data""#),
    (MESSAGE, r#"7,"data""#, r#"7¦;"data""#, r#"not valid JSON: ";" where "," or "}" was expected"#),
    (MESSAGE, r#"7,"data""#, r#"7 ¦=> "data""#, r#"not valid JSON: "=>" where "," or "}" was expected"#),
    (MESSAGE, r#""id":"x""#, r#""id" ¦"x""#, r#"not valid JSON: missing colon behind "id", before "x""#),
    (MESSAGE, r#""id":"x""#, r#""id"¦="x""#, r#"not valid JSON: "=" behind "id"; write ":""#),
    (MESSAGE, r#""id":"x""#, r#""id"¦"#, r#"not valid JSON: no value behind "id"; expected ":" and a value"#),
    (MESSAGE, r#""id":"x""#, r#""id":¦"#, r#"not valid JSON: no value behind "id"; expected one before ",""#),
    (MESSAGE, r#""id":"x""#, r#""id":¦:"x""#, r#"not valid JSON: ":" where a value was expected"#),
    (MESSAGE, r#""id":"x""#, r#""id":¦}"#, r#"not valid JSON: no value behind "id"; expected one before "}""#),
    (MESSAGE, r#""id":"x""#, r#""id"¦}"#, r#"not valid JSON: no value behind "id"; expected ":" and a value"#),
    // Quotes.
    (MESSAGE, r#""id""#, "¦'id'", r#"not valid JSON: single quotes around the key id; write "id""#),
    (MESSAGE, r#""id""#, "¦“id”", r#"not valid JSON: quotation marks U+201C around the key id; write "id""#),
    (MESSAGE, r#""x""#, "¦'x'", r#""id" is 'x'; expected a string of 1 to 1,024 bytes: write "x""#),
    (MESSAGE, r#""x""#, "¦“x”", r#""id" is “x”; expected a string of 1 to 1,024 bytes: write "x""#),
    (MESSAGE, r#""Hi""#, "¦'it is'", r#""data.message" is 'it is'; expected a string: write "it is""#),
    (MESSAGE, r#""message",""#, r#"¦‘message’,""#, r#""type" is ‘message’; expected "message" or "status": write "message""#),
    (MESSAGE, r#""id":"x""#, r#""a":¦'b',"id":"x""#, r#"not valid JSON: single quotes around b; write "b""#),
    (MESSAGE, r#""id":"x""#, r#""a":¦`b`,"id":"x""#, r#"not valid JSON: quotation marks U+0060 around b; write "b""#),
    (MESSAGE, r#""id":"x""#, r#""a":¦'b,"id":"x""#, r#"not valid JSON: single quotes, 'b; expected ""#),
    (MESSAGE, r#""id""#, "¦id", r#"not valid JSON: the key id has no quotes; write "id""#),
    (MESSAGE, r#""id""#, "¦1", r#"not valid JSON: the key 1 has no quotes; write "1""#),
    (MESSAGE, r#""id""#, "¦$id", r#"not valid JSON: the key $id has no quotes; write "$id""#),
    (MESSAGE, r#""from""#, "¦from", r#"not valid JSON: the key from has no quotes; write "from""#),
    (MESSAGE, r#""id":"#, r#"¦{"a":1}:"#, r#"not valid JSON: "{" where a key or "}" was expected"#),
    (MESSAGE, r#""id":"#, "¦[:", r#"not valid JSON: "[" where a key or "}" was expected"#),
    (r#"{¦\"id\":\"x\"}"#, "", "", r#"not valid JSON: \" outside of a string; write the object without backslashes"#),
    // Words and numbers that are not of JSON.
    (MESSAGE, r#""id":"x""#, r#""a":¦NaN,"id":"x""#, "not valid JSON: NaN is no word of JSON; write null"),
    (MESSAGE, r#""id":"x""#, r#""a":¦-Infinity,"id":"x""#, "not valid JSON: -Infinity is no word of JSON; write null"),
    (MESSAGE, r#""id":"x""#, r#""a":¦True,"id":"x""#, "not valid JSON: True is no word of JSON; write true"),
    (MESSAGE, r#""id":"x""#, r#""a":¦NULL,"id":"x""#, "not valid JSON: NULL is no word of JSON; write null"),
    (MESSAGE, r#""id":"x""#, r#""a":¦None,"id":"x""#, "not valid JSON: None is no word of JSON; write null"),
    (MESSAGE, r#""id":"x""#, r#""a":¦undefined,"id":"x""#, "not valid JSON: undefined is no word of JSON; write null"),
    (MESSAGE, r#""id":"x""#, r#""a":¦trueish,"id":"x""#, r#"not valid JSON: trueish is no word of JSON; write "trueish""#),
    (MESSAGE, r#""id":"x""#, r#""a":¦abc,"id":"x""#, r#"not valid JSON: abc is no word of JSON; write "abc""#),
    (MESSAGE, r#""id":"x""#, r#""a":¦ObjectId(5),"id":"x""#, r#"not valid JSON: ObjectId(5) is no word of JSON; write "ObjectId(5)""#),
    (MESSAGE, r#""id":"x""#, r#""a":¦$x,"id":"x""#, r#"not valid JSON: $x is no word of JSON; write "$x""#),
    (MESSAGE, r#""id":"x""#, r#""a":¦<b>,"id":"x""#, r#"not valid JSON: <b> is no word of JSON; write "<b>""#),
    (MESSAGE, r#""id":"x""#, r#""a":¦=,"id":"x""#, r#"not valid JSON: "=" where a value was expected"#),
    (MESSAGE, r#""id":"x""#, r#""a":¦(,"id":"x""#, r#"not valid JSON: "(" where a value was expected"#),
    (MESSAGE, r#""id":"x""#, r#""a":¦\x,"id":"x""#, r#"not valid JSON: "\x" where a value was expected"#),
    (MESSAGE, r#""id":"x""#, r#""a":¦７,"id":"x""#, r#"not valid JSON: ７ is no word of JSON; write "７""#),
    (MESSAGE, r#""id":"x""#, r#""a":¦+1,"id":"x""#, r#"not valid JSON: +1 is no number of JSON: none begins with "+"; write 1"#),
    (MESSAGE, r#""id":"x""#, r#""a":¦.5,"id":"x""#, "not valid JSON: .5 is no number of JSON: a digit is missing before the point; write 0.5"),
    (MESSAGE, r#""id":"x""#, r#""a":¦-.5,"id":"x""#, "not valid JSON: -.5 is no number of JSON: a digit is missing before the point; write -0.5"),
    (MESSAGE, r#""id":"x""#, r#""a":¦1.,"id":"x""#, "not valid JSON: 1. is no number of JSON: a digit is missing behind the point; write 1"),
    (MESSAGE, r#""id":"x""#, r#""a":¦01,"id":"x""#, "not valid JSON: 01 is no number of JSON: it has a leading zero; write 1"),
    (MESSAGE, r#""id":"x""#, r#""a":¦-01,"id":"x""#, "not valid JSON: -01 is no number of JSON: it has a leading zero; write -1"),
    (MESSAGE, r#""id":"x""#, r#""a":¦0x1F,"id":"x""#, "not valid JSON: 0x1F is no number of JSON: it is hexadecimal; write 31"),
    (MESSAGE, r#""id":"x""#, r#""a":¦1_000,"id":"x""#, "not valid JSON: 1_000 is no number of JSON; write 1000"),
    (MESSAGE, r#""id":"x""#, r#""a":¦1e,"id":"x""#, "not valid JSON: 1e is no number of JSON: a digit is missing in the exponent"),
    (MESSAGE, r#""id":"x""#, r#""a":¦1e+,"id":"x""#, "not valid JSON: 1e+ is no number of JSON: a digit is missing in the exponent"),
    (MESSAGE, r#""id":"x""#, r#""a":¦-,"id":"x""#, r#"not valid JSON: "-" where a value was expected"#),
    (MESSAGE, r#""id":"x""#, r#""a":¦--,"id":"x""#, r#"not valid JSON: "--" where a value was expected"#),
    (MESSAGE, r#""id":"x""#, r#""a":¦+1.5,"id":"x""#, r#"not valid JSON: +1.5 is no number of JSON: none begins with "+"; write 1.5"#),
    (MESSAGE, r#""id":"x""#, r#""a":¦5L,"id":"x""#, "not valid JSON: 5L is no number of JSON; write 5"),
    (MESSAGE, r#""id":"x""#, r#""a":¦12abc,"id":"x""#, r#"not valid JSON: 12abc is no number of JSON, and has no quotes; write "12abc""#),
    (MESSAGE, r#""id":"x""#, r#""a":¦2015-04-14,"id":"x""#, r#"not valid JSON: 2015-04-14 is no number of JSON, and has no quotes; write "2015-04-14""#),
    (MESSAGE, r#""id":"x""#, r#""a":¦7b4a5786-3574-4806,"id":"x""#, r#"not valid JSON: 7b4a5786-3574-4806 is no number of JSON, and has no quotes; write "7b4a5786-3574-4806""#),
    // Strings.
    (MESSAGE, r#""Hi""#, "\"a¦\tb\"", r#"not valid JSON: U+0009 (a tab) in "data.message"; write \t"#),
    (MESSAGE, r#""Hi""#, "\"a¦\u{0}\"", r#"not valid JSON: U+0000 (NUL) in "data.message"; write \u0000"#),
    (MESSAGE, r#""Hi""#, "\"¦\u{1b}[0m\"", r#"not valid JSON: U+001B (escape) in "data.message"; write \u001b"#),
    (MESSAGE, r#""Hi""#, "\"a¦\n\"", r#"not valid JSON: U+000A (a line end) in "data.message"; write \n"#),
    (MESSAGE, r#""Hi""#, r#""a¦\qb""#, r#"not valid JSON: \q in "data.message" is no escape; a backslash is written \\, so write \\q"#),
    (MESSAGE, r#""Hi""#, r#""a¦\x41""#, r#"not valid JSON: \x in "data.message" is no escape; write \u00 and the two digits"#),
    (MESSAGE, r#""Hi""#, r#""it¦\'s""#, r#"not valid JSON: \' in "data.message" is no escape; write ' without a backslash"#),
    (MESSAGE, r#""Hi""#, r#""¦\u12g4""#, r#"not valid JSON: \u12 in "data.message" is no escape; expected four hexadecimal digits behind \u"#),
    (MESSAGE, r#""Hi""#, r#""¦\u{1F600}""#, r#"not valid JSON: \u in "data.message" is no escape; expected four hexadecimal digits behind \u"#),
    (MESSAGE, r#""Hi""#, r#""C:¦\Users""#, r#"not valid JSON: \U in "data.message" is no escape; a backslash is written \\, so write \\U"#),
    (MESSAGE, r#""Hi""#, r#""say "¦hi" now""#, r#"not valid JSON: hi directly behind a string; a comma is missing, or a quotation mark inside the string has to be written \""#),
    (MESSAGE, r#""Hi""#, r#"¦"no end"#, r#"not valid JSON: a string has no end: "no end}}"#),
    (MESSAGE, r#""id":"x""#, "\"a¦\tb\":1,\"id\":\"x\"", r#"not valid JSON: U+0009 (a tab) in a key; write \t"#),
    (MESSAGE, r#""id":"x""#, "\"a\":[\"¦\u{1}\"],\"id\":\"x\"", r#"not valid JSON: U+0001 in a string; write \u0001"#),
    (MESSAGE, r#""id":"x""#, r#""id":"x,"¦a":1"#, r#"not valid JSON: a directly behind a string; a comma is missing, or a quotation mark inside the string has to be written \""#),
    (r#"{"id":"x,"¦type":"message","from":"v","site_id":"1","timestamp":7,"data":{"message":"Hi"}}"#, "", "", r#"not valid JSON: type directly behind a string; a comma is missing, or a quotation mark inside the string has to be written \""#),
    // Comments, and characters that are not seen.
    (MESSAGE, r#"{"id""#, r#"{¦/* a */"id""#, "not valid JSON: a comment, /* a */; JSON has none"),
    (MESSAGE, r#"{"id""#, "{¦\u{a0}\"id\"", r#"not valid JSON: U+00A0 (a no-break space) where a key or "}" was expected; remove it"#),
    (MESSAGE, r#"{"id""#, "{¦\u{feff}\"id\"", r#"not valid JSON: U+FEFF (a byte-order mark) where a key or "}" was expected; remove it"#),
    (MESSAGE, r#"{"id""#, "{¦\u{0}\"id\"", r#"not valid JSON: U+0000 (NUL) where a key or "}" was expected; remove it"#),
    (MESSAGE, "7,", "7,¦// seven\n", "not valid JSON: a comment, // seven; JSON has none"),
    (MESSAGE, "7,", "7 ¦# seven", r#"not valid JSON: a comment, # seven"data":{"message":"Hi"}}; JSON has none"#),
    (MESSAGE, "7,", "7¦/**/,", "not valid JSON: a comment, /**/; JSON has none"),
    (MESSAGE, "7,", "7¦\u{a0},", r#"not valid JSON: U+00A0 (a no-break space) where "," or "}" was expected; remove it"#),
    (MESSAGE, "7,", "7¦\u{2028},", r#"not valid JSON: U+2028 (a line end of Unicode) where "," or "}" was expected; remove it"#),
    (MESSAGE, ":7", ":¦\u{200b}7", "not valid JSON: U+200B (a space without width) where a value was expected; remove it"),
    // Brackets, and where the text ends.
    (r#"{"id"¦"#, "", "", r#"not valid JSON: the line ends behind the key "id", "}" is missing"#),
    (r#"{"id":¦"#, "", "", r#"not valid JSON: the line ends where the value of "id" was expected, "}" is missing"#),
    (r#"{"id":"x"¦"#, "", "", r#"not valid JSON: the line ends, "}" is missing"#),
    (r#"{"id":"x",¦"#, "", "", r#"not valid JSON: the line ends, "}" is missing"#),
    ("{¦", "", "", r#"not valid JSON: the line ends, "}" is missing"#),
    (r#"{"a":[{"b":[1,¦"#, "", "", r#"not valid JSON: the line ends, 4 brackets are open: "]}]}" is missing"#),
    (r#"{"a":tru¦"#, "", "", r#"not valid JSON: the line ends where the value of "a" was expected, "}" is missing"#),
    (r#"{"a":1¦"#, "", "", r#"not valid JSON: the line ends, "}" is missing"#),
    (r#"{"a":¦"b"#, "", "", r#"not valid JSON: a string has no end: "b"#),
    (r#"{"a":¦"\"#, "", "", r#"not valid JSON: a string has no end: ""#),
    (r#"{"a":¦"\u00"#, "", "", r#"not valid JSON: a string has no end: "\u00"#),
    (r#"{"a":[[[[[[[[[¦"#, "", "", "not valid JSON: the line ends, 10 brackets are open"),
    ("{\n\"a\":1,\n\"b\":[\n¦", "", "", r#"not valid JSON: the text ends, 2 brackets are open: "]}" is missing"#),
    ("{¦]", "", "", r#"not valid JSON: "]" where "}" is missing"#),
    (MESSAGE, r#""Hi"}}"#, r#""Hi"}¦"#, r#"not valid JSON: the line ends, "}" is missing"#),
    (MESSAGE, r#""Hi"}}"#, r#""Hi"¦]}"#, r#"not valid JSON: "]" where "}" is missing"#),
    (MESSAGE, r#""id":"x""#, r#""a":[1¦},"id":"x""#, r#"not valid JSON: "}" where "]" is missing"#),
    // `timestamp`.
    (MESSAGE, r#""timestamp":7"#, r#""timestamp":¦1429026445.0"#, r#""timestamp" is 1429026445.0; expected an integer: write 1429026445"#),
    (MESSAGE, r#""timestamp":7"#, r#""timestamp":¦1429026445.25"#, r#""timestamp" is 1429026445.25; expected an integer: no fraction"#),
    (MESSAGE, r#""timestamp":7"#, r#""timestamp":¦"1429026445""#, r#""timestamp" is "1429026445"; expected an integer: write 1429026445, without quotes"#),
    (MESSAGE, r#""timestamp":7"#, r#""timestamp":¦"1429026445.0""#, r#""timestamp" is "1429026445.0"; expected an integer: write 1429026445, without quotes"#),
    (MESSAGE, r#""timestamp":7"#, r#""timestamp":¦" 7 ""#, r#""timestamp" is " 7 "; expected an integer: write 7, without quotes"#),
    (MESSAGE, r#""timestamp":7"#, r#""timestamp":¦"""#, r#""timestamp" is ""; expected an integer"#),
    (MESSAGE, r#""timestamp":7"#, r#""timestamp":¦1.4e9"#, r#""timestamp" is 1.4e9; expected an integer: write 1400000000"#),
    (MESSAGE, r#""timestamp":7"#, r#""timestamp":¦1.5e0"#, r#""timestamp" is 1.5e0; expected an integer: no exponent, and not more than 64 bits"#),
    (MESSAGE, r#""timestamp":7"#, r#""timestamp":¦1e30"#, r#""timestamp" is 1e30; expected an integer: no exponent, and not more than 64 bits"#),
    (MESSAGE, r#""timestamp":7"#, r#""timestamp":¦1e999"#, r#""timestamp" is 1e999; expected an integer: no exponent, and not more than 64 bits"#),
    (MESSAGE, r#""timestamp":7"#, r#""timestamp":¦"2015-04-14T12:00:00Z""#, r#""timestamp" is "2015-04-14T12:00:00Z"; expected an integer: jq -c '.timestamp |= fromdate' converts it to seconds"#),
    (MESSAGE, r#""timestamp":7"#, r#""timestamp":¦"2015-04-14""#, r#""timestamp" is "2015-04-14"; expected an integer: convert the date, to seconds since 1970-01-01 for example"#),
    (MESSAGE, r#""timestamp":7"#, r#""timestamp":¦"2015-04-14T12:00:00+02:00""#, r#""timestamp" is "2015-04-14T12:00:00+02:00"; expected an integer: convert the date, to seconds since 1970-01-01 for example"#),
    (MESSAGE, r#""timestamp":7"#, r#""timestamp":¦"yesterday""#, r#""timestamp" is "yesterday"; expected an integer"#),
    (MESSAGE, r#""timestamp":7"#, r#""timestamp":¦18446744073709551616"#, r#""timestamp" is 18446744073709551616; expected an integer: at most 9223372036854775807"#),
    (MESSAGE, r#""timestamp":7"#, r#""timestamp":¦-9223372036854775809"#, r#""timestamp" is -9223372036854775809; expected an integer: at least -9223372036854775808"#),
    (MESSAGE, r#""timestamp":7"#, r#""timestamp":¦null"#, r#""timestamp" is null; expected an integer"#),
    (MESSAGE, r#""timestamp":7"#, r#""timestamp":¦true"#, r#""timestamp" is true; expected an integer"#),
    (MESSAGE, r#""timestamp":7"#, r#""timestamp":¦-0"#, r#""timestamp" is -0; expected an integer: write 0"#),
    (MESSAGE, r#""timestamp":7"#, r#""timestamp":¦-0.0"#, r#""timestamp" is -0.0; expected an integer: write 0"#),
    (MESSAGE, r#""timestamp":7"#, r#""timestamp":¦+7"#, r#""timestamp" is +7; expected an integer: write 7"#),
    (MESSAGE, r#""timestamp":7"#, r#""timestamp":¦007"#, r#""timestamp" is 007; expected an integer: write 7"#),
    (MESSAGE, r#""timestamp":7"#, r#""timestamp":¦0x10"#, r#""timestamp" is 0x10; expected an integer: write 16"#),
    (MESSAGE, r#""timestamp":7"#, r#""timestamp":¦1_000"#, r#""timestamp" is 1_000; expected an integer: write 1000"#),
    (MESSAGE, r#""timestamp":7"#, r#""timestamp":¦7L"#, r#""timestamp" is 7L; expected an integer: write 7"#),
    (MESSAGE, r#""timestamp":7"#, r#""timestamp":¦[7]"#, r#""timestamp" is [7]; expected an integer"#),
    (MESSAGE, r#""timestamp":7"#, r#""timestamp":¦{"$numberLong":"7"}"#, r#""timestamp" is {"$numberLong":"7"}; expected an integer"#),
    (MESSAGE, r#""timestamp":7"#, r#""timestamp":¦.5"#, r#""timestamp" is .5; expected an integer"#),
    (MESSAGE, r#""timestamp":7"#, r#""timestamp":¦NaN"#, r#""timestamp" is NaN; expected an integer"#),
    (MESSAGE, r#""timestamp":7"#, r#""timestamp":¦'7'"#, r#""timestamp" is '7'; expected an integer: write 7, without quotes"#),
    (MESSAGE, r#""timestamp":7"#, r#""timestamp":¦-"#, r#""timestamp" is -; expected an integer"#),
    (MESSAGE, r#""timestamp":7"#, r#""timestamp":¦new Date()"#, r#""timestamp" is new; expected an integer"#),
    (MESSAGE, r#""timestamp":7"#, r#""timestamp":¦7data"#, r#""timestamp" is 7data; expected an integer"#),
    // `id`, `from`, `site_id`.
    (MESSAGE, r#""id":"x""#, r#""id":¦123"#, r#""id" is 123; expected a string of 1 to 1,024 bytes: write it in quotes, "123""#),
    (MESSAGE, r#""id":"x""#, r#""id":¦1.5"#, r#""id" is 1.5; expected a string of 1 to 1,024 bytes: write it in quotes, "1.5""#),
    (MESSAGE, r#""id":"x""#, r#""id":¦null"#, r#""id" is null; expected a string of 1 to 1,024 bytes"#),
    (MESSAGE, r#""id":"x""#, r#""id":¦true"#, r#""id" is true; expected a string of 1 to 1,024 bytes: write "true""#),
    (MESSAGE, r#""id":"x""#, r#""id":¦"""#, r#""id" is empty; expected 1 to 1,024 bytes"#),
    (MESSAGE, r#""id":"x""#, r#""id":"a¦\nb""#, r#""id" has U+000A (a line end) in it; expected no control characters"#),
    (MESSAGE, r#""id":"x""#, r#""id":"¦\u007f""#, r#""id" has U+007F in it; expected no control characters"#),
    (MESSAGE, r#""id":"x""#, "\"id\":\"¦\u{85}\"", r#""id" has U+0085 in it; expected no control characters"#),
    (MESSAGE, r#""id":"x""#, "\"id\":\"a¦\tb\"", r#""id" has U+0009 (a tab) in it; expected no control characters"#),
    (MESSAGE, r#""id":"x""#, r#""id":"¦\ud83d""#, r#""id" has \ud83d, half of a surrogate pair; expected whole characters"#),
    (MESSAGE, r#""id":"x""#, r#""id":"ab¦\udc00c""#, r#""id" has \udc00, half of a surrogate pair; expected whole characters"#),
    (MESSAGE, r#""id":"x""#, r#""id":¦[1]"#, r#""id" is [1]; expected a string of 1 to 1,024 bytes"#),
    (MESSAGE, r#""id":"x""#, r#""id":¦{"$oid":"5"}"#, r#""id" is {"$oid":"5"}; expected a string of 1 to 1,024 bytes"#),
    (MESSAGE, r#""id":"x""#, r#""id":¦{"a":[1,2,3,4,5,6,7,8,9,0,1,2,3,4,5,6,7,8,9]}"#, r#""id" is {"a":[1,2,3,4,5,6,7,8,9,0,1,2,3,4,5,6,7,…; expected a string of 1 to 1,024 bytes"#),
    (MESSAGE, r#""id":"x""#, r#""id":¦abc"#, r#""id" is abc; expected a string of 1 to 1,024 bytes: write "abc""#),
    (MESSAGE, r#""id":"x""#, r#""id":¦None"#, r#""id" is None; expected a string of 1 to 1,024 bytes"#),
    (MESSAGE, r#""id":"x""#, r#""id":¦12ab"#, r#""id" is 12ab; expected a string of 1 to 1,024 bytes: write "12ab""#),
    (MESSAGE, r#""id":"x""#, r#""id":"a¦\xb""#, r#"not valid JSON: \x in "id" is no escape; write \u00 and the two digits"#),
    (MESSAGE, r#""site_id":"1""#, r#""site_id":¦1"#, r#""site_id" is 1; expected a string of 1 to 1,024 bytes: write it in quotes, "1""#),
    (MESSAGE, r#""site_id":"1""#, r#""site_id":¦null"#, r#""site_id" is null; expected a string of 1 to 1,024 bytes"#),
    (MESSAGE, r#""site_id":"1""#, r#""site_id":¦"""#, r#""site_id" is empty; expected 1 to 1,024 bytes"#),
    (MESSAGE, r#""from":"v""#, r#""from":¦1"#, r#""from" is 1; expected a string of 1 to 1,024 bytes: write it in quotes, "1""#),
    (MESSAGE, r#""from":"v""#, r#""from":"a¦\u0000""#, r#""from" has U+0000 (NUL) in it; expected no control characters"#),
    // `type` and `data`.
    (MESSAGE, r#""type":"message""#, r#""type":¦"Message""#, r#""type" is "Message"; expected "message" or "status": write "message""#),
    (MESSAGE, r#""type":"message""#, r#""type":¦" message""#, r#""type" is " message"; expected "message" or "status": write "message""#),
    (MESSAGE, r#""type":"message""#, r#""type":¦"status ""#, r#""type" is "status "; expected "message" or "status": write "status""#),
    (MESSAGE, r#""type":"message""#, r#""type":¦"online""#, r#""type" is "online"; expected "message" or "status""#),
    (MESSAGE, r#""type":"message""#, r#""type":¦1"#, r#""type" is 1; expected "message" or "status""#),
    (MESSAGE, r#""type":"message""#, r#""type":¦null"#, r#""type" is null; expected "message" or "status""#),
    (MESSAGE, r#""type":"message""#, r#""type":¦message"#, r#""type" is message; expected "message" or "status": write "message""#),
    (MESSAGE, r#""type":"message""#, r#""type":¦'status'"#, r#""type" is 'status'; expected "message" or "status": write "status""#),
    (MESSAGE, r#""type":"message""#, r#""type":¦"""#, r#""type" is ""; expected "message" or "status""#),
    (MESSAGE, r#""type":"message""#, r#""type":¦["message"]"#, r#""type" is ["message"]; expected "message" or "status""#),
    (STATUS, r#""status":"online""#, r#""status":¦"Online""#, r#""data.status" is "Online"; expected "online" or "offline": write "online""#),
    (STATUS, r#""status":"online""#, r#""status":¦"OFFLINE ""#, r#""data.status" is "OFFLINE "; expected "online" or "offline": write "offline""#),
    (STATUS, r#""status":"online""#, r#""status":¦"away""#, r#""data.status" is "away"; expected "online" or "offline""#),
    (STATUS, r#""status":"online""#, r#""status":¦true"#, r#""data.status" is true; expected "online" or "offline""#),
    (STATUS, r#""status":"online""#, r#""status":¦null"#, r#""data.status" is null; expected "online" or "offline""#),
    (STATUS, r#""status":"online""#, r#""status":¦"""#, r#""data.status" is ""; expected "online" or "offline""#),
    (STATUS, r#""status":"online""#, r#""status":¦{"online":true}"#, r#""data.status" is {"online":true}; expected "online" or "offline""#),
    (STATUS, r#""status":"online""#, r#""status":¦online"#, r#""data.status" is online; expected "online" or "offline": write "online""#),
    (MESSAGE, r#"{"message":"Hi"}"#, "¦[]", r#""data" is []; expected an object"#),
    (MESSAGE, r#"{"message":"Hi"}"#, r#"¦"x""#, r#""data" is "x"; expected an object"#),
    (MESSAGE, r#"{"message":"Hi"}"#, "¦null", r#""data" is null; expected an object"#),
    (MESSAGE, r#"{"message":"Hi"}"#, r#"¦"{\"message\":\"Hi\"}""#, r#""data" is "{\"message\":\"Hi\"}"; expected an object: jq -c '.data |= fromjson' unpacks it"#),
    (MESSAGE, r#""Hi""#, "¦5", r#""data.message" is 5; expected a string: write it in quotes, "5""#),
    (MESSAGE, r#""Hi""#, "¦null", r#""data.message" is null; expected a string"#),
    (MESSAGE, r#""Hi""#, r#"¦["Hi"]"#, r#""data.message" is ["Hi"]; expected a string"#),
    (MESSAGE, r#""Hi""#, r#"¦{"text":"Hi"}"#, r#""data.message" is {"text":"Hi"}; expected a string"#),
    (MESSAGE, r#""Hi""#, "¦Hi", r#""data.message" is Hi; expected a string: write "Hi""#),
    (DATA_FIRST, r#"{"message":"Hi"}"#, "¦[]", r#""data" is []; expected an object"#),
    (DATA_FIRST, r#"{"message":"Hi"}"#, r#"{"message":¦5}"#, r#""data.message" is 5; expected a string: write it in quotes, "5""#),
    (DATA_FIRST, r#"{"message":"Hi"}"#, r#"{"message":"a",¦"message":"b"}"#, r#""data.message" stands twice, here for the second time; expected once"#),
    (DATA_FIRST, r#"{"message":"Hi"}"#, r#"{¦"status":"online"}"#, r#""data.message" is missing, and "type" is "message"; "data" has "status" instead"#),
    (DATA_FIRST, r#"{"message":"Hi"}"#, "¦{}", r#""data.message" is missing, and "type" is "message""#),
    // A required key twice.
    (MESSAGE, r#""id":"x""#, r#""id":"x",¦"id":"y""#, r#""id" stands twice, here for the second time; expected once"#),
    (MESSAGE, r#""Hi""#, r#""Hi",¦"message":"Ho""#, r#""data.message" stands twice, here for the second time; expected once"#),
    (MESSAGE, r#""from""#, r#"¦"\u0069d""#, r#""id" stands twice, here for the second time; expected once"#),
    // Keys that are missing.
    (r#"¦{"X":"x","type":"message","from":"v","site_id":"1","timestamp":7,"data":{"message":"Hi"}}"#, "", "", r#""id" is missing"#),
    (r#"¦{"id":"x","X":"message","from":"v","site_id":"1","timestamp":7,"data":{"message":"Hi"}}"#, "", "", r#""type" is missing"#),
    (r#"¦{"id":"x","type":"message","X":"v","site_id":"1","timestamp":7,"data":{"message":"Hi"}}"#, "", "", r#""from" is missing"#),
    (r#"¦{"id":"x","type":"message","from":"v","X":"1","timestamp":7,"data":{"message":"Hi"}}"#, "", "", r#""site_id" is missing"#),
    (r#"¦{"id":"x","type":"message","from":"v","site_id":"1","X":7,"data":{"message":"Hi"}}"#, "", "", r#""timestamp" is missing"#),
    (MESSAGE, r#""site_id""#, r#"¦"siteId""#, r#""site_id" is missing; rename "siteId" to "site_id""#),
    (MESSAGE, r#""site_id""#, r#"¦"site""#, r#""site_id" is missing; rename "site" to "site_id""#),
    (MESSAGE, r#""site_id""#, r#"¦"SITE-ID""#, r#""site_id" is missing; rename "SITE-ID" to "site_id""#),
    (MESSAGE, r#""from""#, r#"¦"user""#, r#""from" is missing; rename "user" to "from""#),
    (MESSAGE, r#""from""#, r#"¦"form""#, r#""from" is missing; rename "form" to "from""#),
    (MESSAGE, r#""timestamp""#, r#"¦"ts""#, r#""timestamp" is missing; rename "ts" to "timestamp""#),
    (MESSAGE, r#""timestamp""#, r#"¦"timestmap""#, r#""timestamp" is missing; rename "timestmap" to "timestamp""#),
    (MESSAGE, r#""timestamp""#, r#"¦"@timestamp""#, r#""timestamp" is missing; rename "@timestamp" to "timestamp""#),
    (MESSAGE, r#""type""#, r#"¦"Type""#, r#""type" is missing; rename "Type" to "type""#),
    (MESSAGE, r#""type""#, r#"¦"tpye""#, r#""type" is missing; rename "tpye" to "type""#),
    (MESSAGE, r#""type""#, r#"¦"event""#, r#""type" is missing; rename "event" to "type""#),
    (MESSAGE, r#""data":{"message":"Hi"}"#, r#"¦"Data":{"message":"Hi"}"#, r#""data" is missing; rename "Data" to "data""#),
    (MESSAGE, r#""data":{"message":"Hi"}"#, r#"¦"message":"Hi""#, r#""data" is missing; "message" has to stand in "data""#),
    (r#"¦{"id":"x","type":"message","from":"v","site_id":"1","timestamp":7,"date":1}"#, "", "", r#""data" is missing"#),
    (MESSAGE, r#""data":{"message":"Hi"}"#, r#"¦"payload":{"message":"Hi"}"#, r#""data" is missing; rename "payload" to "data""#),
    (MESSAGE, r#""message":"Hi""#, r#"¦"text":"Hi""#, r#""data.message" is missing, and "type" is "message"; rename "text" to "message""#),
    (MESSAGE, r#""message":"Hi""#, r#"¦"Message":"Hi""#, r#""data.message" is missing, and "type" is "message"; rename "Message" to "message""#),
    (MESSAGE, r#""message":"Hi""#, r#"¦"status":"online""#, r#""data.message" is missing, and "type" is "message"; "data" has "status" instead"#),
    (r#"{"id":"x","type":"message","from":"v","site_id":"1","timestamp":7,"data":¦{}}"#, "", "", r#""data.message" is missing, and "type" is "message""#),
    (STATUS, r#""status":"online""#, r#"¦"state":"online""#, r#""data.status" is missing, and "type" is "status"; rename "state" to "status""#),
    (STATUS, r#""status":"online""#, r#"¦"message":"x""#, r#""data.status" is missing, and "type" is "status"; "data" has "message" instead"#),
    (MESSAGE, r#""id""#, r#"¦"id ""#, r#""id" is missing; rename "id " to "id""#),
    (MESSAGE, r#""id""#, "¦\"\u{feff}id\"", r#""id" is missing; rename "\u{feff}id" to "id""#),
    (MESSAGE, r#""id""#, r#"¦"_id""#, r#""id" is missing; rename "_id" to "id""#),
    (r#"¦{"n":"x","type":"message","from":"v","site_id":"1","timestamp":7,"data":{"message":"Hi"}}"#, "", "", r#""id" is missing"#),
    ("¦{}", "", "", r#""type", "data", "id", "from", "site_id" and "timestamp" are missing: the object is empty"#),
    (r#"¦{"id":"x"}"#, "", "", r#""type", "data", "from", "site_id" and "timestamp" are missing"#),
    (r#"{"ID":"x","siteId":"1","user":"v","ts":7,¦"kind":"message","data":{"message":"Hi"}}"#, "", "", r#""type", "id", "from", "site_id" and "timestamp" are missing; rename "kind" to "type", rename "ID" to "id", rename "user" to "from", rename "siteId" to "site_id" and rename "ts" to "timestamp""#),
    // With something behind the object.
    (r#"¦{"id":"x"} {"id":"y"}"#, "", "", r#""type", "data", "from", "site_id" and "timestamp" are missing; the 11 bytes behind the object are rejected with it"#),
    (r#"¦{"data":{"message":"Hi"}},"id":"x","type":"message"}"#, "", "", r#""type", "id", "from", "site_id" and "timestamp" are missing; the object ends before ,"id":"x","type":"message"}: a "}" too many"#),
    // Wrappers.
    (r#"¦{"a":[[{"id":1}]]}"#, "", "", r#""type", "data", "id", "from", "site_id" and "timestamp" are missing"#),
    (r#"{¦"events":[EVENT,EVENT]}"#, "", "", r#"not an event itself; events stand under "events": jq -c '.events[]' takes them out"#),
    (r#"{¦"event":EVENT}"#, "", "", r#"not an event itself; events stand under "event": jq -c '.event' takes them out"#),
    (r#"{¦"data":[EVENT]}"#, "", "", r#"not an event itself; events stand under "data": jq -c '.data[]' takes them out"#),
    (r#"{¦"data":EVENT}"#, "", "", r#"not an event itself; events stand under "data": jq -c '.data' takes them out"#),
    (r#"{"total":2,¦"my events":[EVENT]}"#, "", "", r#"not an event itself; events stand under "my events": jq -c '.["my events"][]' takes them out"#),
    (r#"{¦"response":{"events":[EVENT]}}"#, "", "", r#"not an event itself; events stand under "response": jq -c '.response.events[]' takes them out"#),
    (r#"¦{"events":[]}"#, "", "", r#""type", "data", "id", "from", "site_id" and "timestamp" are missing"#),
    (r#"{¦"1":[EVENT]}"#, "", "", r#"not an event itself; events stand under "1": jq -c '.["1"][]' takes them out"#),
    (r#"¦{"it's":[EVENT]}"#, "", "", r#""type", "data", "id", "from", "site_id" and "timestamp" are missing"#),
    (r#"¦{"e\u0041":[EVENT]}"#, "", "", r#""type", "data", "id", "from", "site_id" and "timestamp" are missing"#),
    (MESSAGE, r#""type""#, r#""files":[{"id":1}],¦"Type""#, r#""type" is missing; rename "Type" to "type""#),
    // No object.
    ("¦[1,2]", "", "", "not an object: an array, [1,2]; expected an object"),
    ("¦[EVENT,EVENT]", "", "", "not an object: an array of objects; jq -c '.[]' takes it apart"),
    ("¦[EVENT,", "", "", "not an object: an array of objects; jq -c '.[]' takes it apart"),
    ("¦[]", "", "", "not an object: an array, []; expected an object"),
    (r#"¦"hello""#, "", "", r#"not an object: a string, "hello"; expected an object"#),
    (r#"¦"{\"id\":\"x\"}""#, "", "", "not an object: an object inside a string; jq -c fromjson unpacks it"),
    ("¦12", "", "", "not an object: a number, 12; expected an object"),
    ("¦null", "", "", "not an object: a word, null; expected an object"),
    ("¦oops", "", "", r#"not valid JSON: expected an object, found "oops""#),
    ("¦hello world, this is a long line that goes on and on", "", "", r#"not valid JSON: expected an object, found "hello world, this is a long line that go…""#),
    ("¦<34>Oct 11 22:14:15 host app[123]: EVENT", "", "", r#"not valid JSON: words before the object: "<34>Oct 11 22:14:15 host app[123]:"; sed 's/^[^{]*//' cuts them off"#),
    ("¦2015-04-14 12:00:00 INFO EVENT", "", "", r#"not valid JSON: words before the object: "2015-04-14 12:00:00 INFO"; sed 's/^[^{]*//' cuts them off"#),
    ("¦[2015-04-14 12:00:00] EVENT", "", "", r#"not valid JSON: words before the object: "[2015-04-14 12:00:00]"; sed 's/^[^{]*//' cuts them off"#),
    ("¦[INFO] EVENT", "", "", r#"not valid JSON: words before the object: "[INFO]"; sed 's/^[^{]*//' cuts them off"#),
    ("¦data: EVENT", "", "", r#"not valid JSON: words before the object: "data:"; sed 's/^[^{]*//' cuts them off"#),
    (r#"¦"x" EVENT"#, "", "", r#"not valid JSON: words before the object: ""x""; sed 's/^[^{]*//' cuts them off"#),
    ("¦,EVENT", "", "", "not valid JSON: a comma before the object; expected a line end, or nothing, between two objects"),
    ("¦,", "", "", r#"not valid JSON: expected an object, found ",""#),
    ("¦}", "", "", r#"not valid JSON: "}" that nothing has opened; expected an object"#),
    ("¦]", "", "", r#"not valid JSON: "]" that nothing has opened; expected an object"#),
    ("¦# comment", "", "", "not valid JSON: a comment, # comment; JSON has none"),
    ("¦\u{a0}EVENT", "", "", "not valid JSON: U+00A0 (a no-break space) where an object was expected; remove it"),
    ("¦\u{1}EVENT", "", "", "not valid JSON: U+0001 where an object was expected; remove it"),
    ("¦id,from,site_id,timestamp", "", "", r#"not valid JSON: expected an object, found "id,from,site_id,timestamp""#),
    (r#"¦"no end"#, "", "", r#"not valid JSON: a string has no end: "no end"#),
    ("¦<html>", "", "", r#"not valid JSON: expected an object, found "<html>""#),
    ("¦'a'", "", "", r#"not valid JSON: expected an object, found "'a'""#),
    ("¦-", "", "", r#"not valid JSON: expected an object, found "-""#),
    // Behind the object.
    ("EVENT ¦x", "", "", r#"not valid JSON: words behind the object: "x"; expected nothing"#),
    ("EVENT¦,EVENT", "", "", "not valid JSON: a comma between two objects; expected a line end, or nothing"),
    ("EVENT¦EVENT", "", "", "not valid JSON: a second object behind the first; expected a line for each"),
    ("EVENT¦}", "", "", r#"not valid JSON: words behind the object: "}"; expected nothing"#),
];

/// The reason that the judge has for a text; of one that is an event, the one that an older judge had.
fn judged(text: &[u8]) -> Reason {
    parse::parse(parse::Text::new(text), &mut Scratch::default()).err().unwrap_or(Reason::NotJson)
}

#[track_caller]
fn explained(text: &[u8]) -> Explanation {
    checked(judged(text), text, text.len() as u64)
}

/// What holds of every explanation.
#[track_caller]
fn checked(reason: Reason, raw: &[u8], whole: u64) -> Explanation {
    let explanation = explain(reason, raw, whole);
    let Explanation { at, text } = &explanation;
    assert!(at.is_none_or(|at| at <= raw.len()), "{at:?}: {}", raw.escape_ascii());
    assert!(!text.is_empty() && is_plain(text) && text.len() < 600, "{text}");
    explanation
}

#[test]
fn it_says_where_the_fault_is_and_what_to_write() {
    for (text, what, instead, said) in TABLE {
        assert!(text.contains(what), "{what}");
        let marked = text.replace("EVENT", MESSAGE).replacen(what, instead, usize::from(!what.is_empty()));
        let (before, behind) = marked.split_once('¦').unwrap_or_else(|| panic!("no place: {marked}"));
        let text = format!("{before}{behind}");
        let expected = Explanation { at: Some(before.len()), text: said.into() };
        assert_eq!(explained(text.as_bytes()), expected, "{text}");
    }
}

#[test]
fn long_names_are_measured_after_unescaping() {
    let of = |id: &str| explained(MESSAGE.replace("\"x\"", &format!("\"{id}\"")).as_bytes()).text;
    assert_eq!(of(&"x".repeat(1025)), "\"id\" has 1,025 bytes; expected at most 1,024");
    assert_eq!(of(&"é".repeat(700)), "\"id\" has 1,400 bytes; expected at most 1,024");
    assert_eq!(of(&r"\u00e9".repeat(513)), "\"id\" has 1,026 bytes; expected at most 1,024");
    assert_eq!(of(&r"\ud83d\ude00".repeat(257)), "\"id\" has 1,028 bytes; expected at most 1,024");
    // One that is not too long: this one is right.
    assert!(
        explained(MESSAGE.replace("\"x\"", &format!("\"{}\",", r"\ud83d\ude00".repeat(256))).as_bytes())
            .text
            .contains("two commas")
    );
}

#[test]
fn bytes_that_are_not_utf8_are_told() {
    for (text, at, said) in [
        (
            &b"{\"a\":\"M\xfcnchen\"}"[..],
            7,
            "not UTF-8: byte 0xFC, which is \"\u{fc}\" in Latin-1; iconv -f LATIN1 -t UTF-8 converts it",
        ),
        (b"{\"a\":\"\xc3(\"}", 6, "not UTF-8: byte 0xC3"),
        (b"{\"a\":\"\xc0\x80\"}", 6, "not UTF-8: byte 0xC0"),
        (b"{\"a\":\"\xe2\x82\"}", 6, "not UTF-8: bytes 0xE2 0x82, a character that is cut off"),
        (b"{\"a\":\"\xe2\x82", 6, "not UTF-8: bytes 0xE2 0x82, a character that is cut off"),
        (
            b"{\"a\":\"\xed\xa0\xbd\"}",
            6,
            "not UTF-8: half of a surrogate pair, as bytes; CESU-8 and some databases write characters so",
        ),
        (b"{\"a\":\x801}", 5, "not UTF-8: byte 0x80"),
        (b"\xff\xfe{\0", 0, "not UTF-8: 0xFF, the mark of UTF-16; iconv -f UTF-16 -t UTF-8 converts it"),
        (b"\x93x", 0, "not UTF-8: byte 0x93"),
    ] {
        let expected = Explanation { at: Some(at), text: said.into() };
        assert_eq!(explained(text), expected, "{}", text.escape_ascii());
        // The same where the judge met something else first, or says so.
        assert_eq!(checked(Reason::NotJson, text, text.len() as u64), expected, "{}", text.escape_ascii());
    }
    // What stands before it comes first.
    assert_eq!(checked(Reason::NotJson, b"{\"a\":tru,\xff}", 12).at, Some(5));
}

#[test]
fn what_was_not_kept_is_not_judged() {
    let kept = |reason: Reason, text: &str| checked(reason, text.as_bytes(), text.len() as u64 + 1);
    let behind = "somewhere behind the first ";
    for cut in 0..MESSAGE.len() {
        let found = kept(Reason::NotJson, &MESSAGE[..cut]);
        assert_eq!(found.at, None, "{cut}: {found:?}");
        assert!(found.text.starts_with(&format!("not valid JSON: {behind}{cut} bytes")), "{found:?}");
        let found = kept(Reason::WrongTimestamp, &MESSAGE[..cut]);
        assert!(found.at.is_none() && found.text.contains("timestamp") && found.text.contains(behind), "{found:?}");
    }
    // What is wrong in it is wrong.
    assert_eq!(kept(Reason::WrongId, "{\"id\":5,\"from\":").at, Some(6));
    assert_eq!(kept(Reason::NotJson, "{\"id\":'x").text, "\"id\" is 'x…; expected a string of 1 to 1,024 bytes");
    assert_eq!(kept(Reason::NotJson, "{\"a\":Tru").text, "not valid JSON: Tru… is no word of JSON");
    // A number may go on, and what to write instead is not known.
    for (reason, text) in [(Reason::WrongId, "{\"id\":12"), (Reason::WrongTimestamp, "{\"timestamp\":-0")] {
        let found = kept(reason, text);
        assert!(found.at.is_none() && found.text.contains(behind), "{found:?}");
    }
    // Of `data` before `type`, the reason says which of its faults is one.
    let data = "{\"data\":{\"message\":1,\"status\":2},\"id\":\"x\"";
    assert_eq!(kept(Reason::WrongMessage, data).at, Some(19));
    assert_eq!(kept(Reason::WrongStatus, data).at, Some(30));
    assert_eq!(
        kept(Reason::MissingStatus, "{\"data\":{\"state\":2},\"id\":").text,
        "\"data.status\" is missing, and \"type\" is \"status\"; rename \"state\" to \"status\""
    );
    // A key that is missing may have its like in what was kept, and a wrapper begins there.
    assert_eq!(
        kept(Reason::MissingSiteId, "{\"siteId\":\"1\",\"text\":\"").text,
        "\"site_id\" is missing; rename \"siteId\" to \"site_id\""
    );
    assert!(kept(Reason::MissingType, "{\"events\":[{\"id\":\"x\"").text.ends_with("jq -c '.events[]' takes them out"));
    assert_eq!(kept(Reason::MissingId, "{\"text\":\"").text, "\"id\" is missing");
    // A character of which only the first bytes were kept.
    let found = checked(Reason::NotJson, b"{\"a\":\"\xe2\x82", 100);
    assert!(found.at.is_none() && found.text.contains(behind), "{found:?}");
    let found = checked(Reason::NotUtf8, b"{\"a\":\"\xe2\x82", 100);
    assert_eq!(found.text, format!("not UTF-8: {behind}8 bytes, which are all that was kept"));
    // Nothing was.
    assert!(kept(Reason::NotAnObject, "").text.contains(behind));
}

#[test]
fn of_an_object_that_is_too_long_the_length_is_told() {
    let long = format!("{{\"a\":\"{}", "x".repeat(2000));
    let found = checked(Reason::TooLong, long.as_bytes(), 2_000_000);
    assert_eq!(
        found.text,
        "an object does not end within 1,048,576 bytes, the most it may have (the text has 2,000,000)"
    );
    let wrapper = format!("{{\"total\":2,\"events\":[{}", format!("{MESSAGE},").repeat(100));
    let found = checked(Reason::TooLong, wrapper.as_bytes(), 2_000_000);
    assert!(found.text.ends_with("; events stand under \"events\": jq -c '.events[]' takes them out"), "{found:?}");
}

#[test]
fn where_there_is_no_fault_the_reason_is_told() {
    for reason in Reason::ALL.into_iter().filter(|reason| *reason != Reason::TooLong) {
        for text in [MESSAGE, STATUS, DATA_FIRST, "", " \t\r"] {
            let expected = Explanation { at: None, text: reason.to_string() };
            assert_eq!(checked(reason, text.as_bytes(), text.len() as u64), expected, "{text}");
        }
    }
}

#[test]
fn the_place_of_a_fault_counts_lines_and_bytes() {
    let place = |at, raw: &str| Explanation { at, text: String::new() }.place(raw.as_bytes(), 7, 100);
    assert_eq!(place(Some(0), "{,"), Some((7, 100)));
    assert_eq!(place(Some(1), "{,"), Some((7, 101)));
    assert_eq!(place(Some(3), "{é,"), Some((7, 103)));
    assert_eq!(place(Some(2), "{\n,"), Some((8, 1)));
    assert_eq!(place(Some(6), "{\n \n  ,"), Some((9, 3)));
    assert_eq!(place(Some(1), "{\n,"), Some((7, 101)), "the line end itself");
    assert_eq!(place(None, "{,"), None);
    assert_eq!(place(Some(3), "{,"), None);
}

#[test]
fn every_prefix_of_an_event_has_its_end_told() {
    for event in [MESSAGE, STATUS, DATA_FIRST] {
        for end in 1..event.len() {
            let found = explained(&event.as_bytes()[..end]);
            let inside = event[..end].matches('"').count() % 2 == 1;
            let expected = if inside { event[..end].rfind('"') } else { Some(end) };
            assert_eq!(found.at, expected, "{}: {found:?}", &event[..end]);
            let what = if inside { "a string has no end" } else { "missing" };
            assert!(found.text.starts_with("not valid JSON: ") && found.text.contains(what), "{found:?}");
        }
    }
}

#[test]
fn a_mebibyte_of_anything_takes_linear_time() {
    let size = 1 << 20;
    let long = |piece: &str| piece.repeat(size / piece.len());
    let mut texts: Vec<String> = Vec::new();
    for piece in [
        "[", "\"", ",", "{\"\":", "[{", "'", "\\", "\\\"", "x", "1", "/", "/*", "-", "\u{feff}", "\u{a0}", "é", "tru",
        ":", "\t",
    ] {
        let run = long(piece);
        texts.push(run.clone());
        for before in [
            "{",
            "{\"a\":",
            "{\"a\":\"",
            "{\"a\":1 ",
            "{\"id\":",
            "{\"timestamp\":",
            "{\"type\":\"",
            "{\"data\":{\"a\":",
            "[",
            "\"",
        ] {
            texts.push(format!("{before}{run}"));
        }
    }
    for member in ["\"ids\":1,", "\"\\u0069d\\u0069\":{\"id\":1},", "\"a\":[{\"id\":[{}]}],", "\"tsx\":null,"] {
        texts.push(format!("{{{}\"z\":1}}", long(member)));
        texts.push(format!("{{\"data\":{{{}\"z\":1}}}}", long(member)));
    }
    for text in texts {
        for (reason, whole) in [(Reason::NotJson, text.len() as u64), (Reason::MissingType, u64::MAX)] {
            let started = Instant::now();
            checked(reason, text.as_bytes(), whole);
            let taken = started.elapsed();
            assert!(taken < Duration::from_secs(5), "{}: {taken:?}", text.chars().take(20).collect::<String>());
        }
    }
}

/// An event with a few pieces put into it, taken out of it, or doubled.
fn mutated() -> impl Strategy<Value = String> {
    let pieces = "{ } [ ] , : \" ' \\ \\\" \\u00 \\u0041 \\x / // /* # + - . 0 01 1 7.0 e9 1e3 true tru null NaN None x id \"id\": \"type\":\"status\", \
        \"data\":{ {\"message\":1} \"status\":\"online\" \"siteId\": \n \t \u{1} \u{a0} é 日";
    let pieces: Vec<String> = pieces.split(' ').map(str::to_owned).chain([" ".into()]).collect();
    let nested = r#"{"more":[1,{"a":[]},"b\n"],"data":{"message":"Hi","status":"online"},"id":"x","timestamp":7,"site_id":"1","from":"v","type":"message"}"#;
    let event = prop::sample::select(vec![MESSAGE, STATUS, DATA_FIRST, nested]);
    let edit = (0..3usize, any::<prop::sample::Index>(), 0..12usize, prop::sample::select(pieces));
    (event, prop::collection::vec(edit, 1..4)).prop_map(|(event, edits)| {
        let mut text = event.to_owned();
        for (kind, place, length, piece) in edits {
            let places: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
            let at = place.get(&places).to_owned();
            let end = places.iter().copied().find(|end| *end >= at + length).unwrap_or(text.len());
            match kind {
                0 => text.insert_str(at, &piece),
                1 => text.replace_range(at..end, ""),
                _ => text.replace_range(at..end, &piece),
            }
        }
        text
    })
}

/// The reason of the walk: in the value of a required key, a fault of its JSON may be told as one or as the other.
fn agree(walked: Reason, judged: Reason) -> bool {
    let of_a_value = |reason: Reason| {
        matches!(
            reason,
            Reason::WrongId
                | Reason::WrongFrom
                | Reason::WrongSiteId
                | Reason::WrongTimestamp
                | Reason::WrongType
                | Reason::WrongData
                | Reason::WrongMessage
                | Reason::WrongStatus
        )
    };
    walked == judged
        || judged == Reason::NotJson && of_a_value(walked)
        || walked == Reason::NotJson && of_a_value(judged)
        // In `data`, which may be skipped at first.
        || judged == Reason::WrongData && of_a_value(walked)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn it_finds_the_judge_right_and_the_first_fault(text in mutated()) {
        let judged = parse::parse(parse::Text::new(text.as_bytes()), &mut Scratch::default()).err();
        let found = checked(judged.unwrap_or(Reason::NotJson), text.as_bytes(), text.len() as u64);
        // What stands before a fault may be the beginning of JSON, as serde_json sees it. (At the end of a text, it takes `7.` for
        // a wrong number, not for one that is begun.)
        if let Some(at) = found.at.filter(|at| *at < text.len()) {
            let before = serde_json::from_str::<IgnoredAny>(&text[..at]).map_err(|error| error.classify());
            prop_assert!(matches!(before, Ok(_) | Err(Category::Eof)), "{text}: {found:?}");
        }
        let start = text.len() - text.trim_start_matches(FILLER).len();
        if text[start..].starts_with('{') && !text.contains("\\ud") {
            let mut fields = Fields::new(Scan::new(&text, start, End::Whole));
            match (fields.walk(), judged) {
                (Ok(()), None) => {}
                // Something stands behind the object.
                (Ok(()), Some(reason)) => prop_assert_eq!((reason, found.at.is_some()), (Reason::NotJson, true), "{}", text),
                (Err(Ended::Fault(fault)), Some(reason)) => {
                    // What stands behind an object is nobody's fault any more, but was one for older judges.
                    let behind = fields.scan.next == Next::Nothing && !text[fields.scan.at()..].trim_matches(FILLER).is_empty();
                    let agree = agree(fault.reason, reason) || behind && reason == Reason::NotJson;
                    prop_assert!(agree, "{text}: {fault:?}, {reason:?}");
                    prop_assert_eq!(found.at, Some(fault.at));
                    prop_assert!(found.text.starts_with(&fault.text));
                }
                (walked, judged) => prop_assert!(false, "{text}: {:?}, {judged:?}", walked.is_ok()),
            }
        }
    }

    #[test]
    fn nothing_makes_it_panic(
        text in mutated(),
        bytes in prop::collection::vec(any::<u8>(), 0..40),
        place in any::<prop::sample::Index>(),
        reason in prop::sample::select(Reason::ALL.to_vec()),
        more in prop::sample::select(vec![0, 1, 5000, u64::MAX / 2]),
    ) {
        let at = place.index(text.len() + 1);
        let text = [&text.as_bytes()[..at], &bytes, &text.as_bytes()[at..]].concat();
        checked(reason, &text, text.len() as u64 + more);
        checked(reason, &text[..at], text.len() as u64 + more);
        checked(reason, &bytes, bytes.len() as u64 + more);
    }
}
