//! The events that are saved: runs of intact sections, in segments and in snapshots alike. A compaction folds them.

use crate::format::directory::SectionKind;
use crate::query::sections::{SectionFile, SectionRun};
use crate::segment::{Frame, Section, Segment};
use crate::snapshot::Snapshot;

/// A file that has something to save.
pub(super) enum SavedFile {
    Segment(Segment),
    Snapshot(Box<Snapshot>),
}

/// Neighbouring sections of events of one of the files.
struct SavedRun {
    file: usize,
    sections: Vec<Section>,
}

/// Intact events, file by file.
#[derive(Default)]
pub(super) struct SavedEvents {
    files: Vec<SavedFile>,
    runs: Vec<SavedRun>,
    /// How many there are, copies included.
    pub(super) count: u64,
    /// Copies that are in no section: lines that repeat others, and what was dropped before.
    pub(super) copies: u64,
}

impl SavedEvents {
    /// The number of the file at hand, which is taken once all is known of it that is to be saved.
    pub(super) fn file_at_hand(&self) -> usize {
        self.files.len()
    }

    /// Takes the file at hand.
    pub(super) fn take(&mut self, file: SavedFile) {
        self.files.push(file);
    }

    /// The file of this number.
    pub(super) fn file(&self, number: usize) -> Option<SectionFile<'_>> {
        self.files.get(number).map(SavedFile::as_section_file)
    }

    /// Keeps a run of the file at hand.
    pub(super) fn keep(&mut self, sections: Vec<Section>) {
        if !sections.is_empty() {
            self.count += sections.iter().map(|section| u64::from(section.entry.count)).sum::<u64>();
            self.runs.push(SavedRun { file: self.file_at_hand(), sections });
        }
    }

    /// Keeps the events of a frame's good sections, and nothing else of it.
    pub(super) fn keep_good(&mut self, frame: &Frame, bad: &[usize]) {
        let mut run = Vec::new();
        for (place, section) in frame.sections.iter().enumerate() {
            match section.entry.kind == SectionKind::Events && !bad.contains(&place) {
                true => run.push(*section),
                // Sections are read in one go where they are neighbours.
                false => self.keep(std::mem::take(&mut run)),
            }
        }
        self.keep(run);
    }

    /// All that was kept.
    pub(super) fn runs(&self) -> Vec<SectionRun<'_>> {
        let runs = self.runs.iter();
        runs.filter_map(|run| Some(SectionRun { file: self.file(run.file)?, sections: &run.sections })).collect()
    }
}

impl SavedFile {
    fn as_section_file(&self) -> SectionFile<'_> {
        match self {
            SavedFile::Segment(segment) => SectionFile::Segment(segment),
            SavedFile::Snapshot(snapshot) => SectionFile::Snapshot(snapshot),
        }
    }
}
