// @ts-check
// The file's own data: an index of all samples, and slices of samples that are unpacked when they are looked at.

const KEPT_BYTES = 48 * 2 ** 20;
/** @type {Map<number, {rows: any[], size: number}>} */
const opened = new Map();
/** @type {Map<number, Promise<any[]>>} */
const opening = new Map();
let keptBytes = 0;

/** @param {string} text */
function bytesOf(text) {
  const packed = text.trim();
  // @ts-ignore: newer engines have it
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(packed);
  return Uint8Array.from(atob(packed), (one) => one.charCodeAt(0));
}

/** @param {string} text base64 of gzip of a text */
export async function unpacked(text) {
  try {
    const stream = new Blob([bytesOf(text)]).stream().pipeThrough(new DecompressionStream("gzip"));
    return await new Response(stream).text();
  } catch {
    throw new Error("the file is cut off or damaged. Make the report again.");
  }
}

/** The element of a slice, which may not have been read yet. */
async function element(/** @type {string} */ id) {
  for (;;) {
    const found = document.getElementById(id);
    // What follows an element shows that it is whole.
    if (found && (found.nextElementSibling || document.readyState !== "loading")) return found;
    if (document.readyState !== "loading") throw new Error(`the file is cut off, and ${id} is missing. Make the report again.`);
    await new Promise((done) => setTimeout(done, 50));
  }
}

/** Where slices are, if they are files of their own, and the hash of them all. */
const [FOLDER, HASH] = (document.querySelector('meta[name="jb-slices"]')?.getAttribute("content") || ":").split(":");
/** @type {Map<number, (text: string) => any>} */
const arriving = new Map();

// @ts-ignore: not all engines have it
const trusted = window.trustedTypes?.createPolicy("slices", { createScriptURL: (/** @type {string} */ url) => url });

// A slice that is a file calls this with what it holds: scripts are all that a page from a disk may load.
// @ts-ignore
window.jb = (/** @type {string} */ hash, /** @type {number} */ number, /** @type {string} */ text) => arriving.get(number)?.(hash === HASH ? text : "");

/** Run a script that lies beside the page, and forget it. */
export async function loaded(/** @type {string} */ url) {
  const script = document.createElement("script");
  script.src = trusted ? trusted.createScriptURL(url) : url;
  try {
    await new Promise((done, failed) => {
      script.onload = () => done(null);
      script.onerror = () => failed(new Error(`${url.split("?")[0]} is missing. It belongs beside this page.`));
      document.head.append(script);
    });
  } finally {
    script.remove();
  }
}

/** @type {Map<number, Promise<string>>} */
const loading = new Map();

/** What is packed in a slice; whoever asks for it while it is loaded waits for the same. @param {number} number @returns {Promise<string>} */
function packedSlice(number) {
  const found = loading.get(number) || loadedSlice(number).finally(() => loading.delete(number));
  loading.set(number, found);
  return found;
}

async function loadedSlice(/** @type {number} */ number) {
  if (!FOLDER) return (await element(`s${number}`)).textContent || "";
  const url = `${encodeURIComponent(FOLDER)}/s${number}.js`;
  let found = "";
  arriving.set(number, (text) => (found = text));
  await loaded(`${url}?${HASH.slice(0, 16)}`);
  if (!found) throw new Error(`${url} belongs to another report. Make the report again.`);
  return found;
}

export async function readIndex() {
  return JSON.parse(await unpacked((await element("index")).textContent || ""));
}

/** The text of a slice, for searching. */
export async function sliceText(/** @type {number} */ number) {
  const kept = opened.get(number);
  return kept ? JSON.stringify(kept.rows) : await unpacked(await packedSlice(number));
}

/**
 * The rows of a slice.
 * @param {number} number
 * @returns {Promise<any[]>}
 */
export async function slice(number) {
  const kept = opened.get(number);
  if (kept) {
    opened.delete(number);
    opened.set(number, kept);
    return kept.rows;
  }
  const before = opening.get(number);
  if (before) return before;
  const reading = (async () => {
    const text = await unpacked(await packedSlice(number));
    const rows = JSON.parse(text);
    opened.set(number, { rows, size: 2 * text.length });
    keptBytes += 2 * text.length;
    for (const [other, { size }] of opened) {
      if (keptBytes <= KEPT_BYTES || other === number) break;
      opened.delete(other);
      keptBytes -= size;
    }
    return rows;
  })();
  opening.set(number, reading);
  try {
    return await reading;
  } finally {
    opening.delete(number);
  }
}

/**
 * One sample: what all runs share, and each run's part (null where a run lacks it).
 * @param {any} task of the index
 * @param {number} place
 */
export async function sample(task, place) {
  const [number, row] = task.items[place];
  const shared = (await slice(number))[row];
  const parts = await Promise.all(task.parts.map(async (/** @type {any} */ places) => (places[place] ? (await slice(places[place][0]))[places[place][1]] : null)));
  return { shared, parts };
}
