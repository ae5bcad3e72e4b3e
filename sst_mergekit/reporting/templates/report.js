"use strict";
// Draws each figure.chart from the JSON within it: points, bars, lines; zoom, pointing, a legend to toggle.

const SIZE = { width: 860, height: 520, left: 62, right: 18, top: 14, bottom: 50 };
const NARROW = { width: 370, height: 390, left: 50, right: 12, top: 12, bottom: 48 };
const NEAR = 26; // pixels within which a point is pointed at
const SHAPES = [
  (r) => `M${-r} 0a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0z`,
  (r) => `M${-r * .9} ${-r * .9}h${r * 1.8}v${r * 1.8}h${-r * 1.8}z`,
  (r) => `M0 ${-r * 1.25}L${r * 1.25} 0L0 ${r * 1.25}L${-r * 1.25} 0z`,
  (r) => `M0 ${r * 1.15}L${-r * 1.1} ${-r * .8}H${r * 1.1}z`,
  (r) => `M0 ${-r * 1.15}L${r * 1.1} ${r * .8}H${-r * 1.1}z`,
  (r) => `M${-r} ${-r * .35}h${r * .65}v${-r * .65}h${r * .7}v${r * .65}h${r * .65}v${r * .7}h${-r * .65}v${r * .65}h${-r * .7}v${-r * .65}h${-r * .65}z`,
];

function svg(name, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

function button(text, label, click) {
  const element = document.createElement("button");
  element.type = "button";
  element.textContent = text;
  if (label) element.setAttribute("aria-label", label);
  element.addEventListener("click", click);
  return element;
}

// Round numbers that cover [low, high] in about `count` steps.
function ticks(low, high, count) {
  const raw = (high - low) / count, unit = 10 ** Math.floor(Math.log10(raw));
  const step = unit * [1, 2, 5, 10].find((factor) => factor * unit >= raw);
  const found = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9 * step; i++) found.push(i * step);
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  return found.map((value) => ({ value, text: (value + 0).toFixed(digits).replace("-0.", "−0.") }));
}

class Chart {
  constructor(figure) {
    this.figure = figure;
    this.spec = JSON.parse(figure.querySelector("script").textContent);
    this.canvas = figure.querySelector(".canvas");
    this.tip = figure.querySelector(".tip");
    this.group = this.spec.groups.length ? this.spec.groups[0].id : "all";
    this.whole = { x: this.range("x"), y: this.range("y") };
    this.view = this.whole;
    this.buildTools();
    this.buildLegend();
    this.buildCanvas();
    this.draw();
    new ResizeObserver(() => this.fit()).observe(this.canvas);
  }

  range(axis) {
    const values = [];
    for (const series of this.spec.series)
      for (const point of series.points) values.push(point[axis], ...((point.bars || {})[axis] || []));
    const given = this.spec[axis];
    let low = given.from ?? Math.min(...values), high = given.to ?? Math.max(...values);
    if (high <= low) [low, high] = [low - .5, high + .5];
    const room = (high - low) * .04;
    return [low - room, high + room];
  }

  buildTools() {
    const tools = this.figure.querySelector(".tools");
    if (this.spec.groups.length) {
      tools.append(`${this.spec.group_label} `);
      this.groupButtons = this.spec.groups.map((group) => {
        const one = button(group.label, `${this.spec.group_label} ${group.label}`, () => {
          this.group = group.id;
          this.draw();
        });
        one.dataset.group = group.id;
        return one;
      });
      tools.append(...this.groupButtons);
    }
    const gap = document.createElement("span");
    gap.className = "gap";
    tools.append(gap, button("+", "zoom in", () => this.zoom(.7)), button("−", "zoom out", () => this.zoom(1 / .7)));
    tools.append(button("reset", "show all", () => this.show(this.whole)));
  }

  buildLegend() {
    const legend = this.figure.querySelector(".legend");
    for (const series of this.spec.series) {
      const sample = svg("svg", { viewBox: "-8 -8 16 16", class: `c-${series.colour}`, "aria-hidden": "true" });
      sample.append(this.mark(series, { size: 2 }, 0, 0));
      const one = button("", null, () => {
        series.on = !series.on;
        this.draw();
      });
      one.append(sample, series.name);
      series.button = one;
      legend.append(one);
    }
    if (this.spec.series.length > 8)
      for (const [name, on] of [["all", true], ["none", false]])
        legend.append(button(name, `show ${name}`, () => {
          for (const series of this.spec.series) series.on = on;
          this.draw();
        }));
  }

  buildCanvas() {
    this.canvas.tabIndex = 0;
    this.canvas.addEventListener("pointermove", (event) => this.point(event));
    this.canvas.addEventListener("pointerleave", () => this.leave());
    this.canvas.addEventListener("pointerdown", (event) => this.press(event));
    this.canvas.addEventListener("pointerup", (event) => this.release(event));
    this.canvas.addEventListener("pointercancel", () => this.leave());
    this.canvas.addEventListener("dblclick", () => this.show(this.whole));
    this.canvas.addEventListener("wheel", (event) => {
      if (!event.ctrlKey) return; // the wheel alone scrolls the page
      event.preventDefault();
      this.zoom(event.deltaY < 0 ? .8 : 1.25, this.data(event));
    }, { passive: false });
    this.canvas.addEventListener("keydown", (event) => this.key(event));
  }

  key(event) {
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "+" || event.key === "=") this.zoom(.7);
    else if (event.key === "-") this.zoom(1 / .7);
    else if (event.key === "0" || event.key === "Escape") this.show(this.whole);
    else if (moves[event.key]) {
      const moved = (range, step) => range.map((end) => end + step * .15 * (range[1] - range[0]));
      const [x, y] = moves[event.key];
      this.show({ x: moved(this.view.x, x), y: moved(this.view.y, y) });
    } else return;
    event.preventDefault();
  }

  zoom(factor, at) {
    const around = (range, centre) => range.map((end) => centre + factor * (end - centre));
    const centre = at || { x: (this.view.x[0] + this.view.x[1]) / 2, y: (this.view.y[0] + this.view.y[1]) / 2 };
    this.show({ x: around(this.view.x, centre.x), y: around(this.view.y, centre.y) });
  }

  show(view) {
    this.view = view;
    this.draw();
  }

  fit() {
    const size = this.canvas.clientWidth < 560 ? NARROW : SIZE;
    if (size !== this.size) this.draw();
  }

  at(axis, value) {
    const [low, high] = this.view[axis], part = (value - low) / (high - low), s = this.size;
    return axis === "x" ? s.left + part * (s.width - s.left - s.right) : s.height - s.bottom - part * (s.height - s.top - s.bottom);
  }

  // Where a pointer is: in the drawing's units, and in the data's.
  pixel(event) {
    const box = this.root.getBoundingClientRect(), scale = this.size.width / box.width;
    return { x: (event.clientX - box.left) * scale, y: (event.clientY - box.top) * scale, scale };
  }

  data(event) {
    const { x, y } = this.pixel(event), s = this.size, part = {
      x: (x - s.left) / (s.width - s.left - s.right),
      y: (s.height - s.bottom - y) / (s.height - s.top - s.bottom),
    };
    const value = (axis) => this.view[axis][0] + Math.min(1, Math.max(0, part[axis])) * (this.view[axis][1] - this.view[axis][0]);
    return { x: value("x"), y: value("y") };
  }

  shown(group) {
    return this.group === "all" ? true : group === this.group;
  }

  mark(series, point, x, y) {
    const radius = point.size === 2 ? 6 : 4;
    return svg("path", { d: SHAPES[series.shape](radius), transform: `translate(${x} ${y})`, class: point.size === 2 ? "mark" : "mark small" });
  }

  draw() {
    this.size = this.canvas.clientWidth && this.canvas.clientWidth < 560 ? NARROW : SIZE;
    const s = this.size, id = `clip-${this.figure.id}`;
    const root = svg("svg", { viewBox: `0 0 ${s.width} ${s.height}`, "aria-hidden": "true" });
    const inner = { x: s.left, y: s.top, width: s.width - s.left - s.right, height: s.height - s.top - s.bottom };
    root.append(svg("clipPath", { id }, svg("rect", { ...inner, x: inner.x - 1, y: inner.y - 1, width: inner.width + 2, height: inner.height + 2 })));
    this.drawAxes(root, inner);
    const plot = svg("g", { "clip-path": `url(#${id})` });
    this.places = [];
    for (const series of this.spec.series) {
      series.button.setAttribute("aria-pressed", String(series.on));
      if (series.on) this.drawSeries(plot, series);
    }
    this.places.sort((a, b) => a.point.size - b.point.size); // the large ones on top
    plot.append(...this.places.map((place) => place.element));
    root.append(plot);
    for (const one of this.groupButtons || []) one.setAttribute("aria-pressed", String(one.dataset.group === this.group));
    this.canvas.replaceChildren(root);
    this.root = root;
    this.near(null);
  }

  drawAxes(root, inner) {
    const s = this.size, bottom = inner.y + inner.height;
    const marks = (axis, count) => {
      const given = this.spec[axis].ticks;
      if (!given) return ticks(...this.view[axis], count);
      const inside = (value) => value >= this.view[axis][0] && value <= this.view[axis][1];
      return given.filter(inside).map((value) => ({ value, text: String(value) }));
    };
    for (const { value, text } of marks("x", s === NARROW ? 5 : 10)) {
      const x = this.at("x", value);
      root.append(svg("line", { class: "grid", x1: x, x2: x, y1: inner.y, y2: bottom }));
      root.append(svg("text", { x, y: bottom + 18, "text-anchor": "middle" }, text));
    }
    for (const { value, text } of marks("y", 7)) {
      const y = this.at("y", value);
      root.append(svg("line", { class: "grid", x1: inner.x, x2: inner.x + inner.width, y1: y, y2: y }));
      root.append(svg("text", { x: inner.x - 8, y: y + 4, "text-anchor": "end" }, text));
    }
    root.append(svg("rect", { ...inner, class: "frame" }));
    root.append(svg("text", { class: "axis-label", x: inner.x + inner.width / 2, y: s.height - 8, "text-anchor": "middle" }, this.spec.x.label));
    const middle = inner.y + inner.height / 2;
    root.append(svg("text", { class: "axis-label", x: 14, y: middle, "text-anchor": "middle", transform: `rotate(-90 14 ${middle})` }, this.spec.y.label));
  }

  drawSeries(plot, series) {
    const group = svg("g", { class: `c-${series.colour}` });
    const lines = series.lines.filter((line) => this.shown(line.group));
    for (const line of lines) {
      const path = line.path.map(([x, y]) => `${this.at("x", x)} ${this.at("y", y)}`).join("L");
      group.append(svg("path", { class: "line", d: `M${path}`, opacity: Math.max(.15, .9 / lines.length) }));
    }
    for (const point of series.points.filter((one) => this.shown(one.group))) {
      const x = this.at("x", point.x), y = this.at("y", point.y);
      for (const [axis, ends] of Object.entries(point.bars || {})) {
        const [a, b] = ends.map((end) => this.at(axis, end));
        const along = axis === "x" ? { x1: a, x2: b, y1: y, y2: y } : { x1: x, x2: x, y1: a, y2: b };
        group.append(svg("line", { class: "bar", ...along }));
      }
      const element = svg("g", { class: `c-${series.colour}` }, this.mark(series, point, x, y));
      this.places.push({ x, y, point, element });
    }
    plot.append(group);
  }

  point(event) {
    const here = this.pixel(event);
    if (this.start) this.drag(here);
    const distance = (place) => Math.hypot(place.x - here.x, place.y - here.y);
    let best = null;
    for (const place of this.places) if (!best || distance(place) <= distance(best)) best = place;
    this.near(best && distance(best) <= NEAR * here.scale && !this.band ? best : null);
  }

  near(place) {
    for (const one of this.places) one.element.firstChild.classList.toggle("near", one === place);
    this.tip.hidden = !place;
    if (!place) return;
    this.tip.replaceChildren(...place.point.tip.map((text) => {
      const line = document.createElement("p");
      line.textContent = text;
      return line;
    }));
    const box = this.root.getBoundingClientRect(), frame = this.figure.getBoundingClientRect();
    const scale = box.width / this.size.width;
    const x = box.left - frame.left + place.x * scale, y = box.top - frame.top + place.y * scale;
    const left = Math.min(Math.max(x + 14, 4), frame.width - this.tip.offsetWidth - 8);
    this.tip.style.left = `${x + 14 > left ? Math.max(4, x - 14 - this.tip.offsetWidth) : left}px`;
    this.tip.style.top = `${Math.max(4, y - this.tip.offsetHeight - 10)}px`;
  }

  press(event) {
    if (event.pointerType === "touch" || event.button !== 0) return; // a touch points, or scrolls the page
    this.start = this.pixel(event);
    this.startData = this.data(event);
    this.canvas.setPointerCapture(event.pointerId);
  }

  drag(here) {
    const { start } = this;
    if (Math.hypot(here.x - start.x, here.y - start.y) < 8) return;
    if (!this.band) this.root.append(this.band = svg("rect", { class: "drag" }));
    const box = { x: Math.min(start.x, here.x), y: Math.min(start.y, here.y), width: Math.abs(start.x - here.x), height: Math.abs(start.y - here.y) };
    for (const [key, value] of Object.entries(box)) this.band.setAttribute(key, value);
  }

  release(event) {
    const { band, startData } = this;
    this.leave();
    if (!band || +band.getAttribute("width") < 8 || +band.getAttribute("height") < 8) return;
    const end = this.data(event), sorted = (a, b) => (a < b ? [a, b] : [b, a]);
    this.show({ x: sorted(startData.x, end.x), y: sorted(startData.y, end.y) });
  }

  leave() {
    this.band?.remove();
    this.band = this.start = null;
    this.near(null);
  }
}

for (const figure of document.querySelectorAll("figure.chart")) new Chart(figure);
// on paper the tables are open, but for those too wide for it; what is harmful stays folded
addEventListener("beforeprint", () => {
  for (const one of document.querySelectorAll("details.data:not(.wide)")) one.open = true;
});
