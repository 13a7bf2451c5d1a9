// Sorts tables, filters lists, chooses variants and reads curves. Without this script, the page shows everything.
"use strict";

const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const show = (element, shown) => element.toggleAttribute("hidden", !shown);
const made = (tag, attributes = {}, ...content) => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...content);
  return element;
};
const live = document.querySelector("#live");
const say = (text) => { live.textContent = text; };

// A table sorts by any column. The key of a cell is its data-sort, or its text. Numbers come before words.

function keyOf(cell) {
  const text = (cell.dataset.sort ?? cell.textContent).trim();
  const number = parseFloat(text.replaceAll(",", "").replace("−", "-"));
  return { number, text, rank: text === "" || text === "–" || text === "nan" ? 2 : Number.isNaN(number) ? 1 : 0 };
}

function compare(a, b, sign) {
  if (a.rank !== b.rank) return a.rank - b.rank; // empty cells come last in both directions
  return sign * (a.rank === 0 ? a.number - b.number : a.text.localeCompare(b.text));
}

function sortable(table) {
  const heads = all("thead th:not([data-fixed])", table);
  for (const head of heads) {
    const button = made("button", { type: "button" }, ...head.childNodes);
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const rising = head.getAttribute("aria-sort") !== "ascending";
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", rising ? "ascending" : "descending");
      const rows = [...table.tBodies[0].rows].map((row) => [keyOf(row.cells[head.cellIndex]), row]);
      rows.sort(([a], [b]) => compare(a, b, rising ? 1 : -1));
      table.tBodies[0].append(...rows.map(([, row]) => row));
      say(`Sorted by ${head.textContent}, ${rising ? "rising" : "falling"}.`);
    });
  }
}

// A list is filtered by text and by verdict. Elements with the same data-item belong together: a row of a table, and its card.

function filtering(form) {
  const items = new Map();
  for (const part of all(`[data-list="${form.dataset.of}"]`)) {
    items.set(part.dataset.item, [...(items.get(part.dataset.item) ?? []), part]);
  }
  const texts = new Map([...items].map(([item, parts]) => [item, parts.map((part) => part.textContent).join(" ").toLowerCase()]));
  const apply = () => {
    const words = form.elements.text.value.toLowerCase().split(/\s+/).filter(Boolean);
    const kinds = new Set(all("input[type=checkbox]:checked", form).map((box) => box.value));
    let count = 0;
    for (const [item, parts] of items) {
      const kind = parts[0].dataset.kind;
      const shown = words.every((word) => texts.get(item).includes(word)) && (kind === undefined || kinds.has(kind));
      for (const part of parts) show(part, shown);
      count += shown;
    }
    form.querySelector("output").textContent = `${count} of ${items.size} shown`;
  };
  form.addEventListener("input", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.querySelector("[data-do=reset]").addEventListener("click", () => { form.reset(); apply(); });
  apply();
}

// Rows, panels and curves of variants that are not chosen are hidden. Each curve gets a colour of its own.

const COLOURS = 8;

function choosing(chooser, after) {
  const boxes = all("input[type=checkbox]", chooser);
  const parts = all("[data-variant]");
  const apply = () => {
    const chosen = boxes.filter((box) => box.checked).map((box) => box.value);
    for (const part of parts) {
      const position = chosen.indexOf(part.dataset.variant);
      show(part, position >= 0);
      part.style.setProperty("--series", `var(--series-${position % COLOURS})`);
    }
    for (const box of boxes) {
      const position = chosen.indexOf(box.value);
      const swatch = box.parentElement.querySelector(".swatch");
      swatch.style.setProperty("--series", position < 0 ? "var(--line)" : `var(--series-${position % COLOURS})`);
    }
    chooser.querySelector("output").textContent = `${chosen.length} of ${boxes.length} chosen`;
    after(chosen);
  };
  const choose = (names) => {
    for (const box of boxes) box.checked = names.includes(box.value);
    apply();
  };
  chooser.addEventListener("input", apply);
  chooser.querySelector("[data-do=all]").addEventListener("click", () => choose(boxes.map((box) => box.value)));
  chooser.querySelector("[data-do=none]").addEventListener("click", () => choose([]));
  for (const button of all("[data-compare]")) {
    button.addEventListener("click", () => {
      choose(button.dataset.compare.split(" "));
      say(`${button.dataset.compare.split(" ").join(" and ")} chosen.`);
      const heading = document.querySelector("#curves");
      heading.tabIndex = -1;
      heading.focus();
      heading.scrollIntoView();
    });
  }
  apply();
}

// The slider, or pointing, sets an epoch. A line marks it, and a table has the values of the chosen variants.

function reading(figure, values, tip) {
  const measure = figure.dataset.measure;
  const svg = figure.querySelector("svg");
  const [left, right, first, last] = JSON.parse(figure.dataset.axis);
  const slider = figure.querySelector("input[type=range]");
  const body = figure.querySelector("tbody");
  const kinds = all("input[name=kind]", figure);
  const band = figure.querySelector("input[name=band]");
  const height = svg.viewBox.baseVal.height;
  const cursor = document.createElementNS("http://www.w3.org/2000/svg", "line");
  cursor.setAttribute("class", "cursor");
  svg.append(cursor);
  const text = (value) => (value === null ? "diverged" : measure === "accuracy" ? `${(100 * value).toFixed(2)} %` : value.toPrecision(4));
  const at = (variant, kind, epoch) => {
    const curve = values[measure][variant];
    if (!curve[kind]) return "–";
    const row = Math.min(epoch, curve.epochs) - 1; // epochs count from 1
    const [mean, low, high] = curve[kind].map((column) => column[row]);
    const range = low === null ? text(mean) : `${text(mean)} (${text(low)} to ${text(high)})`;
    return row + 1 < epoch ? `${range}, ended at ${row + 1}` : range;
  };
  let chosen = [];
  let picked = null;
  const pick = (variant) => {
    picked = variant;
    figure.classList.toggle("picked", variant !== null);
    for (const part of all("[data-variant]", svg)) part.classList.toggle("pick", part.dataset.variant === variant);
    for (const button of all("button", body)) button.setAttribute("aria-pressed", button.dataset.name === variant);
  };
  const update = () => {
    const epoch = Number(slider.value);
    const x = left + ((epoch - first) / (last - first)) * (right - left);
    for (const [name, value] of Object.entries({ x1: x, x2: x, y1: 0, y2: 0.9 * height })) cursor.setAttribute(name, value);
    figure.querySelector("output").textContent = `epoch ${epoch}`;
    for (const row of body.rows) kinds.forEach((box, i) => { row.cells[i + 1].textContent = at(row.dataset.name, box.value, epoch); });
  };
  const lines = () => {
    const on = kinds.filter((box) => box.checked).map((box) => box.value);
    for (const part of all("[data-kind]", svg)) {
      const isBand = part.classList.contains("curve-band");
      show(part, chosen.includes(part.dataset.variant) && on.includes(part.dataset.kind) && (!isBand || band.checked));
    }
  };
  const refill = (names) => {
    chosen = names;
    if (!names.includes(picked)) pick(null);
    body.replaceChildren(...names.map((name, i) => {
      const swatch = made("span", { class: "swatch", "aria-hidden": "true", style: `--series: var(--series-${i % COLOURS})` });
      const button = made("button", { class: "plain", type: "button", "data-name": name, "aria-pressed": name === picked }, name);
      button.addEventListener("click", () => pick(picked === name ? null : name));
      const row = made("tr", { "data-name": name }, made("th", { scope: "row" }, swatch, " ", button));
      row.append(...kinds.map(() => made("td", { class: "number" })));
      return row;
    }));
    lines();
    update();
  };
  for (const box of [...kinds, band]) box.addEventListener("input", lines);
  slider.addEventListener("input", update);
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * svg.viewBox.baseVal.width;
    const epoch = Math.round(first + ((x - left) / (right - left)) * (last - first));
    slider.value = Math.min(Math.max(epoch, Number(slider.min)), Number(slider.max));
    update();
    const part = event.target.closest("[data-variant]");
    if (part) {
      pick(part.dataset.variant);
      const kind = part.dataset.kind;
      tip.say(`${picked}, epoch ${slider.value}, ${kind.startsWith("val_") ? "validation" : "training"} rows: `
        + at(picked, kind, Number(slider.value)), event.clientX, event.clientY);
    } else tip.hide();
  });
  svg.addEventListener("pointerleave", () => { pick(null); tip.hide(); });
  return refill;
}

// A tool tip for what is pointed at or has the focus: the replicates of a variant, a point of a curve.

function tipping() {
  const box = made("div", { class: "tip", hidden: "", "aria-hidden": "true" });
  document.body.append(box);
  const say = (text, x, y) => {
    box.textContent = text;
    show(box, true);
    box.style.left = `${Math.max(4, Math.min(x + 12, innerWidth - box.offsetWidth - 8))}px`;
    box.style.top = `${y + 18 + box.offsetHeight > innerHeight ? y - box.offsetHeight - 8 : y + 18}px`;
  };
  const hide = () => show(box, false);
  for (const title of all("svg title")) { // the browser's own tool tips are slow and need a mouse
    title.parentElement.dataset.tip = title.textContent;
    title.remove();
  }
  document.addEventListener("pointerover", (event) => {
    if (!event.target.closest?.(".strip [data-tip]")) return;
    const parts = document.elementsFromPoint(event.clientX, event.clientY).map((each) => each.closest("[data-tip]"));
    const tips = new Set(parts.filter(Boolean).map((each) => each.dataset.tip)); // dots may hide others
    say([...tips].sort().join("; "), event.clientX, event.clientY);
  });
  document.addEventListener("pointerout", (event) => { if (event.target.closest?.(".strip [data-tip]")) hide(); });
  for (const strip of all(".strip[data-seeds]")) {
    strip.tabIndex = 0;
    strip.addEventListener("focus", () => {
      const place = strip.getBoundingClientRect();
      say(strip.dataset.seeds, place.left, place.bottom - 14);
    });
    strip.addEventListener("blur", hide);
  }
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
  document.addEventListener("scroll", hide, { passive: true });
  return { say, hide };
}

// A link into a folded card unfolds it.

function unfold() {
  const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  show(target, true);
  const card = target.closest("details");
  if (card) { card.open = true; card.scrollIntoView(); }
}

for (const element of all(".scripted")) show(element, true);
for (const table of all("table.sorts")) sortable(table);
for (const form of all("form.filter")) filtering(form);
for (const button of all("[data-unfold]")) {
  button.addEventListener("click", () => {
    const cards = all(`details[data-list="${button.dataset.unfold}"]`);
    const open = !cards.some((card) => card.open);
    for (const card of cards) card.open = open;
    say(open ? "All unfolded." : "All folded up.");
  });
}
const tip = tipping();
const chooser = document.querySelector(".chooser");
if (chooser) {
  const values = JSON.parse(document.querySelector("#values").textContent);
  const readers = all("[data-measure]").map((figure) => reading(figure, values, tip));
  choosing(chooser, (chosen) => readers.forEach((refill) => refill(chosen)));
}
addEventListener("hashchange", unfold);
unfold();
