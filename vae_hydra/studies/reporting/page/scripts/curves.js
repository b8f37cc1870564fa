// Learning curves of chosen runs: each, or means over seeds with a band.
const QUANTITIES = { loss: "loss [nats per example]", elbo: "ELBO at β = 1 [nats per example]", log_likelihood: "log p(x|z) [nats per example]", kl: "KL(q‖p) [nats per example]", beta: "β", learning_rate: "learning rate" };
// More lines than this tell nothing.
const MOST_LINES = 40;
let numbers = null;

// The series with a number, decoded when the first one is asked for.
function seriesOf(number) {
  if (numbers === null) {
    const bytes = Uint8Array.from(atob(data.curves.numbers), (letter) => letter.charCodeAt(0));
    numbers = new Float32Array(bytes.buffer);
  }
  return number < 0 ? null : numbers.subarray(number ? data.curves.ends[number - 1] : 0, data.curves.ends[number]);
}

function curveOf(run, name) {
  const own = data.curves.runs[run];
  const place = data.curves.names.indexOf(name);
  if (own === null || place < 0 || own[0] < 0) return null;
  const values = seriesOf(own[1 + place]);
  return values && { epochs: seriesOf(own[0]), values };
}

function chosenRuns() {
  const choice = byId("curve-runs").value;
  if (choice === "ticked") return [...ticked].sort((one, other) => one - other);
  return choice === "listed" ? listed : runs.filter((run) => rowOf(run) === choice);
}

// A line for each cell, or for each run.
function linesOf(chosen, name, isFaint) {
  const curves = chosen.map((run) => ({ run, curve: curveOf(run, name) })).filter(({ curve }) => curve);
  const isEach = byId("curve-seeds").value === "each";
  const key = (run) => JSON.stringify([rowOf(run) ?? `run ${run}`, valueOf(run, "sampler_label") ?? valueOf(run, "run")]);
  const groups = grouped(curves, ({ run }) => (isEach ? `${key(run)} ${run}` : key(run)));
  return [...groups.values()].map((members) => ({ runs: members.map(({ run }) => run), isFaint, ...combined(members.map(({ curve }) => curve)) }));
}

function combined(curves) {
  const first = Number(byId("curve-first").value) || 0;
  const found = new Map();
  for (const { epochs, values } of curves)
    epochs.forEach((epoch, i) => {
      if (epoch < first || Number.isNaN(values[i])) return;
      if (!found.has(epoch)) found.set(epoch, []);
      found.get(epoch).push(values[i]);
    });
  const x = [...found.keys()].sort((one, other) => one - other);
  const all = x.map((epoch) => found.get(epoch));
  const y = all.map(mean);
  const many = curves.length > 1;
  if (!many) return { x, y };
  const isRange = byId("curve-seeds").value === "range";
  const spread = all.map((values) => (values.length > 1 ? deviation(values) : NaN));
  return {
    x, y,
    low: isRange ? all.map((values) => Math.min(...values)) : y.map((value, i) => value - spread[i]),
    high: isRange ? all.map((values) => Math.max(...values)) : y.map((value, i) => value + spread[i]),
  };
}

// Samplers keep their colours within a row; lines of several rows, or of several seeds, are numbered.
function named(lines) {
  const rowCount = new Set(lines.map((line) => rowOf(line.runs[0]))).size;
  const looks = new Map();
  return lines.map((line) => {
    const [row, sampler] = [rowOf(line.runs[0]), valueOf(line.runs[0], "sampler_label")];
    const name = sampler === null ? valueOf(line.runs[0], "run") : rowCount > 1 && row ? `${sampler} (${rowTitle(row)})` : sampler;
    if (!looks.has(name)) looks.set(name, rowCount > 1 || sampler === null ? numberedLook(looks.size) : lookOf(sampler));
    return { ...line, name, look: looks.get(name) };
  });
}

function legendOf(lines) {
  const entries = grouped(lines.filter((line) => !line.isFaint || !lines.some((other) => !other.isFaint)), (line) => line.name);
  const items = [...entries].map(([name, members]) => {
    const links = members.flatMap((line) => line.runs).map((run) => runLink(run, textOf(valueOf(run, "seed")) + (valueOf(run, "fold") === null ? "" : `/${valueOf(run, "fold")}`)));
    return element("li", {}, swatch(members[0].look), element("span", { textContent: name }), element("span", { className: "words" }, links.length === 1 ? " seed " : " seeds ", ...links.flatMap((link, i) => (i ? [" ", link] : [link]))));
  });
  return element("ul", { className: "legend" }, ...items);
}

function drawCurves() {
  const place = byId("curve-chart");
  const [quantity, part] = [byId("curve-metric").value, byId("curve-part").value];
  const chosen = chosenRuns();
  const names = part === "both" ? ["val", "train"] : [part];
  const all = named(names.flatMap((name) => linesOf(chosen, `${name}/${quantity}`, part === "both" && name === "train")).filter((line) => line.x.length));
  const lines = all.slice(0, MOST_LINES);
  const label = `${part === "both" ? "validation (solid) and training (dotted)" : { val: "validation", train: "training" }[part]}: ${QUANTITIES[quantity] ?? quantity}`;
  if (!lines.length) {
    place.replaceChildren(element("p", { className: "note", textContent: chosen.length ? "None of these runs has this metric." : "No run is ticked in the list below." }));
  } else {
    place.replaceChildren(plot(lines, { label, xLabel: "epoch", isWhole: true, isLog: byId("curve-log").checked }, place.clientWidth), legendOf(lines));
  }
  byId("curve-note").textContent = [
    all.length > lines.length ? `${lines.length} of ${all.length} lines are drawn; choose fewer runs.` : "",
    data.curves.step > 1 ? `The page holds one epoch in ${data.curves.step}, and the last; metrics.csv of a run has all.` : "",
    quantity === "loss" && byId("curve-part").options.length > 1 ? "Training losses have the β of their epoch, validation losses the final β." : "",
  ].filter(Boolean).join(" ");
}

function fillCurveRows() {
  const withCurves = runs.filter((run) => data.curves.runs[run]);
  const rows = [...new Set(withCurves.map(rowOf))].filter((row) => row !== null).map((row) => [row, rowTitle(row)]);
  fill(byId("curve-runs"), [...rows, ["listed", "the runs in the list below"], ["ticked", "the runs ticked in the list"]]);
}

function startCurves() {
  const quantities = [...new Set(data.curves.names.map((name) => name.replace(/^(train|val)\//, "")))];
  if (!quantities.length) return byId("curves").remove();
  const ordered = [...Object.keys(QUANTITIES).filter((name) => quantities.includes(name)), ...quantities.filter((name) => !(name in QUANTITIES))];
  fill(byId("curve-metric"), ordered.map((name) => [name, name.replaceAll("_", " ")]));
  const hasValidation = data.curves.names.some((name) => name.startsWith("val/"));
  fill(byId("curve-part"), hasValidation ? [["val", "validation"], ["train", "training"], ["both", "both"]] : [["train", "training"]]);
  fillCurveRows();
  drawnBy(["curve-runs", "curve-metric", "curve-part", "curve-seeds", "curve-first", "curve-log"], drawCurves);
  keptAsWide(byId("curve-chart"), drawCurves);
  document.addEventListener("runs", () => { if (["listed", "ticked"].includes(byId("curve-runs").value)) drawCurves(); });
  byId("to-curves").addEventListener("click", () => { byId("curve-runs").value = "listed"; drawCurves(); byId("curves").scrollIntoView(); });
}
