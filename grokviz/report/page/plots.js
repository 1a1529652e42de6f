// The panels that plotly draws: those of an epoch follow the cursor, timelines show it, blocks are marked in all.
"use strict";

class Plots {
  // Panels of the page's data, their arrays in `buffer`; stops of `clock`, colours of frequencies of `run`.
  /**
   * @param {RunData | Clock} clock
   * @param {Json.PanelData[]} panels
   * @param {ArrayBuffer} buffer
   * @param {RunData} run
   * @param {State} state
   * @param {() => Promise<void>} loadPlotly
   */
  constructor(clock, panels, buffer, run, state, loadPlotly) {
    this.clock = clock;
    this.buffer = buffer;
    this.run = run;
    this.state = state;
    this.loadPlotly = loadPlotly;
    this.needs = ["epoch", "hovered", "pinned"];
    this.panels = new Map(panels.map((panel) => [panel.name, this.opened(panel)]));
    this.inView = new Set();
    this.watcher = new IntersectionObserver((entries) => this.seen(entries), { rootMargin: "200px" });
    for (const name of this.panels.keys()) this.watcher.observe(document.getElementById(`plot-${name}`));
  }

  get stop() {
    return this.clock.stopAt(this.state.get("epoch"));
  }

  opened(panel) {
    const changes = panel.frames.changes.map((change) => ({
      ...change,
      byStop: change.array ? new ByStop(change.array, this.buffer) : null,
    }));
    return { name: panel.name, moves: panel.moves, base: panel.frames.base, changes, stop: -1, drawn: false };
  }

  async seen(entries) {
    for (const entry of entries) {
      const panel = this.panels.get(entry.target.id.replace(/^plot-/, ""));
      if (entry.isIntersecting) this.inView.add(panel);
      else this.inView.delete(panel);
    }
    if (this.inView.size === 0) return;
    await this.loadPlotly();
    this.draw();
  }

  draw() {
    if (typeof Plotly === "undefined") return;
    for (const panel of this.inView) this.drawPanel(panel);
  }

  // Put the values of a stop into a panel's figure.
  moveTo(panel, stop) {
    for (const { path, values, byStop } of panel.changes) {
      const parent = path.slice(0, -1).reduce((node, key) => node[key], panel.base);
      parent[path[path.length - 1]] = byStop ? rowsOf(byStop.at(stop), byStop.shape) : values[stop];
    }
    panel.stop = stop;
  }

  drawPanel(panel) {
    const plot = document.getElementById(`plot-${panel.name}`);
    const stale = panel.moves && panel.stop !== this.stop;
    if (stale) this.moveTo(panel, this.stop);
    if (stale || !panel.drawn) {
      this.say(panel);
      Plotly.react(plot, inkedData(panel.base.data), inkedLayout(panel.base.layout), { responsive: true, displayModeBar: false });
      if (!panel.drawn) this.listen(panel, plot);
      panel.drawn = true;
    }
    this.mark(panel, plot);
  }

  // The finding and what is shown stand above the figure as text that wraps.
  say(panel) {
    const { title } = panel.base.layout;
    const figure = document.getElementById(panel.name);
    figure.querySelector("h3").textContent = title.text;
    figure.querySelector(".shows").textContent = title.subtitle.text;
    const plot = document.getElementById(`plot-${panel.name}`);
    plot.setAttribute("role", "img");
    plot.setAttribute("aria-label", `${title.text}. ${title.subtitle.text}`);
  }

  listen(panel, plot) {
    plot.on("plotly_afterplot", () => this.mark(panel, plot));
    const of = (axis) => axesOf(panel)[axis?._name] ?? "";
    const blockAt = (point) => {
      if (of(point.xaxis) === "block") return this.run.blocks.labelAt(point.x);
      return of(point.yaxis) === "block" ? this.run.blocks.labelAt(point.y) : null;
    };
    plot.on("plotly_hover", ({ points: [point] }) => this.state.set({ hovered: blockAt(point) }));
    plot.on("plotly_unhover", () => this.state.set({ hovered: null }));
    plot.on("plotly_click", ({ points: [point] }) => {
      const block = blockAt(point);
      if (of(point.xaxis) === "epoch") this.state.set({ epoch: this.clock.stops[this.clock.stopAt(point.x)] });
      else if (block) this.state.toggle("pinned", block);
    });
  }

  // The cursor in every timeline, and the block that is shown off, as lines laid over the figure.
  mark(panel, plot) {
    if (!plot._fullLayout) return;
    const marks = [];
    const epoch = this.clock.stops[this.stop];
    const { block } = this.state;
    for (const [name, axis] of Object.entries(plot._fullLayout)) {
      if (!/^[xy]axis\d*$/.test(name) || !axis._offset) continue;
      const of = axesOf(panel)[name] ?? "";
      const upright = name.startsWith("x");
      const other = plot._fullLayout[`${upright ? "yaxis" : "xaxis"}${(axis.anchor ?? "x").slice(1)}`];
      if (!other) continue;
      const add = (value, colour, kind) => {
        const at = axis._offset + axis.d2p(value);
        if (at < axis._offset - 1 || at > axis._offset + axis._length + 1) return;
        marks.push({ at, from: other._offset, length: other._length, upright, colour, kind });
      };
      if (upright && of === "epoch") add(epoch, ink("accent"), "cursor");
      if (block !== null && of === "block" && this.run.blocks.place(block) >= 0) {
        add(this.run.blocks.position(block), this.run.colour(block) ?? ink("accent"), "block");
      }
    }
    plot.querySelectorAll(".mark").forEach((old) => old.remove());
    for (const { at, from, length, upright, colour, kind } of marks) {
      const line = document.createElement("div");
      line.className = `mark ${kind}`;
      const [left, top, width, height] = upright ? [at - 1, from, 2, length] : [from, at - 1, length, 2];
      Object.assign(line.style, { left: `${left}px`, top: `${top}px`, width: `${width}px`, height: `${height}px`, background: colour });
      plot.append(line);
    }
  }

  recolour() {
    for (const panel of this.panels.values()) panel.drawn = false;
    this.draw();
  }
}

// What each axis of a panel is of, by the name that plotly gives the axis: "epoch", "block".
function axesOf(panel) {
  return panel.base.layout.meta?.axes ?? {};
}

// Two-dimensional values as rows, which plotly reads.
function rowsOf(numbers, shape) {
  if (shape.length < 2) return numbers;
  return Array.from({ length: shape[0] }, (_, row) => numbers.subarray(row * shape[1], (row + 1) * shape[1]));
}

// Traces in colours that can be seen on the page's paper.
function inkedData(data) {
  const seen = (colour) => {
    if (Array.isArray(colour)) return colour.map(seen);
    if (typeof colour !== "string") return colour;
    return colour === "black" ? ink("ink") : onPaper(colour);
  };
  return data.map((trace) => {
    const inked = { ...trace };
    for (const part of ["line", "marker"]) {
      if (trace[part]?.color !== undefined) inked[part] = { ...trace[part], color: seen(trace[part].color) };
    }
    return inked;
  });
}

// The layout in the page's colours, with the title left to the page.
function inkedLayout(layout) {
  const { title, ...rest } = layout;
  const axis = { ...layout.template.layout.xaxis, gridcolor: ink("edge"), linecolor: ink("soft") };
  const titled = (layout.annotations ?? []).length > 0;
  const font = { ...layout.template.layout.font, color: ink("ink") };
  return {
    ...rest,
    height: (layout.height ?? 420) - (titled ? 50 : 70),
    margin: { ...layout.template.layout.margin, ...layout.margin, t: titled ? 36 : 16 },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font,
    template: { layout: { ...layout.template.layout, font, xaxis: axis, yaxis: axis } },
  };
}
