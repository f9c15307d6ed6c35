//! What a page says in words.

use super::figures::{escaped, grouped, moment, share};
use super::sites::Sites;
use crate::query::activity::{Activity, Week};

const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// How many sites and hours are named.
const NAMED: usize = 3;

/// From when to when messages came.
pub(super) fn range(activity: &Activity) -> String {
    let Activity { clock, hours, .. } = activity;
    let Some(last) = hours.counts().len().checked_sub(1) else { return "no message".into() };
    let width = hours.width() as i64;
    let begin = |stretch: i64| {
        let seconds = stretch.saturating_mul(width).saturating_mul(3600);
        moment(seconds.saturating_sub(i64::from(clock.offset) * 60), clock.offset)
    };
    let day = |text: String| text.split_once(' ').map_or(text.clone(), |(day, _)| day.to_string());
    let (first, last) = (day(begin(hours.first())), day(begin(hours.first() + last as i64)));
    if first == last { first } else { format!("{first} to {last}") }
}

/// The paragraphs, as HTML.
pub(super) fn words(activity: &Activity, sites: &Sites) -> String {
    let (chats, emails) = (sites.all.messages, sites.all.emails);
    if chats + emails == 0 {
        return "<p>No message came in, so no chat was missed.</p>".into();
    }
    if emails == 0 {
        return format!("<p>All {} messages were chats: an operator was online for each of them.</p>", grouped(chats));
    }
    let mut out = format!(
        "<p>Of {} messages, {} came in while no operator of their site was online ({}): they are emails, that is, missed chats.</p>",
        grouped(chats + emails),
        grouped(emails),
        share(emails, chats + emails),
    );
    let named: Vec<String> = sites
        .busiest(NAMED)
        .iter()
        .map(|(name, summary)| {
            let name = escaped(&String::from_utf8_lossy(name));
            format!(
                "<bdi class=\"site\">{name}</bdi> ({} of {})",
                grouped(summary.emails),
                grouped(summary.messages + summary.emails)
            )
        })
        .collect();
    out += &format!("<p>Most of them came to {}.</p>", joined(&named));
    let hours = worst_hours(&activity.week);
    let saved: u64 = hours.iter().map(|(_, emails)| emails).sum();
    let named: Vec<String> = hours
        .iter()
        .map(|(slot, emails)| {
            let (day, hour) = (DAYS[slot / 24], slot % 24);
            format!("{day} {hour:02}:00 to {:02}:00 ({})", hour + 1, grouped(*emails))
        })
        .collect();
    let hours_are = if hours.len() == 1 {
        "The hour of the week with most of them is"
    } else {
        "The hours of the week with most of them are"
    };
    out += &format!(
        "<p>{hours_are} {}. One more operator in {}, at each site that had none, would have made chats of {} emails.</p>",
        joined(&named),
        if hours.len() == 1 { "this hour" } else { "these hours" },
        grouped(saved),
    );
    out
}

/// The hours of the week with most emails, and how many.
fn worst_hours(week: &Week) -> Vec<(usize, u64)> {
    let mut hours: Vec<(usize, u64)> = week.0.iter().map(|[_, emails]| *emails).enumerate().collect();
    hours.retain(|(_, emails)| *emails > 0);
    hours.sort_by_key(|(_, emails)| std::cmp::Reverse(*emails));
    hours.truncate(NAMED);
    hours
}

/// "a", "a and b", "a, b and c".
fn joined(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// The emails of each hour of the week, as rows of a table.
pub(super) fn week_rows(week: &Week) -> String {
    let cells = |hours: &[[u64; 2]]| -> String {
        hours.iter().map(|[_, emails]| format!("<td>{}</td>", grouped(*emails))).collect()
    };
    let rows = DAYS.iter().zip(week.0.chunks(24));
    rows.map(|(day, hours)| format!("<tr><th scope=\"row\">{day}</th>{}</tr>", cells(hours))).collect()
}

/// Which sites are listed.
pub(super) fn listed(sites: &Sites, others: &str) -> String {
    let listed = sites.listed.len() as u64;
    if listed == sites.count {
        return String::new();
    }
    format!(
        "The table has the {} sites with most emails, of {}. The figures and charts are of all. {others}",
        grouped(listed),
        grouped(sites.count),
    )
}

/// Which sites have details.
pub(super) fn detailed(activity: &Activity, sites: &Sites, timeline: &str) -> String {
    // Both are those with most emails.
    match activity.details.len().min(sites.listed.len()) as u64 {
        0 => format!("No site has emails, so none has details here. {timeline}"),
        1 => format!("The site with emails has its own week and timeline. {timeline}"),
        number => {
            format!("The {} sites with most emails have their own week and timeline. {timeline}", grouped(number))
        }
    }
}
