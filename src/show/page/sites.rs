//! The sites that a page lists, and what all of them are together.

use crate::error::Result;
use crate::event::summary::Summary;
use crate::query::report::Report;

/// The most sites that a page lists: what a browser sorts at once, and two megabytes of page.
const MOST: usize = 200_000;

/// About how many bytes a site takes beside its name.
const SITE_BYTES: usize = 80;

/// By share of missed chats: none, up to 10 %, up to 20 % and so on.
pub(super) const SHARES: usize = 11;

/// The sites of a page.
#[derive(Default)]
pub(super) struct Sites {
    /// Those that are listed, by name.
    pub(super) listed: Vec<(Box<[u8]>, Summary)>,
    /// How many there are in all.
    pub(super) count: u64,
    /// All of them added up.
    pub(super) all: Summary,
    /// How many there are by share of missed chats.
    pub(super) shares: [u64; SHARES],
    /// How many have no message.
    pub(super) silent: u64,
}

impl Sites {
    /// Those of a report: the ones with most emails, then most chats, as many as fit so many bytes.
    pub(super) fn of(report: &Report, memory: usize) -> Result<Sites> {
        let (mut sites, mut held) = (Sites::default(), 0);
        report.each(&mut |name, summary| {
            sites.count(summary);
            held += name.len() + SITE_BYTES;
            sites.listed.push((name.into(), *summary));
            if sites.listed.len() >= 2 * MOST || held > memory {
                held = sites.cut(memory / 2);
            }
            true
        })?;
        // They come in the order of their names, so mostly there is nothing to do.
        if sites.listed.len() > MOST || held > memory {
            sites.cut(memory);
        }
        sites.listed.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        Ok(sites)
    }

    fn count(&mut self, summary: &Summary) {
        let Summary { messages, emails, operators, visitors } = *summary;
        self.count += 1;
        self.all.messages += messages;
        self.all.emails += emails;
        self.all.operators += operators;
        self.all.visitors += visitors;
        match messages + emails {
            0 => self.silent += 1,
            all => {
                let tenths = (u128::from(emails) * 10).div_ceil(u128::from(all));
                if let Some(number) = self.shares.get_mut(tenths as usize) {
                    *number += 1;
                }
            }
        }
    }

    /// Keeps those that are listed, in any order; gives their bytes.
    fn cut(&mut self, memory: usize) -> usize {
        self.listed.sort_unstable_by(|(a, one), (b, other)| {
            (other.emails, other.messages).cmp(&(one.emails, one.messages)).then_with(|| a.cmp(b))
        });
        let mut held = 0;
        let fits = self.listed.iter().take(MOST).take_while(|(name, _)| {
            held += name.len() + SITE_BYTES;
            held <= memory
        });
        let most = fits.count();
        self.listed.truncate(most);
        self.listed.iter().map(|(name, _)| name.len() + SITE_BYTES).sum()
    }

    /// Those with most emails, at most so many.
    pub(super) fn busiest(&self, most: usize) -> Vec<&(Box<[u8]>, Summary)> {
        let mut sites: Vec<_> = self.listed.iter().filter(|(_, summary)| summary.emails > 0).collect();
        sites.sort_by_key(|(_, summary)| std::cmp::Reverse((summary.emails, summary.messages)));
        sites.truncate(most);
        sites
    }
}
