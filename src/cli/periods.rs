//! The command `timeline`.

use std::io::{self, Write};

use chatwal::query::timeline::{Period, Timeline};
use chatwal::show::render::{Record, Writer};
use serde::Serialize;

use crate::args::{Global, TimelineArgs};
use crate::console::Console;
use crate::{Stop, limits, open, print, status, tell_put_aside, tell_read};

/// Cells of the longest bar.
const BAR: u64 = 40;

/// A period as a line with a bar.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    period: Period,
    #[serde(skip)]
    widths: Widths,
}

/// The widths that align the columns.
#[derive(Clone, Copy, Default)]
struct Widths {
    from: usize,
    until: usize,
    chats: usize,
    emails: usize,
    most: u64,
}

impl Record for Shown {
    fn line(&self, out: &mut Vec<u8>) -> io::Result<()> {
        let Shown { period, widths } = self;
        let Period { from, online, chats, emails, .. } = *period;
        let until = period.until.map(|until| until.to_string()).unwrap_or_default();
        let state = if online { "online " } else { "offline" };
        // A single message is to be seen.
        let cells = (chats + emails).saturating_mul(BAR).div_ceil(widths.most.max(1));
        let bar = if online { "█" } else { "░" }.repeat(usize::try_from(cells).unwrap_or(0));
        let line = format!(
            "{from:>0$} .. {until:<1$} {state} chats={chats:<2$} emails={emails:<3$} {bar}",
            widths.from, widths.until, widths.chats, widths.emails
        );
        out.write_all(line.trim_end().as_bytes())
    }
}

/// When a site was online, and what came in meanwhile.
pub fn timeline(args: &TimelineArgs, global: &Global, console: &Console) -> std::result::Result<u8, Stop> {
    let view = open(global)?;
    let limits = limits(global);
    let periods = Timeline::of(&view, args.site.as_bytes(), &limits)?;
    let digits = |number: u64| number.to_string().len();
    let mut widths = Widths::default();
    let mut count = 0u64;
    periods.each(&mut |period| {
        count += 1;
        widths = Widths {
            from: widths.from.max(period.from.to_string().len()),
            until: widths.until.max(period.until.map_or(0, |until| until.to_string().len())),
            chats: widths.chats.max(digits(period.chats)),
            emails: widths.emails.max(digits(period.emails)),
            most: widths.most.max(period.chats + period.emails),
        };
        true
    })?;
    if count == 0 {
        console.warning(&format!("{}: no event of this site", args.site));
    }
    let format = args.output.format();
    let mut told = Ok(());
    print(|out| {
        let columns = ["from", "until", "online", "operators", "chats", "emails"];
        let mut writer = Writer::new(format, &columns, out)?;
        let mut written = Ok(());
        told = periods.each(&mut |period| {
            written = writer.record(&Shown { period: *period, widths });
            written.is_ok()
        });
        written?;
        writer.end()
    })?;
    told?;
    tell_put_aside(limits.scratch.written(), console);
    tell_read(&view, console);
    Ok(status::DONE)
}
