// Draws the charts of a page and keeps the reader's choice of light or dark. The pages read well without it.
(() => {
  const root = document.documentElement;
  const dark = () => root.dataset.theme === "dark"
    || (root.dataset.theme !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
  const colour = (name) => getComputedStyle(root).getPropertyValue(name).trim();

  const theme = () => ({
    background: "transparent",
    font: "Inter, system-ui, sans-serif",
    view: { stroke: "transparent" },
    axis: { labelColor: colour("--soft"), titleColor: colour("--soft"), gridColor: colour("--line"),
            domainColor: colour("--line"), tickColor: colour("--line"), titleFontWeight: 500, labelFontSize: 11.5 },
    legend: { labelColor: colour("--ink"), titleColor: colour("--soft"), titleFontWeight: 500 },
    title: { color: colour("--ink"), fontWeight: 600, fontSize: 13 },
    header: { labelColor: colour("--ink"), titleColor: colour("--soft") },
    range: { category: dark()
      ? ["#7cc4de", "#e5b566", "#7fd1a6", "#f2a49e", "#b9a7e8", "#9aa5ac"]
      : ["#0b5c7a", "#c07a12", "#1f7a4d", "#b3261e", "#6a4fb0", "#5c666d"] },
  });

  async function draw() {
    if (typeof vegaEmbed === "undefined") return;
    for (const place of document.querySelectorAll("[data-chart]")) {
      const spec = JSON.parse(document.getElementById(place.dataset.chart).textContent);
      spec.config = { ...theme(), ...(spec.config || {}) };
      if (spec.width === "container") place.style.width = "100%";
      try {
        await vegaEmbed(place, spec, { ast: true, actions: false, renderer: "svg", tooltip: false });
        place.querySelector("svg")?.setAttribute("aria-hidden", "true");
        place.dataset.drawn = "yes";
      } catch (error) {
        place.dataset.drawn = "no";
        place.textContent = "This chart could not be drawn: " + error.message;
      }
    }
    root.dataset.charts = "done";
  }

  const stored = localStorage.getItem("theme");
  if (stored) root.dataset.theme = stored;
  document.addEventListener("DOMContentLoaded", () => {
    document.getElementById("theme")?.addEventListener("click", () => {
      root.dataset.theme = dark() ? "light" : "dark";
      localStorage.setItem("theme", root.dataset.theme);
      draw();
    });
    draw();
  });
  addEventListener("keydown", (event) => {
    if (event.key === "/" && !/INPUT|TEXTAREA|SELECT/.test(document.activeElement.tagName)) {
      const box = document.querySelector("input[type=search]");
      if (box) { event.preventDefault(); box.focus(); }
    }
  });
})();
