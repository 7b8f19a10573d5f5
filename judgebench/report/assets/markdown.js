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

/** @param {HTMLElement} whole @param {string[]} lines @param {number} place */
function list(whole, lines, place) {
  const made = el(/^\s*\d/.test(lines[place]) ? "ol" : "ul");
  if (made.tagName === "OL") made.setAttribute("start", String(Number.parseInt(lines[place], 10) || 1));
  for (; place < lines.length; place++) {
    const item = /^(\s{0,12})([-*+]|\d{1,9}[.)]) (.*)$/.exec(lines[place]);
    if (!item) break;
    const depth = Math.min(4, Math.floor(item[1].length / 2));
    made.append(el("li", { class: depth ? `in${depth}` : null }, inline(item[3])));
  }
  whole.append(made);
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
