// The filter of the list: words, "exact words", column=value, and numbers compared.
const TERM = /(?:([^\s"=<>!]+)(!=|<=|>=|=|<|>))?((?:"[^"]*(?:"|$)|[^\s"])*)/gu;
const WORD = "[\\p{L}\\p{N}_]";

function parsed(text) {
  const terms = [...text.matchAll(TERM)].filter(([all]) => all !== "");
  return terms.map(([, column, operator, value]) => (column ? comparison(column, operator, value) : containing(value)));
}

// The names of columns that a name means: itself, or those that end with it.
function meant(name) {
  const lower = name.toLowerCase();
  const names = [...columns.keys()];
  const exact = names.find((column) => column.toLowerCase() === lower);
  return exact ? [exact] : names.filter((column) => column.toLowerCase().split(/[./]/).at(-1) === lower || column.toLowerCase().endsWith("/" + lower));
}

function comparison(name, operator, text) {
  const found = meant(name);
  if (found.length !== 1)
    return { error: found.length ? `${name} may be ${found.join(" or ")}` : `there is no column ${name}; put the text in quotes to search for it` };
  const wanted = values(text);
  if (!wanted.length) return {};
  const column = columns.get(found[0]);
  return { keeps: (run) => compares(column[run], operator, wanted) };
}

// Values between commas; a comma within quotes is part of its value.
function values(text) {
  const parts = text.match(/"[^"]*(?:"|$)|[^,"]+/g) ?? [];
  return parts.map((part) => part.replaceAll('"', "").toLowerCase()).filter((part, i) => part !== "" || parts[i].startsWith('""'));
}

function compares(value, operator, wanted) {
  if (operator === "=" || operator === "!=") return wanted.some((one) => equals(value, one)) === (operator === "=");
  const limit = toNumber(wanted[0]);
  if (typeof value !== "number" || Number.isNaN(limit)) return false;
  return { "<": value < limit, ">": value > limit, "<=": value <= limit, ">=": value >= limit }[operator];
}

function equals(value, text) {
  if (value === null) return text === "";
  if (typeof value === "number") return value === toNumber(text) || numberText(value) === text.replaceAll("-", "−");
  return value.toLowerCase() === text;
}

function toNumber(text) {
  const plain = text.replaceAll("−", "-").replace("∞", "Infinity").replace(/\binf\b/, "Infinity");
  return plain === "" ? NaN : Number(plain);
}

function containing(text) {
  if (!text.startsWith('"')) return { keeps: (run) => searched(run).includes(text.replaceAll('"', "").toLowerCase()) };
  const exact = text.replaceAll('"', "").toLowerCase();
  if (exact === "") return {};
  const pattern = new RegExp(`(?<!${WORD})${exact.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}(?!${WORD})`, "u");
  return { keeps: (run) => pattern.test(searched(run)) };
}

const texts = [];

// All that the list can show of a run; its folder only where it is asked for by column.
function searched(run) {
  texts[run] ??= [...columns].map(([name, values]) => (name === "folder" ? "" : textOf(values[run]))).join("\n").toLowerCase();
  return texts[run];
}

// The runs that a text keeps, and what is wrong with the text.
function filtered(text) {
  const terms = parsed(text);
  const tests = terms.filter((term) => term.keeps).map((term) => term.keeps);
  return { kept: runs.filter((run) => tests.every((keeps) => keeps(run))), errors: terms.filter((term) => term.error).map((term) => term.error) };
}

function quoted(value) {
  return /^[^\s",=<>!]+$/.test(value) ? value : `"${value}"`;
}
