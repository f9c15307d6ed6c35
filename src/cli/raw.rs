//! The command `rejects --raw`: the rejected lines as they were, to be mended and ingested again.

use chatwal::base::shell::quoted;
use chatwal::format::MAX_KEPT;
use chatwal::store::View;

use crate::args::Global;
use crate::console::{Console, count};
use crate::{Stop, print_unwatched, status, store};

/// What was printed.
#[derive(Default)]
struct Printed {
    rejects: u64,
    /// Those of which only the first bytes were kept.
    cut: u64,
    /// Bytes of the longest of these.
    longest: u64,
}

/// Prints the kept bytes of every reject of the inputs that were not forgotten, each with a line end, and nothing else.
pub fn raw(view: &View, global: &Global, console: &Console) -> std::result::Result<u8, Stop> {
    let mut printed = Printed::default();
    let mut failure = Ok(());
    print_unwatched(|out| {
        // An error of the store must not be taken for one of the output.
        let mut written = Ok(());
        failure = view.rejects(&mut |checkpoint, rejects| {
            if !view.inputs.contains_key(&checkpoint.instance) {
                return true;
            }
            for reject in rejects {
                written = out.write_all(reject.raw).and_then(|()| out.write_all(b"\n"));
                if written.is_err() {
                    return false;
                }
                printed.rejects += 1;
                if (reject.raw.len() as u64) < reject.length {
                    printed.cut += 1;
                    printed.longest = printed.longest.max(reject.length);
                }
            }
            true
        });
        written
    })?;
    failure?;
    let Printed { rejects, cut, longest } = printed;
    if cut == 0 {
        return Ok(status::DONE);
    }
    console.warning(&format!(
        "{} of {}: only the first bytes were kept, so what was printed of them is cut",
        count(cut, "line"),
        count(rejects, "rejected line"),
    ));
    if !console.quiet {
        let most = MAX_KEPT as u64;
        let whole = if longest > most { "as much of them as can be kept" } else { "them whole" };
        console.hint(&format!(
            "the longest has {longest} bytes: `chatwal ingest --store {} --from-start --keep-rejects {} FILE` reads an \
             input again and keeps {whole}",
            quoted(store(global)?),
            longest.min(most),
        ));
    }
    Ok(status::PARTLY)
}
