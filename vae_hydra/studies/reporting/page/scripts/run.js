// Where a run lies: links to its folder, its files and its pictures.
let base = data.base;

function addressOf(run, file = "") {
  return `${base.replace(/\/*$/, "/")}${data.links[run]}/${file}`;
}

function runLink(run, text) {
  const link = element("a", { href: addressOf(run), textContent: text, title: `folder ${textOf(valueOf(run, "folder"))}` });
  link.dataset.run = run;
  return link;
}

function detailsButton(run) {
  const pictures = filesOf(run).filter(isPicture).length;
  const text = pictures ? `${pictures} ${pictures === 1 ? "picture" : "pictures"}` : "files";
  const button = element("button", { type: "button", className: "chip", textContent: text });
  button.addEventListener("click", () => showRun(run));
  return button;
}

function filesOf(run) {
  return data.contents[data.content[run]];
}

function isPicture(file) {
  return file.endsWith(".png");
}

function picture(run, file) {
  const name = decodeURIComponent(file).replace(/^figures\//, "").replace(/\.png$/, "");
  const image = element("img", { src: addressOf(run, file), alt: name, loading: "lazy" });
  const figure = element("figure", {}, element("a", { href: image.src }, image), element("figcaption", { textContent: name }));
  image.addEventListener("error", () => image.replaceWith(element("span", { className: "words", textContent: `${name} is not at ${addressOf(run, file)}` })));
  return figure;
}

function showRun(run) {
  const dialog = byId("run");
  const close = element("button", { type: "button", textContent: "close" });
  close.addEventListener("click", () => dialog.close());
  const files = filesOf(run).filter((file) => !isPicture(file)).map((file) => element("li", {}, element("a", { href: addressOf(run, file), textContent: file })));
  const pictures = filesOf(run).filter(isPicture).map((file) => picture(run, file));
  const folder = textOf(valueOf(run, "folder"));
  const none = element("p", { className: "note" }, "No pictures yet. This draws them: ", element("code", { textContent: `python -m vae_hydra.figures run=${folder} show=default` }));
  dialog.replaceChildren(
    close,
    element("h2", { textContent: valueOf(run, "run") }),
    element("p", { className: "note" }, "Folder: ", element("a", { href: addressOf(run), textContent: folder })),
    element("ul", { className: "files" }, ...files),
    ...(pictures.length ? [element("div", { className: "gallery" }, ...pictures)] : [none]),
  );
  dialog.showModal();
}

function startLinks() {
  byId("base").value = base;
  byId("base").addEventListener("change", (event) => {
    base = event.target.value || data.base;
    for (const link of document.querySelectorAll("a[data-run]")) link.setAttribute("href", addressOf(Number(link.dataset.run)));
    rows = new Map();
    showRuns();
  });
  byId("run").addEventListener("close", () => byId("run").replaceChildren());
}
