// Noise of training × noise of testing, a table a sampler, its cells coloured by their values.
const CIVIDIS = [[0, 34, 78], [53, 69, 108], [102, 105, 112], [148, 142, 119], [195, 179, 105], [254, 232, 56]];
const CLEAN = "reconstruct/clean/";

function testedOn(measure) {
  const names = [...columns.keys()].filter((name) => name.startsWith("denoise/") && !name.startsWith("denoise/own/") && name.endsWith(`/${measure}`));
  const usual = [...new Set(columns.get("noise"))];
  const place = (name) => (usual.includes(name.split("/")[1]) ? usual.indexOf(name.split("/")[1]) : Infinity);
  return [`${CLEAN}${measure}`, ...names.sort((one, other) => place(one) - place(other) || 0)].filter((name) => columns.has(name));
}

function subjectOf(run) {
  return rowOf(run) === null || valueOf(run, "status") !== "done" ? null : JSON.stringify([valueOf(run, "dataset"), valueOf(run, "options")]);
}

// Runs that belong together: those of a dataset, with several noises of training.
function subjects() {
  const several = (members) => new Set(members.map((run) => valueOf(run, "noise_label"))).size > 1;
  return [...grouped(runs, subjectOf)].filter(([, members]) => several(members));
}

function drawMatrix() {
  const measure = byId("matrix-metric").value;
  const members = runs.filter((run) => subjectOf(run) === byId("matrix-row").value);
  const tests = testedOn(measure).filter((name) => members.some((run) => typeof valueOf(run, name) === "number"));
  const noises = [...new Set(members.map((run) => valueOf(run, "noise_label")))];
  const samplers = grouped(members, (run) => valueOf(run, "sampler_label"));
  const maps = inOrder(samplers.keys()).map((label) => [label, noises.map((noise) => tests.map((test) => meanOf(samplers.get(label), noise, test)))]);
  const finite = maps.flatMap(([, rows]) => rows.flat()).filter(Number.isFinite);
  const [low, high] = [Math.min(...finite), Math.max(...finite)];
  const isLog = low > 0 && high > 10 * low;
  const turn = isLog ? Math.log : (value) => value;
  const shade = (value) => (high > low ? (turn(value) - turn(low)) / (turn(high) - turn(low)) : 0.5);
  byId("matrix-maps").replaceChildren(...maps.map(([label, values]) => heatMap(label, noises, tests, values, shade)));
}

function meanOf(members, noise, test) {
  const values = members.filter((run) => valueOf(run, "noise_label") === noise).map((run) => valueOf(run, test)).filter((value) => typeof value === "number");
  return values.length ? mean(values) : NaN;
}

function heatMap(label, noises, tests, values, shade) {
  const names = tests.map((test) => (test.startsWith(CLEAN) ? "clean" : test.split("/")[1]));
  const heads = element("tr", {}, element("td"), ...names.map((name) => element("th", { scope: "col", textContent: name })));
  const body = noises.map((noise, i) => element("tr", {}, element("th", { scope: "row", textContent: noise }), ...values[i].map((value) => heatCell(value, shade))));
  const table = element("table", { className: "heat" }, element("thead", {}, heads), element("tbody", {}, ...body));
  return element("figure", {}, element("figcaption", { textContent: label }), element("div", { className: "scroll" }, table));
}

function heatCell(value, shade) {
  if (!Number.isFinite(value)) return element("td");
  const made = element("td", { textContent: numberText(value, 3) });
  const place = shade(value) * (CIVIDIS.length - 1);
  const [from, part] = [Math.min(Math.floor(place), CIVIDIS.length - 2), place - Math.min(Math.floor(place), CIVIDIS.length - 2)];
  const colour = CIVIDIS[from].map((one, i) => Math.round(one + part * (CIVIDIS[from + 1][i] - one)));
  made.style.background = `rgb(${colour})`;
  made.style.color = shade(value) < 0.55 ? "#fff" : "#000";
  return made;
}

function startMatrix() {
  const found = subjects();
  const measures = [...new Set([...columns.keys()].filter((name) => name.startsWith("denoise/")).map((name) => name.split("/").at(-1)))];
  const usable = measures.filter((measure) => testedOn(measure).length > 1);
  if (!found.length || !usable.length) return byId("matrix").remove();
  fill(byId("matrix-row"), found.map(([subject]) => [subject, JSON.parse(subject).filter(Boolean).join(", ")]));
  fill(byId("matrix-metric"), usable.map((measure) => [measure, measure]), "half_sse");
  drawnBy(["matrix-row", "matrix-metric"], drawMatrix);
}
