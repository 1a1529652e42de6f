// Drawing on canvas: sharp on every screen, in the page's colours, with axes, maps and what lies under the pointer.
"use strict";

const VIRIDIS = ["#440154", "#482878", "#3e4989", "#31688e", "#26828e", "#1f9e89", "#35b779", "#6ece58", "#b5de2b", "#fde725"];
const RED_BLUE = ["#67001f", "#b2182b", "#d6604d", "#f4a582", "#fddbc7", "#f7f7f7", "#d1e5f0", "#92c5de", "#4393c3", "#2166ac", "#053061"];

function channels(hex) {
  return [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
}

// 256 colours between the given ones, as [red, green, blue] triples in one array.
function ramp(stops) {
  const colours = new Uint8ClampedArray(256 * 3);
  const given = stops.map(channels);
  for (let i = 0; i < 256; i++) {
    const at = (i / 255) * (given.length - 1);
    const low = Math.min(Math.floor(at), given.length - 2);
    for (let c = 0; c < 3; c++) colours[i * 3 + c] = given[low][c] + (at - low) * (given[low + 1][c] - given[low][c]);
  }
  return colours;
}

const RAMPS = { sequential: ramp(VIRIDIS), diverging: ramp(RED_BLUE) };

// A colour of the page's own, light or dark, by the name of its CSS variable.
function ink(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

function isDark() {
  return matchMedia("(prefers-color-scheme: dark)").matches;
}

const LEAST_CONTRAST = 3; // of what is drawn, to its paper: WCAG 2.2, 1.4.11
const PAPERS = { light: "#ffffff", dark: "#17191c" };

function luminance(hex) {
  const [red, green, blue] = channels(hex).map((c) => (c / 255 <= 0.03928 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function contrast(one, other) {
  const [dark, light] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (light + 0.05) / (dark + 0.05);
}

const seenColours = new Map();

// A colour as it can be seen on the page's paper: so far towards black, or on the dark page towards white, as it takes.
function onPaper(colour) {
  if (!/^#[0-9a-fA-F]{6}$/.test(colour)) return colour;
  const [paper, end] = isDark() ? [PAPERS.dark, 255] : [PAPERS.light, 0];
  const name = `${colour} ${paper}`;
  if (!seenColours.has(name)) {
    let share = 0;
    const mixed = () => `#${channels(colour).map((c) => Math.round(c + share * (end - c)).toString(16).padStart(2, "0")).join("")}`;
    while (share < 1 && contrast(mixed(), paper) < LEAST_CONTRAST) share += 0.05;
    seenColours.set(name, mixed());
  }
  return seenColours.get(name);
}

function hue(share) {
  return `hsl(${Math.round(360 * share)} 70% 50%)`;
}

// A canvas that fills its element, drawn on in CSS pixels. `draw(surface)` is called again where its size changes.
class Surface {
  /**
   * @param {HTMLElement} element
   * @param {() => string} label
   * @param {(surface: Surface) => void} draw
   */
  constructor(element, label, draw) {
    this.element = element;
    this.canvas = document.createElement("canvas");
    this.canvas.setAttribute("role", "img");
    this.label = label;
    element.append(this.canvas);
    this.context = this.canvas.getContext("2d");
    this.draw = draw;
    this.width = 0;
    this.height = 0;
    new ResizeObserver(() => this.resized()).observe(element);
  }

  resized() {
    if (this.element.clientWidth !== this.width || this.element.clientHeight !== this.height) this.redraw();
  }

  // Clear and draw; nothing where the element is not shown.
  redraw() {
    const { clientWidth: width, clientHeight: height } = this.element;
    if (width === 0 || height === 0) return;
    const ratio = window.devicePixelRatio || 1;
    this.width = width;
    this.height = height;
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
    this.context.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.context.clearRect(0, 0, width, height);
    this.context.font = "12px system-ui, sans-serif";
    this.draw(this);
    const label = this.label();
    if (label) this.canvas.setAttribute("aria-label", label);
  }

  /**
   * @param {string} words
   * @param {number} x
   * @param {number} y
   * @param {{align?: CanvasTextAlign, colour?: string, bold?: boolean}} options
   */
  text(words, x, y, { align = "left", colour = "ink", bold = false } = {}) {
    const { context } = this;
    context.font = `${bold ? "600 " : ""}12px system-ui, sans-serif`;
    context.textAlign = align;
    context.textBaseline = "middle";
    context.fillStyle = colour.startsWith("#") ? colour : ink(colour);
    context.fillText(words, x, y);
  }

  // Words about a block, beside a spot of its colour: the colours themselves are too light to be read on every paper.
  named(words, x, y, colour, { bold = false } = {}) {
    this.context.font = `${bold ? "600 " : ""}12px system-ui, sans-serif`;
    const left = x - this.context.measureText(words).width / 2;
    if (colour) this.box(left - 12, y - 5, 8, 8, colour, { fill: true });
    this.text(words, x, y, { align: "center", bold });
  }

  line(points, colour, { width = 1.5, dash = [] } = {}) {
    const { context } = this;
    context.beginPath();
    let pen = false; // lifted where there is no number
    for (const [x, y] of points) {
      if (!Number.isFinite(y)) pen = false;
      else if (pen) context.lineTo(x, y);
      else {
        context.moveTo(x, y);
        pen = true;
      }
    }
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.setLineDash(dash);
    context.stroke();
    context.setLineDash([]);
  }

  box(x, y, width, height, colour, { fill = false, line = 1 } = {}) {
    const { context } = this;
    if (fill) {
      context.fillStyle = colour;
      context.fillRect(x, y, width, height);
      return;
    }
    context.strokeStyle = colour;
    context.lineWidth = line;
    context.strokeRect(x, y, width, height);
  }

  // A map of rows × columns numbers in [low, high], each a square of colour; what is no number is left out.
  map(numbers, rows, columns, { x, y, width, height, low, high, colours = "sequential" }) {
    const image = new ImageData(columns, rows);
    const of = RAMPS[colours];
    for (let i = 0; i < rows * columns; i++) {
      const share = (numbers[i] - low) / (high - low || 1);
      if (!Number.isFinite(share)) continue;
      const level = Math.max(0, Math.min(255, Math.round(share * 255))) * 3;
      image.data.set([of[level], of[level + 1], of[level + 2], 255], i * 4);
    }
    const small = new OffscreenCanvas(columns, rows);
    small.getContext("2d").putImageData(image, 0, 0);
    this.context.imageSmoothingEnabled = false;
    this.context.drawImage(small, x, y, width, height);
  }

  // A vertical scale of colours with its two ends named.
  scale(x, y, height, low, high, colours, words) {
    const strip = Float32Array.from({ length: 64 }, (_, i) => 63 - i);
    this.map(strip, 64, 1, { x, y, width: 10, height, low: 0, high: 63, colours });
    this.text(words(high), x + 14, y + 6, { colour: "soft" });
    this.text(words(low), x + 14, y + height - 6, { colour: "soft" });
  }
}

// Numbers as people write them.
function inWords(x) {
  if (!Number.isFinite(x)) return "none";
  const size = Math.abs(x);
  if (size !== 0 && (size < 1e-3 || size >= 1e5)) return x.toExponential(1);
  return x.toPrecision(3).replace(/\.?0+$/, (zeros) => (zeros.startsWith(".") || x.toPrecision(3).includes(".") ? "" : zeros));
}

function percent(share, digits = 1) {
  return Number.isFinite(share) ? `${(100 * share).toFixed(digits)}%` : "none";
}

function epochInWords(epoch) {
  return epoch.toLocaleString("en");
}

// What the pointer is over, told beside it. One for the page.
class Tip {
  /** @param {HTMLElement} element */
  constructor(element) {
    this.element = element;
  }

  show(event, words) {
    this.element.textContent = words;
    this.element.hidden = !words;
    const left = Math.min(event.clientX + 14, window.innerWidth - this.element.offsetWidth - 8);
    this.element.style.transform = `translate(${Math.max(4, left)}px, ${event.clientY + 16}px)`;
  }

  hide() {
    this.element.hidden = true;
  }
}

/**
 * What a reader can point at: in words, the block that it is of, what choosing it does, and where it lies.
 * @typedef {{words: string, block?: string | number | null, choose?: () => void, x?: number, y?: number}} Item
 */

/**
 * Let a surface answer to the pointer and to touch: `pick(x, y)` says what lies there, or null. With `items`, which lists all that
 * can be chosen, it answers to keys too: arrows go along them, Enter chooses.
 * @param {Surface} surface
 * @param {Tip} tip
 * @param {State} state
 * @param {(x: number, y: number) => Item | null} pick
 * @param {(() => Item[]) | null} items
 */
function answering(surface, tip, state, pick, items = null) {
  const { canvas } = surface;
  const at = (event) => {
    const frame = canvas.getBoundingClientRect();
    return pick(event.clientX - frame.left, event.clientY - frame.top);
  };
  const point = (event) => {
    const found = at(event);
    if (found) tip.show(event, found.words);
    else tip.hide();
    canvas.style.cursor = found?.choose || found?.block ? "pointer" : "default";
    state.set({ hovered: found?.block ?? null });
  };
  const leave = () => {
    tip.hide();
    state.set({ hovered: null });
  };
  canvas.addEventListener("pointermove", point);
  canvas.addEventListener("pointerdown", point); // where there is touch, nothing moves before
  canvas.addEventListener("pointerleave", leave);
  canvas.addEventListener("click", (event) => choose(at(event), state));
  if (items) answeringKeys(surface, tip, state, items, leave);
}

/**
 * @param {Item | null} item
 * @param {State} state
 */
function choose(item, state) {
  if (item?.choose) item.choose();
  else if (item?.block) state.toggle("pinned", item.block);
}

function answeringKeys({ canvas }, tip, state, items, leave) {
  let place = -1;
  canvas.tabIndex = 0;
  canvas.setAttribute("aria-keyshortcuts", "ArrowLeft ArrowRight Enter");
  canvas.addEventListener("keydown", (event) => {
    const all = items();
    const step = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[event.key];
    if (event.key === "Escape") leave();
    if ((event.key === "Enter" || event.key === " ") && all[place]) choose(all[place], state);
    else if (!step || !all.length) return;
    else place = place < 0 ? (step > 0 ? 0 : all.length - 1) : (place + step + all.length) % all.length;
    event.preventDefault();
    const item = items()[place];
    const frame = canvas.getBoundingClientRect();
    tip.show({ clientX: frame.left + (item.x ?? 0), clientY: frame.top + (item.y ?? 0) }, item.words);
    state.set({ hovered: item.block ?? null });
  });
  canvas.addEventListener("blur", () => {
    place = -1;
    leave();
  });
}
