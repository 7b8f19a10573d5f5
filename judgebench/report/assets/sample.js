// @ts-check
import { address, el, figure, inTurns, literally, markWithin, painted, shownGroup, textNodes, visible } from "./core.js";
import { diff } from "./diff.js";
import { formatted } from "./markdown.js";
import { bitsOf, DOUBTS, endOf, runOf } from "./filter.js";

// One sample: what was asked, what was answered, what each judge saw and said, and what follows.

const ALIKE = 0.5;
const JSON_LONGEST = 20000;
const LONGEST_COMPARED = 200000;
const FEW_VALUES = 6;
const MOST_MARKS = 200;
const MOST_SPANS = 40;
const LONGEST_NAME = 200;
const MODES = ["formatted", "raw", "diff"];

/**
 * @param {any} report
 * @param {any} task
 * @param {number} place
 * @param {{shared: any, parts: any[]}} found
 * @param {Map<string, string>} settings
 * @param {(changed: Record<string, string>) => void} set
 */
export function sampleView(report, task, place, found, settings, set) {
  const run = runOf(task, settings.get("run"), 0);
  const vs = runOf(task, settings.get("vs"), task.runs.length > 1 ? (run === 0 ? 1 : 0) : -1);
  const made = el(
    "article",
    { class: "sample" },
    title(report, task, place),
    prompt(found.shared),
    answers(report, task, found, run, vs, settings, set),
    task.runs.map((/** @type {number} */ number, /** @type {number} */ at) => (found.parts[at] ? verdicts(report, task, found, at, number, task.runs.length === 1 || at === run || at === vs, settings.get("d") === "raw") : null)),
  );
  markSought(made, settings);
  return made;
}

/** @param {any} report @param {any} task @param {number} place */
function title(report, task, place) {
  const groups = task.in[place].map((/** @type {number} */ group) => el("a", { class: "chip", href: address(["samples", task.label], [["cat", task.groups[group]]]) }, visible(shownGroup(task.groups[group]))));
  const values = task.runs.map((/** @type {number} */ number, /** @type {number} */ run) => {
    const said = endOf(task, place, run);
    return el("li", {}, el("bdi", {}, visible(report.runs[number].name)), ": ", el("strong", { class: said.replace(" ", "-") }, said), " ", el("span", { class: "quiet" }, visible(task.measure || "")), " ", figure(task.values[run][place]), doubted(task.flags[run][place]));
  });
  return el("header", {}, el("h1", { tabindex: "-1" }, visible(task.ids[place])), el("p", { class: "chips" }, groups), el("ul", { class: "values", "aria-label": task.measure || "value" }, values), numbers(report, task, place), rulesOf(task));
}

/** How samples enter the numbers. */
function rulesOf(/** @type {any} */ task) {
  return task.rules.length ? el("details", { class: "rules quiet", open: task.rules.length < 4 }, el("summary", {}, "How a sample enters the numbers"), el("ul", {}, task.rules.map((/** @type {string[]} */ [name, words]) => el("li", {}, el("strong", {}, visible(name)), `: ${visible(words)}`)))) : null;
}

/** The scores by which a sample enters the numbers, if they say more than its values. */
function entered(/** @type {any[]} */ scores) {
  if (!scores.some(([, , weight, covariates]) => weight !== 1 || covariates)) return null;
  const head = el("tr", {}, ["score", "value", "weight", "covariates that are not 0"].map((name) => el("th", { scope: "col" }, name)));
  const rows = scores.map(([name, value, weight, covariates]) => el("tr", {}, el("td", {}, textNodes(name)), el("td", {}, figure(value, Math.abs(value) < 1 ? 4 : 2)), el("td", {}, String(weight)), el("td", {}, textNodes(covariates))));
  return el("details", { class: "entered" }, el("summary", {}, "Weight and covariates of this sample"), el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "weight and covariates" }, el("table", {}, el("thead", {}, head), el("tbody", {}, rows))));
}

/** What integrity checks found in an answer. */
function doubted(/** @type {number} */ flags) {
  const found = Object.entries(DOUBTS).filter(([, [bit]]) => flags & bit & bitsOf("integrity"));
  return found.length ? el("span", { class: "doubt" }, ` ${found.map(([, [, words]]) => words).join(", ")}`) : null;
}

/** The numbers that the sample is in. */
function numbers(/** @type {any} */ report, /** @type {any} */ task, /** @type {number} */ place) {
  const own = [["", "all samples"], ...task.in[place].map((/** @type {number} */ group) => [task.groups[group], shownGroup(task.groups[group])])];
  const links = own.flatMap(([group, words], at) => [at ? ", " : "", el("a", { href: address(["task", task.label], [["cat", group]]) }, visible(words))]);
  const compared = own.flatMap(([group, words], at) => [at ? ", " : "", el("a", { href: address(["compare", task.label], group ? [["cat", group]] : [["metric", task.measure]]) }, visible(words))]);
  return el("p", { class: "quiet" }, "Part of the scores of ", el("a", { href: address(["task", task.label]) }, visible(task.label)), " over ", links, task.runs.length > 1 ? ["; and of the differences between runs over ", compared] : null, ".");
}

/** @param {any} shared */
function prompt(shared) {
  const turns = [...shared.messages, ...shared.followups.map((/** @type {string} */ text) => ["user", text])];
  const folded = (/** @type {string} */ role) => role === "system";
  const quoted = turns.filter(([, text]) => text.trim()).map(([role, text]) => el("details", { open: !folded(role), class: `turn ${role === "assistant" ? "assistant" : ""}` }, el("summary", {}, visible(role)), el("div", { dir: "auto", class: "text" }, textNodes(text))));
  const more = [
    ["Reference", shared.references],
    ["Checklist", shared.checklist],
  ].filter(([, texts]) => texts.length);
  return el(
    "section",
    { "aria-label": "prompt" },
    el("h2", {}, "Prompt"),
    quoted.length ? quoted : el("p", { class: "quiet" }, "The run holds no prompt."),
    more.map(([name, texts]) => el("details", { open: name === "Checklist" }, el("summary", {}, `${name}${/** @type {string[]} */ (texts).length > 1 ? ` (${/** @type {string[]} */ (texts).length})` : ""}`), el("ul", {}, /** @type {string[]} */ (texts).map((text) => el("li", {}, el("span", { dir: "auto", class: "text" }, textNodes(text))))))),
  );
}

/** @param {any} report @param {any} task @param {{shared: any, parts: any[]}} found @param {number} run @param {number} vs @param {Map<string, string>} settings @param {(changed: Record<string, string>) => void} set */
function answers(report, task, found, run, vs, settings, set) {
  /** @type {{key: string, name: string, turns: string[], part: any}[]} */
  const sides = [
    ...task.runs.map((/** @type {number} */ number, /** @type {number} */ at) => ({ key: `r${number}`, name: report.runs[number].name, turns: found.parts[at]?.turns || [], part: found.parts[at] })),
    ...found.shared.baselines.map(([name, turns]) => ({ key: `b${name}`, name: `${name} (baseline)`, turns, part: null })),
  ];
  const other = vs >= 0 ? `r${task.runs[vs]}` : sides.length > task.runs.length ? sides[task.runs.length].key : "";
  const left = settings.get("a") || `r${task.runs[run]}`;
  const right = settings.get("b") || other;
  const pair = [left, right].map((key) => sides.find((side) => side.key === key)).filter((side) => side !== undefined);
  const texts = pair.map((side) => side.turns.join("\n\n").slice(0, LONGEST_COMPARED));
  const asked = MODES.includes(settings.get("d") || "") ? settings.get("d") || "" : "";
  const button = (/** @type {string} */ value, /** @type {string} */ text) => el("button", { type: "button", "data-keep": `d-${value}`, onclick: () => set({ d: value }) }, text);
  const choose = (/** @type {string} */ name, /** @type {string} */ value, /** @type {string} */ label) =>
    el("label", {}, el("span", {}, label), el("select", { "data-keep": name, onchange: (/** @type {any} */ event) => set({ [name]: event.target.value }) }, sides.map((side) => el("option", { value: side.key, selected: side.key === value }, visible(side.name)))));
  const buttons = MODES.slice(0, pair.length === 2 ? 3 : 2).map((mode, at) => button(mode, ["Formatted", "Raw", "Word diff"][at]));
  const comparable = pair.length === 2 && texts.every((text) => text.trim());
  const told = el("span", { class: "quiet" }, "comparing words\u2026");
  const beside = el("div", { class: "sides" });
  const draw = (/** @type {Alike | undefined} */ alike) => {
    const mode = asked || (alike && alike.share >= ALIKE ? "diff" : "formatted");
    MODES.forEach((one, at) => buttons[at]?.setAttribute("aria-pressed", String(one === mode)));
    if (mode !== beside.dataset.mode || (mode === "diff" && alike)) {
      beside.replaceChildren(...pair.map((side, at) => answer(side, mode, alike ? (at ? alike.second : alike.first) : null)));
      markSought(beside, settings);
    }
    beside.dataset.mode = mode;
    if (alike !== undefined) told.textContent = alike ? `${Math.round(100 * alike.share)} % of the words in common` : "too different to align";
  };
  const made = el(
    "section",
    { "aria-label": "answers" },
    el("h2", {}, "Answers"),
    el(
      "div",
      { class: "tools" },
      el("span", { role: "group", "aria-label": "how answers are shown" }, buttons),
      pair.length === 2 ? el("button", { type: "button", "data-keep": "swap", id: "swap", onclick: () => set({ a: right, b: left }) }, "Swap sides") : null,
      sides.length > 2 ? [choose("a", left, "Left"), choose("b", right, "Right")] : null,
      comparable ? told : null,
    ),
    beside,
  );
  draw(compared.get(texts));
  if (comparable && compared.get(texts) === undefined) void compareLater(texts, made, draw);
  return made;
}

/** @typedef {import("./diff.js").Alike | null} Alike */

/** The last two texts that were compared, and what they have in common. */
const compared = {
  texts: /** @type {string[]} */ ([]),
  alike: /** @type {Alike | undefined} */ (undefined),
  get(/** @type {string[]} */ texts) {
    return texts.length === 2 && texts.every((text, at) => text === this.texts[at]) ? this.alike : undefined;
  },
};

/** Compare two texts when both can be read, unless another sample is looked at by then. @param {string[]} texts @param {HTMLElement} made @param {(alike: Alike | undefined) => void} draw */
async function compareLater(texts, made, draw) {
  made.setAttribute("aria-busy", "true");
  await painted();
  const alike = made.isConnected ? await inTurns(diff(texts[0], texts[1]), () => made.isConnected) : undefined;
  if (alike === undefined) return;
  Object.assign(compared, { texts, alike });
  draw(alike);
  made.removeAttribute("aria-busy");
}

/** @param {{key: string, name: string, turns: string[], part: any}} side @param {string} mode @param {{same: boolean, text: string}[] | null} marked */
function answer(side, mode, marked) {
  const part = side.part;
  const size = side.turns.reduce((sum, turn) => sum + turn.length, 0);
  const cut = part?.finish?.includes("length") ? ", cut off at the token limit" : "";
  const told = part?.error ? `no answer: ${part.error}` : side.turns.length ? (size ? `${size.toLocaleString("en")} characters${cut}` : `an empty answer${cut}`) : "no answer";
  const thinking = (part?.thinking || []).filter(Boolean);
  const spans = (part?.rulings || []).flatMap((/** @type {any} */ rule) => rule.spans);
  const first = mode === "diff" && marked ? [el("div", { dir: "auto", class: "text diffed" }, marked.map((run) => (run.same ? textNodes(run.text) : el("ins", {}, textNodes(run.text)))))] : null;
  const turns = first || side.turns.map((turn, at) => el("div", { dir: "auto", class: "turn-of" }, side.turns.length > 1 ? el("p", { class: "quiet" }, `turn ${at + 1}`) : null, !turn.trim() ? el("p", { class: "quiet" }, "(empty answer)") : mode === "formatted" ? formatted(turn) : el("div", { class: "text" }, textNodes(turn))));
  if (mode !== "diff" && spans.length) turns.forEach((/** @type {HTMLElement} */ turn) => markSpans(turn, spans));
  return el(
    "section",
    { class: "answer", "data-side": side.key, "aria-label": `answer of ${side.name}` },
    el("h3", {}, el("bdi", {}, visible(side.name)), el("span", { class: "quiet" }, " ", visible(told))),
    thinking.map((/** @type {string} */ text) => el("details", { class: "thinking" }, el("summary", {}, `thinking, ${text.length.toLocaleString("en")} characters`), el("div", { class: "text", dir: "auto" }, textNodes(text)))),
    turns,
  );
}

/** Mark what verifiers looked at, as whole words. @param {HTMLElement} turn @param {string[]} spans */
function markSpans(turn, spans) {
  const longestFirst = [...new Set(spans)].slice(0, MOST_SPANS).sort((a, b) => b.length - a.length);
  markWithin(turn, new RegExp(`(?<![\\p{L}\\p{N}_])(?:${literally(longestFirst)})(?![\\p{L}\\p{N}_])`, "giu"), MOST_MARKS);
}

/** Mark what was searched for, and unfold what holds it. @param {HTMLElement} whole @param {Map<string, string>} settings */
function markSought(whole, settings) {
  const sought = settings.get("q");
  if (!sought) return;
  markWithin(whole, new RegExp(literally([sought]), "giu"), MOST_MARKS);
  for (const folded of whole.querySelectorAll("details:not(.asked):has(mark)")) /** @type {HTMLDetailsElement} */ (folded).open = true;
}

/** @param {any} report @param {any} task @param {{shared: any, parts: any[]}} found @param {number} at @param {number} number @param {boolean} open @param {boolean} raw */
function verdicts(report, task, found, at, number, open, raw) {
  const part = found.parts[at];
  const swapped = part.swapped.map((/** @type {any} */ game) => {
    const ends = [game.candidate_first, game.baseline_first];
    if (ends[0] === ends[1]) return el("p", { class: "quiet" }, `Both orders agree: ${ends[0]}.`);
    return el("p", { class: "doubt" }, `The orders contradict each other${ends.includes("tie") ? " by a tie" : ": the winner is reversed"}: ${ends[0]} when shown first, ${ends[1]} when shown second.`);
  });
  // A task's other metrics have no number of this sample; where none has one, that is what there is to say.
  const known = part.values.filter((/** @type {any[]} */ [, value]) => value != null);
  const values = (known.length ? known : part.values).map((/** @type {any[]} */ [name, value]) => el("li", {}, el("span", { class: "quiet" }, visible(name)), " ", figure(value, value && Math.abs(value) < 1 ? 4 : 2)));
  const listed = el("ul", { class: "values" }, values);
  const nothing = part.error && !part.judgements.length && !part.rulings.length;
  const judged = part.judgements.length > 1 && part.judgements.every((/** @type {any} */ one) => one.about.length && one.shown.length < 2);
  return el(
    "details",
    { class: "run", open },
    el("summary", {}, el("span", { class: "h2" }, "Verdicts on ", el("bdi", {}, visible(report.runs[number].name)))),
    nothing ? el("p", { class: "quiet" }, "There is no answer, and so no verdict.") : null,
    swapped,
    judged ? criteria(task, found.shared, part, raw) : el("div", { class: "games" }, part.judgements.map((/** @type {any} */ one) => judgement(task, found.shared, part, one, raw))),
    part.rulings.length ? rulings(part.rulings) : null,
    values.length > FEW_VALUES ? el("details", {}, el("summary", {}, `${values.length} numbers of this sample`), listed) : values.length && !nothing ? listed : null,
    entered(part.scores),
  );
}

/** A name that may break where its words join. */
function jointed(/** @type {string} */ name) {
  return name.length > LONGEST_NAME ? textNodes(name) : visible(name).split(/(?<=[:_])/).map((part) => [part, el("wbr")]);
}

/** @param {any[]} list */
function rulings(list) {
  const head = el("tr", {}, ["rule", "held", "wanted", "found"].map((name) => el("th", {}, name)));
  const rows = list.map((rule) => el("tr", {}, el("td", {}, jointed(rule.rule)), el("td", { class: rule.held ? "passed" : "failed" }, rule.held == null ? "\u2013 undecided" : rule.held ? "\u2713 yes" : "\u2717 no"), el("td", { dir: "auto", class: "text" }, textNodes(rule.wanted)), el("td", { dir: "auto", class: "text" }, textNodes(rule.found))));
  return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "what verifiers found" }, el("table", {}, el("thead", {}, head), el("tbody", {}, rows)));
}

const STATES = { reasked_and_read: "read after it was asked again", skipped: "known without asking" };

/** Criteria that were judged one by one, as a table. @param {any} task @param {any} shared @param {any} part @param {boolean} raw */
function criteria(task, shared, part, raw) {
  const named = [...new Set(part.judgements.map((/** @type {any} */ one) => judgeOf(one)))].join("; ");
  const rows = part.judgements.map((/** @type {any} */ one) =>
    el("tr", {}, el("td", { dir: "auto" }, asked(shared, part, one).map((text) => el("p", {}, textNodes(text)))), el("td", {}, el("strong", {}, textNodes(saidBy(one))), el("span", { class: "quiet" }, ` ${visible(placed(task, one))}`)), el("td", {}, repliesOf(task, shared, part, one, raw, false))),
  );
  return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "criteria" }, el("table", { class: "criteria" }, el("caption", {}, visible(named)), el("thead", {}, el("tr", {}, ["criterion", "verdict", "the judge's words"].map((name) => el("th", { scope: "col" }, name)))), el("tbody", {}, rows)));
}

/** What a judge was asked about, without what stands above already. @param {any} shared @param {any} part @param {any} one @returns {string[]} */
function asked(shared, part, one) {
  const above = new Set([...part.turns, ...shared.followups, ...shared.messages.map((/** @type {string[]} */ message) => message[1])]);
  return one.about.filter(([, text]) => text.trim() && !above.has(text)).map(([name, text]) => (name === "criterion" ? text : `${name}: ${text}`));
}

/** Who gave a verdict: the name of the judge in the task, and its model. @param {any} one */
export function judgeOf(one) {
  const model = one.judge_model === "unknown" ? "judge unknown" : one.judge_model;
  return [one.judge, model].filter((name, at, all) => name && all.indexOf(name) === at).join(", ");
}

/** A verdict in words. @param {any} one */
function saidBy(one) {
  if (one.outcome) return `the candidate ${{ win: "wins", tie: "ties", loss: "loses" }[/** @type {"win"} */ (one.outcome)]}${[0, 0.5, 1].includes(one.share) ? "" : ` (${figure(100 * one.share, 1)} % of the win)`}${one.label ? `: ${one.label}` : ""}`;
  if (one.value == null) return `no verdict: ${one.reason || one.state}`;
  const value = Number.isInteger(one.value) ? String(one.value) : figure(one.value, 3);
  return one.label && one.label !== value ? `${one.label} (${value})` : value;
}

/** Where a verdict stands among others: order, turn, repeat. @param {any} task @param {any} one */
function placed(task, one) {
  const letters = task.labels.some((/** @type {string} */ label) => /^([mM]|rank \d)$/.test(label)) ? ["m", "M"] : task.labels.some((/** @type {string} */ label) => /[AB]/.test(label)) ? ["A", "B"] : ["first", "second"];
  const who = one.shown.length === 2 ? one.shown.map((/** @type {string} */ name, /** @type {number} */ at) => `${letters[at]} = ${name}`).join(", ") : "";
  const order = one.shown.length === 2 ? `candidate shown ${one.candidate === 0 ? "first" : "second"}` : "";
  return [who, order, one.turn > 1 ? `turn ${one.turn}` : "", one.repeat ? `repeat ${one.repeat}` : "", STATES[/** @type {"skipped"} */ (one.state)] || ""].filter(Boolean).join(" \u00b7 ");
}

/** @param {any} task @param {any} shared @param {any} part @param {any} one @param {boolean} raw */
function judgement(task, shared, part, one, raw) {
  const who = judgeOf(one);
  const details = placed(task, one);
  return el(
    "section",
    { class: `game ${one.outcome || ""}`, "aria-label": `verdict of ${who}` },
    el("h3", {}, visible(who), details ? el("span", { class: "quiet" }, ` ${visible(details)}`) : null),
    asked(shared, part, one).map((text) => el("p", { dir: "auto" }, textNodes(text))),
    el("p", { class: `verdict ${one.outcome || ""}`, dir: "auto" }, textNodes(saidBy(one))),
    repliesOf(task, shared, part, one, raw, true),
  );
}

/** What a judge said and was sent. @param {any} task @param {any} shared @param {any} part @param {any} one @param {boolean} raw @param {boolean} open */
function repliesOf(task, shared, part, one, raw, open) {
  const last = one.replies.length - 1;
  return [
    one.replies.map((/** @type {any} */ reply, /** @type {number} */ at) => el("details", { open: open && at === last }, el("summary", {}, one.replies.length > 1 ? `reply ${at + 1} of ${one.replies.length}` : "the judge's words"), replied(reply, raw))),
    one.prompts.map((/** @type {any} */ messages, /** @type {number} */ at) => el("details", { class: "asked" }, el("summary", {}, one.prompts.length > 1 ? `what the judge was sent (${at + 1})` : "what the judge was sent", one.told ? el("span", { class: "quiet" }, ` ${visible(one.told)}`) : null), messages.map(([role, pieces]) => el("div", {}, el("p", { class: "quiet" }, visible(role)), el("div", { class: "text", dir: "auto" }, textNodes(joined(task, shared, part, pieces))))))),
    one.prompts.length || !one.told ? null : el("p", { class: "quiet" }, `What the judge was sent: ${visible(one.told)}`),
  ];
}

/** A message that the judge was sent, from its pieces: numbers are texts of the task, words texts of the sample. */
export function joined(/** @type {any} */ task, /** @type {any} */ shared, /** @type {any} */ part, /** @type {any[]} */ pieces) {
  return pieces
    .map((piece) => {
      if (typeof piece === "number") return task.texts[piece];
      const [kind, first, second] = piece;
      if (kind === "x") return first;
      if (kind === "m") return shared.messages[first][1];
      if (kind === "f") return shared.followups[first];
      if (kind === "r") return shared.references[first];
      if (kind === "b") return shared.baselines[first][1][second];
      return part.turns[first];
    })
    .join("");
}

/** @param {any} reply @param {boolean} raw */
function replied(reply, raw) {
  const likely = reply.likely.length ? el("p", { class: "quiet" }, "likeliest first tokens: ", reply.likely.map(([token, chance]) => `${JSON.stringify(visible(token))} ${(100 * chance).toFixed(1)} %`).join(", ")) : null;
  const told = [reply.error ? `failed: ${reply.error}` : "", reply.finish && reply.finish !== "stop" ? `ended by ${reply.finish}` : ""].filter(Boolean).join(" \u00b7 ");
  return [
    reply.thinking ? el("details", { class: "thinking" }, el("summary", {}, "thinking"), el("div", { class: "text", dir: "auto" }, textNodes(reply.thinking))) : null,
    fields(reply.text) || (raw ? el("div", { class: "text", dir: "auto" }, textNodes(reply.text)) : el("div", { dir: "auto" }, formatted(reply.text))),
    likely,
    told ? el("p", { class: "quiet" }, visible(told)) : null,
  ];
}

/** A JSON object as a list of its fields; null for anything else. */
function fields(/** @type {string} */ text) {
  if (text.length > JSON_LONGEST) return null;
  const bare = text.trim().replace(/^```(?:json)?\s*/, "").replace(/\s*```$/, "");
  if (!bare.startsWith("{")) return null;
  let found;
  try {
    found = JSON.parse(bare);
  } catch {
    return null;
  }
  const rows = Object.entries(found).slice(0, 40);
  return el("dl", { class: "fields" }, rows.map(([name, value]) => [el("dt", {}, textNodes(name)), el("dd", { dir: "auto" }, textNodes(typeof value === "string" ? value : JSON.stringify(value)))]));
}
