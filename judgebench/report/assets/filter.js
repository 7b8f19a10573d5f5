// @ts-check
// Which samples are listed, and in which order. Pure functions over the columns of the index.

export const OUTCOMES = ["", "win", "tie", "loss", "passed", "failed"];
/** What there may be to doubt about a sample: its bit among a run's flags, and how it is called. @type {Record<string, [number, string]>} */
export const DOUBTS = {
  orders: [4, "contradicts itself when the order changes"],
  reversed: [256, "the other order reverses the winner"],
  tied: [512, "a tie in one order only"],
  judges: [16, "judges disagree"],
  unread: [2, "unread verdicts"],
  error: [1, "no answer"],
  thinking: [64, "answer with thinking"],
  pairs: [128, "judged in both orders"],
  empty_output: [32, "empty answer"],
  constant_output: [1024, "the answer that most samples have"],
  cut_off_output: [8, "cut off at the token limit"],
  filtered_output: [2048, "stopped by a content filter"],
  unclosed_thinking: [4096, "still thinking when it ended"],
  verdict_like_output: [8192, "looks like a judge's verdict"],
  prompt_fragments: [16384, "holds lines of the judge's prompt"],
  unfinished_grading: [32768, "verification did not end"],
};
/** All that integrity checks find. */
const INTEGRITY = Object.entries(DOUBTS).reduce((bits, [name, [bit]]) => bits | (/_/.test(name) ? bit : 0), 0);

/** The bits of a doubt that an address names. */
export function bitsOf(/** @type {string} */ doubt) {
  return doubt === "integrity" ? INTEGRITY : Object.hasOwn(DOUBTS, doubt) ? DOUBTS[doubt][0] : 0;
}

/** From so many characters on, whole texts are searched. */
export const LEAST_TYPED = 3;

/** @param {any} task @param {number} place @param {number} run position among the task's runs */
export function outcome(task, place, run) {
  return OUTCOMES[task.outcomes[run][place]];
}

/** How a sample ended, or why it has no end. @param {any} task @param {number} place @param {number} run */
export function endOf(task, place, run) {
  const flags = task.flags[run][place];
  if (flags & DOUBTS.error[0]) return "no answer";
  return task.values[run][place] == null && flags & DOUBTS.unread[0] ? "unread" : outcome(task, place, run);
}

/** How games of a sample ended whose verdict depends on the order: shown first, and shown second. @param {any} task @param {number} place @param {number} run @returns {string[][]} */
export function turned(task, place, run) {
  return (task.turned[run][place] || []).map((/** @type {number[]} */ ends) => ends.map((end) => OUTCOMES[end]));
}

/** @param {any} task @param {number} place @param {number} run @param {number} vs */
export function change(task, place, run, vs) {
  const [a, b] = [task.values[run][place], task.values[vs][place]];
  return a == null || b == null ? null : b - a;
}

/** Whether a sample that has a value has no part in a metric. @param {any} task @param {number} place @param {number} run @param {string} metric */
export function isLeftOut(task, place, run, metric) {
  return Object.hasOwn(task.out[run], metric) && task.out[run][metric].includes(place);
}

const CHOOSING = ["run", "vs", "v", "f", "cat", "q", "in", "m", "l", "w", "lab", "s", "of"];
const MOST_KEPT = 4;
/** The last choices: a list and each sample that is opened from it ask for the same. @type {Map<string, {task: any, places: number[]}>} */
const choices = new Map();

function keyOf(/** @type {any} */ task, /** @type {Map<string, string>} */ settings) {
  return JSON.stringify([task.label, ...CHOOSING.map((name) => settings.get(name) || "")]);
}

/** Let these places be what settings choose, as when texts were searched that the index does not hold. */
export function keepChosen(/** @type {any} */ task, /** @type {Map<string, string>} */ settings, /** @type {number[]} */ places) {
  choices.set(keyOf(task, settings), { task, places });
  for (const key of [...choices.keys()].slice(0, -MOST_KEPT)) choices.delete(key);
}

/**
 * The places of the samples that the settings of an address choose.
 * @param {any} task
 * @param {Map<string, string>} settings
 * @returns {number[]}
 */
export function chosen(task, settings) {
  const kept = choices.get(keyOf(task, settings));
  if (kept && kept.task === task) return kept.places;
  const places = choose(task, settings);
  keepChosen(task, settings, places);
  return places;
}

function choose(/** @type {any} */ task, /** @type {Map<string, string>} */ settings) {
  if (inTexts(settings)) return [];
  const run = runOf(task, settings.get("run"), 0);
  const vs = runOf(task, settings.get("vs"), task.runs.length > 1 ? (run === 0 ? 1 : 0) : -1);
  const verdict = settings.get("v") || "";
  const group = task.groups.indexOf(settings.get("cat") || "");
  const wantsGroup = Boolean(settings.get("cat"));
  const doubt = settings.get("f") || "";
  const wrote = settings.get("w") || "";
  const label = task.labels.indexOf(settings.get("lab") || "");
  const words = (settings.get("q") || "").toLowerCase();
  const cell = (settings.get("m") || "").split(">");
  const tenth = tenthOf(settings);
  const places = [];
  for (let place = 0; place < task.ids.length; place++) {
    if (wantsGroup && !task.in[place].includes(group)) continue;
    if (cell.length === 2 && (vs < 0 || outcome(task, place, run) !== cell[0] || outcome(task, place, vs) !== cell[1])) continue;
    if (tenth >= 0 && task.tenths[run][place] !== tenth) continue;
    if (verdict && !ended(task, place, run, vs, verdict)) continue;
    if (doubt && !doubtful(task, place, run, doubt, settings.get("of") || "")) continue;
    if (settings.get("lab") && !task.said[run][place].includes(label)) continue;
    if (wrote && !wroteSo(task, place, run, vs, wrote)) continue;
    if (words && !`${task.ids[place]}\n${task.prompts[place]}`.toLowerCase().includes(words)) continue;
    places.push(place);
  }
  return sorted(task, places, settings.get("s") || "", run, vs);
}

/** The ends that samples of a task have, in any run. @returns {string[]} */
export function endsOf(/** @type {any} */ task) {
  const codes = new Set(task.outcomes.flatMap((/** @type {number[]} */ own) => [...new Set(own)]));
  return OUTCOMES.filter((end, code) => end && codes.has(code));
}

/** Whether only whole texts say if a sample has the words that an address looks for: nothing is chosen until they were searched. */
export function inTexts(/** @type {Map<string, string>} */ settings) {
  return Boolean(settings.get("in")) && (settings.get("q") || "").length >= LEAST_TYPED;
}

/** The tenth by length that an address names, from 0; -1 for all. */
export function tenthOf(/** @type {Map<string, string>} */ settings) {
  const text = settings.get("l") || "";
  return /^[0-9]$/.test(text) ? Number(text) : -1;
}

/** The position of a run among those of a task; the number in an address is that of the report. */
export function runOf(/** @type {any} */ task, /** @type {string | undefined} */ text, /** @type {number} */ otherwise) {
  const found = text == null || text === "" ? -1 : task.runs.indexOf(Number(text));
  return found < 0 ? otherwise : found;
}

/** How a sample ended, or changed between two runs. @param {any} task @param {number} place @param {number} run @param {number} vs @param {string} verdict */
function ended(task, place, run, vs, verdict) {
  const moved = vs < 0 ? null : change(task, place, run, vs);
  if (verdict === "flip") return outcome(task, place, run) !== outcome(task, place, vs) && Boolean(moved);
  if (verdict === "changed") return Boolean(moved);
  if (verdict === "both") return moved != null;
  if (verdict === "same") return moved === 0;
  if (verdict === "up") return moved != null && moved > 0;
  if (verdict === "down") return moved != null && moved < 0;
  return outcome(task, place, run) === verdict;
}

/** What there is to doubt about a sample. @param {any} task @param {number} place @param {number} run @param {string} doubt @param {string} metric */
function doubtful(task, place, run, doubt, metric) {
  if (doubt === "out") return isLeftOut(task, place, run, metric);
  if (doubt === "none") return task.values[run][place] == null;
  return Boolean(task.flags[run][place] & bitsOf(doubt));
}

/** Whether the other run wrote more. @param {any} task @param {number} place @param {number} run @param {number} vs @param {string} wrote */
function wroteSo(task, place, run, vs, wrote) {
  if (vs < 0 || change(task, place, run, vs) == null || (task.flags[run][place] | task.flags[vs][place]) & DOUBTS.error[0]) return false;
  const [own, other] = [task.lengths[run][place], task.lengths[vs][place]];
  return own != null && other != null && other > own === (wrote === "longer");
}

/** @param {any} task @param {number[]} places @param {string} order @param {number} run @param {number} vs */
function sorted(task, places, order, run, vs) {
  const last = Number.NEGATIVE_INFINITY;
  /** @type {Record<string, (place: number) => number>} */
  const keys = {
    value: (place) => -(task.values[run][place] ?? Number.POSITIVE_INFINITY),
    best: (place) => task.values[run][place] ?? last,
    length: (place) => task.lengths[run][place] ?? last,
    // What has no change stands behind what did not change.
    delta: (place) => (vs < 0 || change(task, place, run, vs) == null ? -1 : Math.abs(change(task, place, run, vs) ?? 0)),
    up: (place) => (vs < 0 ? 0 : change(task, place, run, vs) ?? last),
    down: (place) => (vs < 0 ? 0 : -(change(task, place, run, vs) ?? Number.POSITIVE_INFINITY)),
  };
  if (!Object.hasOwn(keys, order)) return places;
  const key = keys[order];
  return places.map((place) => /** @type {[number, number]} */ ([key(place), place])).sort((a, b) => b[0] - a[0] || a[1] - b[1]).map(([, place]) => place);
}
