"use strict";
// What Python wrote: columns of the results by name, a value a run.
const data = JSON.parse(document.getElementById("data").textContent);
const columns = new Map(data.columns.map((column, i) => [column.name, data.values[i].map(decoded)]));
const runs = data.links.map((_, run) => run);

function decoded(value) {
  return Array.isArray(value) ? Number(value[0]) : value;
}

function valueOf(run, column) {
  return columns.has(column) ? columns.get(column)[run] : null;
}

function byId(id) {
  return document.getElementById(id);
}

// An element with properties and children; text is never parsed as HTML.
function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function vector(tag, attributes, ...children) {
  const made = document.createElementNS("http:" + "//www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function numberText(value, figures = 5) {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "NaN" : value > 0 ? "∞" : "−∞";
  const isWhole = Number.isInteger(value) && Math.abs(value) < 1e7;
  const text = isWhole ? String(value) : value === 0 || (Math.abs(value) >= 1e-4 && Math.abs(value) < 1e6) ? String(Number(value.toPrecision(figures))) : value.toExponential(Math.min(2, figures - 1));
  return text.replace("e+", "e").replaceAll("-", "−");
}

function textOf(value) {
  return value === null ? "" : typeof value === "number" ? numberText(value) : value;
}

// A row of a table: its dataset, noise and options as text.
const ROW = ["dataset", "noise_label", "options"];

function rowOf(run) {
  const parts = ROW.map((column) => valueOf(run, column));
  return parts.includes(null) || valueOf(run, "sampler_label") === null ? null : JSON.stringify(parts);
}

function rowTitle(row) {
  const [dataset, noise, options] = JSON.parse(row);
  return [dataset, `noise ${noise}`, options].filter(Boolean).join(", ");
}

function grouped(items, key) {
  const groups = new Map();
  for (const item of items) {
    const name = key(item);
    if (name === null) continue;
    if (!groups.has(name)) groups.set(name, []);
    groups.get(name).push(item);
  }
  return groups;
}

// Samplers in the order of the tables.
function inOrder(labels) {
  const places = new Map(data.samplers.map((label, place) => [label, place]));
  return [...labels].sort((one, other) => (places.get(one) ?? Infinity) - (places.get(other) ?? Infinity) || 0);
}

const COLOURS = ["#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#8C6D31", "#777777"];
const DASHES = ["", "6 3", "6 3 1.5 3", "1.5 3"];

function numberedLook(number) {
  return { colour: COLOURS[number % COLOURS.length], dash: DASHES[Math.floor(number / COLOURS.length) % DASHES.length] };
}

function lookOf(label) {
  return data.looks[label] ?? numberedLook(7);
}

function mean(values) {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

// The standard deviation with n − 1; NaN for fewer than two values.
function deviation(values) {
  const centre = mean(values);
  return Math.sqrt(values.reduce((sum, value) => sum + (value - centre) ** 2, 0) / (values.length - 1));
}

function fill(select, entries, chosen) {
  select.replaceChildren(...entries.map(([value, text]) => element("option", { value, textContent: text })));
  if (chosen !== undefined && entries.some(([value]) => value === chosen)) select.value = chosen;
}

// Call ``draw`` now and whenever one of the controls changes.
function drawnBy(ids, draw) {
  for (const id of ids) byId(id).addEventListener(byId(id).type === "number" ? "input" : "change", draw);
  draw();
}

function swatch(look) {
  const line = vector("line", { x1: 1, x2: 27, y1: 6, y2: 6, stroke: look.colour, "stroke-width": 2.5, "stroke-dasharray": look.dash });
  return vector("svg", { width: 28, height: 12, class: "swatch", "aria-hidden": "true" }, line);
}
