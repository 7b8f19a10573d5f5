// @ts-check
// Light or dark: as the system has it, or as whoever reads the page chose.

export function turnTheme() {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  try {
    localStorage.setItem("judgebench-theme", root.dataset.theme);
  } catch {
    // A file that was opened without storage keeps no theme.
  }
}

/** Take the theme that was chosen before, and let the button turn it. */
export function takeTheme() {
  try {
    const theme = localStorage.getItem("judgebench-theme");
    if (theme === "dark" || theme === "light") document.documentElement.dataset.theme = theme;
  } catch {
    // See turnTheme.
  }
  document.documentElement.classList.add("scripted");
  document.getElementById("theme")?.addEventListener("click", turnTheme);
}
