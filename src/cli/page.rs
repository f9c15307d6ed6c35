//! A report as it is printed: in lines, or as a page to look at.

use chatwal::base::text::printable;
use chatwal::disk::scratch::Limits;
use chatwal::error::Result;
use chatwal::event::unit::Unit;
use chatwal::query::activity::{Activity, ActivityOptions};
use chatwal::query::report::{Report, ReportOptions, Told};
use chatwal::show::page::{self, PageFacts};
use chatwal::show::render::{self, Format};
use chatwal::store::View;

use crate::args::{ReportArgs, ReportOutputArgs};
use crate::console::{Console, count};
use crate::{print, print_unwatched, tell_put_aside, times};

/// For how many sites a page has details.
const DETAILS: usize = 1000;

/// A report that was made, and how it is to be printed.
pub struct Made {
    pub report: Report,
    how: How,
}

enum How {
    Listed(Format),
    Page(Box<PageParts>),
}

/// What a page is made of beside the report.
struct PageParts {
    activity: Activity,
    facts: PageFacts,
    limits: Limits,
}

impl Made {
    /// The report of a view; `filters` say what it was narrowed to.
    pub fn of(view: &View, options: &ReportOptions, output: &ReportOutputArgs, filters: Vec<String>) -> Result<Made> {
        if let Some(format) = output.format() {
            return Ok(Made { report: Report::of(view, options)?, how: How::Listed(format) });
        }
        let unit = output.unit.map(Unit::from);
        let asked = ActivityOptions { unit, offset: output.timezone, details: DETAILS };
        let (report, activity) = Activity::of(view, options, &asked)?;
        let told = match unit {
            Some(_) => "as --unit says",
            None => "by the size of the latest; --unit says otherwise",
        };
        let facts = PageFacts {
            unit: told.into(),
            filters,
            warnings: times::mixed(&report.totals).into_iter().collect(),
            rejects: view.inputs.values().map(|input| input.rejects).sum(),
            position: format!("True up to frame {} of the log", view.link.sequence.saturating_sub(1)),
            others: "chatwal report --format csv lists all; --site makes a page of some.".into(),
            timeline: "Of any site, chatwal timeline SITE shows when it was online.".into(),
        };
        let how = How::Page(Box::new(PageParts { activity, facts, limits: options.limits.clone() }));
        Ok(Made { report, how })
    }

    /// Prints it.
    pub fn print(&self, console: &Console) -> Result<()> {
        match &self.how {
            How::Listed(format) => print_lines(&self.report, *format, console),
            How::Page(parts) => {
                let PageParts { activity, facts, limits } = &**parts;
                let mut written = Ok(());
                print_unwatched(|out| {
                    written = page::write(&self.report, activity, facts, limits, out)?;
                    Ok(())
                })?;
                written?;
                if console.verbose {
                    tell_put_aside(self.report.put_aside(), console);
                    times::tell_mixed(&self.report.totals, console);
                }
                Ok(())
            }
        }
    }
}

/// What a report is narrowed to, for its reader.
pub fn filters(args: &ReportArgs) -> Vec<String> {
    let moments = [("--since", &args.since), ("--until", &args.until), ("--as-of", &args.as_of)];
    let said = moments.into_iter().filter_map(|(option, moment)| Some(format!("{option} {}", moment.as_ref()?.text)));
    let sites = args.site.iter().take(10).map(|site| printable(site)).collect::<Vec<_>>().join(", ");
    let more = args.site.len().saturating_sub(10);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let sites = (!args.site.is_empty()).then(|| format!("--site {sites}{more}"));
    said.chain(sites).collect()
}

fn print_lines(report: &Report, format: Format, console: &Console) -> Result<()> {
    let mut told = Ok(Told::default());
    print(|out| {
        told = render::report(report, format, out)?;
        Ok(())
    })?;
    let told = told?;
    if console.verbose {
        let totals = report.totals;
        console.note(&format!(
            "{}, {}, copies: {}; events whose copies disagree: {}; events read of {}",
            count(told.sites, "site"),
            count(totals.events, "event"),
            totals.copies,
            totals.disputed,
            count(told.folded, "site"),
        ));
        tell_put_aside(report.put_aside(), console);
        times::tell_mixed(&totals, console);
    }
    Ok(())
}
