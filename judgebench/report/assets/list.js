// @ts-check
import { address, el, figure, literally, visible, withMarks } from "./core.js";
import { bitsOf, change, chosen, DOUBTS, endOf, endsOf, isLeftOut, keepChosen, LEAST_TYPED, outcome, runOf, tenthOf, turned } from "./filter.js";
import { sliceText } from "./data.js";
import { SCOPES, textsOf } from "./search.js";

// The list of samples: filters in the address, and rows that exist only while they are in sight.

const ROW = 34;
const SPARE = 8;
/** Slices that are unpacked while one is searched. */
const AHEAD = 2;
const MOST_MARKS_OF_ROW = 20;
/** Milliseconds between two drawings of a list that grows. */
const PAUSE_BETWEEN = 200;
const SYMBOLS = { win: "\u25b2", tie: "\u25c6", loss: "\u25bc", passed: "\u2713", failed: "\u2717", "no answer": "\u2205", unread: "?", "": "" };

/**
 * @param {any} report
 * @param {any} task
 * @param {Map<string, string>} settings
 * @param {(settings: Map<string, string>, replace: boolean) => void} go
 * @param {number} from the place of the sample that one comes back from; -1 for none
 */
export function listView(report, task, settings, go, from) {
  const run = runOf(task, settings.get("run"), 0);
  const vs = runOf(task, settings.get("vs"), task.runs.length > 1 ? (run === 0 ? 1 : 0) : -1);
  const places = { all: chosen(task, settings) };
  const count = el("p", { role: "status", class: "count" }, counted(places.all.length, task));
  const rows = el("div", { role: "rowgroup" });
  const sizer = el("div", { class: "sizer" }, rows);
  const columns = shownRuns(task, run, vs);
  const ordersOf = ["orders", "reversed", "tied"].includes(settings.get("f") || "") ? run : -1;
  const table = el(
    "div",
    { role: "table", class: `samples of${columns.length}${ordersOf < 0 ? "" : " by-order"}`, "aria-label": `samples of ${task.label}`, "aria-rowcount": places.all.length + 1 },
    el("div", { role: "rowgroup" }, head(report, task, columns, ordersOf)),
    sizer,
  );
  let first = Number.POSITIVE_INFINITY;
  let last = 0;
  const draw = () => {
    sizer.style.height = `${places.all.length * ROW}px`;
    const top = Math.max(0, -sizer.getBoundingClientRect().top);
    const start = Math.floor(top / ROW);
    const to = Math.min(places.all.length, Math.ceil((top + window.innerHeight) / ROW));
    if (start >= first && to <= last) return;
    const held = rows.contains(document.activeElement) ? document.activeElement?.getAttribute("href") : undefined;
    [first, last] = [Math.max(0, start - SPARE), Math.min(places.all.length, to + SPARE)];
    rows.replaceChildren(...places.all.slice(first, last).map((place, at) => row(task, place, first + at, columns, settings, place === from, ordersOf)));
    if (held) [...rows.querySelectorAll("a")].find((link) => link.getAttribute("href") === held)?.focus({ preventScroll: true });
  };
  const view = el("div", { class: "list" }, filters(report, task, settings, go), count, table);
  const onScroll = () => {
    if (!view.isConnected) {
      window.removeEventListener("scroll", onScroll);
      window.removeEventListener("resize", onScroll);
    } else draw();
  };
  window.addEventListener("scroll", onScroll, { passive: true });
  window.addEventListener("resize", onScroll);
  if ((settings.get("q") || "").length >= LEAST_TYPED) searchTexts(task, settings, places, count, view, () => {
    first = Number.POSITIVE_INFINITY;
    draw();
    table.setAttribute("aria-rowcount", String(places.all.length + 1));
  });
  requestAnimationFrame(() => {
    const at = places.all.indexOf(from);
    sizer.style.height = `${places.all.length * ROW}px`;
    if (at >= 0) window.scrollTo(0, window.scrollY + sizer.getBoundingClientRect().top + at * ROW - window.innerHeight / 2);
    draw();
    /** @type {HTMLElement | null} */ (rows.querySelector("[aria-current] a"))?.focus({ preventScroll: true });
  });
  return view;
}

/** @param {number} found @param {any} task */
function counted(found, task) {
  return `${found.toLocaleString("en")} of ${task.ids.length.toLocaleString("en")} samples`;
}

/** Search the whole texts, slice by slice, and show what is found meanwhile; the next view ends it. */
async function searchTexts(/** @type {any} */ task, /** @type {Map<string, string>} */ settings, /** @type {{all: number[]}} */ places, /** @type {HTMLElement} */ count, /** @type {HTMLElement} */ view, /** @type {() => void} */ redraw) {
  const wanted = (settings.get("q") || "").toLowerCase();
  const scope = settings.get("in") || "";
  // What a slice holds is JSON: a first look at it needs no parsing.
  const pattern = new RegExp(JSON.stringify(wanted).slice(1, -1).replace(/[.*+?^${}()|[\]\\]/g, "\\$&"), "i");
  const without = new Map(settings);
  without.delete("q");
  const order = chosen(task, without);
  const allowed = new Set(order);
  const found = new Set(places.all);
  const bySlice = new Map();
  for (const where of [task.items, ...task.parts]) {
    where.forEach((/** @type {[number, number] | null} */ at, /** @type {number} */ place) => {
      if (!at) return;
      if (!bySlice.has(at[0])) bySlice.set(at[0], []);
      bySlice.get(at[0]).push([at[1], place]);
    });
  }
  let done = 0;
  let missed = "";
  let drawn = Number.NEGATIVE_INFINITY;
  const unpacking = [...bySlice.keys()][Symbol.iterator]();
  /** @type {Promise<string>[]} */
  const ahead = [];
  const unpackNext = () => {
    const { done: none, value: number } = unpacking.next();
    if (none) return;
    ahead.push(sliceText(number).catch((error) => {
      missed ||= `; not every text was searched: ${error.message}`;
      return "";
    }));
  };
  for (let place = 0; place < AHEAD; place++) unpackNext();
  for (const rows of bySlice.values()) {
    unpackNext();
    const text = (await ahead.shift()) || "";
    if (pattern.test(text)) {
      const whole = JSON.parse(text);
      for (const [at, place] of rows) {
        if (allowed.has(place) && !found.has(place) && textsOf(whole[at], scope).some((/** @type {string} */ own) => own.toLowerCase().includes(wanted))) found.add(place);
      }
    }
    done++;
    await new Promise((next) => setTimeout(next));
    if (!view.isConnected) return;
    count.textContent = `${counted(found.size, task)}${done < bySlice.size ? `, searching ${Math.floor((100 * done) / bySlice.size)} %` : ""}${missed}`;
    if (found.size === places.all.length || (done < bySlice.size && performance.now() < drawn + PAUSE_BETWEEN)) continue;
    places.all = order.filter((place) => found.has(place));
    keepChosen(task, settings, places.all);
    redraw();
    drawn = performance.now();
  }
}

function shownRuns(/** @type {any} */ task, /** @type {number} */ run, /** @type {number} */ vs) {
  return task.runs.length <= 3 ? task.runs.map((/** @type {any} */ _, /** @type {number} */ at) => at) : vs < 0 ? [run] : [run, vs];
}

function head(/** @type {any} */ report, /** @type {any} */ task, /** @type {number[]} */ columns, /** @type {number} */ ordersOf) {
  const called = (/** @type {number} */ run) => report.runs[task.runs[run]].name;
  const names = ["id", task.asked ? "prompt" : "answer", "groups", ...columns.map(called), ...(columns.length > 1 ? ["change"] : [])];
  const cells = names.map((name, at) => el("span", { role: "columnheader", class: at > 2 ? "number" : ["id", "prompt", "group"][at], title: visible(name) }, visible(name)));
  const orders = ordersOf < 0 ? null : el("span", { role: "columnheader", class: "orders", title: `how games of ${visible(called(ordersOf))} ended when its answer was shown first, and when second` }, el("span", { class: "word" }, "shown "), "first \u2192 second");
  return el("div", { role: "row", class: "row head" }, cells, orders);
}

/** A text of a row, in which what was searched for is marked. */
function withSought(/** @type {string} */ text, /** @type {Map<string, string>} */ settings) {
  const sought = settings.get("q");
  return sought ? withMarks(visible(text), new RegExp(literally([sought]), "giu"), { left: MOST_MARKS_OF_ROW }) : visible(text);
}

/** @param {any} task @param {number} place @param {number} at @param {number[]} columns @param {Map<string, string>} settings @param {boolean} current @param {number} ordersOf */
function row(task, place, at, columns, settings, current, ordersOf) {
  const cells = columns.map((run) => {
    const said = outcome(task, place, run);
    const value = task.values[run][place];
    const word = endOf(task, place, run);
    return el("span", { role: "cell", class: `number ${said}` }, isLeftOut(task, place, run, settings.get("of") || "") ? el("span", { class: "quiet", title: `not in ${settings.get("of")}` }, "not counted ") : null, SYMBOLS[/** @type {keyof typeof SYMBOLS} */ (word)], " ", el("span", { class: "word" }, word), " ", figure(value));
  });
  if (columns.length > 1) {
    const moved = change(task, place, columns[0], columns[1]);
    cells.push(el("span", { role: "cell", class: "number" }, moved == null ? "\u2013" : `${moved > 0 ? "+" : ""}${figure(moved)}`));
  }
  if (ordersOf >= 0) cells.push(el("span", { role: "cell", class: "orders" }, turned(task, place, ordersOf).map((ends) => ends.join(" \u2192 ")).join(", ")));
  const link = el("a", { href: address(["s", task.label, task.ids[place]], settings), "data-place": at }, withSought(task.ids[place], settings));
  const groups = task.in[place].map((/** @type {number} */ group) => task.groups[group].replace(/^[^=]*=/, "")).join(", ");
  const made = el(
    "div",
    { role: "row", class: "row", "aria-rowindex": at + 2, "aria-current": current && "true" },
    el("span", { role: "cell", class: "id" }, link),
    el("span", { role: "cell", class: "prompt", dir: "auto" }, task.prompts[place] ? withSought(task.prompts[place], settings) : el("span", { class: "quiet" }, "(empty)")),
    el("span", { role: "cell", class: "group", title: visible(groups) }, visible(groups)),
    cells,
  );
  made.addEventListener("click", (event) => {
    // What is being selected is not left.
    if (!(/** @type {Element} */ (event.target).closest("a")) && !getSelection()?.toString()) link.click();
  });
  // A row stands where it belongs among all rows, whether those exist or not.
  made.style.top = `${at * ROW}px`;
  return made;
}

const narrow = matchMedia("(max-width: 640px)");
let unfolded = false;

/** Choices that take one line on a phone until they are wanted; it says in words what is chosen. @param {(HTMLElement | null)[]} choices */
function folded(choices) {
  const chosenNow = choices.flatMap((one) => [...(one?.querySelectorAll("select:not([name=task]) option") || [])]).filter((option) => option.hasAttribute("selected") && option.value && Number.isNaN(Number(option.value))).map((option) => option.textContent || "");
  const made = /** @type {HTMLDetailsElement} */ (el("details", { class: "choices", open: unfolded || !narrow.matches }, el("summary", {}, `Filters and order${chosenNow.length ? `: ${chosenNow.join(", ")}` : ""}`), el("div", { class: "fields-of" }, choices)));
  made.addEventListener("toggle", () => {
    if (narrow.matches) unfolded = made.open;
  });
  const turned = () => {
    if (!made.isConnected) narrow.removeEventListener("change", turned);
    else made.open = unfolded || !narrow.matches;
  };
  narrow.addEventListener("change", turned);
  return made;
}

/** @param {any} report @param {any} task @param {Map<string, string>} settings @param {(settings: Map<string, string>, replace: boolean) => void} go */
function filters(report, task, settings, go) {
  const several = task.runs.length > 1;
  const set = (/** @type {string} */ name, /** @type {string} */ value, replace = true) => {
    const next = new Map(settings);
    if (value) next.set(name, value);
    else next.delete(name);
    if (name !== "m" && name === "v") next.delete("m");
    go(next, replace);
  };
  let waiting = 0;
  const search = el("input", { type: "search", id: "search", "data-keep": "q", value: settings.get("q") || "", placeholder: "id, prompt, answer, judge's words", autocomplete: "off" });
  search.addEventListener("input", (event) => {
    clearTimeout(waiting);
    // A word that is being composed would be lost with the field.
    if (/** @type {InputEvent} */ (event).isComposing) return;
    waiting = window.setTimeout(() => set("q", /** @type {HTMLInputElement} */ (search).value), 150);
  });
  const typed = (/** @type {Event} */ event) => {
    event.preventDefault();
    clearTimeout(waiting);
    set("q", /** @type {HTMLInputElement} */ (search).value);
  };
  const verdicts = [
    ["", "all"],
    ...endsOf(task).map((one) => [one, one]),
    ...(several ? [["flip", "flips between the runs"], ["changed", "any change between the runs"], ["up", "gains"], ["down", "losses"], ["same", "no change"], ["both", "in both runs"]] : []),
  ];
  const flags = new Set(task.flags.flat());
  const there = (/** @type {string} */ name) => name === settings.get("f") || [...flags].some((one) => one & bitsOf(name));
  const doubts = [
    ["", "all"],
    ["integrity", "answer in doubt (integrity)"],
    ...Object.entries(DOUBTS).map(([name, [, words]]) => [name, words]),
    ["none", "no value"],
    ["out", `not in ${settings.get("of") || "a number"}`],
  ].filter(([name]) => !name || (name === "out" ? settings.get("of") : (name === "none" ? settings.get("f") === name || task.values.some((/** @type {any[]} */ own) => own.includes(null)) : there(name) && (name !== "pairs" || settings.get("f") === name))));
  const scopes = [["", "everywhere"], ...Object.entries(SCOPES)];
  const orders = [
    ["", "as in the benchmark"],
    ...(several ? [["delta", "largest change"], ["up", "largest gain"], ["down", "largest loss"]] : []),
    ["value", "lowest value"],
    ["best", "highest value"],
    ["length", "longest answer"],
  ];
  const names = task.runs.map((/** @type {number} */ number) => [String(number), report.runs[number].name]);
  const select = (/** @type {string} */ name, /** @type {string} */ label, /** @type {string[][]} */ choices, /** @type {string} */ fallback = "") =>
    el(
      "label",
      {},
      el("span", {}, label),
      el(
        "select",
        { name, "data-keep": name, onchange: (/** @type {any} */ event) => set(name, event.target.value) },
        choices.map(([value, text]) => el("option", { value, selected: value === (settings.get(name) ?? fallback) }, visible(text))),
      ),
    );
  const tasks = report.tasks.map((/** @type {any} */ one) => [one.label, one.label]);
  const clear = settings.size ? el("a", { href: address(["samples", task.label]), class: "clear" }, "clear filters") : null;
  const choices = [
    tasks.length > 1 ? el("label", {}, el("span", {}, "Task"), el("select", { name: "task", "data-keep": "task", onchange: (/** @type {any} */ event) => (location.hash = address(["samples", event.target.value])) }, tasks.map(([value, text]) => el("option", { value, selected: value === task.label }, visible(text))))) : null,
    select("in", "Search in", scopes),
    select("v", "Verdict", verdicts),
    doubts.length > 1 ? select("f", "Doubt", doubts) : null,
    task.groups.length ? select("cat", "Group", [["", "all"], ...task.groups.map((/** @type {string} */ group) => [group, group])]) : null,
    select("s", "Order", orders),
    several ? select("run", "Run", names, String(task.runs[0])) : null,
    several ? select("vs", "Against", names, String(task.runs[1])) : null,
  ];
  const against = names.find(([number]) => number === (settings.get("vs") || String(task.runs[1])))?.[1];
  const outOf = (/** @type {number} */ number, /** @type {number} */ at) => [report.runs[number].name, task.ids.filter((/** @type {string} */ _, /** @type {number} */ place) => isLeftOut(task, place, at, settings.get("of") || "")).length];
  const special = [
    settings.get("of") ? `behind ${settings.get("of")}; values are ${task.measure}, in which all count; not in ${settings.get("of")}: ${task.runs.map(outOf).map(([name, n]) => `${n} of ${name}`).join(", ")}` : "",
    settings.get("m") ? `only ${settings.get("m")?.replace(">", " \u2192 ")}` : "",
    tenthOf(settings) >= 0 ? `only tenth ${tenthOf(settings) + 1} of 10 by length, the shortest first` : "",
    settings.get("lab") ? `only with a verdict ${settings.get("lab")}` : "",
    settings.get("w") ? `only where ${against} is ${settings.get("w") === "longer" ? "longer" : "not longer"}` : "",
  ].filter(Boolean).join("; ");
  return el("form", { class: "filters", role: "search", onsubmit: typed }, el("label", { class: "wide" }, el("span", {}, "Search"), search), folded(choices), clear, special ? el("p", { class: "special" }, visible(special)) : null);
}
