// Light or dark: the system decides until someone presses the button; their choice is kept.

const key = "theme";
const root = document.documentElement;

function stored(): string | null {
  try {
    return localStorage.getItem(key);
  } catch {
    return null; // storage may be forbidden; then the choice lasts for this page
  }
}

export function applyStoredTheme(): void {
  const choice = stored();
  if (choice === "light" || choice === "dark") root.dataset.theme = choice;
}

export function toggleTheme(): void {
  const systemIsDark = matchMedia("(prefers-color-scheme: dark)").matches;
  const isDark = root.dataset.theme ? root.dataset.theme === "dark" : systemIsDark;
  root.dataset.theme = isDark ? "light" : "dark";
  try {
    localStorage.setItem(key, root.dataset.theme);
  } catch {
    // see above
  }
}
