// Examples of a row, a strip a sampler; then everything is started.
function exampleTitle(one) {
  return [one.dataset, `noise ${one.noise}`, one.options].filter(Boolean).join(", ");
}

function drawExamples() {
  const one = data.examples[Number(byId("example-row").value)];
  const place = byId("example-strips");
  const title = element("h3", { textContent: `${exampleTitle(one)}, seed ${one.seed}` });
  if (one.blocks) return place.replaceChildren(title, element("div", { className: "blocks" }, ...one.blocks.map(block)));
  const shown = one.picture ? element("img", { src: one.picture, alt: exampleTitle(one) }) : element("p", { className: "note" }, "This picture lies beside the page: ", element("a", { href: encodeURI(one.file), textContent: one.file }));
  return place.replaceChildren(title, shown);
}

function block({ title, width, height, strips }) {
  const images = strips.flatMap(([name, source]) => {
    const image = element("img", { src: source, alt: `${title}: ${name}`, width, height });
    image.style.maxWidth = `${Math.round(Math.max(width, 40 * (width / height)))}px`;
    return [element("span", { className: "name", textContent: name }), image];
  });
  return element("figure", {}, element("figcaption", { textContent: title }), element("div", { className: "strips" }, ...images));
}

function startExamples() {
  if (!byId("examples")) return;
  fill(byId("example-row"), data.examples.map((one, i) => [String(i), exampleTitle(one)]));
  drawnBy(["example-row"], drawExamples);
}

for (const part of document.querySelectorAll(".scripted")) part.hidden = false;
startLinks();
startList();
if (byId("tables")) startTables();
if (byId("scores")) startScores();
startCurves();
startMatrix();
startExamples();
for (const link of document.querySelectorAll("nav a")) if (!document.querySelector(link.getAttribute("href"))) link.remove();
