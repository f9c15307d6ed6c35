//! The report as a page to look at: one HTML file that asks for nothing else.
//!
//! `page/page.html` is its frame, with a `{{name}}` for each thing that is filled in; `page.css` and `page.js` go into it as they are.
//! The figures that a script draws are columns of numbers (`data`), deflated and in base64. Everything else is text that is there without
//! the script, too. What may run is named by its hash, so that nothing else can: no name of a site is ever markup.
//!
//! The same store gives the same bytes: there is no moment in it but those of events.

mod data;
mod figures;
mod sites;
mod words;

use std::borrow::Cow;
use std::io::{self, Write};

use sha2::{Digest as _, Sha256};

use crate::disk::scratch::Limits;
use crate::error::Result;
use crate::query::activity::Activity;
use crate::query::report::Report;
use figures::{escaped, grouped, moment, share};
use sites::Sites;

const FRAME: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/page.css");
const SCRIPT: &str = include_str!("page/page.js");

/// What the page says besides the report; all of it plain text.
#[derive(Clone, Debug, Default)]
pub struct PageFacts {
    /// Where the unit of timestamps is from, such as "as --unit says".
    pub unit: String,
    /// What the report was narrowed to; nothing if it is of everything.
    pub filters: Vec<String>,
    /// What the reader has to know.
    pub warnings: Vec<String>,
    /// Lines that were not events.
    pub rejects: u64,
    /// The place in the log up to which the page is true.
    pub position: String,
    /// How to get the sites that are not listed.
    pub others: String,
    /// How to see when another site was online.
    pub timeline: String,
}

/// Writes the page. The inner result is that of the report, which may have to be read back; the outer one is that of the output.
pub fn write(
    report: &Report,
    activity: &Activity,
    facts: &PageFacts,
    limits: &Limits,
    out: &mut (dyn Write + Send),
) -> io::Result<Result<()>> {
    let sites = match Sites::of(report, limits.bytes() / 4) {
        Ok(sites) => sites,
        Err(error) => return Ok(Err(error)),
    };
    let data = figures::base64(&data::deflated(&data::encoded(activity, &sites))?);
    let page = Page { report, activity, facts, sites: &sites, data };
    let mut rest = FRAME;
    while let Some((before, behind)) = rest.split_once("{{") {
        out.write_all(before.as_bytes())?;
        let (name, behind) = behind.split_once("}}").unwrap_or((behind, ""));
        let value = page.value(name).ok_or_else(|| io::Error::other(format!("the page has no {name}")))?;
        out.write_all(value.as_bytes())?;
        rest = behind;
    }
    out.write_all(rest.as_bytes())?;
    Ok(Ok(()))
}

/// What fills the frame.
struct Page<'a> {
    report: &'a Report,
    activity: &'a Activity,
    facts: &'a PageFacts,
    sites: &'a Sites,
    data: String,
}

impl Page<'_> {
    fn value(&self, name: &str) -> Option<Cow<'_, str>> {
        Some(match name {
            "style" => STYLE.into(),
            "script" => SCRIPT.into(),
            "data" => (&self.data).into(),
            name => self.text(name)?.into(),
        })
    }

    fn text(&self, name: &str) -> Option<String> {
        let Page { report, activity, facts, sites, .. } = *self;
        let (all, totals) = (&sites.all, &report.totals);
        Some(match name {
            "style_hash" => hash(STYLE),
            "script_hash" => hash(SCRIPT),
            "title" => "chatwal report".into(),
            "version" => env!("CARGO_PKG_VERSION").into(),
            "chats" => grouped(all.messages),
            "emails" => grouped(all.emails),
            "missed_share" => share(all.emails, all.messages + all.emails),
            "sites" => grouped(sites.count),
            "operators" => grouped(all.operators),
            "visitors" => grouped(all.visitors),
            "events" => grouped(totals.events),
            "copies" => grouped(totals.copies),
            "disputed" => grouped(totals.disputed),
            "rejects" => grouped(facts.rejects),
            "range" => escaped(&words::range(activity)),
            "unit" => escaped(&format!("Timestamps are taken for {}, {}.", activity.clock.unit.name(), facts.unit)),
            "timezone" => figures::zone(activity.clock.offset),
            "filters" => list(&facts.filters),
            "warnings" => list(&facts.warnings),
            "words" => words::words(activity, sites),
            "week_rows" => words::week_rows(&activity.week),
            "position" => escaped(&self.position()),
            "listed" => escaped(&words::listed(sites, &facts.others)),
            "detailed" => escaped(&words::detailed(activity, sites, &facts.timeline)),
            _ => return None,
        })
    }

    fn position(&self) -> String {
        let Page { report, activity, facts, .. } = self;
        let (totals, clock) = (&report.totals, &activity.clock);
        if totals.earliest > totals.latest {
            return format!("{}; there is no event.", facts.position);
        }
        let latest = moment(clock.second(totals.latest), clock.offset);
        format!("{}; the latest event is of {latest} (timestamp {}).", facts.position, totals.latest)
    }
}

/// List items.
fn list(texts: &[String]) -> String {
    texts.iter().map(|text| format!("<li>{}</li>", escaped(text))).collect()
}

/// The hash by which a Content-Security-Policy names a script or a style.
fn hash(text: &str) -> String {
    figures::base64(&Sha256::digest(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_frame_asks_for_nothing_that_there_is_not() {
        for name in FRAME.split("{{").skip(1).filter_map(|rest| rest.split_once("}}")).map(|(name, _)| name) {
            assert!(name.chars().all(|char| char.is_ascii_lowercase() || char == '_'), "{name}");
        }
        for text in [STYLE, SCRIPT] {
            assert!(!text.contains("</") || !text.to_lowercase().contains("</s"), "ends its own element");
        }
        assert!(FRAME.contains("default-src 'none'") && !FRAME.contains("unsafe-inline"));
        for part in ["<style>{{style}}</style>", "<script>{{script}}</script>"] {
            assert_eq!(FRAME.matches(part).count(), 1, "the hash is of what stands between the tags: {part}");
        }
        assert!(!FRAME.contains("http://") && !FRAME.contains("https://") && !FRAME.contains(" style="));
    }
}
