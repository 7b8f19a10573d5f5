// @ts-check
import { el } from "./core.js";
import { loaded } from "./data.js";

// A page that is served while a run goes on: it asks whether there is more by now.

const PAUSE = 10000;

/** Ask now and then whether the runs have changed, and offer what is new. */
export function watch() {
  const known = document.querySelector('meta[name="jb-live"]')?.getAttribute("content");
  if (!known) return;
  let asked = 0;
  // @ts-ignore
  window.jbVersion = (/** @type {string} */ version) => {
    if (version !== known && !document.getElementById("news")) document.querySelector("header.top")?.append(el("button", { type: "button", id: "news", onclick: () => location.reload() }, "New results: reload"));
  };
  const ask = () => {
    if (!document.hidden) loaded(`version.js?${asked++}`).catch(() => {});
  };
  window.setInterval(ask, PAUSE);
  document.addEventListener("visibilitychange", ask);
}
