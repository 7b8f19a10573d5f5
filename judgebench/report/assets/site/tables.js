// @ts-check
import { address, el, parsed } from "../core.js";
import { takeTheme, turnTheme } from "../theme.js";

// Tables of many runs: which rows are shown, and in which order. That is in the address, so that it can be sent.

const search = /** @type {HTMLInputElement | null} */ (document.getElementById("search"));
const published = /** @type {HTMLSelectElement | null} */ (document.getElementById("published"));
const count = document.getElementById("count");
const tables = /** @type {HTMLTableElement[]} */ ([...document.querySelectorAll("table.runs")]);
const rows = tables.flatMap((table) => /** @type {HTMLElement[]} */ ([...table.querySelectorAll("tbody tr")]));
/** The rows as the page has them, which is what ranks say. */
const given = new Map(rows.map((row, place) => [row, place]));

function settings() {
  return location.hash.startsWith("#/") ? parsed(location.hash).settings : new Map();
}

/** Change the view and its address; what is typed replaces the address, what is chosen adds one. */
function set(/** @type {string} */ name, /** @type {string} */ value, replace = false) {
  const next = settings().set(name, value);
  const to = address([], next);
  if (replace) history.replaceState(null, "", to);
  else history.pushState(null, "", to);
  draw();
}

function pins() {
  return new Set((settings().get("pin") || "").split("\n").filter(Boolean));
}

/** What a cell is sorted by: the first number in it, or its words. */
function key(/** @type {HTMLElement} */ row, /** @type {number} */ column) {
  const cell = /** @type {HTMLTableRowElement} */ (row).cells[column];
  const text = (cell?.textContent || "").trim();
  const number = cell && !cell.matches(".words, .name") ? parseFloat(text.replace(/^[^\d+-]*/, "").replace(/,/g, "")) : NaN;
  return { text, number };
}

function draw() {
  const now = settings();
  const wanted = (now.get("q") || "").toLowerCase();
  const choice = now.get("published") || "";
  const [place = "", column = "", down = ""] = (now.get("s") || "").split(".");
  const pinned = pins();
  if (search && search.value.toLowerCase() !== wanted) search.value = now.get("q") || "";
  if (published) published.value = ["all", "no"].includes(choice) ? choice : "";
  let shown = 0;
  for (const row of rows) {
    const isPinned = pinned.has(row.dataset.model || "");
    const isFound = wanted === "" ? choice === "all" || row.dataset.far === undefined : (row.dataset.model || "").toLowerCase().includes(wanted);
    row.hidden = !isPinned && (!isFound || (choice === "no" && row.dataset.kind === "published"));
    row.classList.toggle("found", isPinned);
    row.querySelector(".pin")?.setAttribute("aria-pressed", String(isPinned));
    if (!row.hidden) shown += 1;
  }
  if (count) count.textContent = shown === rows.length ? `${rows.length} rows` : `${shown} of ${rows.length} rows`;
  tables.forEach((table, number) => {
    const by = String(number) === place && column !== "" ? Number(column) : -1;
    [...table.querySelectorAll("thead th")].forEach((head, at) => {
      if (at === by) head.setAttribute("aria-sort", down ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    });
    const own = rows.filter((row) => table.contains(row));
    const keys = new Map(own.map((row) => [row, by < 0 ? null : key(row, by)]));
    own.sort((one, other) => Number(pinned.has(other.dataset.model || "")) - Number(pinned.has(one.dataset.model || "")) || order(keys.get(one), keys.get(other), Boolean(down)) || (given.get(one) ?? 0) - (given.get(other) ?? 0));
    table.tBodies[0]?.append(...own);
    const section = table.closest("section");
    if (section) section.hidden = own.length > 0 && own.every((row) => row.hidden);
  });
  document.documentElement.dataset.shown = location.hash;
}

/** Numbers before what is none; empty cells last, whichever way round. */
function order(/** @type {any} */ one, /** @type {any} */ other, /** @type {boolean} */ down) {
  if (!one || !other) return 0;
  const sign = down ? -1 : 1;
  if (!Number.isNaN(one.number) && !Number.isNaN(other.number)) return sign * (one.number - other.number);
  if (Number.isNaN(one.number) !== Number.isNaN(other.number)) return Number.isNaN(one.number) ? 1 : -1;
  if (!one.text || !other.text) return Number(!one.text) - Number(!other.text);
  return sign * one.text.localeCompare(other.text, "en");
}

/** Headings become buttons that sort; each row gets one that pins its model. */
function prepare() {
  tables.forEach((table, number) => {
    [...table.querySelectorAll("thead th")].forEach((head, at) => {
      const words = (head.textContent || "").trim();
      if (!words || head.classList.contains("plot")) return;
      const button = el("button", { type: "button", class: "sorts" }, [...head.childNodes]);
      button.addEventListener("click", () => {
        const first = head.classList.contains("number") ? "d" : "";
        const [place, column, down = ""] = (settings().get("s") || "").split(".");
        const again = place === String(number) && column === String(at);
        if (again && down !== first) set("s", "");
        else set("s", `${number}.${at}.${again ? (first ? "" : "d") : first}`);
      });
      head.append(button);
    });
  });
  for (const row of rows) {
    const head = row.querySelector("th");
    if (!head || !row.dataset.model || row.closest("table")?.classList.contains("plain")) continue;
    const button = el("button", { type: "button", class: "pin", "aria-pressed": "false", "aria-label": `pin ${row.dataset.model}`, title: "show this model first" }, "\u2606");
    button.addEventListener("click", () => {
      const next = pins();
      if (!next.delete(row.dataset.model || "")) next.add(row.dataset.model || "");
      set("pin", [...next].join("\n"));
    });
    head.prepend(button);
  }
}

function pressed(/** @type {KeyboardEvent} */ event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(/** @type {HTMLElement} */ (event.target).tagName);
  if (event.key === "Escape" && typing) /** @type {HTMLElement} */ (event.target).blur();
  else if (!typing && event.key === "/" && search) search.focus();
  else if (!typing && event.key === "t") turnTheme();
  else if (!typing && /^[1-9]$/.test(event.key)) /** @type {HTMLElement | undefined} */ ([...document.querySelectorAll("nav.views a")][Number(event.key) - 1])?.click();
  else return;
  event.preventDefault();
}

takeTheme();
prepare();
search?.addEventListener("input", () => set("q", search.value, true));
published?.addEventListener("change", () => set("published", published.value));
document.addEventListener("keydown", pressed);
window.addEventListener("hashchange", draw);
window.addEventListener("popstate", draw);
draw();
document.documentElement.classList.add("ready");
