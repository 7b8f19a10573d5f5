// @ts-check
// Elements, texts and addresses. Whatever comes from a run is text: nothing here makes markup from a string.

/**
 * An element with attributes and children; a child that is a string becomes text.
 * @param {string} tag
 * @param {Record<string, any>} [attrs] `on…` are listeners, `class` and the others are attributes
 * @param {...any} kids
 * @returns {HTMLElement}
 */
export function el(tag, attrs = {}, ...kids) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attrs)) {
    if (value === false || value == null) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : String(value));
  }
  made.append(...kids.flat(9).filter((kid) => kid != null && kid !== false));
  return made;
}

const HIDDEN = /(?<!\p{Extended_Pictographic}\ufe0f?)\u200d|[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b\u200c\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e0fff}]|\p{Cs}/gu;
/** Most texts hold nothing else, which is seen much sooner. */
const PLAIN = /^[\n\t -~]*$/;
const LONGEST = 60000;
const UNBROKEN = 400;

/** A text as people can read it: marks that are not seen, or turn the line round, are shown by their number. */
export function visible(/** @type {string} */ text) {
  return PLAIN.test(text) ? text : text.replace(HIDDEN, (mark) => `\u27e8${mark.codePointAt(0)?.toString(16).toUpperCase().padStart(4, "0")}\u27e9`);
}

/** A group as it is shown: of the commonest kind, its value says enough. */
export function shownGroup(/** @type {string} */ group) {
  return group.replace(/^category=(?=.)/, "");
}

/**
 * Nodes of a text: cut if it is very long, with places to break where it has no spaces.
 * @param {string} text
 * @returns {(string | HTMLElement)[]}
 */
export function textNodes(text) {
  const shown = visible(String(text).slice(0, LONGEST));
  /** @type {(string | HTMLElement)[]} */
  const nodes = broken(shown);
  if (text.length > LONGEST) {
    const more = el("button", { type: "button", class: "more" }, `Show all ${text.length.toLocaleString("en")} characters`);
    more.addEventListener("click", () => more.replaceWith(...broken(visible(text.slice(LONGEST)))));
    nodes.push(more);
  }
  return nodes;
}

function broken(/** @type {string} */ text) {
  /** @type {(string | HTMLElement)[]} */
  const nodes = [];
  let from = 0;
  let run = 0;
  for (let place = 0; place < text.length; place++) {
    const code = text.charCodeAt(place);
    run = code === 32 || code === 10 || code === 9 ? 0 : run + 1;
    if (run >= UNBROKEN && (code & 0xfc00) !== 0xd800) {
      nodes.push(text.slice(from, place + 1), document.createElement("wbr"));
      from = place + 1;
      run = 0;
    }
  }
  nodes.push(text.slice(from));
  return nodes;
}

/** A pattern that finds words as they are shown, in whichever case. */
export function literally(/** @type {string[]} */ words) {
  return words.map((word) => visible(word).replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("|");
}

/**
 * A text as nodes in which what a pattern finds is marked, at most so often.
 * @param {string} text
 * @param {RegExp} pattern
 * @param {{left: number}} most
 * @returns {(string | HTMLElement)[]}
 */
export function withMarks(text, pattern, most) {
  const parts = [];
  let from = 0;
  for (const found of text.matchAll(pattern)) {
    if (!found[0] || most.left-- <= 0) break;
    parts.push(text.slice(from, found.index), el("mark", {}, found[0]));
    from = found.index + found[0].length;
  }
  return from ? [...parts, text.slice(from)] : [text];
}

const UNMARKED = "mark, button, select, summary, h1, h2, h3, nav";

/** Mark what a pattern finds in the texts of an element, at most so often. @param {HTMLElement} whole @param {RegExp} pattern @param {number} left */
export function markWithin(whole, pattern, left) {
  const walker = document.createTreeWalker(whole, NodeFilter.SHOW_TEXT);
  const texts = [];
  while (walker.nextNode()) texts.push(/** @type {Text} */ (walker.currentNode));
  const most = { left };
  for (const text of texts) {
    if (most.left <= 0) break;
    if (text.parentElement?.closest(UNMARKED)) continue;
    const nodes = withMarks(text.data, pattern, most);
    if (nodes.length > 1) text.replaceWith(...nodes);
  }
}

/** The part of an address for one word. A lone surrogate cannot be encoded, so it is replaced first. */
export function encoded(/** @type {string} */ text) {
  return encodeURIComponent(String(text).replace(/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g, "\ufffd"));
}

function decoded(/** @type {string} */ text) {
  try {
    return decodeURIComponent(text.replace(/\+/g, " "));
  } catch {
    return text;
  }
}

/**
 * The view that a fragment names: its path, and its settings.
 * @param {string} hash
 */
export function parsed(hash) {
  const [path, query = ""] = hash.replace(/^#\/?/, "").split("?");
  const settings = new Map();
  for (const pair of query.split("&")) {
    const [name, value = ""] = pair.split("=");
    if (name) settings.set(decoded(name), decoded(value));
  }
  return { path: path.split("/").map(decoded), settings };
}

/**
 * The address of a view; settings without a value are left out.
 * @param {string[]} path
 * @param {Iterable<[string, any]>} [settings]
 */
export function address(path, settings = []) {
  const query = [...settings].filter(([, value]) => value !== "" && value != null).map(([name, value]) => `${encoded(name)}=${encoded(value)}`);
  return `#/${path.map(encoded).join("/")}${query.length ? `?${query.join("&")}` : ""}`;
}

/** A number as the tables write it. */
export function figure(/** @type {number | null | undefined} */ value, digits = 2) {
  return value == null ? "\u2013" : value.toFixed(Math.abs(value) >= 1000 ? 0 : digits);
}

/** Resolves when what was made so far has been painted. */
export function painted() {
  return new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
}

/** Milliseconds of work after which keys and the mouse have their turn. */
const TURN = 8;

/**
 * Take steps to their end, a few at a time.
 * @template T
 * @param {Generator<void, T>} steps
 * @param {() => boolean} wanted asked between turns; what nobody wants any more is given up
 * @returns {Promise<T | undefined>}
 */
export async function inTurns(steps, wanted) {
  let until = performance.now() + TURN;
  for (;;) {
    const { done, value } = steps.next();
    if (done) return value;
    if (performance.now() < until) continue;
    await new Promise((next) => setTimeout(next));
    if (!wanted()) return undefined;
    until = performance.now() + TURN;
  }
}
