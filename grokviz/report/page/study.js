// The page of a study: figures that plotly draws, and a table that is sorted. Nothing moves along a cursor.
"use strict";

async function startStudy() {
  const data = JSON.parse(new TextDecoder().decode(await unpacked(embedded("data"))));
  const nothingMoves = { stopAt: () => 0, stops: [0], readings: [""] };
  const nothingIsShownOff = new State({ hovered: null, pinned: null });
  const plots = new Plots(nothingMoves, data.panels, null, null, nothingIsShownOff, loadPlotly);
  for (const table of document.querySelectorAll(".sortable")) makeSortable(table);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => plots.recolour());
  window.grokviz = { plots };
  document.documentElement.dataset.ready = "yes";
}

startStudy();
