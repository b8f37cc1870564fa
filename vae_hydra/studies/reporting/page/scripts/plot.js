// A chart of lines with bands as SVG, as wide as its place.
const HEIGHT = 300;
const MARGIN = { top: 10, right: 14, bottom: 38 };

// Round numbers from low to high, about ``count`` of them.
function ticks(low, high, count) {
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough * 0.7);
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}

function logTicks(low, high, count) {
  const [from, to] = [Math.floor(Math.log10(low)), Math.ceil(Math.log10(high))];
  const factors = Math.log10(high / low) < 2 ? [1, 2, 5] : [1];
  const every = Math.ceil(((to - from) * factors.length) / count / 1.5) || 1;
  const all = [];
  for (let power = from; power <= to; power += factors.length > 1 ? 1 : every) for (const factor of factors) all.push(factor * 10 ** power);
  const within = all.filter((tick) => tick >= low * 0.999 && tick <= high * 1.001);
  return within.length > 1 ? within : ticks(low, high, count).filter((tick) => tick > 0);
}

// A scale of values onto pixels, with room around them.
function scale(values, isLog, from, to, room) {
  const usable = values.filter((value) => Number.isFinite(value) && (!isLog || value > 0));
  if (!usable.length) return null;
  let low = Infinity, high = -Infinity;
  for (const value of usable) { low = Math.min(low, value); high = Math.max(high, value); }
  const turn = isLog ? Math.log10 : (value) => value;
  const back = isLog ? (value) => 10 ** value : (value) => value;
  const width = turn(high) - turn(low) || Math.abs(turn(high)) * 0.1 || 1;
  const [first, last] = [turn(low) - (high === low ? width / 2 : room * width), turn(high) + (high === low ? width / 2 : room * width)];
  const place = (value) => from + ((turn(value) - first) / (last - first)) * (to - from);
  return Object.assign(place, { low: back(first), high: back(last), isLog, ticks: (count) => (isLog ? logTicks : ticks)(back(first), back(last), count) });
}

function path(points) {
  let text = "", pen = "M";
  for (const [x, y] of points) {
    if (!Number.isFinite(x) || !Number.isFinite(y)) { pen = "M"; continue; }
    text += `${pen}${x.toFixed(1)} ${y.toFixed(1)}`;
    pen = "L";
  }
  return text;
}

/* series: [{ name, look, x, y, low, high, isFaint }], arrays of equal length; low and high may be absent.
   options: { label, xLabel, isLog, isLogX, isWhole }, the last of x. Returns the drawn element. */
function plot(series, { label, xLabel, isLog = false, isLogX = false, isWhole = false }, width) {
  const heights = series.flatMap((one) => [...one.y, ...(one.low ?? []), ...(one.high ?? [])]);
  const y = scale(heights, isLog, HEIGHT - MARGIN.bottom, MARGIN.top, 0.04);
  const figure = element("figure", { className: "plot" }, element("figcaption", { textContent: label }));
  if (y === null) return appended(figure, element("p", { className: "note", textContent: "There are no values to draw." }));
  const yTicks = y.ticks(5);
  const left = 14 + 7 * Math.max(...yTicks.map((tick) => numberText(tick, 4).length));
  const x = scale(series.flatMap((one) => one.x), isLogX, left, width - MARGIN.right, isLogX || series.every((one) => one.x.length < 2) ? 0.05 : 0);
  const svg = vector("svg", { width, height: HEIGHT, viewBox: `0 0 ${width} ${HEIGHT}`, role: "img", "aria-label": `${label} by ${xLabel}` });
  svg.append(...axesOf(x, y, yTicks, left, width, xLabel, isWhole));
  const clear = (value) => (isLog && value <= 0 ? NaN : y(value));
  for (const one of series) svg.append(...lineOf(one, x, clear));
  return appended(figure, svg, readout(series, x, svg, left, width));
}

function appended(parent, ...children) {
  parent.append(...children);
  return parent;
}

function axesOf(x, y, yTicks, left, width, xLabel, isWhole) {
  const bottom = HEIGHT - MARGIN.bottom;
  const parts = yTicks.flatMap((tick) => [
    vector("line", { x1: left, x2: width - MARGIN.right, y1: y(tick), y2: y(tick), class: "grid" }),
    vector("text", { x: left - 6, y: y(tick) + 4, "text-anchor": "end" }, numberText(tick, 4)),
  ]);
  const xTicks = x.ticks(Math.max(2, Math.floor((width - left) / 80))).filter((tick) => !isWhole || Number.isInteger(tick));
  for (const tick of xTicks) {
    const place = Math.min(x(tick), width - 12);
    parts.push(vector("text", { x: place, y: bottom + 16, "text-anchor": "middle" }, numberText(tick, 4)));
  }
  parts.push(vector("line", { x1: left, x2: width - MARGIN.right, y1: bottom, y2: bottom, class: "base" }));
  parts.push(vector("text", { x: (left + width - MARGIN.right) / 2, y: HEIGHT - 5, "text-anchor": "middle", class: "title" }, xLabel));
  return parts;
}

function lineOf(one, x, y) {
  const parts = [];
  if (one.low) {
    const known = one.x.map((_, i) => i).filter((i) => Number.isFinite(y(one.low[i])) && Number.isFinite(y(one.high[i])));
    const edge = [...known.map((i) => [x(one.x[i]), y(one.high[i])]), ...known.reverse().map((i) => [x(one.x[i]), y(one.low[i])])];
    if (edge.length) parts.push(vector("path", { d: `${path(edge)}Z`, fill: one.look.colour, class: "band" }));
  }
  const points = one.x.map((value, i) => [x(value), y(one.y[i])]);
  parts.push(vector("path", { d: path(points), stroke: one.look.colour, "stroke-dasharray": one.isFaint ? "2 3" : one.look.dash, class: "line" }));
  if (points.length <= 12)
    for (const [cx, cy] of points) if (Number.isFinite(cy)) parts.push(vector("circle", { cx, cy, r: 2.6, fill: one.look.colour }));
  return parts;
}

// The values at the place of the pointer.
function readout(series, x, svg, left, width) {
  const box = element("div", { className: "readout", hidden: true });
  const line = vector("line", { y1: MARGIN.top, y2: HEIGHT - MARGIN.bottom, class: "cursor", visibility: "hidden" });
  svg.append(line);
  const places = [...new Set(series.flatMap((one) => one.x))].sort((one, other) => one - other);
  svg.addEventListener("pointermove", (event) => {
    const at = ((event.clientX - svg.getBoundingClientRect().left) / svg.getBoundingClientRect().width) * width;
    const nearest = places.reduce((best, place) => (Math.abs(x(place) - at) < Math.abs(x(best) - at) ? place : best));
    const found = series.map((one) => ({ one, y: one.y[one.x.indexOf(nearest)] })).filter(({ y }) => Number.isFinite(y));
    const shown = found.sort((one, other) => other.y - one.y).slice(0, 12);
    box.replaceChildren(element("b", { textContent: numberText(nearest) }), ...shown.map(({ one, y }) => element("div", {}, swatch(one.look), ` ${numberText(y)} ${one.name}`)));
    for (const name of ["x1", "x2"]) line.setAttribute(name, x(nearest));
    line.setAttribute("visibility", "visible");
    box.hidden = false;
    box.classList.toggle("leftward", x(nearest) > width / 2);
  });
  svg.addEventListener("pointerleave", () => { box.hidden = true; line.setAttribute("visibility", "hidden"); });
  return box;
}

// Draw again when the width of a place changes.
function keptAsWide(place, draw) {
  let known = place.clientWidth;
  new ResizeObserver(() => { if (Math.abs(place.clientWidth - known) > 1) { known = place.clientWidth; draw(); } }).observe(place);
}
