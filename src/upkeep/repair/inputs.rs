//! The inputs as the repaired store knows them: how far each is whole, which rejects count, and what has to be read again.

use std::collections::BTreeMap;

use super::events::SavedEvents;
use crate::error::Result;
use crate::format::Uid;
use crate::format::checkpoint::Checkpoint;
use crate::format::hole::LostInput;
use crate::format::tables::put_checkpoint;
use crate::segment::Section;
use crate::snapshot::SnapshotWriter;
use crate::store::{Input, add_input};

/// Rejects that are kept, and where they are.
pub(super) struct KeptRejects {
    pub(super) instance: Uid,
    /// The number of their file.
    pub(super) file: usize,
    pub(super) section: Section,
    /// The checkpoint of the batch; where the section is a block of a snapshot, it begins with it.
    pub(super) checkpoint: Option<Checkpoint>,
}

/// What the files that are replaced say of the inputs, up to the first hole in each.
#[derive(Default)]
pub(super) struct SavedInputs {
    /// Where each input stands before these files.
    before: BTreeMap<Uid, u64>,
    inputs: BTreeMap<Uid, Input>,
    /// By instance: from which of the rejects on they count. Those before were forgotten.
    since: BTreeMap<Uid, usize>,
    forgotten: Vec<Uid>,
    rejects: Vec<KeptRejects>,
    /// Rejects that count no longer, since their lines are going to be read again.
    pub(super) rejects_dropped: u64,
    /// Inputs with a hole.
    touched: BTreeMap<Uid, LostInput>,
}

impl SavedInputs {
    /// Begins where inputs stand before the files that are replaced.
    pub(super) fn begin(&mut self, before: BTreeMap<Uid, Input>) {
        self.before = before.into_iter().map(|(instance, input)| (instance, input.checkpoint.end)).collect();
    }

    /// Where an input stands.
    pub(super) fn end_of(&self, instance: &Uid) -> u64 {
        let here = self.inputs.get(instance).map(|input| input.checkpoint.end);
        here.or_else(|| self.before.get(instance).copied()).unwrap_or(0)
    }

    /// Bytes of an input up to `to` are lost, from where it stands.
    pub(super) fn touch(&mut self, checkpoint: &Checkpoint, to: u64) {
        let from = self.end_of(&checkpoint.instance);
        let lost = LostInput { instance: checkpoint.instance, from, to: from, name: checkpoint.name.clone() };
        let known = self.touched.entry(checkpoint.instance).or_insert(lost);
        known.to = known.to.max(to);
    }

    /// Whether an input has a hole.
    pub(super) fn is_touched(&self, instance: &Uid) -> bool {
        self.touched.contains_key(instance)
    }

    /// The inputs with a hole.
    pub(super) fn take_touched(&mut self) -> Vec<LostInput> {
        std::mem::take(&mut self.touched).into_values().collect()
    }

    /// Adds what is whole of an input. Its rejects that follow count, and those that were kept since it is known.
    pub(super) fn add(&mut self, input: Input) {
        self.since.entry(input.checkpoint.instance).or_insert(self.rejects.len());
        add_input(&mut self.inputs, input);
    }

    pub(super) fn forget(&mut self, instance: Uid) {
        self.before.remove(&instance);
        self.inputs.remove(&instance);
        self.since.remove(&instance);
        self.touched.remove(&instance);
        self.forgotten.push(instance);
    }

    pub(super) fn keep_rejects(&mut self, rejects: KeptRejects) {
        self.rejects.push(rejects);
    }

    /// Writes the regions of a snapshot that are about inputs. If it `is_first`, there is nothing before it to be forgotten.
    pub(super) fn write(&self, writer: &mut SnapshotWriter<'_>, events: &SavedEvents, is_first: bool) -> Result<()> {
        writer.inputs(self.inputs.values(), if is_first { &[] } else { &self.forgotten })?;
        let counts = |place: usize, instance: &Uid| self.since.get(instance).is_some_and(|since| *since <= place);
        for (place, rejects) in self.rejects.iter().enumerate() {
            if !counts(place, &rejects.instance) {
                continue;
            }
            let Some(file) = events.file(rejects.file) else { continue };
            let mut payload = Vec::new();
            if let Some(checkpoint) = &rejects.checkpoint {
                put_checkpoint(&mut payload, checkpoint);
            }
            payload.extend_from_slice(&file.section(&rejects.section)?);
            writer.rejects(rejects.section.entry.count, &payload)?;
        }
        Ok(())
    }
}
