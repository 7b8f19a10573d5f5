"use strict";
(function () {
  const pairs = Array.from(document.querySelectorAll(".pair"));
  const verdicts = Array.from(document.querySelectorAll("[data-label]"));
  const name = document.getElementById("name");
  const said = document.getElementById("said");
  const key = "labels " + document.body.dataset.key;
  let labels = {};
  let at = 0;

  try {
    const kept = JSON.parse(localStorage.getItem(key) || "{}");
    labels = kept.labels || {};
    name.value = kept.name || "";
  } catch (error) {
    labels = {};
  }

  function keep() {
    try {
      localStorage.setItem(key, JSON.stringify({ labels: labels, name: name.value }));
    } catch (error) {
      // A private window keeps nothing; the file that is saved does.
    }
  }

  function done() {
    return pairs.filter((pair) => labels[pair.dataset.pair]).length;
  }

  function show(place) {
    at = Math.min(Math.max(place, 0), pairs.length - 1);
    pairs.forEach((pair, number) => pair.classList.toggle("now", number === at));
    const given = labels[pairs[at].dataset.pair];
    verdicts.forEach((button) => {
      button.classList.toggle("chosen", button.dataset.label === given);
      button.setAttribute("aria-pressed", String(button.dataset.label === given));
    });
    document.getElementById("where").textContent = at + 1 + "/" + pairs.length + ", " + done() + " done";
    window.scrollTo(0, 0);
  }

  function next() {
    for (let step = 1; step <= pairs.length; step += 1) {
      const place = (at + step) % pairs.length;
      if (!labels[pairs[place].dataset.pair]) {
        show(place);
        return;
      }
    }
    show(at);
    said.textContent = "All pairs have a label. Save the file.";
  }

  function label(text) {
    labels[pairs[at].dataset.pair] = text;
    said.textContent = "";
    keep();
    next();
  }

  function cell(text) {
    return '"' + String(text).replace(/"/g, '""') + '"';
  }

  function safe(text) {
    return /^[=+\-@\t\r\n'\uff1d\uff0b\uff0d\uff20]/.test(text) ? "'" + text : text;
  }

  function table() {
    const lines = [document.body.dataset.columns];
    pairs.forEach((pair) => {
      const given = JSON.parse(pair.dataset.cells);
      given[1] = labels[pair.dataset.pair] || "";
      given[2] = safe(name.value.trim());
      lines.push(given.map(cell).join(","));
    });
    return lines.join("\n") + "\n";
  }

  function save() {
    if (!name.value.trim()) {
      said.textContent = "Write your name, or a short sign, so that labels of several people can be told apart.";
      name.focus();
      return;
    }
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([table()], { type: "text/csv" }));
    link.download = "labels-" + name.value.trim().toLowerCase().replace(/[^a-z0-9]+/g, "-") + ".csv";
    document.body.append(link);
    link.click();
    link.remove();
    said.textContent = done() + " labels saved as " + link.download;
  }

  verdicts.forEach((button) => button.addEventListener("click", () => label(button.dataset.label)));
  document.getElementById("back").addEventListener("click", () => show(at - 1));
  document.getElementById("on").addEventListener("click", () => show(at + 1));
  document.getElementById("save").addEventListener("click", save);
  document.getElementById("again").addEventListener("click", () => {
    if (confirm("Forget the " + done() + " labels that are in this browser?")) {
      labels = {};
      name.value = "";
      keep();
      said.textContent = "";
      show(0);
    }
  });
  name.addEventListener("input", keep);
  document.addEventListener("keydown", (event) => {
    if (event.target === name || event.ctrlKey || event.metaKey || event.altKey) {
      return;
    }
    const keys = { 1: "1", 2: "2", 3: "tie", t: "tie", 0: "skip", s: "skip" };
    if (keys[event.key.toLowerCase()]) {
      label(keys[event.key.toLowerCase()]);
    } else if (event.key === "ArrowLeft") {
      show(at - 1);
    } else if (event.key === "ArrowRight") {
      show(at + 1);
    }
  });
  show(0);
  if (done()) {
    next();
  }
})();
