// @ts-check
import { el, textNodes } from "./core.js";

// A subset of Markdown as elements: headings, lists, emphasis, code, tables. No links, pictures or HTML.

const LONGEST_FORMATTED = 60000;
const MOST_LINES = 3000;

/** @param {string} text @returns {HTMLElement} */
export function formatted(text) {
  const whole = el("div", { class: "formatted" });
  const lines = text.length > LONGEST_FORMATTED ? [] : text.split(/\r\n|\n|\r/);
  if (text.length > LONGEST_FORMATTED || lines.length > MOST_LINES) {
    whole.append(el("pre", {}, textNodes(text)));
    return whole;
  }
  let place = 0;
  while (place < lines.length) {
    const line = lines[place];
    const fence = /^\s{0,3}(`{3,}|~{3,})/.exec(line);
    if (fence) {
      const end = lines.findIndex((other, at) => at > place && other.trimStart().startsWith(fence[1]));
      const last = end < 0 ? lines.length : end;
      whole.append(el("pre", { class: "code" }, textNodes(lines.slice(place + 1, last).join("\n"))));
      place = last + 1;
    } else if (/^#{1,6} /.test(line)) {
      whole.append(el("p", { class: "heading" }, inline(line.replace(/^#+ /, ""))));
      place++;
    } else if (/^\s*\|.*\|\s*$/.test(line) && /^\s*\|[\s:|-]+\|\s*$/.test(lines[place + 1] || "")) {
      place = table(whole, lines, place);
    } else if (/^\s{0,12}([-*+]|\d{1,9}[.)]) /.test(line)) {
      place = list(whole, lines, place);
    } else if (!line.trim()) {
      place++;
    } else {
      const from = place;
      while (place < lines.length && lines[place].trim() && !/^(#{1,6} |\s{0,3}(```|~~~)|\s{0,12}([-*+]|\d{1,9}[.)]) )/.test(lines[place])) place++;
      if (place === from) place++;
      whole.append(el("p", {}, inline(lines.slice(from, place).join("\n"))));
    }
  }
  return whole;
}

/** Items further in are a list of their own, with its own marks and numbers. @param {HTMLElement} whole @param {string[]} lines @param {number} place */
function list(whole, lines, place) {
  /** @type {{indent: number, made: HTMLElement}[]} */
  const open = [];
  for (; place < lines.length; place++) {
    const item = /^(\s{0,12})([-*+]|\d{1,9}[.)]) (.*)$/.exec(lines[place]);
    if (!item) break;
    const indent = item[1].replaceAll("\t", "    ").length;
    const kind = /\d/.test(item[2]) ? "OL" : "UL";
    while (open.length && open[open.length - 1].indent >= indent + 2) open.pop();
    let top = open[open.length - 1];
    if (!top || indent >= top.indent + 2 || top.made.tagName !== kind) {
      const within = !top ? whole : indent >= top.indent + 2 ? top.made.lastElementChild : top.made.parentElement;
      if (within === top?.made.parentElement) open.pop();
      const depth = within === whole ? Math.min(3, Math.floor(indent / 2)) : 0;
      top = { indent, made: el(kind, { class: depth ? `in${depth}` : null, start: kind === "OL" ? Number.parseInt(item[2], 10) : null }) };
      within?.append(top.made);
      open.push(top);
    }
    top.made.append(el("li", {}, inline(item[3])));
  }
  return place;
}

/** @param {HTMLElement} whole @param {string[]} lines @param {number} place */
function table(whole, lines, place) {
  const cells = (/** @type {string} */ line) => line.trim().replace(/^\||\|$/g, "").split("|").slice(0, 30);
  const head = el("tr", {}, cells(lines[place]).map((cell) => el("th", {}, inline(cell.trim()))));
  const body = el("tbody");
  for (place += 2; place < lines.length && /^\s*\|.*\|\s*$/.test(lines[place]); place++) {
    body.append(el("tr", {}, cells(lines[place]).map((cell) => el("td", {}, inline(cell.trim())))));
  }
  whole.append(el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "table in the answer" }, el("table", {}, el("thead", {}, head), body)));
  return place;
}

/** Bold, emphasis and code within a line. @param {string} text */
function inline(text) {
  const nodes = [];
  let from = 0;
  for (const found of text.matchAll(/`([^`\n]{1,2000})`|\*\*([^*\n]{1,2000})\*\*|\*([^*\s\n][^*\n]{0,2000})\*/g)) {
    nodes.push(...textNodes(text.slice(from, found.index)));
    const [whole, code, bold, slanted] = found;
    nodes.push(code != null ? el("code", {}, textNodes(code)) : bold != null ? el("strong", {}, textNodes(bold)) : el("em", {}, textNodes(slanted)));
    from = found.index + whole.length;
  }
  nodes.push(...textNodes(text.slice(from)));
  return nodes;
}
