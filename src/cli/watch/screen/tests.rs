use super::*;
use chatwal::event::summary::Summary;
use chatwal::query::live::Sums;
use ratatui::Terminal;
use ratatui::backend::TestBackend;

fn row(name: &str, [messages, emails, visitors, online]: [u64; 4], who: &[&str]) -> Row {
    let counts = Summary { messages, emails, operators: online, visitors };
    Row { name: name.into(), counts, online, who: who.iter().map(|name| (*name).into()).collect() }
}

fn picture() -> Picture {
    let counts = Summary { messages: 5_123_456, emails: 40_212, operators: 1_200, visitors: 900_000 };
    let minutes =
        (0..240u64).map(|minute| [minute * 37 % 101, (minute * 13 % 17).saturating_sub(9)]).collect::<Vec<_>>();
    let facts = Facts {
        sums: Sums { sites: 200_000, counts, online: Some(1_234), latest: 0 },
        rate: Some(1_003),
        lag: Some(2),
        rejects: 12,
        inputs: 3,
        left: 17,
        frame: 4_711,
        durable: 4_700,
        waiting: 1_003,
        minute: minutes[239],
        newest: 29_600_000,
        minutes,
        has_sites: true,
    };
    let rows = vec![
        row("123", [40_000, 1_203, 7_000, 2], &["operator1", "operator7"]),
        row("a\u{202e}\u{1b}[2Jshop", [9_000, 12_000, 5_000, 0], &[]),
        row("日本語のとても長い名前のサイトとても長い名前のサイト", [800, 0, 30, 5], &["a", "b", "c"]),
        row("never-online.example", [0, 77, 70, 0], &[]),
    ];
    let (missed, online) = (vec![rows[1].clone(), rows[3].clone()], vec![rows[2].clone(), rows[0].clone()]);
    Picture { facts, listed: Listed { count: 200_000, rows }, missed, online }
}

fn drawn(width: u16, height: u16, picture: &Picture, state: &State) -> Terminal<TestBackend> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, picture, state)).unwrap();
    terminal
}

/// The cells of a screen as lines.
fn lines(terminal: &Terminal<TestBackend>) -> String {
    let buffer = terminal.backend().buffer();
    let mut out = String::new();
    for y in 0..buffer.area.height {
        let mut skip = 0;
        let mut line = String::new();
        for x in 0..buffer.area.width {
            let symbol = buffer[(x, y)].symbol();
            if skip == 0 {
                line.push_str(symbol);
            }
            skip = std::cmp::max(skip, Span::raw(symbol).width()).saturating_sub(1);
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

fn state() -> State {
    State { rows: 10, ..State::new("/var/lib/chats".into(), false) }
}

/// `GOLDEN=write` writes what it looks like now: look at it before you commit it.
#[test]
fn the_screen_looks_as_it_should() {
    for (width, height, golden) in [(80, 24, include_str!("80x24.txt")), (200, 50, include_str!("200x50.txt"))] {
        let shown = lines(&drawn(width, height, &picture(), &state()));
        if std::env::var_os("GOLDEN").is_some_and(|value| value == "write") {
            let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/src/cli/watch/screen");
            std::fs::write(format!("{directory}/{width}x{height}.txt"), &shown).unwrap();
            continue;
        }
        assert!(shown == golden, "{width}x{height} is not as in the file:\n{shown}");
        assert!(!shown.contains(['\u{1b}', '\u{202e}']));
    }
}

#[test]
fn it_fits_any_size() {
    let (picture, help) = (picture(), State { help: true, ..state() });
    for (width, height) in [(1, 1), (2, 30), (20, 5), (79, 8), (130, 3), (300, 100)] {
        drawn(width, height, &picture, &state());
        drawn(width, height, &picture, &help);
    }
}

#[test]
fn without_colour_there_is_none() {
    let plain = State::new("s".into(), true);
    let colours = |state: &State| {
        let terminal = drawn(200, 50, &picture(), state);
        let buffer = terminal.backend().buffer();
        buffer.content.iter().filter(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset).count()
    };
    assert_eq!(colours(&plain), 0);
    assert!(colours(&state()) > 10);
}

#[test]
fn keys_do_what_the_help_says() {
    let mut state = state();
    let keys = |state: &mut State, keys: &[Key]| keys.iter().map(|key| state.key(*key, 100)).last().unwrap();
    keys(&mut state, &[Key::Down, Key::Char('j'), Key::PageDown]);
    assert_eq!(state.from, 11);
    keys(&mut state, &[Key::Up, Key::PageUp, Key::Char('k')]);
    assert_eq!(state.from, 0);
    keys(&mut state, &[Key::End, Key::Down]);
    assert_eq!(state.from, 90);
    keys(&mut state, &[Key::Char('/'), Key::Char('q'), Key::Char('?'), Key::Backspace, Key::Char('x'), Key::Enter]);
    assert_eq!((&*state.filter, state.typing, state.from, state.help), ("qx", false, 0, false));
    for (sort, key, _) in Sort::ALL {
        keys(&mut state, &[Key::Char(key)]);
        assert_eq!(state.sort, sort);
    }
    keys(&mut state, &[Key::Char('s')]);
    assert_eq!(state.sort, Sort::Busiest, "from the last to the first");
    keys(&mut state, &[Key::Escape]);
    assert_eq!(state.filter, "");
    keys(&mut state, &[Key::Char('?')]);
    assert!(state.help);
    assert_eq!(keys(&mut state, &[Key::Char('q')]), Step::Redraw, "any key closes the help");
    assert_eq!(keys(&mut state, &[Key::Char('q')]), Step::Quit);
    assert_eq!(keys(&mut state, &[Key::Char('/'), Key::Interrupt]), Step::Interrupt);
}

#[test]
fn a_text_is_cut_by_its_columns() {
    assert_eq!(fitting("abc", 3), "abc");
    assert_eq!(fitting("abcd", 3), "ab…");
    assert_eq!(fitting("日本語", 5), "日本…");
    assert_eq!(fitting("日本語", 4), "日…");
    assert_eq!((grouped(0), grouped(999), grouped(1_234_567)), ("0".into(), "999".into(), "1,234,567".into()));
}
