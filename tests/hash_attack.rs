//! P8, hostile shapes: names that the format's public hash takes for one another cost about as much as any others, on every
//! table that is keyed by what a stranger chooses, and though all of them lie in one shard.
//!
//! `CHATWAL_NAMES=200000 cargo test --release --test hash_attack -- --nocapture` is the full run, and prints what each
//! command took. Times are those of the processors, of both kinds of names in turn, so that a busy machine is busy for both.

mod support;

use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use support::cli::Sandbox;
use support::dice::Dice;
use support::{collide, setting};

/// The hash that all names have.
const HASH: u64 = 0x5e1f_0123_4567_89ab;

/// Rounds, of which the fastest counts.
const ROUNDS: usize = 3;

/// What two processes that do the same may differ by, whatever it is that they do.
const NOISE: Duration = Duration::from_millis(60);

/// What is done with two inputs that tell of the same sites in different events: each is a table of its own that the names get
/// into. Of the first, a snapshot is made; the second stays in the log, so every site of the snapshot is looked up.
const COMMANDS: [&str; 10] = [
    "ingest --no-compact one.jsonl",
    "report",
    "compact",
    "ingest --no-compact two.jsonl",
    "report",
    "report --memory LITTLE",
    "stat",
    "verify",
    "compact --all --memory LITTLE",
    "report --since 500",
];

/// The processors' time that all programs took that have ended.
fn spent() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap();
    [usage.user_time(), usage.system_time()]
        .map(|time| Duration::from_micros((time.tv_sec() * 1_000_000 + time.tv_usec()) as u64))
        .iter()
        .sum()
}

/// Where the names stand in an event.
#[derive(Clone, Copy, Debug)]
enum Place {
    Site,
    From,
    Id,
}

/// An event for each name, `round` being part of its id and moment.
fn events(names: &[String], place: Place, round: usize) -> Vec<u8> {
    let mut lines = String::new();
    for (number, name) in names.iter().enumerate() {
        let other = format!("{round}-{number:x}");
        let few = (number % 3).to_string();
        let (site, from, id) = match place {
            Place::Site => (name, "visitor", &other),
            Place::From => (&few, name.as_str(), &other),
            Place::Id => (&few, "visitor", name),
        };
        let moment = number % 1000 + round;
        lines.push_str(&format!(
            "{{\"id\":\"{id}\",\"type\":\"message\",\"from\":\"{from}\",\"site_id\":\"{site}\",\"timestamp\":{moment},\
             \"data\":{{\"message\":\"Hi\"}}}}\n"
        ));
    }
    lines.into_bytes()
}

/// What each command takes with these names.
fn times(names: &[String], place: Place, check: bool) -> Vec<Duration> {
    let sandbox = Sandbox::new();
    let inputs = [events(names, place, 0), events(names, place, 1)];
    sandbox.write("one.jsonl", &inputs[0]);
    sandbox.write("two.jsonl", &inputs[1]);
    // So little that the shard in which all of them lie is taken in eight passes.
    let little = (names.len() * 32).max(1 << 20).to_string();
    let mut times = Vec::new();
    for command in COMMANDS {
        let command = command.replace("LITTLE", &little);
        let before = spent();
        sandbox.run(&format!("{command} --store s --threads 2")).expect(0);
        times.push(spent() - before);
    }
    if check {
        sandbox.reports(inputs.concat());
    }
    times
}

/// Both kinds of names in turn; each command may take twice as long with those that were chosen.
fn compare(what: &str, place: Place, chosen: &[String], any: &[String]) {
    let mut least = [vec![Duration::MAX; COMMANDS.len()], vec![Duration::MAX; COMMANDS.len()]];
    for round in 0..ROUNDS {
        for (names, least) in [any, chosen].into_iter().zip(&mut least) {
            let took = times(names, place, round == 0);
            least.iter_mut().zip(took).for_each(|(least, took)| *least = took.min(*least));
        }
    }
    let [any, chosen] = least;
    for ((command, any), chosen) in COMMANDS.iter().zip(any).zip(chosen) {
        let times = chosen.as_secs_f64() / any.as_secs_f64();
        println!("{what}, {place:?}: {command}: {any:.3?} with any names, {chosen:.3?} with these: {times:.2} times");
        assert!(
            chosen <= any * 2 + NOISE,
            "{what}, {place:?}: {command}: {any:?} with any names, {chosen:?} with these"
        );
    }
}

// One test: what the programs of another one take would count as well.
#[test]
fn names_that_collide_cost_no_more_than_others() {
    let count = setting("CHATWAL_NAMES", 10_000) as usize;
    let dice = &mut Dice(7);
    let names = collide::names(count, HASH, dice);
    let any = collide::random(&names, dice);
    for place in [Place::Site, Place::From, Place::Id] {
        compare("names", place, &names, &any);
    }
    let numbers = collide::numbers(count, HASH, dice);
    compare("numbers", Place::Site, &numbers, &collide::random(&numbers, dice));
}
