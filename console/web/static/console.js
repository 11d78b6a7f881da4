// What a script adds to pages that work without it: what is new, keys, copying, a count of what is chosen, fresh times.
"use strict";

const $ = (selector) => document.querySelector(selector);
const $$ = (selector) => Array.from(document.querySelectorAll(selector));

// ── What is live: parts of a page read again, and the tail of events ─────────────────────────────────────────────

const button = $("[data-live-button]");
const isLive = button !== null && button.classList.contains("on");

// A part is not read again under the eyes of somebody who scrolled, chose, opened or types.
function isQuiet(part) {
  if (document.hidden || window.scrollY > 200) return false;
  if (part.querySelector("[data-select]:checked")) return false;
  const at = document.activeElement;
  return !(at && part.contains(at) && at.matches("input, select, textarea"));
}

function showPause() {
  if (isLive) button.classList.toggle("paused", document.hidden || window.scrollY > 200);
}

// The page as it is now; null when nobody answers. What it could not read is said, and stays here as it was.
async function askAgain() {
  let answer;
  try {
    answer = await fetch(location.href, { headers: { accept: "text/html" }, cache: "no-store" });
  } catch {
    return sayStale("The console does not answer.");
  }
  if (!answer.ok && answer.status !== 503) return null;
  const found = new DOMParser().parseFromString(await answer.text(), "text/html");
  if (answer.status === 503) {
    const words = found.querySelector(".notice.bad p, .empty");
    sayStale(words && words.firstChild ? words.firstChild.textContent.trim() : "A store does not answer.");
  } else {
    sayFresh();
  }
  return found;
}

// What is shown is of another time: says of which, and lets nobody act on it. It ends with the next whole answer.
function sayStale(why) {
  let line = $(".stale");
  if (!line) {
    line = document.createElement("div");
    line.className = "stale notice bad";
    line.setAttribute("role", "alert");
    const at = $("footer time");
    line.append(document.createElement("p"));
    line.dataset.shows = at ? at.textContent : "an earlier time";
    $("#toast").after(line);
  }
  const words = `Showing the state of ${line.dataset.shows}, where nothing newer could be read. ${why}`;
  if (line.firstChild.textContent !== words) line.firstChild.textContent = words;
  for (const each of $$("main form[method=post] button:enabled")) {
    each.disabled = true;
    each.dataset.wasEnabled = "";
  }
  return null;
}

function sayFresh() {
  const line = $(".stale");
  if (line) line.remove();
  for (const each of $$("[data-was-enabled]")) {
    each.disabled = false;
    delete each.dataset.wasEnabled;
  }
}

async function readAgain(part) {
  const found = await askAgain();
  const fresh = found && found.getElementById(part.id);
  if (!fresh || !isQuiet(part)) return;
  const opened = Array.from(part.querySelectorAll("details"), (each) => each.open);
  const row = rows().indexOf(current);
  part.replaceChildren(...fresh.childNodes);
  part.querySelectorAll("details").forEach((each, place) => {
    if (opened[place] !== undefined) each.open = opened[place];
  });
  if (row >= 0) mark(rows()[row], false);
  const at = found.querySelector("footer time");
  if (at && !$(".stale")) $("footer time").replaceWith(at);
  if (!fresh.hasAttribute("data-refresh")) part.removeAttribute("data-refresh"); // it is over
  prepare(part);
}

// A page with the button is still until it is pressed; one without it (a replay that runs) always follows.
for (const part of button && !isLive ? [] : $$("[data-refresh]")) {
  const wait = Math.max(1, Number(part.dataset.refresh) || 5) * 1000;
  const again = async () => {
    if (!part.hasAttribute("data-refresh")) return;
    if (isQuiet(part)) await readAgain(part);
    setTimeout(again, wait);
  };
  setTimeout(again, wait);
}

// "12 new events, show": rows never move by themselves unless the page is live and nobody is reading further down.
function follow(line) {
  const met = new Set();
  const list = document.getElementById("events");
  let stream = null;
  let wasHidden = false;

  function say() {
    const number = met.size;
    line.hidden = number === 0;
    line.firstElementChild.textContent = `${number} new ${number === 1 ? "event" : "events"}, show`;
  }
  // What came while nobody told us: after this page was hidden, or when the stream could not say.
  async function catchUp() {
    const found = list && (await askAgain());
    if (!found) return;
    const ids = (page) => Array.from(page.querySelectorAll("#events [data-select]"), (each) => each.value);
    const shown = new Set(ids(document));
    for (const id of ids(found)) if (!shown.has(id)) await hear(id);
  }
  async function hear(name) {
    met.add(name);
    if (isLive && list && isQuiet(list)) {
      met.clear();
      await readAgain(list);
    }
    say();
  }
  function open() {
    stream = new EventSource(line.dataset.live);
    stream.addEventListener("event", (message) => {
      const news = JSON.parse(message.data);
      if (news.is_new || isLive) hear(news.event_id);
    });
    stream.addEventListener("missed", catchUp);
  }
  function look() {
    if (document.hidden && stream) {
      stream.close();
      stream = null;
    } else if (!document.hidden && !stream) {
      open();
      if (wasHidden) catchUp();
    }
    wasHidden = document.hidden;
  }
  document.addEventListener("visibilitychange", look);
  look();
}

// ── Keys ─────────────────────────────────────────────────────────────────────────────────────────────────────────

const KEYS = [
  ["j, k", "next and previous row"],
  ["Enter", "open the row"],
  ["x", "choose the row"],
  ["/", "search"],
  ["g o", "Overview"],
  ["g e", "Events"],
  ["g u", "Users"],
  ["g q", "Queues"],
  ["g d", "Dead letters"],
  ["g s", "Settings"],
  ["?", "these keys"],
];
const PAGES = { o: "/", e: "/events", u: "/users", q: "/queues", d: "/dead", s: "/settings" };

let current = null;
let wasG = false;

function rows() {
  return $$("table[data-rows] tbody tr");
}

function mark(row, isSeen = true) {
  if (current) current.classList.remove("current");
  current = row || null;
  if (!current) return;
  current.classList.add("current");
  if (!isSeen) return;
  const link = current.querySelector("a");
  if (link) link.focus({ preventScroll: true });
  current.scrollIntoView({ block: "nearest" });
}

function move(by) {
  const all = rows();
  if (!all.length) return;
  const at = all.indexOf(current);
  mark(all[at < 0 ? (by > 0 ? 0 : all.length - 1) : Math.min(all.length - 1, Math.max(0, at + by))]);
}

function openRow(row) {
  const link = row && row.querySelector("td a, th a");
  if (link) location.href = link.href;
}

function showKeys() {
  let dialog = $("dialog.keys");
  if (!dialog) {
    dialog = document.createElement("dialog");
    dialog.className = "keys";
    dialog.setAttribute("aria-label", "Keys");
    const heading = document.createElement("h2");
    heading.textContent = "Keys";
    const list = document.createElement("dl");
    for (const [key, words] of KEYS) {
      const line = list.appendChild(document.createElement("div"));
      line.appendChild(document.createElement("dt")).appendChild(document.createElement("kbd")).textContent = key;
      line.appendChild(document.createElement("dd")).textContent = words;
    }
    const close = document.createElement("button");
    close.className = "quiet";
    close.textContent = "Close";
    close.addEventListener("click", () => dialog.close());
    dialog.append(heading, list, close);
    document.body.append(dialog);
  }
  if (!dialog.open) dialog.showModal();
}

const ON_KEY = {
  j: () => move(1),
  k: () => move(-1),
  x: () => {
    const box = current && current.querySelector("[data-select]");
    if (box) box.click();
  },
  "/": () => {
    const field = $("[data-search], input[type=search], input[name=search]");
    if (field) field.focus();
  },
  "?": showKeys,
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || $("dialog[open]")) return;
  const isTyping = event.target.closest("input:not([type=checkbox]), select, textarea, [contenteditable]");
  if (isTyping) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  const page = wasG ? PAGES[event.key] : null;
  wasG = !wasG && event.key === "g";
  if (page) {
    location.href = page;
  } else if (event.key === "Enter" && current && event.target === document.body) {
    openRow(current);
  } else if (Object.hasOwn(ON_KEY, event.key)) {
    event.preventDefault();
    ON_KEY[event.key]();
  }
});

// A row is one thing: a click anywhere in it opens it, unless words were selected or something of its own was meant.
document.addEventListener("click", (event) => {
  const row = event.target.closest("table[data-rows] tbody tr");
  if (!row || event.button !== 0 || event.target.closest("a, button, input, label, summary, .pick")) return;
  if (String(getSelection())) return;
  if (event.ctrlKey || event.metaKey) {
    const link = row.querySelector("td a, th a");
    if (link) open(link.href, "_blank", "noopener");
    return;
  }
  openRow(row);
});

// ── Choosing ─────────────────────────────────────────────────────────────────────────────────────────────────────

function countChosen() {
  const number = $$("[data-select]:checked").length;
  for (const bar of $$("[data-selection]")) {
    bar.classList.toggle("chosen", number > 0);
    for (const each of bar.querySelectorAll("button")) each.hidden = number === 0;
    for (const words of bar.querySelectorAll("[data-selected]")) {
      words.textContent = number ? words.dataset.selected.replace("{n}", String(number)) : "";
    }
  }
  const all = $("[data-select-all]");
  if (all) {
    all.checked = number > 0 && number === $$("[data-select]").length;
    all.indeterminate = number > 0 && !all.checked;
  }
}

function addSelectAll(part) {
  const head = part.querySelector("thead .pick");
  if (!head || !part.querySelector("[data-select]") || head.querySelector("input")) return;
  const box = document.createElement("input");
  box.type = "checkbox";
  box.dataset.selectAll = "";
  box.setAttribute("aria-label", "Choose all on this page");
  box.addEventListener("change", () => {
    for (const each of $$("[data-select]")) each.checked = box.checked;
    countChosen();
  });
  head.replaceChildren(box);
}

document.addEventListener("change", (event) => {
  if (event.target.matches("[data-select]")) countChosen();
});

// ── Times ────────────────────────────────────────────────────────────────────────────────────────────────────────

const STEPS = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];

function ago(at) {
  const seconds = (Date.now() - at) / 1000;
  const size = Math.abs(seconds);
  if (size < 1) return "now";
  const [unit, word] = STEPS.find(([each]) => size >= each);
  const words = `${Math.floor(size / unit)} ${word}`;
  return seconds > 0 ? `${words} ago` : `in ${words}`;
}

function local(at) {
  const two = (number, size = 2) => String(number).padStart(size, "0");
  const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  return `${day} ${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

function writeTimes(part) {
  const how = document.body.dataset.times;
  for (const each of part.querySelectorAll("time[datetime]")) {
    const at = new Date(each.dateTime);
    if (Number.isNaN(at.getTime())) continue;
    const isRelative = each.title !== "" && !each.hasAttribute("data-exact");
    if (how === "local") each.textContent = local(at);
    else if (how === "relative" && isRelative) each.textContent = ago(at);
  }
}

// ── Copying, and what a new part of a page needs ─────────────────────────────────────────────────────────────────

async function copy(from) {
  const label = from.textContent;
  try {
    await navigator.clipboard.writeText(from.dataset.copy);
    from.textContent = "Copied";
  } catch {
    from.textContent = "Not allowed here";
  }
  setTimeout(() => { from.textContent = label; }, 1500);
}

document.addEventListener("click", (event) => {
  const from = event.target.closest("[data-copy]");
  if (from) copy(from);
});

function prepare(part) {
  if (navigator.clipboard) for (const each of part.querySelectorAll("[data-copy]")) each.hidden = false;
  addSelectAll(part);
  countChosen();
  writeTimes(part);
}

prepare(document);
for (const line of $$("[data-fresh]")) follow(line);
setInterval(() => { if (!document.hidden) writeTimes(document); }, 1000);
addEventListener("scroll", showPause, { passive: true });
document.addEventListener("visibilitychange", showPause);
showPause();
const here = $(".top nav [aria-current]"); // on a phone the navigation is wider than the window
if (here) here.parentElement.scrollLeft = here.offsetLeft - 40;
const toast = $(".toast");
if (toast) setTimeout(() => toast.remove(), 8000);
