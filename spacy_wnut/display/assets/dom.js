"use strict";
// The data of the page, and helpers that create elements. Strings become text nodes or
// attributes, never markup, so no post can inject HTML.

const DATA = JSON.parse(document.getElementById("data").textContent);
const RUNS = DATA.runs;
const TWO = RUNS.length > 1;
const LETTERS = ["A", "B"];
const SVG = "http://www.w3.org/2000/svg";

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

const el = (name, attributes = {}, ...children) =>
  fill(document.createElement(name), attributes, children);

const svg = (name, attributes = {}, ...children) =>
  fill(document.createElementNS(SVG, name), attributes, children);

const content = (id) => document.querySelector(`#${id} .content`);

const percent = (fraction) => (100 * fraction).toFixed(1);

const count = (number) => number.toLocaleString("en");

function difference(first, second) {
  const value = (100 * (first - second)).toFixed(1);
  return value > 0 ? `+${value}` : value.replace("-", "\u2212");
}

// The name of a type by its index. The index of O is -1.
const typeName = (index) => (index < 0 ? "O" : DATA.types[index]);

function colored(node, type) {
  node.style.setProperty("--type", DATA.colors[type]);
  return node;
}

const typeLabel = (index) =>
  index < 0
    ? el("span", {}, "O")
    : el("span", {}, colored(el("span", { class: "swatch", "aria-hidden": "true" }), index), typeName(index));

// A table whose first column holds row headers. It scrolls horizontally if it is too wide.
function table(caption, header, rows, name = "") {
  const cell = (value, column) =>
    column ? (value instanceof HTMLTableCellElement ? value : el("td", {}, value)) : el("th", { scope: "row" }, value);
  return el(
    "div",
    { class: "scroll", role: "region", tabindex: "0", "aria-label": caption },
    el(
      "table",
      { class: name },
      el("caption", {}, caption),
      el("thead", {}, el("tr", {}, ...header.map((title) => el("th", { scope: "col" }, title)))),
      el("tbody", {}, ...rows.map((row) => el("tr", {}, ...row.map(cell)))),
    ),
  );
}

const quiet = (text) => el("p", { class: "quiet" }, text);
