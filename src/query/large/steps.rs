//! Operators: reads all statuses in order, counts the operators of each site, and notes the steps by which those who are online become
//! more or fewer.

use super::keys::{Key, put_moment};
use super::{Large, put_found};
use crate::disk::scratch::sorter::{Sorted, Sorter};
use crate::error::Result;
use crate::event::Kind;
use crate::event::summary::{Summary, Window};
use crate::snapshot::lines::Lines;

/// A status, as its key has it.
struct Status<'k> {
    /// The bytes of the site in the key.
    site: &'k [u8],
    from: &'k [u8],
    moment: i64,
    is_online: bool,
}

impl<'k> Status<'k> {
    /// Reads the key of a status: site, operator, moment, id, kind.
    fn read(key: &'k [u8]) -> Option<Status<'k>> {
        let mut key = Key(key);
        let (site, from, moment, _) = (key.site_bytes()?, key.name()?, key.moment()?, key.name()?);
        Some(Status { site, from, moment, is_online: key.byte()? == Kind::Online.code() })
    }
}

/// What is known of one operator of a site.
#[derive(Default)]
struct Operator {
    is_counted: bool,
    is_online: bool,
}

impl Large {
    /// Counts the operators of all sites. Returns the steps, by site and moment; the payload of a step is 1 if an operator came, 0 if
    /// one went.
    pub(super) fn steps(&self, statuses: &Sorted, window: Window, lines: &Lines) -> Result<Sorter> {
        let Large { scratch, share, .. } = self;
        let steps = Sorter::new(scratch, share / 16, self.held());
        let (mut finder, mut collector) = (lines.finder(1), steps.collector(share / 4));
        let mut merge = statuses.merge(None, None)?;
        let (mut site, mut name, mut step) = (Vec::new(), Vec::new(), Vec::new());
        let mut operator = Operator::default();
        let mut found = Summary::default();
        while let Some((key, _)) = merge.next()? {
            let status = Status::read(key).ok_or_else(|| scratch.changed())?;
            if status.site != site {
                put_found(&mut finder, &site, &mut found)?;
                site.clear();
                site.extend_from_slice(status.site);
                name.clear();
            }
            // No name is empty.
            if status.from != name {
                name.clear();
                name.extend_from_slice(status.from);
                operator = Operator::default();
            }
            if status.moment >= window.from {
                found.operators += u64::from(!std::mem::replace(&mut operator.is_counted, true));
            }
            if std::mem::replace(&mut operator.is_online, status.is_online) != status.is_online {
                step.clear();
                step.extend_from_slice(&site);
                put_moment(status.moment, &mut step);
                collector.put(&step, &[u8::from(status.is_online)])?;
            }
        }
        put_found(&mut finder, &site, &mut found)?;
        finder.end()?;
        collector.end()?;
        Ok(steps)
    }
}
