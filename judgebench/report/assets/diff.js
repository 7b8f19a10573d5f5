// @ts-check
// Which words two texts have in common, by Myers' O(ND) algorithm over whole words. It works in steps, between which
// whoever asked may draw, or give up.

const WORDS = /[\p{sc=Han}\p{sc=Hiragana}\p{sc=Katakana}\p{sc=Thai}]|[\p{L}\p{N}_']+|\s+|[^]/gu;
const MOST_EDITS = 3000;
const SHORTEST_RUN = 2;
/** Rounds of the search in one step. */
const ROUNDS = 50;

/** @param {string} text @returns {string[]} */
export function words(text) {
  return text.match(WORDS) || [];
}

/**
 * Pairs of positions of words that both texts keep; null if they differ too much to be aligned.
 * @param {string[]} a
 * @param {string[]} b
 * @returns {Generator<void, [number, number][] | null>}
 */
export function* common(a, b) {
  let start = 0;
  let endA = a.length;
  let endB = b.length;
  while (start < endA && start < endB && a[start] === b[start]) start++;
  while (endA > start && endB > start && a[endA - 1] === b[endB - 1]) {
    endA--;
    endB--;
  }
  const middle = yield* snake(a.slice(start, endA), b.slice(start, endB));
  if (!middle) return null;
  /** @type {[number, number][]} */
  const kept = [];
  for (let i = 0; i < start; i++) kept.push([i, i]);
  for (const [i, j] of middle) kept.push([i + start, j + start]);
  for (let i = endA, j = endB; i < a.length; i++, j++) kept.push([i, j]);
  return kept;
}

/** @param {string[]} first @param {string[]} second @returns {Generator<void, [number, number][] | null>} */
function* snake(first, second) {
  const known = new Map();
  const numbered = (/** @type {string[]} */ list) => Int32Array.from(list, (word) => known.get(word) ?? (known.set(word, known.size), known.size - 1));
  const [a, b] = [numbered(first), numbered(second)];
  if (fewestEdits(a, b, known.size) > MOST_EDITS) return null;
  const most = Math.min(a.length + b.length, MOST_EDITS);
  const ends = new Int32Array(2 * most + 3);
  /** What had been reached before each edit, on the diagonals from -d to d. @type {Int32Array[]} */
  const traces = [];
  for (let d = 0; d <= most; d++) {
    if (d % ROUNDS === ROUNDS - 1) yield;
    traces.push(ends.slice(most + 1 - d - 1, most + 1 + d + 2));
    for (let k = -d; k <= d; k += 2) {
      const at = most + 1 + k;
      const down = k === -d || (k !== d && ends[at - 1] < ends[at + 1]);
      let x = down ? ends[at + 1] : ends[at - 1] + 1;
      let y = x - k;
      while (x < a.length && y < b.length && a[x] === b[y]) {
        x++;
        y++;
      }
      ends[at] = x;
      if (x >= a.length && y >= b.length) return back(traces, a.length, b.length);
    }
  }
  return null;
}

/** So many words, at least, only one of the texts has, in whichever order they stand. @param {Int32Array} a @param {Int32Array} b @param {number} size */
function fewestEdits(a, b, size) {
  const counts = new Int32Array(size);
  for (const word of a) counts[word]++;
  for (const word of b) counts[word]--;
  return counts.reduce((sum, count) => sum + Math.abs(count), 0);
}

/** @param {Int32Array[]} traces @param {number} x @param {number} y */
function back(traces, x, y) {
  /** @type {[number, number][]} */
  const kept = [];
  for (let d = traces.length - 1; d >= 0; d--) {
    const ends = traces[d];
    const k = x - y;
    const at = d + 1 + k;
    const down = k === -d || (k !== d && ends[at - 1] < ends[at + 1]);
    const fromX = d === 0 ? 0 : down ? ends[at + 1] : ends[at - 1];
    const fromY = d === 0 ? 0 : fromX - (down ? k + 1 : k - 1);
    while (x > fromX && y > fromY) {
      x--;
      y--;
      kept.push([x, y]);
    }
    x = fromX;
    y = fromY;
  }
  return kept.reverse();
}

/**
 * Two texts as runs of words that both keep, and of words that only one has; with the share of words in common.
 * @param {string} first
 * @param {string} second
 * @returns {Generator<void, Alike | null>}
 */
export function* diff(first, second) {
  const a = words(first);
  yield;
  const b = words(second);
  yield;
  const kept = yield* common(a, b);
  if (!kept) return null;
  yield;
  const heldA = new Set(kept.map(([i]) => i));
  const heldB = new Set(kept.map(([, j]) => j));
  const solid = (/** @type {string} */ word) => /[\p{L}\p{N}]/u.test(word);
  const both = kept.filter(([i]) => solid(a[i])).length;
  const most = Math.max(a.filter(solid).length, b.filter(solid).length, 1);
  return { share: both / most, first: runs(a, heldA), second: runs(b, heldB) };
}

/**
 * @typedef {{same: boolean, text: string}} Run
 * @typedef {{share: number, first: Run[], second: Run[]}} Alike
 */

/** @param {string[]} list @param {Set<number>} held @returns {Run[]} */
function runs(list, held) {
  /** @type {{same: boolean, text: string, size: number}[]} */
  const found = [];
  list.forEach((word, place) => {
    const same = held.has(place);
    const last = found[found.length - 1];
    if (last && last.same === same) {
      last.text += word;
      last.size++;
    } else found.push({ same, text: word, size: 1 });
  });
  // A lone word between two changes makes the marks flicker.
  return found.map((one, place) => ({ same: one.same && (one.size >= SHORTEST_RUN || place === 0 || place === found.length - 1), text: one.text }));
}
