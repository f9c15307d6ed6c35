//! The command `sources forget`.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::Arc;

use chatwal::base::shell::quoted;
use chatwal::base::text::printable;
use chatwal::disk::Disk;
use chatwal::format::{MAX_SOURCE_NAME, Uid, hex, unhex};
use chatwal::store::log::{Log, LogOptions};
use chatwal::store::{Input, View};
use glob::Pattern;

use crate::args::Global;
use crate::console::{Console, count};
use crate::recovery::tell_recovery;
use crate::{Stop, status, store};

/// Digits of the shortest prefix of an instance.
const PREFIX: usize = 4;

/// Digits of an instance.
const INSTANCE: usize = 2 * size_of::<Uid>();

/// Inputs that an error names one by one.
const TOLD: usize = 10;

/// The inputs of a store, by their names. There may be many of both.
struct NamedInputs {
    by_instance: BTreeMap<Uid, Input>,
    /// As they are, and as they are shown.
    by_name: HashMap<Vec<u8>, Vec<Uid>>,
}

impl NamedInputs {
    fn new(by_instance: BTreeMap<Uid, Input>) -> NamedInputs {
        let mut by_name: HashMap<Vec<u8>, Vec<Uid>> = HashMap::new();
        for (instance, input) in &by_instance {
            let name = &input.checkpoint.name;
            let shown = printable(&String::from_utf8_lossy(name)).into_bytes();
            if shown != *name {
                by_name.entry(shown).or_default().push(*instance);
            }
            by_name.entry(name.clone()).or_default().push(*instance);
        }
        NamedInputs { by_instance, by_name }
    }

    /// Those whose instance begins with these digits.
    fn of_prefix(&self, digits: &str) -> Vec<Uid> {
        if !(PREFIX..=INSTANCE).contains(&digits.len()) {
            return Vec::new();
        }
        let filled = |digit| {
            unhex(&format!("{}{}", digits.to_ascii_lowercase(), String::from(digit).repeat(INSTANCE - digits.len())))
        };
        match (filled('0'), filled('f')) {
            (Some(first), Some(last)) => self.by_instance.range(first..=last).map(|(instance, _)| *instance).collect(),
            _ => Vec::new(),
        }
    }

    /// Those whose names match a pattern.
    fn of_pattern(&self, pattern: &Pattern) -> Vec<Uid> {
        let fits = |input: &Input| {
            let name = String::from_utf8_lossy(&input.checkpoint.name);
            pattern.matches(&name) || pattern.matches(&printable(&name))
        };
        self.by_instance.iter().filter(|(_, input)| fits(input)).map(|(instance, _)| *instance).collect()
    }

    fn list(&self, instances: &BTreeSet<Uid>) -> String {
        let told = instances.iter().filter_map(|instance| Some(told(instance, self.by_instance.get(instance)?)));
        let mut list: Vec<String> = told.take(TOLD).collect();
        if instances.len() > TOLD {
            list.push(format!("and {} more", instances.len() - TOLD));
        }
        list.join(", ")
    }
}

/// Drops the checkpoints and the rejects of the inputs that are named. All names are looked up before anything is changed.
pub fn forget(names: &[OsString], global: &Global, console: &Console) -> std::result::Result<u8, Stop> {
    let path = store(global)?;
    let disk = Disk::open(&path)?;
    let known = NamedInputs::new(View::open(&disk)?.inputs);
    let mut wanted = BTreeSet::new();
    for name in names {
        match find(name, &known) {
            Ok(found) => wanted.extend(found),
            Err(problem) => {
                let hint =
                    format!("`chatwal sources --store {}` lists the inputs; nothing was forgotten", quoted(&path));
                return Err(Stop::Usage(format!("{}: {problem}", Path::new(name).display()), hint));
            }
        }
    }
    let wanted: Vec<Uid> = wanted.into_iter().collect();
    let (mut log, view, recovery) = Log::open(Arc::new(disk), LogOptions::default())?;
    tell_recovery(&recovery, console);
    log.append_forget(&wanted)?;
    log.settle()?;
    for instance in &wanted {
        // As they were when the log was opened: another writer may have added to them since they were looked up.
        if let Some(input) = view.inputs.get(instance) {
            let (events, rejects) = (count(input.events, "event"), count(input.rejects, "reject"));
            console.note(&format!("forgot {}: {events} kept, {rejects} dropped", told(instance, input)));
        }
    }
    console.note(&format!("forgot {}; the events stay", count(wanted.len() as u64, "input")));
    Ok(status::DONE)
}

/// The inputs that somebody means: those of this name, the one whose instance begins so, those that a pattern fits.
fn find(name: &OsStr, known: &NamedInputs) -> Result<Vec<Uid>, String> {
    let text = name.to_string_lossy();
    let typed = name.as_bytes();
    let by_name = known.by_name.get(&typed[..typed.len().min(MAX_SOURCE_NAME)]).cloned().unwrap_or_default();
    let by_instance = known.of_prefix(&text);
    match (by_name.as_slice(), by_instance.as_slice()) {
        // Nobody types all of an instance and means something else.
        (_, [instance]) if text.len() == INSTANCE => return Ok(vec![*instance]),
        ([], []) => {}
        ([], [instance]) => return Ok(vec![*instance]),
        (_, []) => return Ok(by_name),
        (names, instances) => {
            let all: BTreeSet<Uid> = names.iter().chain(instances).copied().collect();
            return Err(format!("fits several inputs, name one by its whole instance: {}", known.list(&all)));
        }
    }
    if !text.contains(['*', '?', '[']) {
        let short = text.len() < PREFIX && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let more = if short { format!(" (an instance is named by at least {PREFIX} digits)") } else { String::new() };
        return Err(format!("no such input in this store{more}"));
    }
    let pattern = Pattern::new(&text).map_err(|error| format!("no such input, and not a pattern: {}", error.msg))?;
    let found = known.of_pattern(&pattern);
    if found.is_empty() { Err("no input of this store has such a name".into()) } else { Ok(found) }
}

fn told(instance: &Uid, input: &Input) -> String {
    format!("{} (input {})", String::from_utf8_lossy(&input.checkpoint.name), hex(*instance))
}
