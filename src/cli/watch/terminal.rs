//! The screen's terminal: takes it over, reads keys, looks at the store once a second, and gives the terminal back, however it ends.

use std::io;
use std::time::{Duration, Instant};

use chatwal::disk::Storage;
use chatwal::error::Error;
use chatwal::query::live::{Live, LiveOptions};
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers, poll, read};
use ratatui::layout::Rect;

use super::Pace;
use super::picture::{Facts, Row, Sort, listed};
use super::screen::{Key, Picture, State, Step, draw, layout};
use crate::args::Color;
use crate::{STDOUT, Stop, status};

/// How often to see whether a signal came, while no key is pressed.
const SLICE: Duration = Duration::from_millis(100);

/// What a process ends with after Ctrl-C.
const INTERRUPTED: u8 = 130;

/// Gives the terminal back when it goes out of scope; after a panic, ratatui's hook has done so before the message.
struct Restored;

impl Drop for Restored {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

pub(super) fn watch(
    disk: &dyn Storage,
    options: LiveOptions,
    color: Color,
    pace: &mut Pace<'_>,
) -> std::result::Result<u8, Stop> {
    // What is wrong with the store is said before the screen is taken.
    let is_plain = match color {
        Color::Always => false,
        Color::Never => true,
        Color::Auto => std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()),
    };
    let name = disk.path().display().to_string();
    let (live, _) = Live::open(disk, options, None)?;
    let began = Instant::now();
    let terminal = ratatui::try_init().map_err(failed)?;
    let _restored = Restored;
    let mut watching = Watching {
        picture: Picture {
            facts: Facts::of(&live, 0, None),
            listed: Default::default(),
            missed: Vec::new(),
            online: Vec::new(),
        },
        state: State::new(name, is_plain),
        live,
        terminal,
    };
    watching.run(disk, began, pace)
}

fn failed(error: io::Error) -> Error {
    Error::io("draw on", STDOUT)(error)
}

/// A screen that is being looked at.
struct Watching {
    live: Live,
    picture: Picture,
    state: State,
    terminal: DefaultTerminal,
}

impl Watching {
    fn run(&mut self, disk: &dyn Storage, mut began: Instant, pace: &mut Pace<'_>) -> std::result::Result<u8, Stop> {
        loop {
            self.draw()?;
            if let Some(status) = pace.counted() {
                return Ok(status);
            }
            let due = pace.next(began);
            if let Some(status) = self.keys(due, pace)? {
                return Ok(status);
            }
            let took = began.elapsed();
            began = Instant::now();
            let changes = self.live.refresh(disk)?;
            self.picture.facts = Facts::of(&self.live, changes.events, Some(took));
        }
    }

    /// Heeds keys until the next look is due; the status to end with, if one or a signal asks for it.
    fn keys(&mut self, due: Instant, pace: &Pace<'_>) -> std::result::Result<Option<u8>, Stop> {
        loop {
            if let Some(status) = pace.stopped() {
                return Ok(Some(status));
            }
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            if !poll(left.min(SLICE)).map_err(failed)? {
                continue;
            }
            let step = match read().map_err(failed)? {
                Event::Key(key) if key.kind != KeyEventKind::Release => match key_of(&key) {
                    Some(key) => self.state.key(key, self.picture.listed.count),
                    None => Step::Stay,
                },
                Event::Resize(..) => Step::Redraw,
                _ => Step::Stay,
            };
            match step {
                Step::Stay => {}
                Step::Redraw => self.draw()?,
                Step::Quit => return Ok(Some(status::DONE)),
                Step::Interrupt => return Ok(Some(INTERRUPTED)),
            }
        }
    }

    fn draw(&mut self) -> std::result::Result<(), Stop> {
        let Watching { live, picture, state, terminal } = self;
        // A terminal that was made smaller or larger meanwhile.
        terminal.autoresize().map_err(failed)?;
        let size = terminal.size().map_err(failed)?;
        let areas = layout(Rect::new(0, 0, size.width, size.height));
        state.rows = areas.rows();
        picture.listed = listed(live, state.sort, &state.filter, state.from, state.rows);
        if picture.listed.rows.is_empty() && state.from > 0 {
            state.from = picture.listed.count.saturating_sub(state.rows);
            picture.listed = listed(live, state.sort, &state.filter, state.from, state.rows);
        }
        let side = |sort, many: usize| -> Vec<Row> {
            if many == 0 { Vec::new() } else { listed(live, sort, "", 0, many).rows }
        };
        picture.missed = side(Sort::Missed, areas.side_rows());
        picture.online = side(Sort::Online, areas.side_rows());
        terminal.draw(|frame| draw(frame, picture, state)).map_err(failed)?;
        Ok(())
    }
}

fn key_of(key: &KeyEvent) -> Option<Key> {
    Some(match key.code {
        KeyCode::Char('c' | 'C') if key.modifiers.contains(KeyModifiers::CONTROL) => Key::Interrupt,
        KeyCode::Char('l' | 'L') if key.modifiers.contains(KeyModifiers::CONTROL) => Key::Other,
        KeyCode::Char(char) if !key.modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT) => Key::Char(char),
        KeyCode::Enter => Key::Enter,
        KeyCode::Esc => Key::Escape,
        KeyCode::Backspace => Key::Backspace,
        KeyCode::Up => Key::Up,
        KeyCode::Down => Key::Down,
        KeyCode::PageUp => Key::PageUp,
        KeyCode::PageDown => Key::PageDown,
        KeyCode::Home => Key::Home,
        KeyCode::End => Key::End,
        _ => return None,
    })
}
