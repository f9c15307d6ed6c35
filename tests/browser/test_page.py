"""The page of `chatwal report --format html`, looked at with a real browser.

Run: python3 -m unittest discover -s tests/browser
CHATWAL: the binary (else target/debug/chatwal). AXE: the path of axe.min.js, for the check of accessibility (`npm pack axe-core`).
"""

import json
import os
import random
import re
import subprocess
import tempfile
import unittest
from datetime import datetime, timezone
from pathlib import Path

import webdriver
from oracle import Expected, share

ROOT = Path(__file__).resolve().parents[2]
CHATWAL = os.environ.get("CHATWAL", str(ROOT / "target/debug/chatwal"))
DAY_NAMES = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
START = 1_790_000_000  # Monday 21 September 2026, 14:13:20 UTC.


def chatwal(*arguments):
    done = subprocess.run([CHATWAL, *arguments], capture_output=True)
    if done.returncode != 0:
        raise AssertionError(f"chatwal {' '.join(arguments)}: exit {done.returncode}: {done.stderr.decode()}")
    return done.stdout


def make_page(directory, events, *options):
    """Ingests the events into a new store. Returns the path of the page, and the report in JSON."""
    lines, store, page = Path(directory) / "events.jsonl", str(Path(directory) / "store"), Path(directory) / "page.html"
    lines.write_text("".join(json.dumps(event) + "\n" for event in events))
    chatwal("ingest", "--store", store, str(lines))
    page.write_bytes(chatwal("report", "--store", store, "--format", "html", *options))
    plain = [option for option in options if not option.startswith("--timezone")]
    return str(page), json.loads(chatwal("report", "--store", store, "--format", "json", *plain))


def status(site, number, operator, time, online):
    return {"id": f"s{number}", "type": "status", "from": operator, "site_id": site, "timestamp": time, "data": {"status": "online" if online else "offline"}}


def message(site, number, visitor, time):
    return {"id": f"m{number}", "type": "message", "from": visitor, "site_id": site, "timestamp": time, "data": {"message": "Hi"}}


def town(sites, days, seed):
    """Sites with operators that come and go, and visitors that write at any time; a tenth of the events twice."""
    dice = random.Random(seed)
    events = []
    for site in range(sites):
        name = f"site {site:04}" if site % 3 else str(site)
        for number in range(dice.randrange(0, 12)):
            time = START + dice.randrange(days * 86400)
            operator = f"operator{dice.randrange(3)}"
            events.append(status(name, 2 * number, operator, time, True))
            if dice.random() < 0.9:
                events.append(status(name, 2 * number + 1, operator, time + dice.randrange(60, 40_000), False))
        for number in range(dice.randrange(0, 60)):
            events.append(message(name, number, f"visitor{dice.randrange(20)}", START + dice.randrange(days * 86400)))
    events += dice.sample(events, len(events) // 10)
    dice.shuffle(events)
    return events


def hostile_names(count, canary):
    """Names of sites that would run, break out of their place or upset the layout if they were taken for anything but text."""
    attack = f"window.{canary}=1"
    shapes = [
        f"</script><script>{attack}</script>", f'"><img src=x onerror="{attack}">', f"'><svg onload={attack}>", f"<!--<script>{attack}//", f"]]><script>{attack}</script>",
        f"javascript:{attack}", f"{{{{data}}}}${{{attack}}}", f"</style><script>{attack}</script>", f"&lt;img src=x onerror={attack}&gt;", f"</title><script>{attack}</script>",
        "W" * 900, "a " * 450, "\u202egnp.exe", "\u2066\u202e\u2067isolated", "عربى " * 40, "שלום", "=1+1", "a,b\"c\"'d'", "\u2028line\u2029", "\ufeffmark", "Z\u0351\u0352\u0353" * 100,
        "--store", "-rf", " leading", "trailing ", "\\n", "%00", "🦆" * 200, "__proto__", "constructor", "ı İ ß", "\ufffd", "\U0010ffff",
    ]
    return [shapes[i] if i < len(shapes) else f"{i} {shapes[i % len(shapes)]}"[:1000] for i in range(count)]


def number(text):
    """A figure as the page writes it: with marks between the thousands."""
    return int(re.sub(r"\D", "", text))


def moment(local_seconds):
    """A moment as the page writes it."""
    time = datetime.fromtimestamp(local_seconds, timezone.utc)
    return f"{time.day} {time:%b %Y, %H:%M}"


@unittest.skipIf(webdriver.missing(), webdriver.missing())
class PageTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.browser = webdriver.Browser()
        cls.addClassCleanup(cls.browser.close)
        cls.directory = tempfile.TemporaryDirectory(prefix="chatwal-page-")
        cls.addClassCleanup(cls.directory.cleanup)
        cls.pages = {}

    def setUp(self):
        self.browser.size(1280, 900)
        self.browser.media()

    def page(self, name, events, *options):
        """Makes a page once, and opens it. Returns what it must show, and the report in JSON."""
        if name not in self.pages:
            directory = Path(self.directory.name) / name
            directory.mkdir()
            zone = next((option.partition("=")[2] for option in options if option.startswith("--timezone")), "UTC")
            sign, hours, minutes = (1, 0, 0) if zone == "UTC" else (-1 if zone[0] == "-" else 1, int(zone[1:3]), int(zone[4:6]))
            self.pages[name] = (*make_page(directory, events, *options), Expected(events, sign * (60 * hours + minutes)))
        path, report, expected = self.pages[name]
        self.browser.open(path)
        self.assertEqual(self.browser.messages(), [], "the console was told something")
        return expected, report

    def town(self):
        return self.page("town", town(300, 40, 1), "--timezone=+02:00")

    def text(self, selector):
        return self.browser.run("return document.querySelector(arguments[0]).textContent", selector)

    def table(self, selector):
        """The texts of the rows of a table, its head left out."""
        return self.browser.run("return [...document.querySelector(arguments[0]).tBodies[0].rows].map(r => [...r.cells].map(c => c.textContent))", selector)

    def rows(self):
        """The rows of the table of sites that are in the document."""
        return [row for row in self.table("#sites-table") if len(row) == 6]

    def all_rows(self):
        """All rows of the table of sites, by scrolling through it."""
        script = """
            const box = document.getElementById("rows"), rows = new Map(), done = arguments[arguments.length - 1];
            const count = Number(document.getElementById("sites-table").getAttribute("aria-rowcount")) - 1;
            box.scrollTop = 0;
            (function step() {
              for (const row of box.querySelectorAll("tbody tr[aria-rowindex]")) rows.set(Number(row.getAttribute("aria-rowindex")), [...row.cells].map(c => c.textContent));
              if (rows.size >= count || box.scrollTop + box.clientHeight >= box.scrollHeight - 1) return done([...rows].sort((a, b) => a[0] - b[0]));
              box.scrollTop += 300;
              requestAnimationFrame(() => requestAnimationFrame(step));
            })();
        """
        found = self.browser.run_async(script)
        self.assertEqual([index for index, _ in found], list(range(2, len(found) + 2)), "aria-rowindex has gaps")
        return [row for _, row in found]

    def wide_enough(self):
        """Nothing makes the page scroll sideways."""
        wide, window = self.browser.run("return [document.documentElement.scrollWidth, window.innerWidth]")
        self.assertLessEqual(wide, window)

    def choose(self, name):
        self.browser.type("#search", name)
        script = "const row = [...document.querySelectorAll('#sites-table tbody tr')].find(r => r.querySelector('bdi')?.textContent === arguments[0]); row?.querySelector('button').click(); return !!row"
        self.browser.wait(script, name)

    # The figures.

    def test_figures_equal_the_json_report_and_the_oracle(self):
        expected, report = self.town()
        sums = {key: sum(line[key] for line in report) for key in ("messages", "emails", "operators", "visitors")}
        shown = {key: number(self.text(f"#total-{key}")) for key in ("chats", "emails", "sites", "operators", "visitors", "events", "copies")}
        self.assertEqual(shown["chats"], sums["messages"])
        self.assertEqual({key: shown[key] for key in ("emails", "operators", "visitors")}, {key: sums[key] for key in ("emails", "operators", "visitors")})
        self.assertEqual((shown["chats"], shown["emails"], shown["sites"]), (expected.chats(), expected.emails(), len(report)))
        self.assertEqual((shown["events"], shown["copies"]), (len(expected.events), expected.copies))
        self.assertEqual(self.text("#total-share"), share(expected.chats(), expected.emails()))

    def test_the_table_has_every_site(self):
        expected, report = self.town()
        rows = {row[0]: row[1:] for row in self.all_rows()}
        self.assertEqual(set(rows), {line["site_id"] for line in report})
        for line in report:
            chats, emails, _, operators, visitors = rows[line["site_id"]]
            self.assertEqual([number(text) for text in (chats, emails, operators, visitors)], [line[key] for key in ("messages", "emails", "operators", "visitors")])
        for name, site in expected.sites.items():
            self.assertEqual(rows[name][2], share(site.chats, site.emails), name)

    def test_the_week_equals_the_oracle(self):
        expected, _ = self.town()
        rows = self.table("#week-table")
        self.assertEqual([row[0] for row in rows], DAY_NAMES)
        self.assertEqual([number(text) for row in rows for text in row[1:]], expected.week("week_emails"))

    def test_the_days_equal_the_oracle(self):
        expected, _ = self.town()
        rows, days = self.table("#time-table"), expected.days()
        found = [(number(chats), number(emails)) for _, chats, emails, _ in rows]
        self.assertEqual(found, [days.get(day, (0, 0)) for day in range(min(days), max(days) + 1)])
        self.assertTrue(rows[0][0].startswith(DAY_NAMES[(min(days) + 3) % 7]), rows[0])

    def test_a_short_range_is_shown_by_hour(self):
        expected, _ = self.page("week", town(40, 7, 2))
        found = [(number(chats), number(emails)) for _, chats, emails, _ in self.table("#time-table")]
        hours = expected.hours
        self.assertEqual(found, [tuple(hours.get(hour, (0, 0))) for hour in range(min(hours), max(hours) + 1)])
        self.assertIn("one hour", self.text("#time-unit"))

    def test_years_are_shown_by_week(self):
        events = [message("1", i, "v", START + i * 86400 * 3) for i in range(400)]
        expected, _ = self.page("years", events)
        weeks = {}
        for hour, (_, emails) in expected.hours.items():
            weeks[(hour + 72) // 168] = weeks.get((hour + 72) // 168, 0) + emails
        found = [number(emails) for _, _, emails, _ in self.table("#time-table")]
        self.assertEqual(found, [weeks.get(week, 0) for week in range(min(weeks), max(weeks) + 1)])

    def test_the_spread_equals_the_oracle(self):
        expected, _ = self.town()
        self.assertEqual([number(row[1]) for row in self.table("#spread-table")], expected.spread())

    # What the reader does.

    def test_search(self):
        expected, _ = self.town()
        self.browser.type("#search", "SITE 00")
        matching = [name for name in expected.sites if "site 00" in name.lower()]
        self.assertEqual(sorted(row[0] for row in self.all_rows()), sorted(matching))
        self.assertIn(f"{len(matching)} of", self.text("#found"))
        self.browser.type("#search", "no such site")
        self.assertEqual(self.rows(), [])
        self.assertEqual(self.text("#found"), "No site matches.")
        self.browser.type("#search", "")
        self.browser.run("const s = document.getElementById('search'); s.value = ''; s.dispatchEvent(new Event('input'))")
        self.assertEqual(len(self.all_rows()), len(expected.sites))

    def test_sort_by_every_column(self):
        expected, _ = self.town()
        key = {
            1: lambda site: site.chats, 2: lambda site: site.emails, 4: lambda site: len(site.operators), 5: lambda site: len(site.visitors),
            3: lambda site: site.emails / (site.chats + site.emails) if site.chats + site.emails else None,
        }
        names = list(expected.sites)
        for column in (0, 1, 3, 4, 5, 2):
            for falling in ((False, True) if column == 0 else (True, False)):
                self.browser.click(f"#sites-table thead button[data-column='{column}']")
                value = (lambda name: 0) if column == 0 else (lambda name: key[column](expected.sites[name]))
                known = sorted((name for name in names if value(name) is not None), key=value, reverse=falling)
                wanted = known + [name for name in names if value(name) is None]
                if column == 0 and falling:
                    wanted = names[::-1]
                with self.subTest(column=column, falling=falling):
                    self.assertEqual([row[0] for row in self.all_rows()], wanted)
                    heads = self.browser.run("return [...document.querySelectorAll('#sites-table thead th')].map(h => h.getAttribute('aria-sort'))")
                    self.assertEqual(heads, [("descending" if falling else "ascending") if i == column else None for i in range(6)])

    def test_choose_a_site(self):
        expected, _ = self.town()
        busy = sorted(expected.sites, key=lambda name: -len(expected.sites[name].stretches))[:3]
        still_online = [name for name, site in expected.sites.items() if site.emails and site.stretches and site.stretches[-1][1] is None][:3]
        self.assertEqual(len(still_online), 3)
        for name in busy + still_online:
            self.choose(name)
            site = expected.sites[name]
            self.assertEqual(self.text("#site-name"), name)
            shown = [number(self.text(f"#site-{key}")) for key in ("chats", "emails", "operators", "visitors")]
            self.assertEqual(shown, [site.chats, site.emails, len(site.operators), len(site.visitors)])
            cells = [text.split(" of ") for row in self.table("#site-table") for text in row[1:]]
            self.assertEqual([number(cell[0]) for cell in cells], site.week_emails)
            self.assertEqual([number(cell[-1]) for cell in cells], [a + b for a, b in zip(site.week_chats, site.week_emails)])
            times = self.table("#online-table")
            local = [(moment(start + expected.offset), "still online" if end is None else moment(end + expected.offset)) for start, end in site.stretches]
            self.assertEqual([(start, end) for start, end, _ in times], local[::-1])

    def test_a_site_without_details_has_the_command(self):
        events = [message("late", 1, "v", START)] + [event for name in ("it's", "-x", "plain") for event in (status(name, 1, "o", START, True), message(name, 2, "v", START + 1))]
        self.page("quiet", events)
        for name, command in (("it's", "'it'\\''s'"), ("-x", "-- -x"), ("plain", "plain")):
            self.choose(name)
            shown = self.browser.run("return ['site-none', 'site-more'].map(id => document.getElementById(id).getBoundingClientRect().height > 0)")
            self.assertEqual(shown, [True, False])
            self.assertEqual(self.text("#site .command"), f"chatwal timeline {command}")

    def test_only_rows_in_view_are_in_the_document(self):
        self.town()
        self.assertLess(len(self.rows()), 60)
        self.assertEqual(self.browser.run("return document.querySelector('#sites-table').getAttribute('aria-rowcount')"), str(len(self.pages["town"][1]) + 1))

    def test_keyboard(self):
        expected, _ = self.town()
        self.browser.run("document.querySelector('#sites-table thead button').click(); document.querySelector('#sites-table tbody button[tabindex=\"0\"]').focus()")
        names = list(expected.sites)
        focused = "return document.activeElement.textContent"
        for keys, wanted in ((["down"], 1), (["down", "down"], 3), (["up"], 2), (["end"], len(names) - 1), (["up"], len(names) - 2), (["home"], 0)):
            self.browser.keys(*keys)
            self.assertEqual(self.browser.run(focused), names[wanted])
        self.browser.keys("page_down")
        below = self.browser.run(focused)
        self.browser.keys("enter")
        self.assertEqual(self.text("#site-name"), below)
        self.assertEqual(self.browser.run("return document.querySelectorAll('#sites-table tbody button[tabindex=\"0\"]').length"), 1)

    def test_shades(self):
        self.town()
        before = self.browser.run("return document.querySelector('#week-chart svg').getAttribute('aria-label')")
        self.browser.click("#week-switch input[value=share]")
        after = self.browser.run("return document.querySelector('#week-chart svg').getAttribute('aria-label')")
        self.assertTrue(before.startswith("Emails") and after.startswith("Share missed"), (before, after))

    # Where it is looked at.

    def test_dark(self):
        self.town()
        shade = "return getComputedStyle(document.documentElement).backgroundColor.match(/\\d+/g).map(Number)"
        self.assertGreater(min(self.browser.run(shade)), 200)
        self.browser.media(prefers_color_scheme="dark")
        self.assertLess(max(self.browser.run(shade)), 60)

    def test_phone(self):
        self.town()
        for width in (320, 375, 768, 1280):
            self.browser.size(width, 640)
            self.browser.run_async("const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(() => done()))")
            self.wide_enough()
        self.browser.run("document.querySelectorAll('details').forEach(d => d.open = true)")
        self.browser.size(320, 640)
        self.wide_enough()

    def test_print(self):
        self.town()
        pdf = self.browser.pdf()
        self.assertTrue(pdf.startswith(b"%PDF-"))
        pages = len(re.findall(rb"/Type\s*/Page\b", pdf))
        self.assertTrue(1 <= pages <= 4, f"{pages} pages")
        self.assertLess(len(self.rows()), 60)
        self.assertEqual(self.browser.messages(), [])

    def test_nothing_is_asked_of_the_network(self):
        self.town()
        self.assertEqual(self.browser.run("return performance.getEntriesByType('resource').map(entry => entry.name).filter(name => !name.startsWith('data:'))"), [])

    def test_the_policy_allows_hashes_only(self):
        self.town()
        policy = self.browser.run("return document.querySelector('meta[http-equiv=Content-Security-Policy]').content")
        self.assertIn("default-src 'none'", policy)
        self.assertNotIn("unsafe", policy)
        self.assertEqual(self.browser.run("const s = document.createElement('script'); s.textContent = 'document.foreign = 1'; document.body.append(s); return document.foreign ?? null"), None)
        self.browser.messages()  # The refusal is told to the console.

    # Names that mean harm.

    def test_hostile_names(self):
        names = hostile_names(500, "canary")
        events = [message(name, i, f"visitor{i % 7}", START + 60 * i) for i, name in enumerate(names)]
        events += [status(name, i, name, START + 60 * i - 30, True) for i, name in enumerate(names) if i % 2]
        events += [message(names[i], f"more {k}", "v", START + k) for i in (0, 10, 17) for k in range(5)]  # So that the page's words name them.
        expected, report = self.page("hostile", events)
        before = self.browser.run("return document.querySelectorAll('script, img, style, iframe, object').length")
        self.assertEqual({row[0] for row in self.all_rows()}, set(names))
        self.assertEqual(len(report), len(expected.sites))
        self.wide_enough()
        heights = self.browser.run("return [...new Set([...document.querySelectorAll('#sites-table tbody tr[aria-rowindex]')].map(r => r.getBoundingClientRect().height))]")
        self.assertEqual(heights, [36])
        script = """
            const done = arguments[arguments.length - 1], search = document.getElementById("search"), wrong = [];
            for (const name of arguments[0]) {
              search.value = name;
              search.dispatchEvent(new Event("input"));
              const row = [...document.querySelectorAll("#sites-table tbody tr[aria-rowindex]")].find(r => r.querySelector("bdi").textContent === name);
              row?.querySelector("button").click();
              if (document.querySelector("#site-name bdi").textContent !== name || document.documentElement.scrollWidth > innerWidth) wrong.push(name);
            }
            setTimeout(() => done(wrong), 200);
        """
        for width in (1280, 320):
            self.browser.size(width, 800)
            self.assertEqual(self.browser.run_async(script, names), [])
        self.browser.size(1280, 900)
        self.browser.run("const s = document.getElementById('search'); s.value = ''; s.dispatchEvent(new Event('input'))")
        after = self.browser.run("return document.querySelectorAll('script, img, style, iframe, object').length")
        self.assertEqual((after, self.browser.run("return typeof window.canary")), (before, "undefined"))
        self.assertEqual(self.browser.messages(), [])

    # Little or nothing to show.

    def test_no_event(self):
        _, report = self.page("none", [])
        self.assertEqual(report, [])
        self.assertIn("no events", self.text("#message"))
        hidden = self.browser.run("return ['time', 'week', 'spread', 'sites'].map(id => document.getElementById(id).getBoundingClientRect().height)")
        self.assertEqual(hidden, [0, 0, 0, 0])

    def test_one_event(self):
        self.page("one", [message("only", 1, "v", START)])
        self.assertEqual(self.rows(), [["only", "0", "1", "100 %", "0", "1"]])
        self.assertEqual(len(self.table("#time-table")), 1)
        self.assertEqual(self.text("#site-name"), "only")

    def test_one_status(self):
        self.page("status", [status("only", 1, "o", START, True)])
        self.assertEqual(self.rows(), [["only", "0", "0", "–", "1", "0"]])
        self.assertEqual(self.text("#total-share").strip(), "–")

    def test_one_site(self):
        expected, _ = self.page("site", [event for event in town(3, 20, 5) if event["site_id"] == "site 0001"])
        self.assertEqual(len(self.rows()), len(expected.sites))

    def test_times_that_no_calendar_has(self):
        expected, _ = self.page("far", [message("far", i, "v", time) for i, time in enumerate((-(2**62), -1, 0, START, 2**62))], "--unit=s")
        self.assertEqual(sum(number(row[2]) for row in self.table("#time-table")), expected.emails())
        self.assertEqual(self.text("#message"), "")
        self.wide_enough()

    # What goes wrong.

    def test_an_old_browser_is_told(self):
        self.town()
        script = self.browser.command("Page.addScriptToEvaluateOnNewDocument", source="delete window.DecompressionStream")
        try:
            self.town()
        finally:
            self.browser.command("Page.removeScriptToEvaluateOnNewDocument", identifier=script["identifier"])
        self.assertIn("too old", self.text("#message"))
        self.assertNotEqual(self.text("#total-chats"), "")

    def test_damaged_data_is_told(self):
        self.town()
        page = Path(self.pages["town"][0]).read_text()
        at = page.index('id="data">') + len('id="data">')
        end = page.index("<", at)
        for name, data in (("short", page[at : at + (end - at) // 8 * 4]), ("foreign", "####"), ("empty", "")):
            with self.subTest(name):
                path = Path(self.directory.name) / f"damaged-{name}.html"
                path.write_text(page[:at] + data + page[end:])
                self.browser.open(path)
                self.assertIn("damaged", self.text("#message"))
                self.assertEqual(self.browser.messages(), [])

    # For everyone.

    @unittest.skipUnless(os.path.isfile(os.environ.get("AXE", "")), "AXE does not name axe.min.js (npm pack axe-core)")
    def test_accessibility(self):
        source = Path(os.environ["AXE"]).read_text()
        script = "const done = arguments[0]; axe.run(document, {resultTypes: ['violations']}).then(found => done(found.violations.map(v => [v.impact, v.id, v.nodes.slice(0, 3).map(n => n.html.slice(0, 200))])))"
        for name, width, media in (("light", 1280, {}), ("dark", 1280, {"prefers_color_scheme": "dark"}), ("phone", 320, {}), ("open", 1280, {})):
            with self.subTest(name):
                self.browser.size(width, 800)
                self.browser.media(**media)
                self.town()
                if name == "open":
                    self.browser.run("document.querySelectorAll('details').forEach(d => d.open = true)")
                # The page's policy refuses inline scripts; the debugging protocol may evaluate one.
                self.browser.command("Runtime.evaluate", expression=source)
                found = self.browser.run_async(script)
                self.assertEqual([one for one in found if one[0] in ("serious", "critical")], [])


if __name__ == "__main__":
    unittest.main()
