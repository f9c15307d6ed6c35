"""The meaning of the events, written down plainly: what every figure of the page must be.

It shares no code with chatwal. The rules are in docs/meaning.md.
"""

from collections import Counter

HOUR = 3600


def rank(event):
    """The order of events within a site: time, statuses before messages, id, from, offline before online."""
    status = event["type"] == "status"
    online = status and event["data"]["status"] == "online"
    return (event["timestamp"], 0 if status else 1, event["id"].encode(), event["from"].encode(), 1 if online else 0)


def unique(events):
    """One event for each (site, id): of copies that differ, the first in the order."""
    first = {}
    for event in events:
        key = (event["site_id"], event["id"])
        if key not in first or rank(event) < rank(first[key]):
            first[key] = event
    return list(first.values())


def share(chats, emails):
    """The share of emails, as text: never 0 % of something, never 100 % of less than all."""
    if chats + emails == 0:
        return "–"
    if emails == 0:
        return "0 %"
    if chats == 0:
        return "100 %"
    permille = (2000 * emails + chats + emails) // (2 * (chats + emails))  # Rounded half up.
    permille = min(max(permille, 1), 999)
    return f"{permille // 10}.{permille % 10} %"


class Site:
    def __init__(self):
        self.chats = self.emails = 0
        self.operators, self.visitors = set(), set()
        self.week_chats, self.week_emails = [0] * 168, [0] * 168
        self.stretches = []  # [start, end] in seconds; the last end is None where an operator is still online.


class Expected:
    """All figures of a report of these events, in a zone so many minutes from UTC. Timestamps are seconds."""

    def __init__(self, events, zone_minutes=0):
        self.offset = zone_minutes * 60
        self.hours = {}  # local hour since 1970 -> [chats, emails]
        self.events = unique(events)
        self.copies = len(events) - len(self.events)
        by_site = {}
        for event in self.events:
            by_site.setdefault(event["site_id"], []).append(event)
        names = sorted(by_site, key=lambda name: name.encode())
        self.sites = {name: self.fold(sorted(by_site[name], key=rank)) for name in names}

    def fold(self, events):
        site, online = Site(), set()
        for event in events:
            if event["type"] == "status":
                self.status(site, online, event)
            else:
                self.message(site, online, event)
        return site

    def status(self, site, online, event):
        was = bool(online)
        site.operators.add(event["from"])
        if event["data"]["status"] == "online":
            online.add(event["from"])
        else:
            online.discard(event["from"])
        if online and not was:
            site.stretches.append([event["timestamp"], None])
        elif was and not online:
            site.stretches[-1][1] = event["timestamp"]

    def message(self, site, online, event):
        site.visitors.add(event["from"])
        hour = (event["timestamp"] + self.offset) // HOUR
        slot = (hour + 72) % 168  # 1 January 1970 was a Thursday.
        counts = self.hours.setdefault(hour, [0, 0])
        if online:
            site.chats += 1
            site.week_chats[slot] += 1
            counts[0] += 1
        else:
            site.emails += 1
            site.week_emails[slot] += 1
            counts[1] += 1

    def chats(self):
        return sum(site.chats for site in self.sites.values())

    def emails(self):
        return sum(site.emails for site in self.sites.values())

    def week(self, name):
        """The hours of the week of all sites together: `week_chats` or `week_emails`."""
        return [sum(column) for column in zip(*(getattr(site, name) for site in self.sites.values()))] or [0] * 168

    def days(self):
        """Local day since 1970 -> (chats, emails), only days with a message."""
        days = Counter(), Counter()
        for hour, (chats, emails) in self.hours.items():
            days[0][hour // 24] += chats
            days[1][hour // 24] += emails
        return {day: (days[0][day], days[1][day]) for day in {hour // 24 for hour in self.hours}}

    def spread(self):
        """How many sites miss 0 %, (0,10] %, … (90,100] % of their messages; at the end, those without a message."""
        found = [0] * 12
        for site in self.sites.values():
            messages = site.chats + site.emails
            if messages == 0:
                found[11] += 1
            else:
                found[-(-10 * site.emails // messages)] += 1
        return found
