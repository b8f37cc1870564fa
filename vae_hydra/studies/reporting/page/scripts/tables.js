// One table at a time, whose cells lead to their runs in the list.
function filterOfCell(row, sampler) {
  const [dataset, noise, options] = JSON.parse(row);
  const parts = { dataset, noise_label: noise, options, sampler_label: sampler };
  const present = Object.entries(parts).filter(([name, value]) => columns.has(name) && value !== "");
  return present.map(([name, value]) => `${name}=${quoted(value)}`).join(" ");
}

function showTable() {
  const chosen = byId("metric").value;
  for (const table of document.querySelectorAll("figure.table")) table.classList.toggle("folded", chosen !== "" && table.dataset.metric !== chosen);
}

function startTables() {
  fill(byId("metric"), [...data.metrics.map(({ name, title }) => [name, title]), ["", "every table"]]);
  showTable();
  // Table and scores show the same metric.
  for (const [one, other] of [["metric", "score-metric"], ["score-metric", "metric"]])
    byId(one).addEventListener("change", () => {
      if (byId(one).value) byId(other).value = byId(one).value;
      showTable();
      drawScores();
    });
  document.querySelector("#tables").addEventListener("click", (event) => {
    const link = event.target.closest("a[data-sampler]");
    if (!link) return;
    event.preventDefault();
    filterBy(filterOfCell(link.closest("tr").dataset.row, link.dataset.sampler));
  });
}
