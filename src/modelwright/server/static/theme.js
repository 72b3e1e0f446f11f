// Runs before the page is painted, so that a stored choice of light or dark does not flash.
(() => {
  try {
    const stored = localStorage.getItem("theme");
    if (stored === "light" || stored === "dark") document.documentElement.dataset.theme = stored;
  } catch { /* storage is closed to us: the system's choice holds */ }
})();
