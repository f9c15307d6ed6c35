//! The corruption where a log ends and should not: what was expected there, and what was found. Whether it is one is for
//! [`judge`](crate::segment::judge) to say.

use super::names::{ACKNOWLEDGED_NAME, segment_name};
use crate::error::Corruption;
use crate::format::acknowledged::Acknowledged;
use crate::segment::Segment;
use crate::segment::judge::{Next, Stop, Why};

/// The corruption where a segment ends, or its chain does, and should not.
pub(crate) fn blame(
    segment: &Segment,
    at: u64,
    stop: &Stop,
    why: Why,
    acknowledged: Option<Acknowledged>,
) -> Corruption {
    let before = || format!("the end of the file before frame {}", stop.due);
    let (expected, found) = match (why, stop.next, acknowledged) {
        (Why::BehindSeal, ..) => {
            ("the end of the file behind the seal".into(), format!("{} more bytes", segment.length.saturating_sub(at)))
        }
        (Why::SuccessorMissing, ..) => {
            let next = segment_name(segment.header.number.saturating_add(1));
            (format!("{next} behind the seal of this segment"), "no such file".into())
        }
        (Why::FramesMissing, Next::Empty(first), _) => (format!("frames up to {}", first.saturating_sub(2)), before()),
        (Why::Proven, _, Some(Acknowledged { segment, end, sequence, .. })) if stop.proven == sequence => {
            let expected = format!(
                "frames up to {sequence}, which were acknowledged (byte {end} of segment {segment}, says {ACKNOWLEDGED_NAME})"
            );
            let copy = format!(" (of a copy that was made beside a writer, delete {ACKNOWLEDGED_NAME})");
            (expected, before() + &copy)
        }
        (Why::Proven, ..) => (format!("frames up to {}, which were durable", stop.proven), before()),
        _ => ("a seal, since another segment follows".into(), "the end".into()),
    };
    segment.corrupt(at, expected, found)
}

/// The corruption of a segment that does not begin where the one before it ends.
pub(crate) fn not_the_successor(segment: &Segment, expected: u64) -> Corruption {
    let found = segment.header.first_sequence.to_string();
    segment.corrupt(0, format!("a segment that begins with frame {expected}"), found)
}
