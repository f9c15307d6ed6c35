//! The judge of where a log ends: torn, corrupt, or neither. A pure function of facts, and the only place that decides it: readers,
//! recovery, `verify`, `repair` and `dump` all ask here.
//!
//! A log is a chain of frames over its segments. Somewhere the chain stops: at a seal, at the end of a file, or at bytes that are
//! not the frame that is due. Whoever walks it gathers what is known of that place, and [`judge`] says what it means.
//!
//! Two facts decide. First, what is **proven**: a frame is known to have been durable if an intact header says so (its
//! `durable_upto`), wherever that header stands; or a snapshot, which is only made of what is sealed; or the record of what
//! was acknowledged. Nothing is acknowledged before one of these is on the disk, so nothing acknowledged is ever taken for
//! torn. Second, how a segment is **rolled**: its successor is published once all frames before the seal are durable, and gets
//! frames only once the seal is. A frame behind the place proves nothing by being intact: writes that were not fsynced reach the
//! disk in any order.

/// What stands where the chain stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Here {
    /// The file ends behind a seal.
    Seal,
    /// More bytes behind a seal.
    BehindSeal,
    /// The file ends behind a frame that is not a seal, or behind the header of the segment.
    End,
    /// Bytes that are not the frame that is due: a bad header, directory or section, or another frame.
    Bad,
}

/// What comes behind the segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing: it is the last one of its store.
    Nothing,
    /// Nobody looks: a file by itself.
    Unseen,
    /// A segment of which nothing can be told, or a place where one is missing before others.
    Unknown,
    /// The last segment, nothing but a header, which says that its first frame will be this one.
    Empty(u64),
    /// A segment with bytes behind its header, or with a successor, which it got once it had some. Its header says that its first
    /// frame is this one.
    Frames(u64),
}

/// What is known of the place where the chain stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stop {
    /// What stands there.
    pub here: Here,
    /// The sequence number that is due there; behind a seal, that of the next segment's first frame.
    pub due: u64,
    /// The greatest sequence number that anything proves to have been durable: the headers of the chain, the snapshots, the record
    /// of what was acknowledged, and the headers at that place or behind it in the segment.
    pub proven: u64,
    /// What comes behind the segment.
    pub next: Next,
}

/// What a stop means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The chain goes on in the next segment.
    GoesOn,
    /// The log ends here, and all of it is whole.
    Ends,
    /// A roll was interrupted: the seal is due, and the writer writes it. Bytes that stand in its place are torn.
    AwaitsSeal,
    /// The log ends here. What stands behind was never acknowledged; the writer cuts it.
    Torn,
    /// What was durable is damaged or gone.
    Corrupt(Why),
}

/// Why a stop is corruption.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Nothing may stand behind a seal.
    BehindSeal,
    /// The successor of a sealed segment was published before the seal was written: its file is missing.
    SuccessorMissing,
    /// The successor does not go on where the seal ends.
    SuccessorElsewhere,
    /// The successor got frames only once the seal was durable.
    SealMissing,
    /// The successor was published once the frames before its seal were durable.
    FramesMissing,
    /// Something proves that the frame was durable.
    Proven,
}

/// Says what a stop means. The cases, the first that fits:
///
/// | # | here | next | besides | verdict |
/// |---|---|---|---|---|
/// | 1 | behind a seal | | | corrupt: nothing may stand there |
/// | 2 | seal | nothing | | corrupt: the successor is missing |
/// | 3 | seal | unseen, unknown | | ends, as far as anybody sees |
/// | 4 | seal | a segment | its first frame is the one due | goes on |
/// | 5 | seal | a segment | it is another one | corrupt: not the successor |
/// | 6 | end, bad | a segment with frames | | corrupt: the seal was durable before it got them |
/// | 7 | end, bad | an empty segment | the frame due is not the seal before its first | corrupt: frames before the seal were durable |
/// | 8 | end, bad | | the frame due is proven | corrupt: it was durable |
/// | 9 | end, bad | an empty segment | else | the roll was interrupted before the seal was durable |
/// | 10 | bad | unknown | | corrupt: another segment follows, so the seal was durable, or all before it |
/// | 11 | end | | | ends |
/// | 12 | bad | | | torn |
pub fn judge(stop: Stop) -> Verdict {
    use Verdict::{AwaitsSeal, Corrupt, Ends, GoesOn, Torn};
    let Stop { here, due, proven, next } = stop;
    match (here, next) {
        // 1
        (Here::BehindSeal, _) => Corrupt(Why::BehindSeal),
        // 2
        (Here::Seal, Next::Nothing) => Corrupt(Why::SuccessorMissing),
        // 3
        (Here::Seal, Next::Unseen | Next::Unknown) => Ends,
        // 4
        (Here::Seal, Next::Empty(first) | Next::Frames(first)) if first == due => GoesOn,
        // 5
        (Here::Seal, Next::Empty(_) | Next::Frames(_)) => Corrupt(Why::SuccessorElsewhere),
        // 6
        (_, Next::Frames(_)) => Corrupt(Why::SealMissing),
        // 7
        (_, Next::Empty(first)) if first.checked_sub(1) != Some(due) => Corrupt(Why::FramesMissing),
        // 8
        _ if proven >= due => Corrupt(Why::Proven),
        // 9
        (_, Next::Empty(_)) => AwaitsSeal,
        // 10
        (Here::Bad, Next::Unknown) => Corrupt(Why::SealMissing),
        // 11
        (Here::End, _) => Ends,
        // 12
        (Here::Bad, _) => Torn,
    }
}
