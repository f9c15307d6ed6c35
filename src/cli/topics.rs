//! What `chatwal help TOPIC` says.

use std::io;

use chatwal::base::text::printable;
use chatwal::error::Result;

use crate::args::HelpArgs;
use crate::{Stop, definition, print_unwatched, status};

/// By name.
pub const TOPICS: [(&str, &str); 3] = [("meaning", MEANING), ("exit", EXIT), ("environment", ENVIRONMENT)];

const MEANING: &str = "\
What chatwal counts

An event is a JSON object, usually one on each line:

  {\"id\":\"5336\",\"type\":\"status\",\"from\":\"anna\",\"site_id\":\"123\",\"timestamp\":1429026445,\"data\":{\"status\":\"online\"}}
  {\"id\":\"7f36\",\"type\":\"message\",\"from\":\"visitor5\",\"site_id\":\"123\",\"timestamp\":1429026448,\"data\":{\"message\":\"Hi\"}}

A message is a chat if an operator of its site was online at its timestamp, else an email.
All operators of a site start offline. A status says for its operator what holds from its
timestamp on. At the same timestamp, statuses count before messages.

The report has a line for each site, here of these two events:

  123,messages=1,emails=0,operators=1,visitors=1

  messages    chats; the problem that chatwal was written for called them messages
  emails      messages that came while no operator was online
  operators   different `from` of statuses
  visitors    different `from` of messages

Events with the same site_id and id are copies of one event, which counts once. Where copies
disagree, the one with the smallest timestamp counts, a status before a message. Where that is
equal, the smaller id comes first, then the smaller `from`, then offline: docs/meaning.md.

What is not an event is a reject: it is kept and listed by `chatwal rejects`, and never counted.

The order in which events arrive, copies, kills and restarts do not change the answer.
";

const EXIT: &str = "\
Exit statuses

  0    done
  1    an input could not be read, the disk failed, memory was refused, the store was moved
  2    the command line is wrong
  3    done, but part of an input was not taken: rejects, an incomplete end, bytes behind
       compressed data, a file that changed; a rerun says so too
  4    corruption found
  10   no store there
  11   another writer holds the store
  129  hung up          What was acknowledged is safe. Run the same
  130  interrupted      command again: it goes on where it was left.
  143  terminated
";

const ENVIRONMENT: &str = "\
Environment

Each option has a variable: CHATWAL_ and its name in capitals, with _ for -.

  CHATWAL_STORE=chats           --store chats
  CHATWAL_MAX_REJECTS=10        --max-rejects 10
  CHATWAL_QUIET=1               --quiet; also yes, on, true; 0, no, off and false are as if not set

The command line goes before the environment. An empty variable is as if not set. `chatwal
COMMAND --help` names the variable of each option.

Other variables that chatwal heeds:

  NO_COLOR        set: no colours, unless --color always
  TERM            dumb or missing: no colours and no bar
  TMPDIR          where temporary files of commands that read are, unless --temp says
  CHATWAL_SHARES  1: an ingest, a report or a compaction says for which share of its time each lock
                  was held, and for which only one thread worked. For developers of chatwal
";

/// The text of a topic without its heading; nothing of another.
pub fn text(topic: &str) -> &'static str {
    let text = TOPICS.iter().find(|(name, _)| *name == topic).map_or("", |(_, text)| text);
    text.split_once("\n\n").map_or(text, |(_, text)| text)
}

/// `chatwal help`.
pub fn help(args: &HelpArgs) -> std::result::Result<u8, Stop> {
    if let [word] = args.words.as_slice()
        && let Some((_, text)) = TOPICS.iter().find(|(topic, _)| topic == word)
    {
        print(text)?;
        return Ok(status::DONE);
    }
    let Some(help) = definition::help(&args.words) else {
        let problem = format!("there is no command and no topic {}", printable(&args.words.join(" ")));
        let topics = TOPICS.map(|(topic, _)| format!("`chatwal help {topic}`")).join(", ");
        return Err(Stop::Usage(problem, format!("`chatwal help` lists the commands; the topics are {topics}")));
    };
    print(&help.to_string())?;
    Ok(status::DONE)
}

fn print(text: &str) -> Result<()> {
    print_unwatched(|out: &mut (dyn io::Write + Send)| out.write_all(text.as_bytes()))
}
