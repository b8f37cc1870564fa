"use strict";
const list = document.getElementById("list");
const body = list.tBodies[0];
const rows = Array.from(body.rows);
const heads = Array.from(list.tHead.rows[0].cells);

function compare(one, other, sign) {
  const texts = [one.textContent, other.textContent];
  if (texts[0] === "" || texts[1] === "") return (texts[0] === "") - (texts[1] === "");
  const numbers = [one.dataset.number, other.dataset.number];
  if (numbers[0] !== undefined && numbers[1] !== undefined) return sign * compareNumbers(...numbers.map(toNumber));
  if (numbers[0] !== numbers[1] && (numbers[0] === undefined || numbers[1] === undefined))
    return numbers[0] === undefined ? 1 : -1;
  return sign * texts[0].localeCompare(texts[1]);
}

function toNumber(text) {
  return text === "inf" ? Infinity : text === "-inf" ? -Infinity : Number(text);
}

function compareNumbers(one, other) {
  return one < other ? -1 : one > other ? 1 : 0;
}

function sortBy(index) {
  const head = heads[index];
  const direction = head.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
  heads.forEach((each) => each.setAttribute("aria-sort", "none"));
  head.setAttribute("aria-sort", direction);
  const sign = direction === "ascending" ? 1 : -1;
  body.append(...rows.slice().sort((one, other) => compare(one.cells[index], other.cells[index], sign)));
}

function filter(text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const row of rows) {
    const content = Array.from(row.cells, (cell) => cell.textContent).join("\n").toLowerCase();
    row.hidden = !words.every((word) => content.includes(word));
    shown += row.hidden ? 0 : 1;
  }
  document.getElementById("shown").textContent = `${shown} of ${rows.length} runs`;
}

heads.forEach((head, index) => head.querySelector("button").addEventListener("click", () => sortBy(index)));
document.getElementById("filter").addEventListener("input", (event) => filter(event.target.value));
document.getElementById("every").addEventListener("change", (event) => list.classList.toggle("every", event.target.checked));
