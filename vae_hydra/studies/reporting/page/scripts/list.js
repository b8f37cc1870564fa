// The list of runs: sorted, filtered, with the columns that the reader chose.
const list = byId("list");
const usual = data.columns.filter((column) => column.isMain).map((column) => column.name);
const ticked = new Set();
const order = { column: null, sign: 1 };
// Rows that are added at a time: a table of thousands is slow to lay out.
const BATCH = 200;
let visible = new Set(usual);
let rows = new Map();
let listed = runs;

function compareNumbers(one, other) {
  return one < other ? -1 : one > other ? 1 : 0;
}

// Nothing last, numbers before text, whichever way it goes.
function compare(one, other, sign) {
  if (one === null || other === null) return (one === null) - (other === null);
  if (typeof one === "number" && typeof other === "number") return sign * compareNumbers(one, other);
  if (typeof one !== typeof other) return typeof one === "number" ? -1 : 1;
  return sign * one.localeCompare(other);
}

function sorted(kept) {
  if (order.column === null) return kept;
  const values = columns.get(order.column);
  return [...kept].sort((one, other) => compare(values[one], values[other], order.sign));
}

function sortBy(column) {
  order.sign = order.column === column ? -order.sign : 1;
  order.column = column;
  for (const head of list.tHead.rows[0].cells)
    if (head.dataset.column) head.setAttribute("aria-sort", head.dataset.column !== column ? "none" : order.sign > 0 ? "ascending" : "descending");
  showRuns();
}

function showHeads() {
  const all = element("input", { type: "checkbox", title: "tick all runs in the list" });
  all.addEventListener("change", () => tick(listed, all.checked));
  const heads = data.columns.filter((column) => visible.has(column.name)).map(({ name, meaning }) => {
    // A line may end after a slash or a dot.
    const parts = name.split(/(?<=[/.])/).flatMap((part, i) => (i ? [element("wbr"), part] : [part]));
    const button = element("button", { type: "button", title: meaning }, ...parts);
    button.addEventListener("click", () => sortBy(name));
    const head = element("th", { scope: "col" }, button);
    head.dataset.column = name;
    head.setAttribute("aria-sort", name !== order.column ? "none" : order.sign > 0 ? "ascending" : "descending");
    return head;
  });
  list.tHead.rows[0].replaceChildren(element("th", { scope: "col", className: "tick" }, all), ...heads);
}

function tick(some, isTicked) {
  for (const run of some) {
    isTicked ? ticked.add(run) : ticked.delete(run);
    if (rows.has(run)) rows.get(run).querySelector("input").checked = isTicked;
  }
  document.dispatchEvent(new Event("runs"));
}

function rowElement(run) {
  const box = element("input", { type: "checkbox", checked: ticked.has(run) });
  box.setAttribute("aria-label", `tick ${valueOf(run, "run")}`);
  box.addEventListener("change", () => tick([run], box.checked));
  const cells = data.columns.filter((column) => visible.has(column.name)).map(({ name }) => cell(run, name));
  return element("tr", {}, element("td", { className: "tick" }, box), ...cells);
}

function cell(run, name) {
  const value = valueOf(run, name);
  if (name === "run" && data.links[run] !== null) return element("td", { className: "text" }, runLink(run, value), " ", detailsButton(run));
  const kind = typeof value === "number" ? "number" : "text";
  const made = element("td", { className: name === "status" ? `${kind} status ${value}` : kind, textContent: textOf(value) });
  if (kind === "text" && made.textContent.length > 60) made.title = value;
  return made;
}

function showRuns() {
  const { kept, errors } = filtered(byId("filter").value);
  listed = sorted(kept);
  list.tBodies[0].replaceChildren();
  showMore(BATCH);
  byId("shown").textContent = [`${kept.length} of ${runs.length} runs`, ...errors].join("; ");
  byId("shown").classList.toggle("failed", errors.length > 0);
  document.dispatchEvent(new Event("runs"));
}

// Add rows to the table, which holds as many as the reader has scrolled to.
function showMore(count) {
  const first = list.tBodies[0].rows.length;
  const more = listed.slice(first, first + count);
  for (const run of more) if (!rows.has(run)) rows.set(run, rowElement(run));
  list.tBodies[0].append(...more.map((run) => rows.get(run)));
}

function showColumns(names) {
  visible = new Set(names);
  rows = new Map();
  for (const box of byId("columns").querySelectorAll("input")) box.checked = visible.has(box.value);
  showHeads();
  showRuns();
}

function filterBy(text) {
  byId("filter").value = text;
  showRuns();
  byId("runs").scrollIntoView();
}

function startList() {
  byId("columns").replaceChildren(...data.columns.map(({ name, meaning }) => {
    const box = element("input", { type: "checkbox", value: name });
    box.addEventListener("change", () => showColumns([...byId("columns").querySelectorAll("input:checked")].map((one) => one.value)));
    return element("label", { title: meaning }, box, ` ${name}`);
  }));
  byId("usual").addEventListener("click", () => showColumns(usual));
  byId("every").addEventListener("click", () => showColumns(columns.keys()));
  byId("filter").addEventListener("input", showRuns);
  const box = list.parentElement;
  box.addEventListener("scroll", () => { if (box.scrollHeight - box.scrollTop - box.clientHeight < 1000) showMore(BATCH); });
  window.addEventListener("beforeprint", () => showMore(runs.length));
  showColumns(usual);
}
