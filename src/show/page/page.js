"use strict";
// The script of `chatwal report --format html`: decodes the data in the page, draws the charts, and shows the table of sites.
// Names of sites are only ever set as text. Nothing is fetched, and nothing is put on `window`.
(() => {
  const [HOUR, DAY] = [3600, 86400]; // In seconds.
  const ROW = 36; // The height of a row of the table of sites, as in the style sheet.
  const TALLEST = 8e6; // Browsers limit the height of an element; a longer list is scrolled in proportion.
  const PRINTED_ROWS = 20;
  const PRINTED_WIDTH = 680;
  const LISTED_STRETCHES = 100;
  const SHOWN_DAYS = 28;
  const DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
  const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
  const byId = (id) => document.getElementById(id);

  // ---- The data -------------------------------------------------------------------------------------------------------------
  async function inflate(text) {
    const packed = atob(text);
    const bytes = new Uint8Array(packed.length);
    for (let i = 0; i < packed.length; i++) bytes[i] = packed.charCodeAt(i);
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }

  // Numbers may be larger than 32 bits, so they are put together by arithmetic, not by shifts.
  function reader(bytes) {
    let at = 0;
    const need = (length) => {
      if (length > bytes.length - at) throw new RangeError("the data ends too early");
    };
    const number = () => {
      for (let value = 0, scale = 1; ; scale *= 128) {
        need(1);
        const byte = bytes[at++];
        if (byte < 128) return value + byte * scale;
        value += (byte - 128) * scale;
      }
    };
    const signed = () => {
      const value = number();
      return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
    };
    const numbers = (count) => {
      need(count);
      const list = new Float64Array(count);
      for (let i = 0; i < count; i++) list[i] = number();
      return list;
    };
    const text = (length) => {
      need(length);
      at += length;
      return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes.subarray(at - length, at));
    };
    return { number, signed, numbers, text };
  }

  function decode(bytes) {
    const { number, signed, numbers, text } = reader(bytes);
    if (number() !== 1) throw new RangeError("the data has another version");
    const offset = signed() * 60;
    const time = { first: signed(), width: number() };
    const buckets = number();
    time.chats = numbers(buckets);
    time.emails = numbers(buckets);
    const week = { chats: numbers(168), emails: numbers(168) };
    const spread = numbers(12);
    const count = number();
    const joined = text(number());
    const sites = { count, names: joined.split("\n"), joined };
    for (const column of ["chats", "emails", "operators", "visitors"]) sites[column] = numbers(count);
    const details = new Map();
    for (let left = number(), site = 0; left > 0; left--) {
      site += number();
      const detail = { chats: numbers(168), emails: numbers(168), stretches: number(), starts: [], ends: [] };
      for (let listed = number(), end = 0; listed > 0; listed--) {
        const start = end + signed();
        const length = number();
        end = start + length - 1;
        detail.starts.push(start);
        detail.ends.push(length === 0 ? Infinity : end); // Infinity: not over yet.
      }
      details.set(site, detail);
    }
    return { offset, time, week, spread, sites, details };
  }

  // ---- Elements, numbers and dates ------------------------------------------------------------------------------------------
  function dress(made, text, attributes) {
    for (const key in attributes) made.setAttribute(key, attributes[key]);
    if (text !== undefined) made.textContent = text;
    return made;
  }
  const element = (name, text, attributes) => dress(document.createElement(name), text, attributes);
  function shape(parent, name, attributes, text) {
    parent.append(dress(document.createElementNS("http://www.w3.org/2000/svg", name), text, attributes));
    return parent.lastChild;
  }
  function picture(host, width, height, label) {
    host.replaceChildren();
    return shape(host, "svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label });
  }

  // Each row of a table is a list of texts; the first is its header.
  function fillTable(id, heads, rows) {
    const made = rows.map(() => element("tr"));
    rows.forEach((texts, i) => texts.forEach((text, j) => made[i].append(j === 0 ? element("th", text, { scope: "row" }) : element("td", text))));
    byId(id).tBodies[0].replaceChildren(...made);
    if (heads !== null) byId(id).tHead.rows[0].replaceChildren(...heads.map((text) => element("th", text, { scope: "col" })));
  }

  const grouping = new Intl.NumberFormat("en");
  const figure = (value) => grouping.format(value);
  const counted = (value, one, many) => `${figure(value)} ${value === 1 ? one : many}`;
  const permille = (chats, emails) => Math.min(Math.max(Math.round((1000 * emails) / (chats + emails)), 1), 999);
  const percent = (chats, emails) => // Never 0 % of something, never 100 % of less than all.
    emails === 0 ? (chats === 0 ? "–" : "0 %") : chats === 0 ? "100 %" : `${(permille(chats, emails) / 10).toFixed(1)} %`;
  const mixed = (chats, emails) =>
    `${counted(chats, "chat", "chats")}, ${counted(emails, "email", "emails")}` + (chats + emails > 0 ? `, ${percent(chats, emails)} missed` : "");
  const two = (value) => String(value).padStart(2, "0");
  const clock = (hour) => `${two(((hour % 24) + 24) % 24)}:00`; // Of hours since 1970, too.
  const sum = (list) => list.reduce((total, value) => total + value, 0);

  // Moments here are local hours or local seconds since 1970, so the UTC functions of Date tell local time.
  const dateOf = (hour) => new Date(Math.round(hour * HOUR) * 1000);
  function dayText(hour) {
    const date = dateOf(hour);
    if (Number.isNaN(date.getTime())) return `about year ${figure(Math.round(1970 + hour / 8766))}`;
    return `${date.getUTCDate()} ${MONTHS[date.getUTCMonth()]} ${date.getUTCFullYear()}`;
  }
  function momentText(seconds) {
    const date = dateOf(seconds / HOUR);
    return Number.isNaN(date.getTime()) ? dayText(seconds / HOUR) : `${dayText(seconds / HOUR)}, ${two(date.getUTCHours())}:${two(date.getUTCMinutes())}`;
  }
  function lengthText(seconds) {
    const minutes = Math.floor(seconds / 60);
    if (minutes < 60) return minutes < 1 ? `${seconds} s` : `${minutes} min`;
    return minutes < 2880 ? `${Math.floor(minutes / 60)} h ${two(minutes % 60)} min` : `${figure(Math.floor(minutes / 1440))} d ${Math.floor((minutes % 1440) / 60)} h`;
  }
  const dayName = (hour) => DAYS[(((Math.floor(hour / 24) + 3) % 7) + 7) % 7];
  const monthOf = (hour) => dateOf(hour).getUTCFullYear() * 12 + dateOf(hour).getUTCMonth();
  function monthStart(month) {
    const date = new Date(0);
    date.setUTCFullYear(Math.floor(month / 12), ((month % 12) + 12) % 12, 1);
    return date.getTime() / 1000 / HOUR;
  }

  // ---- Chats and emails over time -------------------------------------------------------------------------------------------
  // What a bar can stand for: `key` numbers the bars by local hour, `start` is the first hour of a bar.
  const UNITS = [
    { name: "hour", most: 192, fits: (width) => width === 1, key: (h) => h, start: (k) => k, text: (h) => `${dayName(h)}, ${dayText(h)}, ${clock(h)}` },
    { name: "day", most: 800, fits: (width) => 24 % width === 0, key: (h) => Math.floor(h / 24), start: (k) => k * 24, text: (h) => `${dayName(h)}, ${dayText(h)}` },
    { name: "week", most: 800, fits: (width) => 24 % width === 0, key: (h) => Math.floor((h + 72) / 168), start: (k) => k * 168 - 72, text: (h) => `Week from ${dayText(h)}` },
    { name: "month", most: 800, fits: (width) => width <= 64, key: monthOf, start: monthStart, text: (h) => `${MONTHS[dateOf(h).getUTCMonth()]} ${dateOf(h).getUTCFullYear()}` },
    { name: "year", most: 800, fits: (width) => width <= 1024, key: (h) => Math.floor(monthOf(h) / 12), start: (k) => monthStart(k * 12), text: (h) => String(dateOf(h).getUTCFullYear()) },
  ];

  // The finest unit with at most `most` bars. Very long ranges, which come from wrong timestamps, are cut into equal parts.
  function unitFor(time, most) {
    const firstHour = time.first * time.width;
    const lastHour = (time.first + time.chats.length - 1) * time.width;
    for (const unit of UNITS) {
      if (!unit.fits(time.width)) continue;
      const bars = unit.key(lastHour) - unit.key(firstHour) + 1;
      if (bars <= Math.min(unit.most, most)) return unit;
    }
    const width = time.width * Math.ceil(time.chats.length / Math.min(400, most) + 1);
    return { name: `${figure(width)} hours`, key: (h) => Math.floor(h / width), start: (k) => k * width, text: (h) => `From ${dayText(h)}` };
  }

  function merge(time, unit) {
    const key = (bucket) => unit.key((time.first + bucket) * time.width);
    const first = key(0);
    const count = key(time.chats.length - 1) - first + 1;
    const [chats, emails] = [new Float64Array(count), new Float64Array(count)];
    for (let bucket = 0; bucket < time.chats.length; bucket++) {
      chats[key(bucket) - first] += time.chats[bucket];
      emails[key(bucket) - first] += time.emails[bucket];
    }
    const start = (bar) => unit.start(first + bar);
    return { unit, count, chats, emails, start, text: (bar) => unit.text(start(bar)) };
  }

  function niceStep(most, parts) {
    const rough = Math.max(1, most / parts);
    const power = 10 ** Math.floor(Math.log10(rough));
    return [1, 2, 5, 10].map((n) => n * power).find((step) => step >= rough && Number.isInteger(step));
  }

  // Where the labels below the bars stand: where the day, the month or the like changes, with room for each.
  function timeLabels(bars, slot) {
    const hours = (bars.start(bars.count - 1) - bars.start(0)) / Math.max(1, bars.count - 1) || 1;
    const day = (hour) => dayText(hour).replace(/ \d{4}$/, "");
    const month = (hour) => MONTHS[dateOf(hour).getUTCMonth()];
    const year = (hour) => String(dateOf(hour).getUTCFullYear());
    const steps = [1, 3, 6, 12, 24, 48, 168, 336].map((step) => ({ hours: step, key: (hour) => Math.floor((hour + 72) / step), text: step < 24 ? clock : day }));
    for (const step of [1, 3, 6, 12, 24, 60, 120, 240, 600, 1200, 2400, 6000]) {
      steps.push({ hours: step * 730, key: (hour) => Math.floor(monthOf(hour) / step), text: step < 12 ? month : null });
    }
    const step = steps.find((one) => (one.hours * slot) / hours >= 76 && one.hours >= hours * 0.9) ?? steps[steps.length - 1];
    const places = Array.from({ length: bars.count }, (_, bar) => bar).slice(1).filter((bar) => step.key(bars.start(bar)) !== step.key(bars.start(bar - 1)));
    if (places.length === 0 || places[0] * slot >= 90) places.unshift(0);
    let told = null;
    return places.map((bar) => {
      const hour = bars.start(bar);
      if (step.text === null || Number.isNaN(dateOf(hour).getTime())) return { bar, text: step.text === null ? year(hour) : dayText(hour) };
      if (step.text === clock) return { bar, text: bars.count < 8 ? `${day(hour)}, ${clock(hour)}` : hour % 24 === 0 ? day(hour) : clock(hour) };
      const text = year(hour) === told ? step.text(hour) : `${step.text(hour)} ${year(hour)}`;
      told = year(hour);
      return { bar, text };
    });
  }

  // Calls `tell` with the place under the pointer, and with null when the pointer leaves.
  function follow(svg, width, tell) {
    svg.addEventListener("pointermove", (event) => {
      const box = svg.getBoundingClientRect();
      tell({ x: ((event.clientX - box.left) * width) / box.width, y: ((event.clientY - box.top) * width) / box.width });
    });
    svg.addEventListener("pointerleave", () => tell(null));
  }

  function drawTime(time, width) {
    const height = width < 500 ? 190 : width === PRINTED_WIDTH ? 210 : 260;
    const bars = merge(time, unitFor(time, Math.floor((width - 50) / 1.2)));
    const most = Math.max(1, ...bars.chats.map((chats, bar) => chats + bars.emails[bar]));
    const step = niceStep(most, 4);
    const top = Math.ceil(most / step) * step;
    const left = figure(top).length * 7 + 10;
    const bottom = height - 24;
    const slot = (width - left) / bars.count;
    const wide = Math.min(slot < 3 ? slot : slot - Math.max(1, slot * 0.16), 56);
    const y = (value) => bottom - ((bottom - 10) * value) / top;
    const label = `Chats and emails for each ${bars.unit.name}. ${mixed(sum(bars.chats), sum(bars.emails))} in all.`;
    const svg = picture(byId("time-chart"), width, height, label);
    for (let value = 0; value <= top; value += step) {
      shape(svg, "line", { x1: left, x2: width, y1: y(value), y2: y(value), class: value === 0 ? "axis" : "grid" });
      shape(svg, "text", { x: left - 8, y: y(value) + 4, "text-anchor": "end" }, figure(value));
    }
    let [chatPath, emailPath, free] = ["", "", 0];
    for (let bar = 0; bar < bars.count; bar++) {
      const x = (left + bar * slot + (slot - wide) / 2).toFixed(2);
      const box = (from, to) => `M${x} ${y(from).toFixed(2)}h${wide.toFixed(2)}V${y(to).toFixed(2)}h-${wide.toFixed(2)}z`;
      const chats = bars.chats[bar];
      if (chats > 0) chatPath += box(0, chats);
      if (bars.emails[bar] > 0) emailPath += box(chats, chats + bars.emails[bar]);
    }
    shape(svg, "path", { d: chatPath, class: "chat-fill" });
    shape(svg, "path", { d: emailPath, class: wide < 4 ? "email-fill" : "email-hatch" });
    for (const { bar, text } of timeLabels(bars, slot)) {
      const x = left + bar * slot;
      const middle = bars.count < 8;
      if (!middle && (x < free || x + text.length * 6.6 > width)) continue;
      free = x + text.length * 6.6 + 8;
      if (!middle) shape(svg, "line", { x1: x, x2: x, y1: bottom, y2: bottom + 5, class: "axis" });
      shape(svg, "text", { x: middle ? x + slot / 2 : x + 1, y: height - 5, "text-anchor": middle ? "middle" : "start" }, text);
    }
    const cursor = shape(svg, "rect", { y: 10, height: bottom - 10, width: Math.max(slot, 2), class: "cursor", visibility: "hidden" });
    follow(svg, width, (point) => {
      const bar = point === null ? -1 : Math.floor((point.x - left) / slot);
      const inside = bar >= 0 && bar < bars.count;
      cursor.setAttribute("visibility", inside ? "visible" : "hidden");
      if (inside) cursor.setAttribute("x", left + bar * slot);
      byId("time-readout").textContent = inside ? `${bars.text(bar)}: ${mixed(bars.chats[bar], bars.emails[bar])}` : "";
    });
    byId("time-unit").textContent = `Each bar is one ${bars.unit.name}.`;
  }

  function fillTimeTable(time) {
    const bars = merge(time, unitFor(time, Infinity));
    const rows = Array.from(bars.chats, (chats, bar) => [bars.text(bar), figure(chats), figure(bars.emails[bar]), percent(chats, bars.emails[bar])]);
    fillTable("time-table", [`By ${bars.unit.name}`, "Chats", "Emails", "Missed"], rows);
  }

  // ---- The week as a heat map -----------------------------------------------------------------------------------------------
  const SHADES = {
    emails: { name: "Emails", of: (chats, emails) => emails, text: figure },
    chats: { name: "Chats", of: (chats) => chats, text: figure },
    share: { name: "Share missed", of: (chats, emails) => (chats + emails > 0 ? emails / (chats + emails) : 0), text: (v) => `${Math.round(v * 100)} %` },
  };

  function drawWeek(host, readout, week, shade, width) {
    const [left, top, cell] = [38, 20, (width - 38) / 24];
    const [tall, gap] = [Math.min(Math.max(cell, 16), width === PRINTED_WIDTH ? 18 : 24), cell < 14 ? 1 : 2];
    const values = Array.from(week.chats, (chats, slot) => SHADES[shade].of(chats, week.emails[slot]));
    const peak = Math.max(...values);
    const most = shade === "share" ? 1 : peak;
    const slotText = (slot) => `${DAYS[Math.floor(slot / 24)]} ${clock(slot % 24)}`;
    const label = `${SHADES[shade].name} by hour of the week. ` + (peak > 0 ? `Most: ${slotText(values.indexOf(peak))}, ${SHADES[shade].text(peak)}.` : "None.");
    const svg = picture(host, width, top + 7 * tall + 34, label);
    svg.classList.toggle("chats", shade === "chats");
    for (let hour = 0; hour < 24; hour += width < 420 ? 6 : 3) shape(svg, "text", { x: left + hour * cell, y: 12 }, two(hour));
    const cells = values.map((value, slot) => {
      const [day, hour] = [Math.floor(slot / 24), slot % 24];
      if (hour === 0) shape(svg, "text", { x: 0, y: top + day * tall + tall / 2 + 4 }, DAYS[day].slice(0, 3));
      const level = value > 0 ? Math.ceil((7 * value) / most) : 0;
      return shape(svg, "rect", { x: left + hour * cell + gap / 2, y: top + day * tall + gap / 2, width: cell - gap, height: tall - gap, rx: 1.5, class: `cell l${level}` });
    });
    const y = top + 7 * tall + 14;
    shape(svg, "text", { x: left, y: y + 10 }, SHADES[shade].text(0));
    const from = left + SHADES[shade].text(0).length * 7 + 4;
    const levels = most > 0 ? 8 : 1;
    for (let level = 0; level < levels; level++) shape(svg, "rect", { x: from + level * 16, y, width: 14, height: 12, rx: 1.5, class: `cell l${level}` });
    if (most > 0) shape(svg, "text", { x: from + 8 * 16 + 4, y: y + 10 }, SHADES[shade].text(most));
    let at = null;
    follow(svg, width, (point) => {
      at?.classList.remove("at");
      const hour = point === null ? -1 : Math.floor((point.x - left) / cell);
      const day = point === null ? -1 : Math.floor((point.y - top) / tall);
      const inside = hour >= 0 && hour < 24 && day >= 0 && day < 7;
      at = inside ? cells[day * 24 + hour] : null;
      at?.classList.add("at");
      const slot = day * 24 + hour;
      readout.textContent = inside ? `${slotText(slot)} to ${clock(hour + 1)}: ${mixed(week.chats[slot], week.emails[slot])}` : "";
    });
  }

  // ---- Sites by share missed ------------------------------------------------------------------------------------------------
  function fillSpread(spread) {
    const most = Math.max(1, ...spread);
    const name = (i) => (i === 0 ? "0 %" : i === 1 ? "up to 10 %" : i === 11 ? "no message" : `${i * 10 - 10} to ${i * 10} %`);
    fillTable("spread-table", null, Array.from(spread, (sites, i) => [name(i), figure(sites), ""]));
    [...byId("spread-table").tBodies[0].rows].forEach((made, i) => {
      const svg = shape(made.lastChild, "svg", { viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" });
      const width = spread[i] > 0 ? Math.max(1, (100 * spread[i]) / most) : 0;
      shape(svg, "rect", { width, height: 10, class: i === 0 ? "chat-fill" : i === 11 ? "none-fill" : "email-fill" });
    });
  }

  // ---- The table of sites ---------------------------------------------------------------------------------------------------
  // Only the rows in view are in the document. `order` holds all sites as sorted, `view` those that match the search, `active`
  // is the place of the row that the keyboard is on. The two rows `above` and `below` stand for what is not there.
  function siteTable(sites, choose) {
    const [box, table, found] = [byId("rows"), byId("sites-table"), byId("found")];
    const body = table.tBodies[0];
    const heads = [...table.tHead.rows[0].cells];
    const [above, below] = body.rows;
    const share = sites.chats.map((chats, i) => sites.emails[i] / (chats + sites.emails[i])); // NaN: the site has no message.
    const keys = [null, sites.chats, sites.emails, share, sites.operators, sites.visitors];
    const pool = [];
    let [order, view, active, chosen, column, falling, words, lower] = [null, null, 0, -1, 2, true, "", null];

    function sort() {
      order = new Uint32Array(sites.count).map((_, i) => i);
      if (column === 0) {
        if (falling) order.reverse();
      } else {
        const last = falling ? -1 : Infinity; // Sites without a share come last.
        const value = column === 3 ? share.map((one) => (Number.isNaN(one) ? last : one)) : keys[column];
        order.sort(falling ? (a, b) => value[b] - value[a] || a - b : (a, b) => value[a] - value[b] || a - b);
      }
      heads.forEach((head, i) => (i === column ? head.setAttribute("aria-sort", falling ? "descending" : "ascending") : head.removeAttribute("aria-sort")));
    }

    function filter() {
      if (words !== "") lower ??= sites.joined.toLowerCase().split("\n");
      const matches = new Uint8Array(sites.count); // In the order of names, which is that of memory: five times as fast.
      for (let site = 0; words !== "" && site < sites.count; site++) matches[site] = lower[site].includes(words) ? 1 : 0;
      view = words === "" ? order : order.filter((site) => matches[site] === 1);
      table.setAttribute("aria-rowcount", view.length + 1);
      found.textContent = words === "" ? counted(sites.count, "site", "sites") : view.length === 0 ? "No site matches." : `${figure(view.length)} of ${counted(sites.count, "site", "sites")}`;
      active = box.scrollTop = 0;
      draw();
    }

    function newRow() {
      const made = byId("site-row").content.firstElementChild.cloneNode(true);
      return { made, button: made.querySelector("button"), name: made.querySelector("bdi"), cells: [...made.cells], place: -1 };
    }

    function fill(slot, place) {
      const site = view[place];
      slot.place = place;
      slot.made.setAttribute("aria-rowindex", place + 2);
      slot.made.setAttribute("aria-selected", site === chosen ? "true" : "false");
      slot.button.tabIndex = place === active ? 0 : -1;
      slot.name.textContent = sites.names[site];
      const [chats, emails] = [sites.chats[site], sites.emails[site]];
      const texts = [figure(chats), figure(emails), percent(chats, emails), figure(sites.operators[site]), figure(sites.visitors[site])];
      texts.forEach((text, i) => (slot.cells[i + 1].textContent = text));
    }

    const total = () => Math.min(view.length * ROW, TALLEST);
    const room = () => Math.max(box.clientHeight, 480) / ROW;
    const exact = () => view.length * ROW <= TALLEST;

    function draw(printed) {
      const count = Math.min(view.length, printed ? PRINTED_ROWS : Math.ceil(room()) + 8);
      const wanted = exact() ? box.scrollTop / ROW - 4 : (box.scrollTop / (total() - box.clientHeight)) * (view.length - room()) - 1;
      const first = printed ? 0 : Math.max(0, Math.min(Math.floor(wanted), view.length - count));
      const held = pool.find((slot) => slot.button === document.activeElement);
      while (pool.length < count) pool.push(newRow());
      // A row keeps its place in the pool, so the element with the focus stays the same while its row is in view.
      const slots = Array.from({ length: count }, (_, i) => pool[(first + i) % pool.length]);
      slots.forEach((slot, i) => fill(slot, first + i));
      const top = exact() ? first * ROW : Math.max(0, Math.min(box.scrollTop - ROW, total() - count * ROW));
      above.style.height = `${top}px`;
      below.style.height = `${Math.max(0, total() - top - count * ROW)}px`;
      const rows = slots.map((slot) => slot.made);
      const now = [...body.rows].slice(1, -1);
      if (rows.length !== now.length || rows.some((made, i) => made !== now[i])) {
        const focused = held !== undefined && slots.includes(held) && held.place === active;
        body.replaceChildren(above, ...rows, below);
        if (focused) held.button.focus({ preventScroll: true });
        else if (held !== undefined) box.focus({ preventScroll: true });
      }
      if (!slots.some((slot) => slot.place === active) && count > 0) slots[Math.min(4, count - 1)].button.tabIndex = 0;
    }

    function show(place) {
      active = Math.max(0, Math.min(place, view.length - 1));
      const seen = Math.floor(box.clientHeight / ROW) - 2;
      if (!exact()) box.scrollTop = (active / view.length) * (total() - box.clientHeight);
      else if (active * ROW < box.scrollTop) box.scrollTop = active * ROW;
      else if ((active - seen) * ROW > box.scrollTop) box.scrollTop = (active - seen) * ROW;
      draw();
      pool.find((slot) => slot.place === active && slot.made.isConnected)?.button.focus({ preventScroll: true });
    }

    function pick(place) {
      [active, chosen] = [place, view[place]];
      draw();
      choose(chosen);
    }

    box.addEventListener("scroll", () => draw());
    box.addEventListener("keydown", (event) => {
      const page = Math.max(1, Math.floor(box.clientHeight / ROW) - 2);
      const to = { ArrowDown: active + 1, ArrowUp: active - 1, PageDown: active + page, PageUp: active - page, Home: 0, End: view.length - 1 }[event.key];
      if (to === undefined || view.length === 0 || event.altKey || event.metaKey || table.tHead.contains(event.target)) return;
      event.preventDefault();
      show(to);
    });
    body.addEventListener("click", (event) => {
      const slot = pool.find((one) => one.made.isConnected && one.made.contains(event.target));
      if (slot !== undefined) pick(slot.place);
    });
    table.tHead.addEventListener("click", (event) => {
      const next = Number(event.target.closest("button")?.dataset.column ?? column);
      falling = next === column ? !falling : next !== 0;
      column = next;
      sort();
      filter();
    });
    byId("search").addEventListener("input", (event) => {
      words = event.target.value.toLowerCase();
      filter();
    });
    sort();
    filter();
    if (sites.count > 0) pick(0);
    return { draw, focus: () => show(active), more: () => view.length > PRINTED_ROWS };
  }

  // ---- The chosen site ------------------------------------------------------------------------------------------------------
  // As a shell takes it: quoted where it is not a plain word, and after `--` where it begins with a dash.
  function quoted(name) {
    const word = /^[\w.@:+,/-]+$/.test(name) ? name : `'${name.replaceAll("'", "'\\''")}'`;
    return name.startsWith("-") ? `-- ${word}` : word;
  }

  function showSite(data, site) {
    const { sites } = data;
    byId("site").hidden = false;
    byId("site-name").firstChild.textContent = sites.names[site];
    byId("site-share").textContent = percent(sites.chats[site], sites.emails[site]);
    for (const column of ["chats", "emails", "operators", "visitors"]) byId(`site-${column}`).textContent = figure(sites[column][site]);
    const detail = data.details.get(site);
    byId("site-none").hidden = detail !== undefined;
    byId("site-more").hidden = detail === undefined;
    byId("site-command").textContent = quoted(sites.names[site]);
    if (detail === undefined) return;
    const hours = Array.from({ length: 24 }, (_, hour) => hour);
    const cell = (slot) => (detail.chats[slot] + detail.emails[slot] === 0 ? "0" : `${figure(detail.emails[slot])} of ${figure(detail.chats[slot] + detail.emails[slot])}`);
    fillTable("site-table", ["Emails of messages", ...hours.map(two)], DAYS.map((name, day) => [name, ...hours.map((hour) => cell(day * 24 + hour))]));
    fillOnline(data, detail);
  }

  function fillOnline(data, detail) {
    const tabled = Math.min(detail.starts.length, LISTED_STRETCHES);
    const all = counted(detail.stretches, "online stretch", "online stretches");
    const note = detail.stretches === 0 ? "No operator of this site was online." : `${all}. Each line is a day, from 00:00 to 24:00; a bar: at least one operator was online.`;
    byId("online-note").textContent = note + (tabled < detail.stretches ? ` The table has the latest ${figure(tabled)}.` : "");
    byId("online-data").hidden = tabled === 0;
    const rows = detail.starts.slice(-LISTED_STRETCHES).map((start, i) => {
      const end = detail.ends[detail.ends.length - tabled + i];
      const rest = end === Infinity ? ["still online", "–"] : [momentText(end + data.offset), lengthText(end - start)];
      return [momentText(start + data.offset), ...rest];
    });
    fillTable("online-table", ["From", "To", "Length"], rows.reverse());
  }

  // One line a day: the last days up to the end of the range. A stretch that is not over reaches to that end.
  function drawOnline(data, detail, width) {
    byId("online-chart").replaceChildren();
    if (detail.starts.length === 0) return;
    const starts = detail.starts.map((start) => start + data.offset);
    const rangeEnd = Math.max((data.time.first + data.time.chats.length) * data.time.width * HOUR, starts[starts.length - 1] + 1);
    const ends = detail.ends.map((end) => (end === Infinity ? rangeEnd : end + data.offset));
    const lastDay = Math.ceil(ends[ends.length - 1] / DAY) - 1;
    const firstDay = Math.max(Math.floor(starts[0] / DAY), lastDay - SHOWN_DAYS + 1);
    const days = Math.max(1, lastDay - firstDay + 1);
    const [left, tall, top] = [86, width === PRINTED_WIDTH ? 12 : 14, 20];
    const x = (seconds) => left + ((width - left) * seconds) / DAY;
    const svg = picture(byId("online-chart"), width, top + days * tall + 4, `Online times, one line a day, ${dayText(firstDay * 24)} to ${dayText(lastDay * 24)}.`);
    for (let hour = 0; hour < 24; hour += 6) shape(svg, "text", { x: x(hour * HOUR), y: 12 }, two(hour));
    for (let day = 0; day < days; day++) {
      const y = top + day * tall;
      const name = dayName((firstDay + day) * 24).slice(0, 3);
      const text = dayText((firstDay + day) * 24);
      if (day % 7 === 0 || days < 8) shape(svg, "text", { x: 0, y: y + tall - 4 }, text.startsWith("about") ? text.slice(6) : `${name}, ${text.split(" ").slice(0, 2).join(" ")}`);
      shape(svg, "rect", { x: left, y: y + 1, width: width - left, height: tall - 3, class: "lane" });
    }
    let path = "";
    for (let i = 0; i < starts.length; i++) {
      const lastLine = Math.max(Math.ceil(ends[i] / DAY) - 1, Math.floor(starts[i] / DAY));
      for (let day = Math.max(Math.floor(starts[i] / DAY), firstDay); day <= lastLine; day++) {
        const from = x(Math.max(0, starts[i] - day * DAY));
        const wide = Math.max(1, x(Math.min(DAY, ends[i] - day * DAY)) - from);
        path += `M${from.toFixed(2)} ${top + (day - firstDay) * tall + 1}h${wide.toFixed(2)}v${tall - 3}h-${wide.toFixed(2)}z`;
      }
    }
    shape(svg, "path", { d: path, class: "chat-fill" });
  }

  // ---- The page -------------------------------------------------------------------------------------------------------------
  // Draws the page. Gives what is to be said in place of the charts, if anything.
  function begin(data) {
    const state = { site: -1, week: "emails", its: "emails" };
    byId("week-data").open = false;
    for (const id of ["time", "week", "spread", "sites"]) byId(id).hidden = data.sites.count === 0;
    if (data.sites.count === 0) return "There are no events here: the store is empty, or the filters leave none.";
    byId("time").hidden = data.time.chats.length === 0;
    byId("week-switch").hidden = false;
    const width = (id, fixed) => fixed ?? Math.max(200, byId(id).clientWidth);
    const drawAllWeek = (fixed) => drawWeek(byId("week-chart"), byId("week-readout"), data.week, state.week, width("week-chart", fixed));
    const drawSite = (fixed) => {
      const detail = data.details.get(state.site);
      if (detail === undefined) return;
      drawWeek(byId("site-week"), byId("site-readout"), detail, state.its, width("site-week", fixed));
      drawOnline(data, detail, width("online-chart", fixed));
    };
    const narrow = matchMedia("(max-width: 60rem)");
    const table = siteTable(data.sites, (site) => {
      const first = state.site < 0;
      state.site = site;
      showSite(data, site);
      drawSite();
      if (first || !narrow.matches) return; // The panel is in view already.
      byId("site").focus({ preventScroll: true });
      byId("site").scrollIntoView();
    });
    const drawAll = (fixed, printed) => {
      if (data.time.chats.length > 0) drawTime(data.time, width("time-chart", fixed));
      drawAllWeek(fixed && fixed * 0.6);
      drawSite(fixed);
      table.draw(printed);
    };
    fillSpread(data.spread);
    if (data.time.chats.length > 0) fillTimeTable(data.time);
    drawAll();

    const redraw = (shade, draw) => (event) => {
      state[shade] = event.target.value;
      draw();
    };
    byId("week-switch").addEventListener("change", redraw("week", drawAllWeek));
    byId("site-switch").addEventListener("change", redraw("its", drawSite));
    byId("back").addEventListener("click", () => {
      byId("sites").scrollIntoView();
      table.focus();
    });
    addEventListener("resize", () => drawAll());
    addEventListener("beforeprint", () => {
      byId("cut").textContent = `The first ${PRINTED_ROWS} of the list; the page has all of them.`;
      byId("cut").hidden = !table.more();
      drawAll(PRINTED_WIDTH, true);
    });
    addEventListener("afterprint", () => drawAll());
    return "";
  }

  async function main() {
    if (typeof DecompressionStream === "undefined") {
      return "This browser is too old to unpack the data of this page, so the charts and the table of sites are missing. The figures above are complete. Any browser from 2023 or later shows the rest.";
    }
    try {
      return begin(decode(await inflate(byId("data").textContent)));
    } catch {
      return "The data of this page is damaged, so the charts and the table of sites are missing. Write the page again.";
    }
  }

  main().then((message) => {
    byId("message").textContent = message;
    byId("message").hidden = message === "";
    document.documentElement.dataset.ready = "true";
  });
})();
