// @ts-check
import { address, el, painted, parsed, visible } from "./core.js";
import { chosen } from "./filter.js";
import { readIndex, sample } from "./data.js";
import { watch } from "./live.js";
import { listView } from "./list.js";
import { sampleView } from "./sample.js";
import { takeTheme, turnTheme } from "./theme.js";

// Which view is shown. Views of numbers are in the file as they are; those of samples are made here.

const KEYS = [
  ["j", "k", "next, previous sample of the list"],
  ["Enter", "", "open the sample of the list that has the focus"],
  ["u", "", "back to the list"],
  ["/", "", "search"],
  ["d", "r", "word diff, raw text"],
  ["x", "", "swap the two sides"],
  ["[", "]", "other run"],
  ["t", "", "theme"],
  ["?", "Esc", "these keys, and away with them"],
];

const main = /** @type {HTMLElement} */ (document.getElementById("main"));
const made = /** @type {HTMLElement} */ (document.getElementById("made"));
/** @type {any} */
let report = null;
let shown = "";
/** Whether the next list is opened to type into its search. */
let searching = false;

function show(/** @type {string} */ id) {
  for (const section of document.querySelectorAll("section.view")) /** @type {HTMLElement} */ (section).hidden = section.id !== id;
}

function mark(/** @type {string} */ name) {
  for (const link of document.querySelectorAll("nav.views a")) {
    if (link.getAttribute("data-view") === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

/** Show what was made; the view that was there before keeps the focus where it was. */
function place(/** @type {HTMLElement} */ content, /** @type {string} */ title, moved = true) {
  const held = /** @type {HTMLInputElement | null} */ (made.contains(document.activeElement) ? document.activeElement : null);
  const [name, cursor] = [held?.dataset.keep, held?.id === "search" ? held.selectionStart : null];
  made.replaceChildren(content);
  show("made");
  if (moved) return arrive(title, made);
  document.title = `${title} - judgebench`;
  const same = /** @type {HTMLInputElement | undefined} */ ([...made.querySelectorAll("[data-keep]")].find((one) => name && /** @type {HTMLElement} */ (one).dataset.keep === name));
  same?.focus({ preventScroll: true });
  if (same && cursor != null) same.setSelectionRange(cursor, cursor);
}

function arrive(/** @type {string} */ title, /** @type {HTMLElement} */ view) {
  document.title = `${title} - judgebench`;
  window.scrollTo(0, 0);
  const heading = /** @type {HTMLElement | null} */ (view.querySelector("h1"));
  (heading || main).focus({ preventScroll: true });
}

function missing(/** @type {string} */ words) {
  place(el("div", {}, el("h1", { tabindex: "-1" }, "Not here"), el("p", {}, visible(words)), el("p", {}, el("a", { href: "#/" }, "Summary"))), "Not here");
}

function taskCalled(/** @type {string} */ label) {
  return report?.tasks.find((/** @type {any} */ task) => task.label === label);
}

/** Show what the address names; the root element says when that is done. */
async function route() {
  const here = location.hash;
  await showView();
  if (location.hash === here) document.documentElement.dataset.shown = here;
}

async function showView() {
  const { path, settings } = parsed(location.hash);
  const [name = "", label = "", id = ""] = path;
  const numbers = section(name || "summary", label);
  mark(name === "s" ? "samples" : name || "summary");
  if (!["samples", "s"].includes(name)) {
    if (!numbers && !report) return;
    if (!numbers) return missing(`This report has no view ${path.join("/")}.`);
    show(numbers.id);
    if (shown !== location.hash) arrive(numbers.dataset.title || "Summary", numbers);
    shown = location.hash;
    for (const row of numbers.querySelectorAll("tr")) row.classList.toggle("found", isMeant(row, settings, name === "compare" ? label : ""));
    numbers.querySelector("tr.found")?.scrollIntoView({ block: "center" });
    /** @type {HTMLElement[]} */ ([...numbers.querySelectorAll("[data-part]")]).find((one) => one.dataset.part === settings.get("part"))?.scrollIntoView();
    return;
  }
  if (!report) return;
  const task = label ? taskCalled(label) : report.tasks[0];
  if (!task) return missing(`This report has no task ${label}. It has ${report.tasks.map((/** @type {any} */ one) => one.label).join(", ")}.`);
  if (name === "samples") {
    const before = parsed(shown).path;
    const from = before[0] === "s" && before[1] === task.label && !searching ? task.ids.indexOf(before[2]) : -1;
    const view = el("div", {}, el("h1", { tabindex: "-1" }, `Samples of ${visible(task.label)}`), listView(report, task, settings, (next, replace) => go(address(["samples", task.label], next), replace), from));
    place(view, `Samples of ${visible(task.label)}`, shown.split("?")[0] !== location.hash.split("?")[0]);
    shown = location.hash;
    if (searching) document.getElementById("search")?.focus();
    searching = false;
    return;
  }
  const at = task.ids.indexOf(id);
  if (at < 0) return missing(`${task.label} has no sample ${id} in this report.`);
  const here = location.hash;
  let found;
  try {
    found = await sample(task, at);
  } catch (error) {
    return missing(String(/** @type {Error} */ (error).message));
  }
  if (location.hash !== here) return;
  const set = (/** @type {Record<string, string>} */ changed) => go(address(path, new Map([...settings, ...Object.entries(changed)])), true);
  const view = el("div", {}, trail(task, at, settings), sampleView(report, task, at, found, settings, set));
  place(view, visible(task.ids[at]), shown.split("?")[0] !== here.split("?")[0]);
  shown = here;
  void readAhead(task, at, settings);
}

/** Samples that are unpacked before they are wanted: their slice is there by then. */
const READ_AHEAD = 3;

/** Unpack the next samples of the list while this one is looked at. */
async function readAhead(/** @type {any} */ task, /** @type {number} */ at, /** @type {Map<string, string>} */ settings) {
  const here = location.hash;
  const places = chosen(task, settings);
  const own = places.indexOf(at);
  await painted();
  for (const next of own < 0 ? [] : places.slice(own + 1, own + 1 + READ_AHEAD)) {
    if (location.hash !== here) return;
    // What is missing is said when it is wanted.
    await sample(task, next).catch(() => {});
  }
}

/** Whether an address names a row of numbers by its metric, by its group, or by both. @param {HTMLElement} row @param {Map<string, string>} settings @param {string} task */
function isMeant(row, settings, task) {
  const [metric, group] = [settings.get("metric"), settings.get("cat")];
  if (!metric && !group) return false;
  if (task && row.dataset.task !== undefined && row.dataset.task !== task) return false;
  // A metric alone is its row over all samples.
  return (!metric || row.dataset.metric === metric) && (row.dataset.group || "") === (group || "");
}

/** The view of numbers of that name, and of that task or run if one is named. */
function section(/** @type {string} */ name, /** @type {string} */ label) {
  const own = /** @type {HTMLElement[]} */ ([...document.querySelectorAll("section.view")]).filter((one) => one.dataset.view === name);
  // Some views show all tasks at once, and an address may name one of them all the same.
  return label && own.some((one) => one.dataset.label) ? own.find((one) => one.dataset.label === label) : own[0];
}

/** Previous and next within the list that one comes from. */
function trail(/** @type {any} */ task, /** @type {number} */ at, /** @type {Map<string, string>} */ settings) {
  const places = chosen(task, settings);
  const own = places.indexOf(at);
  const link = (/** @type {number} */ step, /** @type {string} */ key, /** @type {string} */ words) => {
    const to = own < 0 ? undefined : places[own + step];
    return to === undefined ? el("span", { class: "quiet" }, words) : el("a", { href: address(["s", task.label, task.ids[to]], settings), "data-key": key }, words);
  };
  const list = new Map(settings);
  for (const name of ["a", "b", "d"]) list.delete(name);
  return el(
    "nav",
    { class: "trail", "aria-label": "samples" },
    el("a", { href: address(["samples", task.label], list), "data-key": "u" }, "All samples"),
    link(-1, "k", "Previous"),
    link(1, "j", "Next"),
    el("span", { class: "quiet" }, own < 0 ? "not in the list" : `${own + 1} of ${places.length}`),
  );
}

function go(/** @type {string} */ to, /** @type {boolean} */ replace) {
  if (replace) {
    history.replaceState(null, "", to);
    void route();
  } else location.hash = to;
}

/** The views by their numbers, as far as this report has them. */
function viewKeys() {
  return [...document.querySelectorAll("nav.views a")].map((link, at) => [String(at + 1), "", link.firstChild?.textContent?.trim() || ""]);
}

function helpKeys() {
  const list = /** @type {HTMLElement} */ (document.getElementById("keys"));
  list.hidden = !list.hidden;
  if (!list.childElementCount) list.append(el("h2", {}, "Keys"), el("dl", {}, [...KEYS, ...viewKeys()].map(([one, other, words]) => [el("dt", {}, el("kbd", {}, one), other ? [" ", el("kbd", {}, other)] : null), el("dd", {}, words)])));
}

function pressed(/** @type {KeyboardEvent} */ event) {
  const target = /** @type {HTMLElement} */ (event.target);
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (/^(INPUT|SELECT|TEXTAREA)$/.test(target.tagName)) {
    if (event.key === "Escape") target.blur();
    return;
  }
  const { path, settings } = parsed(location.hash);
  const views = [...document.querySelectorAll("nav.views a")];
  const inSample = path[0] === "s";
  const set = (/** @type {string} */ name, /** @type {string} */ value) => go(address(path, new Map(settings).set(name, value)), true);
  if ("jku".includes(event.key) && event.key) {
    const link = /** @type {HTMLElement | null} */ (document.querySelector(`.trail [data-key="${event.key}"]`));
    if (link) link.click();
    else if (path[0] === "samples" && event.key !== "u") step(event.key === "j" ? 1 : -1);
  } else if (event.key === "/") {
    const search = made.hidden ? null : document.getElementById("search");
    if (search) search.focus();
    else {
      searching = true;
      location.hash = address(["samples", (taskCalled(path[1] || "") || report?.tasks[0])?.label || ""]);
    }
  } else if (event.key === "d" && inSample) set("d", settings.get("d") === "diff" ? "formatted" : "diff");
  else if (event.key === "r" && inSample) set("d", settings.get("d") === "raw" ? "formatted" : "raw");
  else if (event.key === "x" && inSample) document.getElementById("swap")?.click();
  else if ((event.key === "[" || event.key === "]") && report) turnRun(path, settings, event.key === "]" ? 1 : -1);
  else if (/^[1-9]$/.test(event.key) && views[Number(event.key) - 1]) /** @type {HTMLElement} */ (views[Number(event.key) - 1]).click();
  else if (event.key === "t") turnTheme();
  else if (event.key === "?") helpKeys();
  else if (event.key === "Escape" && !document.getElementById("keys")?.hidden) helpKeys();
  else return;
  event.preventDefault();
}

/** Move the focus along the rows of the list. */
function step(/** @type {number} */ by) {
  const rows = /** @type {HTMLElement[]} */ ([...document.querySelectorAll(".samples [data-place]")]);
  const at = rows.findIndex((row) => row === document.activeElement);
  const next = rows[at < 0 ? 0 : at + by];
  if (!next) return;
  next.focus();
  next.scrollIntoView({ block: "nearest" });
}

function turnRun(/** @type {string[]} */ path, /** @type {Map<string, string>} */ settings, /** @type {number} */ by) {
  const task = taskCalled(path[1] || "");
  if (!task || task.runs.length < 2) return;
  const at = Math.max(0, task.runs.indexOf(Number(settings.get("run") ?? task.runs[0])));
  const next = new Map(settings).set("run", String(task.runs[(at + by + task.runs.length) % task.runs.length]));
  next.delete("vs");
  next.delete("a");
  next.delete("b");
  go(address(path, next), true);
}

async function start() {
  takeTheme();
  document.getElementById("help")?.addEventListener("click", helpKeys);
  document.addEventListener("keydown", pressed);
  window.addEventListener("hashchange", () => void route());
  const first = document.querySelector('meta[name="jb-start"]')?.getAttribute("content");
  if (!location.hash && first) history.replaceState(null, "", first);
  document.querySelector("a.skip")?.addEventListener("click", (event) => {
    event.preventDefault();
    main.focus();
  });
  document.addEventListener("DOMContentLoaded", sayIfCut);
  watch();
  await route();
  report = await readIndex();
  document.documentElement.classList.add("ready");
  await route();
}

/** Every file ends in a mark of its own. */
function sayIfCut() {
  if (!/^\d+:\d+:[0-9a-f]{64}$/.test(document.getElementById("end")?.textContent || "")) main.before(el("p", { role: "alert", class: "cut-off" }, "This file is cut off: samples at its end are missing. Make the report again."));
}

start().catch((error) => {
  console.error(error);
  missing(`The report cannot be read: ${error.message}`);
});
