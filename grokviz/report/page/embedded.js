// What lies packed in the page: its data, its arrays, and plotly.js.
"use strict";

/**
 * The field of this id that the reader types or chooses in; null where the page has none.
 * @param {string} id
 */
function fieldOf(id) {
  return /** @type {HTMLInputElement | HTMLSelectElement | null} */ (document.getElementById(id));
}

function embedded(id) {
  return document.getElementById(id).textContent;
}

let plotlyIsComing = null;

// plotly.js, which takes its time, comes when a figure of its own is first seen.
function loadPlotly() {
  plotlyIsComing ??= unpacked(embedded("plotly")).then((source) => {
    const script = document.createElement("script");
    script.textContent = new TextDecoder().decode(source);
    document.head.append(script);
  });
  return plotlyIsComing;
}
