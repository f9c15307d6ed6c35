//! What the screen looks like, and what keys do. A pure function of the picture and the state: the terminal is elsewhere.

mod words;

use chatwal::base::text::printable;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Cell, Clear, Paragraph, Row as TableRow, Sparkline, Table};

use super::picture::{Facts, Listed, Row, Sort};
use words::{ago, fitting, grouped, minute, missed, who};

/// From this width on, two short lists stand beside the long one.
const WIDE: u16 = 130;
/// Columns of those.
const SIDE: u16 = 50;
/// From this height on, the sparklines are higher.
const HIGH: u16 = 36;

/// The longest filter.
const MOST_FILTER: usize = 100;

/// What is shown.
pub(super) struct Picture {
    pub(super) facts: Facts,
    pub(super) listed: Listed,
    /// For the lists at the side.
    pub(super) missed: Vec<Row>,
    pub(super) online: Vec<Row>,
}

/// What the reader asked for.
pub(super) struct State {
    /// The store, as it was named.
    store: String,
    plain: bool,
    pub(super) sort: Sort,
    pub(super) filter: String,
    typing: bool,
    help: bool,
    /// The first site of the list that is shown, and how many fit.
    pub(super) from: usize,
    pub(super) rows: usize,
}

/// A key, as far as it is heeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Char(char),
    Enter,
    Escape,
    Backspace,
    Up,
    Down,
    PageUp,
    PageDown,
    Home,
    End,
    Interrupt,
    Other,
}

/// What is to be done after a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Stay,
    Redraw,
    Quit,
    Interrupt,
}

impl State {
    pub(super) fn new(store: String, plain: bool) -> State {
        let (sort, filter) = (Sort::Busiest, String::new());
        State { store, plain, sort, filter, typing: false, help: false, from: 0, rows: 0 }
    }

    /// Heeds a key; there are so many sites in the list.
    pub(super) fn key(&mut self, key: Key, count: usize) -> Step {
        match key {
            Key::Interrupt => return Step::Interrupt,
            _ if self.help => self.help = false,
            _ if self.typing => return self.type_in(key),
            Key::Char('q') => return Step::Quit,
            Key::Char('?' | 'h') => self.help = true,
            Key::Char('/') => self.typing = true,
            Key::Char('s') => self.next_sort(),
            Key::Char('j') | Key::Down => self.scroll(1, count),
            Key::Char('k') | Key::Up => self.scroll(-1, count),
            Key::Char(' ') | Key::PageDown => self.scroll(self.page(), count),
            Key::PageUp => self.scroll(-self.page(), count),
            Key::Char('g') | Key::Home => self.from = 0,
            Key::Char('G') | Key::End => self.from = count.saturating_sub(self.rows),
            Key::Escape => (self.filter, self.from) = (String::new(), 0),
            Key::Char(char) => match Sort::ALL.iter().find(|(_, key, _)| *key == char) {
                Some((sort, ..)) => (self.sort, self.from) = (*sort, 0),
                None => return Step::Stay,
            },
            Key::Other => {}
            Key::Enter | Key::Backspace => return Step::Stay,
        }
        Step::Redraw
    }

    fn type_in(&mut self, key: Key) -> Step {
        match key {
            Key::Char(char) if self.filter.chars().count() < MOST_FILTER => self.filter.push(char),
            Key::Backspace => drop(self.filter.pop()),
            Key::Enter => self.typing = false,
            Key::Escape => (self.typing, self.filter) = (false, String::new()),
            _ => return Step::Stay,
        }
        self.from = 0;
        Step::Redraw
    }

    fn next_sort(&mut self) {
        let at = Sort::ALL.iter().position(|(sort, ..)| *sort == self.sort).unwrap_or(0);
        let next = Sort::ALL.get(at + 1).or(Sort::ALL.first());
        self.sort = next.map_or(Sort::Busiest, |(sort, ..)| *sort);
        self.from = 0;
    }

    fn page(&self) -> isize {
        isize::try_from(self.rows.saturating_sub(1)).unwrap_or(1).max(1)
    }

    fn scroll(&mut self, by: isize, count: usize) {
        self.from = self.from.saturating_add_signed(by).min(count.saturating_sub(self.rows));
    }

    fn style(&self, color: Color, modifier: Modifier) -> Style {
        let style = Style::new().add_modifier(modifier);
        if self.plain { style } else { style.fg(color) }
    }
}

/// Where everything is.
pub(super) struct Areas {
    title: Rect,
    sums: Rect,
    state: Rect,
    chats: Rect,
    emails: Rect,
    list: Rect,
    /// Above one another; of no size where there is no room.
    side: [Rect; 2],
    keys: Rect,
}

impl Areas {
    /// Sites that the list has room for, below its header.
    pub(super) fn rows(&self) -> usize {
        usize::from(self.list.height.saturating_sub(1))
    }

    /// The same of each list at the side, which has a title as well.
    pub(super) fn side_rows(&self) -> usize {
        usize::from(self.side[0].height.saturating_sub(1))
    }
}

/// Divides a screen.
pub(super) fn layout(screen: Rect) -> Areas {
    let spark = if screen.height >= HIGH { 4 } else { 2 };
    let lines = [1, 1, 1, spark, spark].map(Constraint::Length);
    let rest = [Constraint::Fill(1), Constraint::Length(1)];
    let gap = Constraint::Length(u16::from(screen.height >= 20));
    let all: Vec<Constraint> =
        lines[..3].iter().chain([&gap]).chain(&lines[3..]).chain([&gap]).chain(&rest).copied().collect();
    let [title, sums, state, _, chats, emails, _, body, keys] = Layout::vertical(all).areas(screen);
    // In line with what stands above.
    let body = Rect { x: body.x + u16::from(body.width > 1), width: body.width.saturating_sub(2), ..body };
    let (list, side) = match screen.width >= WIDE {
        true => {
            let [list, _, side] =
                Layout::horizontal([Constraint::Fill(1), Constraint::Length(3), Constraint::Length(SIDE)]).areas(body);
            let halves = Layout::vertical([Constraint::Fill(1), Constraint::Length(1), Constraint::Fill(1)]);
            let [above, _, below] = halves.areas(side);
            (list, [above, below])
        }
        false => (body, [Rect::ZERO; 2]),
    };
    Areas { title, sums, state, chats, emails, list, side, keys }
}

/// Draws all of it.
pub(super) fn draw(frame: &mut Frame<'_>, picture: &Picture, state: &State) {
    let areas = layout(frame.area());
    let facts = &picture.facts;
    draw_head(frame, &areas, facts, state);
    let last = |column: usize| facts.minutes.iter().map(|minute| minute[column]).collect::<Vec<_>>();
    spark(frame, areas.chats, ("chats a minute", last(0)), state.style(Color::Green, Modifier::empty()));
    spark(frame, areas.emails, ("emails a minute", last(1)), state.style(Color::Yellow, Modifier::empty()));
    if facts.has_sites {
        draw_list(frame, areas.list, picture, state);
    } else {
        let text = "There are too many sites for --memory to list them; the sums are of all.";
        frame.render_widget(Paragraph::new(text), areas.list);
    }
    if areas.side[0].height > 1 {
        draw_side(frame, areas.side[0], "MOST EMAILS", &picture.missed, state);
        draw_side(frame, areas.side[1], "ONLINE NOW", &picture.online, state);
    }
    draw_keys(frame, areas.keys, picture, state);
    if state.help {
        draw_help(frame, state);
    }
}

fn draw_head(frame: &mut Frame<'_>, areas: &Areas, facts: &Facts, state: &State) {
    let name = fitting(&printable(&state.store), usize::from(areas.title.width / 2));
    let position = match facts.waiting == 0 {
        true => format!("all durable, frame {} ", facts.frame),
        false => format!("durable up to frame {}; {} events wait ", facts.durable, grouped(facts.waiting)),
    };
    let reversed = Style::new().add_modifier(Modifier::REVERSED);
    let room = usize::from(areas.title.width).saturating_sub(Span::raw(&name).width() + 10);
    let title = format!(" chatwal  {name}{position:>room$}");
    frame.render_widget(Paragraph::new(title).style(reversed), areas.title);
    let counts = &facts.sums.counts;
    let unknown = || "–".to_string();
    let figures = [
        ("sites", grouped(facts.sums.sites)),
        ("chats", grouped(counts.messages)),
        ("emails", grouped(counts.emails)),
        ("online", facts.sums.online.map_or_else(unknown, grouped)),
        ("rejects", grouped(facts.rejects)),
    ];
    frame.render_widget(Paragraph::new(figured(&figures, state)), areas.sums);
    let inputs = match facts.left {
        0 => grouped(facts.inputs as u64),
        left => format!("{} ({} bytes left)", grouped(facts.inputs as u64), grouped(left)),
    };
    let figures = [
        ("events/s", facts.rate.map_or_else(unknown, grouped)),
        ("newest", facts.lag.map_or_else(unknown, |lag| format!("{} ago", ago(lag)))),
        ("inputs", inputs),
        ("minute", minute(facts.newest).unwrap_or_else(unknown)),
    ];
    frame.render_widget(Paragraph::new(figured(&figures, state)), areas.state);
}

/// Names with their figures, side by side.
fn figured<'f>(figures: &[(&'static str, String)], state: &State) -> Line<'f> {
    let spans = figures.iter().flat_map(|(name, figure)| {
        [
            Span::styled(format!(" {name} "), state.style(Color::Reset, Modifier::DIM)),
            Span::styled(format!("{figure}  "), Style::new().add_modifier(Modifier::BOLD)),
        ]
    });
    Line::from_iter(spans)
}

/// A sparkline, with what it is, its newest value and its greatest.
fn spark(frame: &mut Frame<'_>, area: Rect, (name, values): (&str, Vec<u64>), style: Style) {
    let [label, line] = Layout::horizontal([Constraint::Length(24), Constraint::Fill(1)]).areas(area);
    let shown = values.get(values.len().saturating_sub(usize::from(line.width))..).unwrap_or_default();
    let greatest = shown.iter().copied().max().unwrap_or(0);
    let newest = shown.last().copied().unwrap_or(0);
    let text =
        vec![Line::raw(format!(" {name}")), Line::raw(format!(" {} (most {})", grouped(newest), grouped(greatest)))];
    frame.render_widget(Paragraph::new(text), label);
    // The newest minute is at the right end, also while there are few.
    let padded: Vec<u64> =
        std::iter::repeat_n(0, usize::from(line.width) - shown.len()).chain(shown.iter().copied()).collect();
    frame.render_widget(Sparkline::default().data(padded).style(style), line);
}

fn draw_list(frame: &mut Frame<'_>, area: Rect, picture: &Picture, state: &State) {
    let figure = |number: u64| Cell::from(Line::raw(grouped(number)).right_aligned());
    let columns: [(&str, Option<Sort>); 7] = [
        ("SITE", Some(Sort::Name)),
        ("CHATS", Some(Sort::Chats)),
        ("EMAILS", Some(Sort::Missed)),
        ("MISSED", None),
        ("VISITORS", Some(Sort::Visitors)),
        ("ONLINE", Some(Sort::Online)),
        ("WHO", None),
    ];
    let widths = [Constraint::Fill(1), 10.into(), 10.into(), 6.into(), 9.into(), 6.into(), Constraint::Fill(1)];
    // What the figures and the gaps leave, for two columns of text.
    let text = usize::from(area.width.saturating_sub(10 + 10 + 6 + 9 + 6 + 6) / 2);
    let heads = columns.iter().map(|(name, sort)| {
        let is_it = *sort == Some(state.sort) || state.sort == Sort::Busiest && ["CHATS", "EMAILS"].contains(name);
        let style = if is_it { Modifier::BOLD | Modifier::UNDERLINED } else { Modifier::DIM };
        let line = Line::styled(*name, Style::new().add_modifier(style));
        Cell::from(if ["SITE", "WHO"].contains(name) { line } else { line.right_aligned() })
    });
    let rows = picture.listed.rows.iter().map(|row| {
        let counts = &row.counts;
        TableRow::new([
            Cell::from(fitting(&printable(&row.name), text)),
            figure(counts.messages),
            figure(counts.emails),
            Cell::from(Line::styled(missed(row), missed_style(row, state)).right_aligned()),
            figure(counts.visitors),
            figure(row.online),
            Cell::from(fitting(&who(row), text)),
        ])
    });
    frame.render_widget(Table::new(rows, widths).header(TableRow::new(heads)).column_spacing(1), area);
}

fn missed_style(row: &Row, state: &State) -> Style {
    match row.counts.emails > row.counts.messages {
        true => state.style(Color::Yellow, Modifier::BOLD),
        false => Style::new(),
    }
}

fn draw_side(frame: &mut Frame<'_>, area: Rect, title: &str, rows: &[Row], state: &State) {
    let is_online = title == "ONLINE NOW";
    let head = TableRow::new([Cell::from(title)]).style(state.style(Color::Reset, Modifier::BOLD));
    let shown = rows.iter().map(|row| {
        let number = if is_online { row.online } else { row.counts.emails };
        let beside = if is_online { who(row) } else { missed(row) };
        let number = Line::raw(grouped(number)).right_aligned();
        TableRow::new([Cell::from(fitting(&printable(&row.name), 20)), Cell::from(number), Cell::from(beside)])
    });
    let widths = [Constraint::Length(20), Constraint::Length(9), Constraint::Fill(1)];
    frame.render_widget(Table::new(shown, widths).header(head).column_spacing(1), area);
}

fn draw_keys(frame: &mut Frame<'_>, area: Rect, picture: &Picture, state: &State) {
    let text = match (state.typing, state.filter.is_empty()) {
        (true, _) => format!(" filter: {}▏  Enter keeps it, Esc drops it", printable(&state.filter)),
        (false, false) => format!(" filter: {}  (Esc drops it)", printable(&state.filter)),
        (false, true) => " ? help   / filter   s sort   q quit".into(),
    };
    let name = Sort::ALL.iter().find(|(sort, ..)| *sort == state.sort).map_or("", |(.., name)| *name);
    let Listed { count, rows } = &picture.listed;
    let place = match rows.len() {
        0 => "no site ".into(),
        shown => format!(
            "{name}: {}–{} of {} ",
            grouped(state.from as u64 + 1),
            grouped((state.from + shown) as u64),
            grouped(*count as u64)
        ),
    };
    let room = usize::from(area.width).saturating_sub(Span::raw(&text).width());
    let line = format!("{text}{place:>room$}");
    frame.render_widget(Paragraph::new(line).style(Style::new().add_modifier(Modifier::REVERSED)), area);
}

fn draw_help(frame: &mut Frame<'_>, state: &State) {
    let mut text = vec![
        Line::raw(""),
        Line::raw("  A chat is a message that came while an operator"),
        Line::raw("  was online; an email, one that came while none was."),
        Line::raw("  Minutes are those of the events' own timestamps."),
        Line::raw(""),
        Line::raw("  up, down, j, k     scroll by one"),
        Line::raw("  PgUp, PgDn, space  scroll by a page"),
        Line::raw("  g, G               first, last"),
        Line::raw("  /                  only sites with this in their name"),
        Line::raw("  s                  sort by the next of these:"),
    ];
    text.extend(Sort::ALL.iter().map(|(_, key, name)| Line::raw(format!("  {key}                  {name}"))));
    text.push(Line::raw("  q                  quit; any key closes this"));
    let whole = frame.area();
    let (width, height) = (58.min(whole.width), (text.len() as u16 + 1).min(whole.height));
    let (x, y) = ((whole.width - width) / 2, (whole.height - height) / 2);
    let area = Rect { x, y, width, height };
    frame.render_widget(Clear, area);
    frame.render_widget(Paragraph::new(text).style(state.style(Color::Reset, Modifier::REVERSED)), area);
}

#[cfg(test)]
mod tests;
