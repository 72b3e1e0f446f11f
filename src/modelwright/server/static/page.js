// Draws the charts of a page and keeps the reader's choice of light or dark. The pages read well without it.
(() => {
  const root = document.documentElement;
  const dark = () => root.dataset.theme === "dark"
    || (root.dataset.theme !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
  const colour = (name) => getComputedStyle(root).getPropertyValue(name).trim();

  // Specifications name colours that suit paper; here they become those of the theme.
  const inks = { "#2a6f97": "--mark", "#9aa5b1": "--faint", "#c8553d": "--bad", "#eef2f5": "--wash", "black": "--ink", "white": "--card" };
  const themed = (text) => JSON.parse(text, (_, value) => (typeof value === "string" && inks[value] ? colour(inks[value]) : value));

  const config = () => ({
    background: "transparent",
    font: getComputedStyle(document.body).fontFamily,
    view: { stroke: "transparent" },
    axis: { labelColor: colour("--soft"), titleColor: colour("--soft"), gridColor: colour("--line"), domainColor: colour("--line"),
            tickColor: colour("--line"), titleFontWeight: 450, titleFontSize: 12, labelFontSize: 11.5, labelLimit: 150 },
    axisX: { grid: false, labelOverlap: true },
    legend: { labelColor: colour("--ink"), titleColor: colour("--soft"), titleFontWeight: 450, labelFontSize: 12, orient: "top", labelLimit: 220, columns: innerWidth < 620 ? 1 : 0 },
    title: { color: colour("--ink"), fontWeight: 560, fontSize: 13 },
    range: { category: dark()
      ? ["#6db1d1", "#e3b668", "#84d1a8", "#f0a49d", "#b9a7e8", "#9aa5ac"]
      : ["#2a6f97", "#c98a1b", "#2e8a5b", "#a8261d", "#6a4fb0", "#5c666d"] },
  });

  async function draw() {
    if (typeof vegaEmbed !== "undefined") {
      for (const place of document.querySelectorAll("[data-chart]")) {
        const spec = themed(document.getElementById(place.dataset.chart).textContent);
        spec.config = { ...(spec.config || {}), ...config() };
        spec.autosize = { type: "fit-x", contains: "padding" };
        try {
          await vegaEmbed(place, spec, { ast: true, actions: false, renderer: "svg", defaultStyle: false, tooltip: false, logLevel: 1 });
          place.querySelector("svg")?.setAttribute("aria-hidden", "true");
          place.dataset.drawn = "yes";
        } catch (error) {
          place.dataset.drawn = "no";
          place.textContent = "This chart could not be drawn: " + error.message;
        }
      }
    }
    root.dataset.charts = "done";
  }

  function turn() {
    root.dataset.theme = dark() ? "light" : "dark";
    try { localStorage.setItem("theme", root.dataset.theme); } catch { /* kept for this page only */ }
    draw();
  }

  // The lines below a line of a tree, to the next that is no deeper; folded ones stay so when what is around them opens.
  function fold(button, open) {
    button.setAttribute("aria-expanded", String(open));
    const line = button.closest("tr"), depth = Number(line.dataset.depth);
    let shut = Infinity;
    for (let each = line.nextElementSibling; each && Number(each.dataset.depth) > depth; each = each.nextElementSibling) {
      const at = Number(each.dataset.depth);
      if (at <= shut) shut = Infinity;
      each.hidden = !open || at > shut;
      if (!each.hidden && each.querySelector(".fold[aria-expanded=false]")) shut = at;
    }
  }

  // MLflow's client prints addresses such as /#/experiments/3/runs/ab12: they lead to our page of the same thing.
  const lead = () => { if (location.hash.startsWith("#/")) location.replace("/mlflow?at=" + encodeURIComponent(location.hash.slice(1))); };
  addEventListener("hashchange", lead);
  lead();

  document.addEventListener("DOMContentLoaded", () => {
    for (const button of document.querySelectorAll("button.fold")) {
      button.hidden = false;
      button.addEventListener("click", () => fold(button, button.getAttribute("aria-expanded") !== "true"));
    }
    const here = document.querySelector("nav.rooms [aria-current]"); // scrollIntoView would have the Tab key begin there
    if (here) here.parentElement.scrollLeft = here.offsetLeft - (here.parentElement.clientWidth - here.offsetWidth) / 2;
    document.getElementById("theme")?.addEventListener("click", turn);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
    draw();
  });
  addEventListener("keydown", (event) => {
    if (event.key === "/" && !event.ctrlKey && !event.metaKey && !/INPUT|TEXTAREA|SELECT/.test(document.activeElement.tagName)) {
      const box = document.querySelector("input[type=search]");
      if (box) { event.preventDefault(); box.focus(); }
    }
  });
})();
