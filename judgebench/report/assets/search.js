// @ts-check
// Where a word is looked for in a sample. Pure functions over the rows of slices.

export const SCOPES = { prompt: "the prompt", answers: "the answers", judge: "the judge's words", details: "verdicts and details" };

/**
 * The texts of a row that a scope names; of all scopes without one.
 * @param {any} row what all runs share of a sample, or one run's part
 * @param {string} scope
 * @returns {string[]}
 */
export function textsOf(row, scope) {
  const judged = row.judgements || [];
  /** @type {Record<string, () => any>} */
  const parts = {
    prompt: () => [(row.messages || []).map((/** @type {string[]} */ one) => one[1]), row.followups, row.references, row.checklist],
    answers: () => [row.turns, row.thinking, row.error, row.baselines],
    judge: () => judged.map((/** @type {any} */ one) => one.replies.map((/** @type {any} */ reply) => [reply.text, reply.thinking, reply.error])),
    details: () => [judged.map((/** @type {any} */ one) => [one.judge, one.judge_model, one.label, one.reason, one.state, one.about, one.shown]), (row.rulings || []).map(Object.values), row.values],
  };
  const wanted = Object.hasOwn(parts, scope) ? [parts[scope]] : Object.values(parts);
  return wanted.flatMap((part) => strings(part()));
}

/** All texts in nested lists. @returns {string[]} */
function strings(/** @type {any} */ found) {
  return typeof found === "string" ? [found] : Array.isArray(found) ? found.flatMap(strings) : [];
}
