// The page of a run: draws the panels as they come into view and moves those of an epoch with the slider.
"use strict";

const TYPES = { u1: Uint8Array, u2: Uint16Array, i4: Int32Array };

async function unpacked(id) {
  const packed = Uint8Array.from(atob(document.getElementById(id).textContent), (c) => c.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}

// The values of a change in one frame: as they are, or out of the binary block, scaled back; level 0 is NaN.
function valueAt(change, frame, arrays) {
  if (change.values) return change.values[frame];
  const { at, type, shape } = change.array;
  const size = shape.slice(1).reduce((product, n) => product * n, 1);
  const Type = TYPES[type];
  const raw = new Type(arrays, at + frame * size * Type.BYTES_PER_ELEMENT, size);
  let numbers = raw;
  if (change.levels) {
    const step = (change.high - change.low) / change.levels;
    numbers = Float32Array.from(raw, (level) => (level === 0 ? NaN : change.low + (level - 1) * step));
  }
  if (shape.length < 3) return numbers;
  const width = shape[2];
  return Array.from({ length: shape[1] }, (_, row) => numbers.subarray(row * width, (row + 1) * width));
}

function moveTo(panel, frame, arrays) {
  for (const change of panel.changes) {
    const parent = change.path.slice(0, -1).reduce((node, key) => node[key], panel.base);
    parent[change.path[change.path.length - 1]] = valueAt(change, frame, arrays);
  }
}

async function start() {
  const [text, arrays] = await Promise.all([unpacked("data"), unpacked("arrays")]);
  const { panels, stops, readings } = JSON.parse(new TextDecoder().decode(text));
  const slider = document.getElementById("slider");
  const byName = new Map(panels.map((panel) => [panel.name, panel]));
  const inView = new Set();

  function draw(panel) {
    const frame = Number(slider.value);
    const stale = panel.moves && panel.frame !== frame;
    if (panel.drawn && !stale) return;
    if (stale) moveTo(panel, frame, arrays);
    panel.frame = frame;
    panel.drawn = true;
    Plotly.react(panel.name, panel.base.data, panel.base.layout, { responsive: true, displaylogo: false });
  }

  function show() {
    const frame = Number(slider.value);
    document.getElementById("epoch").textContent = stops[frame].toLocaleString("en");
    document.getElementById("reading").textContent = readings[frame];
    inView.forEach(draw);
  }

  const watcher = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) {
        const panel = byName.get(entry.target.id);
        if (entry.isIntersecting) {
          inView.add(panel);
          draw(panel);
        } else inView.delete(panel);
      }
    },
    { rootMargin: "300px" },
  );
  document.querySelectorAll(".plot").forEach((element) => watcher.observe(element));

  let asked = false;
  slider.addEventListener("input", () => {
    if (asked) return;
    asked = true; // many inputs a frame, one drawing
    requestAnimationFrame(() => {
      asked = false;
      show();
    });
  });
  show();
}

start();
