//! The fold: the events of one site, in order and each once, become its line of the report.

use crate::event::Kind;
use crate::event::summary::{Summary, Window};
use crate::event::table::Row;

/// What is known of one `from`. Each field holds the number of the site for which it was last true: so each site starts with a clean
/// slate, and nothing has to be cleared.
#[derive(Clone, Copy, Default)]
struct Actor {
    operator: u32,
    visitor: u32,
    online: u32,
}

/// What is seen while a site is folded, in order, besides what its summary says.
pub trait Seen {
    /// A message of the window came, while an operator was online or not.
    fn message(&mut self, moment: i64, online: bool);

    /// The site went online or offline, in the window or before it.
    fn turned(&mut self, moment: i64, online: bool);
}

/// Nothing.
impl Seen for () {
    fn message(&mut self, _: i64, _: bool) {}

    fn turned(&mut self, _: i64, _: bool) {}
}

/// Folds one site after the other; keeps its buffer.
#[derive(Default)]
pub struct Fold {
    actors: Vec<Actor>,
    site: u32,
    online: u64,
}

impl Fold {
    /// The summary of a site from its rows. Rows before the window only say who was online at its start. The [`Row::from`] of every row
    /// is below `names`. `seen` is told what happens when.
    pub fn site(&mut self, rows: &[Row], names: usize, window: Window, seen: &mut impl Seen) -> Summary {
        if self.actors.len() < names {
            self.actors.resize(names, Actor::default());
        }
        self.site = match self.site.checked_add(1) {
            Some(next) => next,
            None => {
                self.actors.fill(Actor::default());
                1
            }
        };
        let site = self.site;
        let mut summary = Summary::default();
        let mut online = 0u64;
        for row in window.of(rows) {
            let counts = row.timestamp >= window.from;
            let actor = &mut self.actors[row.from as usize];
            match row.kind {
                Kind::Message if !counts => {}
                Kind::Message => {
                    summary.visitors += u64::from(actor.visitor != site);
                    actor.visitor = site;
                    if online > 0 {
                        summary.messages += 1;
                    } else {
                        summary.emails += 1;
                    }
                    seen.message(row.timestamp, online > 0);
                }
                status => {
                    if counts {
                        summary.operators += u64::from(actor.operator != site);
                        actor.operator = site;
                    }
                    let (was, is) = (actor.online == site, status == Kind::Online);
                    let before = online;
                    online = online + u64::from(is) - u64::from(was);
                    if (before > 0) != (online > 0) {
                        seen.turned(row.timestamp, online > 0);
                    }
                    actor.online = if is { site } else { 0 };
                }
            }
        }
        self.online = online;
        summary
    }

    /// How many operators were online in the end, at the site that was folded last.
    pub fn online(&self) -> u64 {
        self.online
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::table::Table;
    use crate::event::{Event, Id, Site};

    fn fold(events: &[(&str, Kind)]) -> Summary {
        let mut table = Table::default();
        for (at, (from, kind)) in (0i64..).zip(events) {
            let id = at.to_string();
            let (site, id) = (Site::Number(1), Id::new(id.as_bytes()));
            table.push(&Event { site, id, from: from.as_bytes(), timestamp: at, kind: *kind }, 0);
        }
        let mut fold = Fold::default();
        // Of an earlier site nothing must be left.
        fold.site(&table.rows, table.names(), Window::ALL, &mut ());
        fold.site(&table.rows, table.names(), Window::ALL, &mut ())
    }

    #[test]
    fn a_message_is_a_chat_while_any_operator_is_online() {
        use Kind::{Message, Offline, Online};
        let summary = fold(&[
            ("v1", Message),
            ("o1", Online),
            ("o1", Online),
            ("v1", Message),
            ("o2", Online),
            ("o1", Offline),
            ("v2", Message),
            ("o2", Offline),
            ("o2", Offline),
            ("v3", Message),
            ("o3", Offline),
            ("v3", Message),
        ]);
        assert_eq!(summary, Summary { messages: 2, emails: 3, operators: 3, visitors: 3 });
    }

    #[test]
    fn a_visitor_and_an_operator_of_one_name_are_one_of_each() {
        let summary = fold(&[("x", Kind::Online), ("x", Kind::Message)]);
        assert_eq!(summary, Summary { messages: 1, emails: 0, operators: 1, visitors: 1 });
    }
}
