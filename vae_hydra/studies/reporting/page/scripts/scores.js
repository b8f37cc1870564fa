// The scores of a metric: each seed a dot, the mean and its spread a line; or a curve over an option that is a number.
const MOST_ROWS = 30;

function scored(metric) {
  return runs.filter((run) => valueOf(run, "status") === "done" && rowOf(run) !== null && typeof valueOf(run, metric) === "number");
}

// Options of rows that are numbers and differ.
function numericKeys() {
  const keys = data.keys.filter((key) => !/^(noise|sampler|dataset)\./.test(key) && columns.has(key));
  return keys.filter((key) => {
    const values = columns.get(key).filter((value) => value !== null);
    return values.every((value) => typeof value === "number") && new Set(values).size > 1;
  });
}

function drawScores() {
  const metric = data.metrics.find(({ name }) => name === byId("score-metric").value);
  const [row, key] = [byId("score-row").value, byId("against").value];
  const all = scored(metric.name);
  const chosen = row === "" || key !== "" ? all : all.filter((run) => rowOf(run) === row);
  byId("score-row").disabled = key !== "";
  const direction = { "-1": "; less is better", 0: "", 1: "; more is better" }[metric.better];
  const kind = key ? "Lines: means over seeds. Bands: one standard deviation each way." : "Dots: seeds, each a link to its run. Line: mean ± one standard deviation.";
  const panels = key ? overOption(chosen, metric, key) : [...grouped(chosen, (run) => valueOf(run, "dataset")).values()].map((some) => dots(some, metric.name));
  const shown = panels.slice(0, MOST_ROWS);
  byId("score-note").textContent = `${metric.unit}${direction}. ${kind}${shown.length < panels.length ? ` ${shown.length} of ${panels.length} charts are drawn.` : ""}`;
  byId("score-chart").replaceChildren(...shown);
}

// The rows of one dataset on a common scale.
function dots(some, metric) {
  const isLog = byId("score-log").checked;
  const values = some.map((run) => valueOf(run, metric));
  const place = scale(values, isLog, 1.5, 98.5, 0.03);
  if (place === null) return element("p", { className: "note", textContent: "There is no positive finite value to draw." });
  const rows = [...grouped(some, rowOf)];
  const blocks = rows.slice(0, MOST_ROWS).map(([row, members]) => {
    const samplers = grouped(members, (run) => valueOf(run, "sampler_label"));
    const lines = inOrder(samplers.keys()).map((label) => dotLine(row, label, samplers.get(label), metric, place));
    return element("div", {}, element("h4", { textContent: rowTitle(row) }), ...lines);
  });
  const more = rows.length > MOST_ROWS ? [element("p", { className: "note", textContent: `${MOST_ROWS} of ${rows.length} rows are drawn; choose one of them above.` })] : [];
  return element("figure", { className: "scores" }, ...blocks, axisStrip(place), ...more);
}

function dotLine(row, label, members, metric, place) {
  const values = members.map((run) => valueOf(run, metric));
  const name = element("a", { href: "#runs", className: "name", textContent: label });
  name.addEventListener("click", (event) => { event.preventDefault(); filterBy(filterOfCell(row, label)); });
  const [centre, spread] = [mean(values), deviation(values)];
  return element("div", { className: "dots" }, name, dotStrip(members, values, centre, spread, place, lookOf(label)), element("span", { className: "value", textContent: meanText(centre, spread) }));
}

// Mean ± standard deviation with the same number of decimals: as many as show two figures of the deviation.
function meanText(centre, spread) {
  const decimals = 1 - Math.floor(Math.log10(spread));
  if (!(spread > 0) || decimals < 0 || decimals > 8) return numberText(centre, 4) + (Number.isNaN(spread) ? "" : ` ± ${numberText(spread, 2)}`);
  return `${centre.toFixed(decimals).replace("-", "−")} ± ${spread.toFixed(decimals)}`;
}

function dotStrip(members, values, centre, spread, place, look) {
  const svg = vector("svg", { height: 20, class: "strip" });
  const at = (value) => (place.isLog && value <= 0 ? "-5%" : `${Math.max(-5, Math.min(105, place(value))).toFixed(2)}%`);
  for (const tick of place.ticks(4)) svg.append(vector("line", { x1: at(tick), x2: at(tick), y1: 0, y2: 20, class: "grid" }));
  if (Number.isFinite(spread)) svg.append(vector("line", { x1: at(centre - spread), x2: at(centre + spread), y1: 10, y2: 10, stroke: look.colour, "stroke-width": 3, opacity: 0.45 }));
  members.forEach((run, i) => {
    if (!Number.isFinite(values[i])) return;
    const dot = vector("circle", { cx: at(values[i]), cy: 10, r: 3.2, fill: look.colour, "fill-opacity": 0.75 }, vector("title", {}, `${valueOf(run, "run")}: ${numberText(values[i])}`));
    const link = vector("a", { href: data.links[run] === null ? "#runs" : addressOf(run), "data-run": run }, dot);
    svg.append(link);
  });
  if (Number.isFinite(centre)) svg.append(vector("line", { x1: at(centre), x2: at(centre), y1: 3, y2: 17, stroke: look.colour, "stroke-width": 2 }));
  return svg;
}

function axisStrip(place) {
  const svg = vector("svg", { height: 18, class: "strip" });
  for (const tick of place.ticks(4)) {
    const at = place(tick);
    svg.append(vector("text", { x: `${at.toFixed(2)}%`, y: 13, "text-anchor": at < 3 ? "start" : at > 97 ? "end" : "middle" }, numberText(tick, 4)));
  }
  return element("div", { className: "dots axis" }, element("span"), svg, element("span"));
}

// A chart for each combination of the other options.
function overOption(chosen, metric, key) {
  const settings = data.keys.filter((other) => other !== key && !/^(noise|sampler)\./.test(other));
  const panelOf = (run) => JSON.stringify([valueOf(run, "dataset"), valueOf(run, "noise_label"), ...settings.map((other) => textOf(valueOf(run, other)))]);
  const panels = [...grouped(chosen, panelOf)].filter(([, members]) => new Set(members.map((run) => valueOf(run, key))).size > 1);
  const width = Math.min(430, byId("score-chart").clientWidth);
  const drawn = panels.map(([panel, members]) => optionPanel(panel, settings, members, metric, key, width));
  return drawn.length ? [element("div", { className: "panels" }, ...drawn), legendOfSamplers(chosen)] : [element("p", { className: "note", textContent: `No row has several values of ${key}.` })];
}

function optionPanel(panel, settings, members, metric, key, width) {
  const [dataset, noise, ...rest] = JSON.parse(panel);
  const others = settings.map((other, i) => (rest[i] === "" ? "" : `${other}=${rest[i]}`)).filter(Boolean);
  const bySampler = grouped(members, (run) => valueOf(run, "sampler_label"));
  const series = inOrder(bySampler.keys()).map((label) => {
    const byValue = grouped(bySampler.get(label), (run) => valueOf(run, key));
    const x = [...byValue.keys()].sort((one, other) => one - other);
    const all = x.map((value) => byValue.get(value).map((run) => valueOf(run, metric.name)));
    const [y, spread] = [all.map(mean), all.map(deviation)];
    return { name: label, look: lookOf(label), x, y, low: y.map((value, i) => value - spread[i]), high: y.map((value, i) => value + spread[i]) };
  });
  const places = series.flatMap((one) => one.x);
  const [least, greatest] = [Math.min(...places), Math.max(...places)];
  const label = [dataset, `noise ${noise}`, ...others].join(", ");
  return plot(series, { label, xLabel: key, isLog: byId("score-log").checked, isLogX: least > 0 && greatest > 10 * least }, width);
}

function legendOfSamplers(chosen) {
  const labels = inOrder(new Set(chosen.map((run) => valueOf(run, "sampler_label"))));
  return element("ul", { className: "legend" }, ...labels.map((label) => element("li", {}, swatch(lookOf(label)), label)));
}

function startScores() {
  fill(byId("score-metric"), data.metrics.map(({ name, title }) => [name, title]));
  const rows = [...new Set(runs.map(rowOf))].filter((row) => row !== null);
  fill(byId("score-row"), [["", "every row"], ...rows.map((row) => [row, rowTitle(row)])]);
  fill(byId("against"), [["", "samplers"], ...numericKeys().map((key) => [key, key])]);
  drawnBy(["score-row", "against", "score-log"], drawScores);
  keptAsWide(byId("score-chart"), () => { if (byId("against").value) drawScores(); });
}
