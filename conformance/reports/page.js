// Draws the matrix of the page from its packed data (page_data.py): groups, a row for each case, and what a row opens to.
const packed = Uint8Array.from(atob(document.getElementById("data").textContent), letter => letter.charCodeAt(0));
const unpacked = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
const { runs, cases, texts, arrays, signs } = await new Response(unpacked).json();

const LETTERS = "ABCDEFGHIJ";
const FEW = 40; // so many cases are shown without a click
const MOST_SAMPLES = 24; // per axis of a picture; more would cover the map
const MOST_PIXELS = 40; // per axis, with a line each
const SMALL = 4; // a RoI is small if the map is so many times its size along both axes
const AROUND = 2; // pixels around a small RoI that are shown
const MARGIN = 1.5; // pixels around the map that are shown: a sample counts up to -1
const SVG = "http://www.w3.org/2000/svg";

function made(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) if (value !== undefined && value !== false) element.setAttribute(name, value);
  element.append(...children.flat(Infinity).filter(child => child !== null && child !== undefined && child !== ""));
  return element;
}

function drawn(tag, attributes) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

const table = document.querySelector("table.matrix");
const form = document.querySelector("form.filters");
const groups = new Map();
for (const one of cases) {
  const [name, ...statement] = one.id.split("/");
  Object.assign(one, { group: name, statement: (statement.join("/") || name).replaceAll("-", " "), words: `${one.id} ${one.clause}`.toLowerCase() });
  if (!groups.has(name)) groups.set(name, { name, cases: [], open: cases.length <= FEW });
  groups.get(name).cases.push(one);
}
for (const group of groups.values()) table.append(body(group));

function body(group) {
  group.size = made("span", { class: "tag" });
  const button = made("button", { type: "button", class: "row", "aria-expanded": "false" }, group.name, group.size);
  button.addEventListener("click", () => { group.open = !group.open; show(); });
  group.button = button;
  group.counts = runs.map(() => made("td"));
  group.body = made("tbody", {}, made("tr", { class: "group" }, made("th", { scope: "rowgroup" }, button), group.counts));
  return group.body;
}

function row(one) {
  const tags = [one.tier, one.dtype === "float32" ? null : one.dtype, `opset ${one.opset}`].filter(Boolean);
  one.button = made("button", { type: "button", class: "row", "aria-expanded": "false" }, one.statement, tags.map(tag => made("span", { class: "tag" }, tag)));
  one.button.addEventListener("click", () => open(one, !one.detail));
  const cells = one.cells.map((cell, index) => made("td", {}, cell && drawnCell(one, cell, index)));
  return made("tr", { class: "case", id: one.id }, made("th", { scope: "row" }, one.button), cells);
}

function drawnCell(one, cell, index) {
  const side = cell.side !== undefined && cell.status === "pass";
  const title = [runs[index].name, cell.status, cell.known !== undefined ? "known" : null, side ? one.outcomes[cell.side] : null, texts[cell.text]].filter(Boolean).join(": ");
  const look = `cell ${side ? "s-side" : `s-${cell.status}`}${cell.known !== undefined ? " known" : ""}`;
  const sign = side && one.outcomes.length > 1 ? LETTERS[cell.side] : signs[cell.status];
  const button = made("button", { type: "button", class: look, title }, sign);
  button.addEventListener("click", () => open(one, true, index));
  return button;
}

function open(one, expanded, chosen) {
  one.detail?.remove();
  one.detail = expanded ? made("tr", { class: "detail" }, made("td", { colspan: runs.length + 1 }, detail(one, chosen))) : null;
  one.button.setAttribute("aria-expanded", expanded);
  if (expanded) one.row.after(one.detail);
  one.detail?.querySelector(".chosen")?.scrollIntoView({ block: "nearest" });
}

function detail(one, chosen) {
  const facts = [one.id, `opset ${one.opset}`, one.dtype, `within ${one.ulps} ULP: ${texts[one.reason]}`, one.requires.length ? `needs ${one.requires.join(", ")}` : null];
  const sides = one.outcomes.length > 1 ? one.outcomes.map((name, index) => made("p", {}, made("span", { class: "cell s-side" }, LETTERS[index]), ` ${name}`)) : [];
  const order = one.cells.map((cell, index) => index).filter(index => one.cells[index] && (index === chosen || one.cells[index].status !== "pass" || one.cells[index].side !== undefined));
  order.sort((a, b) => (b === chosen) - (a === chosen));
  const picture = one.picture ? [picture_of(one.picture), caption(one.picture)] : [];
  return made("div", { class: "inner" },
    made("div", {},
      made("p", {}, made("b", {}, one.clause)),
      made("p", { class: "quiet" }, `${one.tier}: ${texts[one.source]}`),
      made("p", { class: "quiet mono" }, facts.filter(Boolean).join(" · ")),
      one.attributes ? made("p", { class: "mono" }, one.attributes) : null,
      sides, order.map(index => result(one, index, index === chosen))),
    made("div", {}, picture, one.inputs?.length ? made("details", { open: "" }, made("summary", {}, "Inputs"), one.inputs.map(input)) : null));
}

function result(one, index, chosen) {
  const cell = one.cells[index], command = runs[index].command + " " + one.quoted;
  const values = cell.values?.map(([output, at, expected, got]) => made("tr", { class: "mono" }, [`${output}[${at.join(", ")}]`, expected, got].map(text => made("td", {}, text))));
  return made("div", { class: chosen ? "result chosen" : "result" },
    made("span", { class: `cell s-${cell.status}` }, `${signs[cell.status]} ${cell.status}`), " ", made("b", {}, runs[index].name),
    cell.side !== undefined && one.outcomes.length > 1 ? `: ${one.outcomes[cell.side]}` : null,
    cell.text !== undefined ? made("p", {}, texts[cell.text]) : null,
    cell.instead !== undefined ? made("p", {}, "It computes RoiAlign with ", made("b", {}, texts[cell.instead]), ".") : null,
    cell.known !== undefined ? made("p", { class: "quiet" }, `Known: ${texts[cell.known]}`) : null,
    values ? made("table", { class: "values" }, made("tr", {}, ["value", "expected", "got"].map(text => made("th", {}, text))), values) : null,
    cell.ulps !== undefined ? made("p", { class: "quiet" }, `Largest difference: ${cell.ulps} ULP.`) : null,
    cell.status !== "pass" ? repeat(command) : null);
}

function repeat(command) {
  if (!navigator.clipboard) return made("pre", {}, command);
  const button = made("button", { type: "button" }, "copy");
  button.addEventListener("click", async () => { await navigator.clipboard.writeText(command); button.textContent = "copied"; });
  return made("div", { class: "command" }, made("pre", {}, command), button);
}

function input([name, index]) {
  const { type, shape, values } = arrays[index], numbers = values ? values.split(" ") : [];
  const total = shape.reduce((product, length) => product * length, 1);
  const more = total > numbers.length ? `, the first ${numbers.length} of ${total} values` : "";
  const width = shape.at(-1) || 1, height = shape.at(-2) || 1;
  const lines = [];
  for (let at = 0; at < numbers.length; at += width) {
    const blank = shape.length > 2 && at && (at / width) % height === 0 ? "\n" : "";
    lines.push(blank + numbers.slice(at, at + width).join("  "));
  }
  return [made("p", { class: "mono" }, name, made("span", { class: "quiet" }, ` ${type} (${shape.join(", ")})${more}`)), numbers.length ? made("pre", {}, lines.join("\n")) : null];
}

function picture_of({ roi, y: [H, top, high, rows, countY], x: [W, left, wide, columns, countX], wrong }) {
  const isSmall = SMALL * Math.abs(columns * wide) < W && SMALL * Math.abs(rows * high) < H;
  const [x1, x2] = part(W, left, columns * wide, isSmall), [y1, y2] = part(H, top, rows * high, isSmall);
  const view = [x1, y1, x2 - x1, y2 - y1], pen = Math.max(view[2], view[3]) / 340;
  const svg = drawn("svg", { viewBox: view.join(" "), role: "img", "aria-label": `sample points of RoI ${roi}` });
  const lines = (count, start, step) => Array.from({ length: count }, (_, index) => start + index * step);
  const path = (d, color, width, more = {}) => svg.append(drawn("path", { d, stroke: `var(--${color})`, "stroke-width": width * pen, fill: "none", ...more }));
  svg.append(drawn("rect", { x: -0.5, y: -0.5, width: W, height: H, fill: "var(--map)" }));
  const edges = (length, low, high) => lines(length + 1, -0.5, 1).filter(at => at > low && at < high);
  if (Math.max(view[2], view[3]) <= MOST_PIXELS) path(edges(W, x1, x2).map(x => `M${x} -0.5v${H}`).join("") + edges(H, y1, y2).map(y => `M-0.5 ${y}h${W}`).join(""), "line", 1);
  if (wrong) {
    const [x, y] = [left + wrong[1] * wide, top + wrong[0] * high];
    svg.append(drawn("rect", { x: Math.min(x, x + wide), y: Math.min(y, y + high), width: Math.abs(wide), height: Math.abs(high), fill: "var(--roi)", "fill-opacity": 0.25 }));
  }
  const [right, bottom] = [left + columns * wide, top + rows * high];
  path(lines(columns + 1, left, wide).map(x => `M${x} ${top}V${bottom}`).join("") + lines(rows + 1, top, high).map(y => `M${left} ${y}H${right}`).join(""), "roi", 1.4);
  const ys = samples(top, high, rows, countY, H), xs = samples(left, wide, columns, countX, W);
  path(ys.flatMap(y => xs.map(x => `M${x} ${y}h0`)).join(""), "sample", 6, { "stroke-linecap": "round" });
  return svg;
}

// The part of an axis that is shown: the map, or the pixels around a small RoI on it.
function part(length, start, size, isSmall) {
  const [first, last] = [-MARGIN, length - 1 + MARGIN], [low, high] = [Math.min(start, start + size), Math.max(start, start + size)];
  return isSmall && low > first && high < last ? [Math.max(first, low - AROUND), Math.min(last, high + AROUND)] : [first, last];
}

// The positions along an axis that are near the map; of too many every n-th.
function samples(start, step, bins, count, length) {
  const near = [];
  if (!(count > 0) || bins * count > 1e6) return near;
  for (let bin = 0; bin < bins; bin++) for (let sample = 0; sample < count; sample++) {
    const at = start + (bin + (sample + 0.5) / count) * step;
    if (at > -MARGIN - 0.5 && at < length + MARGIN) near.push(at);
  }
  const every = Math.ceil(near.length / MOST_SAMPLES);
  return near.filter((_, index) => index % every === 0);
}

function caption({ roi, y: [H], x: [W], wrong }) {
  const bin = wrong ? ", the bin of the largest difference (filled)" : "";
  return made("p", { class: "quiet small" }, `RoI ${roi} on its ${H} x ${W} map: bins (red), sample points (orange)${bin}. Pixel centres are integers; (0, 0) is the first. Of a small RoI, only the pixels around it are shown.`);
}

function show() {
  const data = new FormData(form), tiers = new Set(data.getAll("tier")), status = data.get("status"), run = data.get("run");
  const words = String(data.get("text")).toLowerCase().split(/\s+/).filter(Boolean);
  const narrowed = Boolean(status || words.length || data.has("differ"));
  const looked = one => (run ? [one.cells[run]] : one.cells).filter(Boolean);
  const seen = one => tiers.has(one.tier) && (!status || looked(one).some(cell => cell.status === status))
    && (!data.has("differ") || new Set(one.cells.map(cell => `${cell?.status} ${cell?.side}`)).size > 1) && words.every(word => one.words.includes(word));
  let count = 0;
  for (const group of groups.values()) {
    const found = group.cases.filter(seen), expanded = group.open || (narrowed && found.length > 0);
    count += found.length;
    group.body.hidden = !found.length;
    group.button.setAttribute("aria-expanded", expanded);
    group.size.textContent = found.length === group.cases.length ? found.length : `${found.length} of ${group.cases.length}`;
    group.counts.forEach((element, index) => counted(element, found, index));
    if (expanded && !group.cases[0].row) for (const one of group.cases) group.body.append(one.row = row(one));
    for (const one of group.cases.filter(one => one.row)) {
      one.row.hidden = !expanded || !seen(one);
      if (one.detail) one.detail.hidden = one.row.hidden;
    }
  }
  form.elements.count.value = `${count} of ${cases.length} cases`;
}

function counted(element, found, index) {
  const ran = found.map(one => one.cells[index]).filter(cell => cell && cell.status !== "unsupported");
  const passed = ran.filter(cell => cell.status === "pass").length;
  element.textContent = ran.length ? `${passed}/${ran.length}` : "—";
  element.className = !ran.length ? "quiet" : passed === ran.length ? "all" : passed ? "some" : "none";
}

function linked() {
  const one = cases.find(({ id }) => id === decodeURIComponent(location.hash.slice(1)));
  if (!one) return;
  form.reset();
  groups.get(one.group).open = true;
  show();
  open(one, true);
  one.row.scrollIntoView({ block: "center" });
}

form.addEventListener("input", show);
form.addEventListener("submit", event => event.preventDefault());
form.elements.all.addEventListener("click", event => {
  const opened = event.target.textContent.startsWith("open");
  for (const group of groups.values()) group.open = opened;
  event.target.textContent = opened ? "close all groups" : "open all groups";
  show();
});
addEventListener("hashchange", linked);
show();
linked();
