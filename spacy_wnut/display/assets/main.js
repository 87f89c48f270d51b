// The theme button cycles through the system's theme, light and dark.
const THEMES = ["system", "light", "dark"];
const themeButton = document.getElementById("theme");
themeButton.addEventListener("click", () => {
  const root = document.documentElement;
  const next = THEMES[(THEMES.indexOf(root.dataset.theme ?? "system") + 1) % THEMES.length];
  if (next === "system") delete root.dataset.theme;
  else root.dataset.theme = next;
  themeButton.textContent = `Theme: ${next}`;
});

drawAbout();
drawScores();
drawTypes();
drawConfusion(chooseCell);
drawConfidence();
drawSeen();
drawFilters();
more.addEventListener("click", showMore);
update();
