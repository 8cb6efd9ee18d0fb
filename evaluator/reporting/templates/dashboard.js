// What stands on the page is read and shown as text. Without this script all of it is there, too.
// It follows `plot.min.js` in one script, which begins with "use strict".

/** What a spreadsheet takes for a formula: as `escape_formula` of the room `intake` has it. */
const FORMULA = /^ *[=+\-@\t\r\n＝＋－＠']/;
const MOST_CHOICES = 8;
const MOST_FILTERS = 3;
const LONGEST_CHOICE = 30;
const NUMBER = /^\s*[<≥≤±+]?\s*([−-]?\d[\d,]*(?:\.\d+)?)/;

const make = (tag, properties, ...children) => {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
};

const inert = (text) => (FORMULA.test(text) ? `'${text}` : text);

/** Read a cell; what stands on a line of its own is set apart. */
const words = (cell) => {
  let text = "";
  const read = (node) => {
    for (const child of node.childNodes) {
      if (child.nodeType === Node.TEXT_NODE) text += child.data;
      else if (child.localName !== "svg" && !child.matches(".rest > summary")) {
        if (getComputedStyle(child).display !== "inline") text += "\0";
        read(child);
      }
    }
  };
  read(cell);
  const lines = text.split("\0").map((line) => line.replace(/\s+/g, " ").trim());
  return lines.filter(Boolean).join("; ");
};

const plain = (node) => node.textContent.replace(/\s+/g, " ").trim();
/** Give the first words of a heading, before what is added to them. */
const firstText = (node) => {
  const texts = document.createTreeWalker(node, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const text = texts.currentNode.data.trim();
    if (text) return text;
  }
  return "";
};
const valueOf = (cell) => plain(cell.querySelector(".value, .badge") ?? cell);
const choiceOf = (cell) => plain(cell.querySelector(".badge") ?? cell);
const numberOf = (text) => {
  const found = NUMBER.exec(text);
  return found ? Number(found[1].replace("−", "-").replaceAll(",", "")) : NaN;
};

/** Compare two texts of a column; what is no number among numbers comes last, either way. */
const ordered = (texts, down) => {
  const numbers = texts.map(numberOf);
  const areNumbers = 2 * numbers.filter((one) => !Number.isNaN(one)).length > texts.length;
  const sign = down ? -1 : 1;
  return (a, b) => {
    if (!areNumbers) return sign * texts[a].localeCompare(texts[b], undefined, { numeric: true });
    const [one, other] = [numbers[a], numbers[b]];
    if (Number.isNaN(one) || Number.isNaN(other)) return Number.isNaN(one) - Number.isNaN(other);
    return sign * (one - other);
  };
};

/** One table with its tools: it sorts, filters and finds, and gives what is left as text. */
class Tools {
  constructor(table) {
    this.table = table;
    this.id = table.caption.id.replace(/-caption$/, "");
    this.heads = Array.from(table.tHead.rows[0].cells);
    this.titles = this.heads.map(plain);
    this.parts = Array.from(table.tBodies, (body) => this.partOf(body));
    this.isGrouped = this.parts.some((part) => part.name);
    this.rows = this.parts.flatMap((part) => part.rows);
    this.state = {};
    this.filters = this.choices().map(([key, title, options]) => this.filter(key, title, options));
    this.field = make("input", { type: "search", placeholder: "Find", oninput: () => this.take() });
    this.field.setAttribute("aria-label", `Find in: ${plain(table.caption)}`);
    this.said = make("output", {});
    this.most = Number(table.dataset.most ?? Infinity);
    this.more = make("button", { type: "button", onclick: () => this.toggle() });
    this.more.hidden = this.parts.every(({ rows }) => rows.length <= this.most);
    const tools = make(
      "div",
      { className: "tools" },
      this.field,
      ...this.filters.map(({ select }) => select),
      make("button", { type: "button", textContent: "Copy", onclick: () => this.copy() }),
      make("button", { type: "button", textContent: "Save as CSV", onclick: () => this.save() }),
      this.more,
      this.said,
    );
    table.closest(".scroll").before(tools);
    this.heads.forEach((head, column) => {
      const button = make("button", { type: "button", className: "sort" }, ...head.childNodes);
      button.onclick = () => this.turn(column);
      head.append(button);
    });
    if (!this.more.hidden) this.show();
  }

  /** Divide a part of the table into what leads it, its rows, and what is said below them. */
  partOf(body) {
    const all = Array.from(body.rows);
    const rows = all.filter((row) => !row.querySelector("[colspan]"));
    const first = all.indexOf(rows[0] ?? all.at(-1));
    const group = all.find((row) => row.matches(".group"));
    const name = group ? firstText(group) : "";
    const found = rows.map((row) => ({
      row,
      name,
      text: `${name} ${row.textContent}`.toLowerCase(),
    }));
    const notes = all.slice(first).filter((row) => !rows.includes(row));
    return { body, name, notes, lead: all.slice(0, first), rows: found };
  }

  /** Find the columns with few words, and the groups: by these rows can be chosen. */
  choices() {
    const groups = [...new Set(this.parts.map(({ name }) => name).filter(Boolean))];
    const found = groups.length > 1 ? [["group", "Candidate", groups]] : [];
    const few = this.titles.flatMap((title, column) => {
      const options = [...new Set(this.rows.map(({ row }) => choiceOf(row.cells[column])))];
      const areWords = options.every(
        (option) => option && option.length <= LONGEST_CHOICE && Number.isNaN(numberOf(option)),
      );
      const areFew = options.length > 1 && options.length <= MOST_CHOICES;
      return areWords && areFew && 2 * options.length <= this.rows.length
        ? [[String(column), title, options.sort()]]
        : [];
    });
    // Where every column has its own, as of candidates, there is no end of them.
    return few.length <= MOST_FILTERS ? [...found, ...few] : found;
  }

  filter(key, title, options) {
    const select = make(
      "select",
      { onchange: () => this.take() },
      make("option", { value: "", textContent: `${title}: all` }),
      ...options.map((option) => make("option", { value: option, textContent: option })),
    );
    select.setAttribute("aria-label", title);
    return { key, select };
  }

  /** Sort by a column: upwards, then downwards, then as it was. */
  turn(column) {
    const { sort } = this.state;
    const next = { [column]: `-${column}`, [`-${column}`]: undefined };
    this.state.sort = sort in next ? next[sort] : String(column);
    this.show();
    remember();
  }

  /** Show all rows of a table that begins with some of them, or these alone again. */
  toggle() {
    this.state.all = this.state.all ? undefined : "yes";
    this.show();
    remember();
  }

  /** Take over what was typed and chosen. */
  take() {
    this.state.find = this.field.value || undefined;
    for (const { key, select } of this.filters) this.state[key] = select.value || undefined;
    this.show();
    remember();
  }

  /** Set all that is to be shown, such as an address says it. */
  set(state) {
    this.state = state;
    this.field.value = state.find ?? "";
    for (const { key, select } of this.filters) select.value = state[key] ?? "";
    this.show();
  }

  show() {
    const { sort, find } = this.state;
    const column = sort === undefined ? -1 : Math.abs(Number(sort));
    const isDown = sort?.startsWith("-") ?? false;
    this.heads.forEach((head, index) => {
      if (index === column) head.setAttribute("aria-sort", isDown ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    });
    const wanted = (find ?? "").toLowerCase();
    const chosen = this.filters.map(({ key }) => [key, this.state[key]]).filter(([, one]) => one);
    // Who looks for something finds it wherever it is.
    const most = wanted || this.state.all ? Infinity : this.most;
    this.more.textContent = this.state.all ? "Show fewer" : "Show all";
    let count = 0;
    for (const { body, name, lead, rows, notes } of this.parts) {
      const order = rows.map((_, index) => index);
      if (this.heads[column]) {
        order.sort(ordered(rows.map(({ row }) => valueOf(row.cells[column])), isDown));
      }
      body.append(...lead, ...order.map((index) => rows[index].row), ...notes);
      let left = 0;
      for (const { row, text } of order.map((index) => rows[index])) {
        row.hidden = !(
          left < most &&
          text.includes(wanted) &&
          chosen.every(([key, one]) => (key === "group" ? name : choiceOf(row.cells[key])) === one)
        );
        left += !row.hidden;
      }
      body.hidden = left === 0 && (wanted !== "" || chosen.length > 0);
      count += left;
    }
    const isCut = count < this.rows.length;
    this.said.textContent = isCut ? `${count} of ${this.rows.length} rows` : "";
  }

  /** Give what is shown as rows of texts. */
  texts() {
    const name = this.isGrouped ? ["Candidate"] : [];
    const rows = this.parts.flatMap((part) =>
      Array.from(part.body.rows, (row) => part.rows.find((one) => one.row === row))
        .filter((one) => one && !one.row.hidden)
        .map((one) => [...(this.isGrouped ? [one.name] : []), ...Array.from(one.row.cells, words)]),
    );
    return [[...name, ...this.titles], ...rows].map((row) => row.map(inert));
  }

  copy() {
    const text = this.texts().map((row) => row.join("\t")).join("\n");
    const give = (event) => {
      event.clipboardData.setData("text/plain", text);
      event.preventDefault();
    };
    document.addEventListener("copy", give, { once: true });
    this.said.textContent = document.execCommand("copy") ? "Copied" : "The browser refused";
    document.removeEventListener("copy", give);
  }

  save() {
    const lines = this.texts().map((row) =>
      row.map((text) => `"${text.replaceAll('"', '""')}"`).join(","),
    );
    // Spreadsheets know by its mark that it is UTF-8.
    const file = new Blob([`\ufeff${lines.join("\r\n")}\r\n`], { type: "text/csv" });
    const href = URL.createObjectURL(file);
    make("a", { href, download: `${this.id}.csv` }).click();
    setTimeout(() => URL.revokeObjectURL(href), 1000);
  }
}

/** How far a slice is from the overall figure, in shades: those of the map, the worse ones first. */
const SHADES = ["s-m3", "s-m2", "s-m1", "s-z0", "s-p1", "s-p2", "s-p3"];

/** A map and a forest of the metric and the candidate of one's choice, read off "Every figure". */
class Chosen {
  constructor(place, table) {
    [this.id, this.table, this.state] = ["map", place, {}];
    this.candidates = Array.from(table.tHead.rows[0].cells, plain).slice(4);
    this.rows = Array.from(table.tBodies[0].rows, ({ cells }) => ({
      geography: cells[0].matches(".margin") ? null : plain(cells[0]),
      segment: cells[1].matches(".margin") ? null : plain(cells[1]),
      metric: plain(cells[2]),
      side: cells[2].dataset.side ?? "",
      cells: Array.from(cells).slice(4),
      cases: plain(cells[3]),
    }));
    this.metrics = [...new Set(this.rows.map(({ metric }) => metric))];
    this.selects = [["metric", this.metrics], ["candidate", this.candidates]].map(([key, names]) => {
      const options = names.map((name) => make("option", { value: name, textContent: name }));
      const first = make("option", { value: "", textContent: `Choose a ${key}` });
      const select = make("select", { onchange: () => this.take() }, first, ...options);
      select.setAttribute("aria-label", `The map's ${key}`);
      return [key, select];
    });
    this.drawn = make("div", {});
    const tools = make("div", { className: "tools" }, ...this.selects.map(([, select]) => select));
    place.append(tools, this.drawn);
  }

  take() {
    for (const [key, select] of this.selects) this.state[key] = select.value || undefined;
    this.show();
    remember();
  }

  set(state) {
    this.state = state;
    for (const [key, select] of this.selects) select.value = state[key] ?? "";
    this.show();
  }

  show() {
    const { metric = this.metrics[0], candidate = this.candidates[0] } = this.state;
    const place = this.candidates.indexOf(candidate);
    const own = this.rows.filter((row) => row.metric === metric);
    if (!(this.state.metric || this.state.candidate) || place < 0 || !own.length) {
      this.drawn.replaceChildren();
      return;
    }
    const cells = own.map((row) => ({ ...row, cell: row.cells[place], ...read(row.cells[place]) }));
    const isMargin = ({ geography, segment }) => geography === null || segment === null;
    const overall = cells.find(({ geography, segment }) => geography === null && segment === null);
    const slices = cells.filter((one) => !isMargin(one));
    const usable = slices.filter(({ value, isFew }) => !Number.isNaN(value) && !isFew);
    const far = Math.max(...usable.map(({ value }) => Math.abs(value - overall.value)), 1e-12);
    const shade = (one) => {
      if (!usable.includes(one) || Number.isNaN(overall.value)) return "blank";
      const step = Math.round((3 * (one.value - overall.value)) / far);
      return SHADES[3 + (one.side === "lower" ? -step : step)];
    };
    const title = `${metric} of ${candidate}`;
    this.drawn.replaceChildren(map(title, cells, shade), forest(title, slices, overall, metric));
  }
}

const read = (cell) => {
  const ends = (cell.querySelector(".interval")?.textContent ?? "").split(" to ").map(numberOf);
  const value = numberOf(cell.firstChild?.textContent ?? "");
  return { value, low: ends[0] ?? NaN, high: ends[1] ?? NaN, isFew: cell.matches(".few") };
};

const framed = (title, ...rows) => {
  const table = make("table", {}, make("caption", { textContent: title }), ...rows);
  const scroll = make("div", { className: "scroll", tabIndex: 0 }, table);
  scroll.setAttribute("role", "region");
  scroll.setAttribute("aria-label", title);
  return [scroll, table];
};

const head = (text) => {
  const cell = make("th", { textContent: text });
  cell.scope = "col";
  return cell;
};

const side = (text) => {
  const cell = make("th", { textContent: text });
  cell.scope = "row";
  return cell;
};

/** Lay slices out by geography and segment, shaded by how far they are from the overall figure. */
const map = (title, cells, shade) => {
  const names = (key) => [...new Set(cells.map((one) => one[key]).filter((one) => one !== null))];
  const segments = [...names("segment"), null];
  const rows = [...names("geography"), null].map((geography) => {
    const found = segments.map((segment) => {
      const one = cells.find((cell) => cell.geography === geography && cell.segment === segment);
      if (!one) return make("td", { className: "blank" });
      const isMargin = geography === null || segment === null;
      return make(
        "td",
        { className: isMargin ? "margin" : shade(one) },
        make("span", { className: "value", textContent: Number.isNaN(one.value) ? plain(one.cell) : one.value.toFixed(3) }),
        make("span", { className: "under", textContent: one.isFew ? `too few, n ${one.cases}` : `n ${one.cases}` }),
      );
    });
    return make("tr", {}, side(geography ?? "All geographies"), ...found);
  });
  const heads = segments.map((segment) => head(segment ?? "All segments"));
  const top = make("thead", {}, make("tr", {}, head("Geography"), ...heads));
  const [scroll, table] = framed(`${title}, by geography and segment`, top, make("tbody", {}, ...rows));
  // As wide as the other maps.
  const isNarrow = heads.length > 8;
  table.className = isNarrow ? "heat narrow" : "heat";
  table.style.minWidth = `${9 + (isNarrow ? 3.4 : 8) * heads.length}rem`;
  return scroll;
};

// Charts are drawn by Observable Plot from tables of the page. Their tips say what a row says.

const ACCENT = "var(--accent)";
const MUTED = "var(--muted)";
const TALLEST = 560;
const ROW_HEIGHT = 18;
const DAY_WIDTH = 110;
const NARROWEST = 100;
const whole = (count) => Math.abs(count).toLocaleString("en");

/** Draw a figure once it is unfolded, and anew where its width changes; the picture is for paper. */
const drawings = new WeakMap();
const widths = new ResizeObserver((entries) =>
  requestAnimationFrame(() => {
    for (const { target, contentRect } of entries) draw(target, Math.floor(contentRect.width));
  }),
);
const watch = (figure, drawing) => {
  drawings.set(figure, drawing);
  widths.observe(figure);
};

const draw = (figure, width) => {
  const [still, before] = [figure.querySelector(".still"), figure.querySelector(".chart")];
  // Narrower is what is folded, or on its way.
  if (width < NARROWEST || before?.firstChild.width.baseVal.value === width) return;
  const { label, ...options } = drawings.get(figure)(width);
  const drawn = Plot.plot({ width, marginBottom: 38, ...options });
  // What its parts are called is not for readers: the table is.
  drawn.setAttribute("aria-hidden", "true");
  const chart = make("div", { className: "chart" }, drawn);
  chart.setAttribute("role", "img");
  chart.setAttribute("aria-label", label ?? still.getAttribute("aria-label"));
  before?.remove();
  if (still) still.after(chart);
  else figure.prepend(chart);
};

const tableOf = (id) => tables.find((one) => one.id === id);
const known = new Map();
/** Read a table once, in the order that it came in, with a tip a row. */
const rowsOf = (id, readRow) => {
  if (!known.has(id)) {
    const { rows, titles } = tableOf(id);
    const found = rows.map(({ row: { cells } }) => ({
      ...readRow(cells),
      tip: titles.map((title, column) => `${title}: ${words(cells[column])}`).join("\n"),
    }));
    known.set(id, found);
  }
  return known.get(id);
};
const tips = (rows, pointer, at) => Plot.tip(rows, pointer({ ...at, title: "tip", lineWidth: 30 }));

/** Draw values with their intervals, upright or level; what rests on too few cases is hollow. */
const measured = (rows, rule, at, value) =>
  [false, true].flatMap((isFew) => {
    const own = rows.filter((row) => row.isFew === isFew);
    const [[place, key]] = Object.entries(at);
    const stroke = isFew ? MUTED : ACCENT;
    const ends = { [`${value}1`]: "low", [`${value}2`]: "high", strokeDasharray: isFew ? "2 3" : null };
    return [
      rule(own, { [place]: key, ...ends, stroke, strokeWidth: 2, strokeOpacity: 0.6 }),
      Plot.dot(own, { [place]: key, [value]: "value", stroke, fill: isFew ? "var(--surface)" : stroke }),
    ];
  });

/** Draw slices, the lowest first and those of few cases last, beside the overall figure. */
const forest = (title, slices, overall, metric) => {
  const rows = slices.filter(({ value }) => !Number.isNaN(value));
  rows.sort((a, b) => a.isFew - b.isFew || a.value - b.value);
  rows.forEach((row, place) => {
    row.name = `${row.geography} x ${row.segment}`;
    row.tip = [row.name, `${metric}: ${words(row.cell)}`, `n ${row.cases}`].join("\n");
    if (row.isFew) row.tip += ", too few";
    row.place = place;
  });
  const line = Number.isNaN(overall.value) ? "" : ` The line is overall, ${plain(overall.cell.firstChild)}.`;
  const few = rows.some(({ isFew }) => isFew) ? " Hollow is what has too few cases." : "";
  const said = `${title}, each slice with its interval.${line}${few}`;
  const figure = make("figure", { className: "curve" }, make("figcaption", { textContent: said }));
  const drawing = (width) => {
    const marginLeft = Math.min(0.4 * width, 240);
    return {
      label: said,
      height: ROW_HEIGHT * rows.length + 80,
      marginLeft,
      marginTop: 30,
      x: { label: metric, grid: true, axis: "both", ticks: (width - marginLeft) / 80, inset: 8 },
      y: { domain: rows.map(({ place }) => place), type: "point", label: null },
      marks: [
        Plot.axisY({
          tickFormat: (place) => rows[place].name,
          tickSize: 0,
          lineWidth: marginLeft / 13,
          textOverflow: "ellipsis",
        }),
        line ? Plot.ruleX([overall.value], { stroke: "var(--ink)", strokeWidth: 1.5 }) : null,
        ...measured(rows, Plot.ruleY, { y: "place" }, "x"),
        tips(rows, Plot.pointerY, { x: "value", y: "place" }),
      ],
    };
  };
  if (rows.length) watch(figure, drawing);
  return figure;
};

const share = (label) => ({ domain: [0, 1], label, grid: true, ticks: 5 });
const DIAGONAL = [[0, 0], [1, 1]];
const chance = () => Plot.line(DIAGONAL, { stroke: MUTED, strokeDasharray: "3 3" });

/** Give the places on the curves of one candidate; where it decides has no threshold. */
const pointsOf = (number) =>
  rowsOf(`points-${number}`, (cells) => {
    const [threshold, taken, found, precision] = Array.from(cells, (cell) => numberOf(plain(cell)));
    return { threshold, taken, found, precision };
  });

/** Draw a curve of one candidate over those of the others, and where it decides. */
const curve = (x, y, labels, before) => (figure, width) => {
  const { chart, number } = figure.dataset;
  const own = pointsOf(number);
  const line = (points, style) =>
    Plot.line([...before, ...points.filter(({ threshold }) => !Number.isNaN(threshold))], { x, y, ...style });
  const others = Array.from(document.querySelectorAll(`[data-chart=${chart}]`)).filter((one) => one !== figure);
  return {
    height: Math.min(width, TALLEST),
    x: share(labels[0]),
    y: share(labels[1]),
    marks: [
      chart === "roc" ? chance() : null,
      ...others.map(({ dataset }) => line(pointsOf(dataset.number), { stroke: MUTED, strokeWidth: 0.7 })),
      line(own, { stroke: ACCENT, strokeWidth: 2 }),
      Plot.dot(own.filter(({ threshold }) => Number.isNaN(threshold)), { x, y, r: 5, fill: ACCENT }),
      tips(own, Plot.pointer, { x, y }),
    ],
  };
};

const binsOf = ({ dataset: { number } }) =>
  rowsOf(`bins-${number}`, (cells) => {
    const [from, to] = plain(cells[0]).split(" to ").map(Number);
    const [score, positive, negative] = [1, 2, 3].map((column) => numberOf(plain(cells[column])));
    return { from, to, middle: (from + to) / 2, score, positive, negative, ...read(cells[4]) };
  });

/** Name a column of a figure's table of bins. */
const titleOf = ({ dataset: { number } }, column) => tableOf(`bins-${number}`).titles[column];

const predictedOf = (number) =>
  rowsOf(`predicted-${number}`, (cells) => {
    const [from, to] = plain(cells[0]).split(" to ").map(numberOf);
    const [predicted, q5, q25, q50, q75, q95] = [2, 4, 5, 6, 7, 8].map((column) => numberOf(plain(cells[column])));
    // A bin is drawn as far as it goes to the nearer end, on either side of its mean: few may be far off.
    const [left, right] = [Math.max(from, 2 * predicted - to), Math.min(to, 2 * predicted - from)];
    return { left, right, predicted, q5, q25, q50, q75, q95, ...read(cells[3]) };
  });
/** Give the ends of some columns, over all candidates: these are drawn on one scale. */
const span = (...columns) => {
  const figures = Array.from(document.querySelectorAll("[data-chart=actual]"));
  const rows = figures.flatMap(({ dataset }) => predictedOf(dataset.number));
  const all = rows.flatMap((row) => columns.map((column) => row[column])).filter((one) => !Number.isNaN(one));
  return [Math.min(...all), Math.max(...all)];
};
const numeric = (label, domain) => ({ label, domain, grid: true, ticks: 5, inset: 6 });

/** Lay days out one beside the other, as many of them named as there is room for. */
const byDay = (rows, width) => {
  const step = Math.ceil(rows.length / Math.max(1, Math.floor(width / DAY_WIDTH)));
  return {
    domain: [-0.6, rows.length - 0.4],
    label: null,
    ticks: [...rows.keys()].filter((index) => index % step === 0),
    tickFormat: (index) => rows[index].day.replace(/^(\d+ \p{L}{3})\p{L}*/u, "$1"),
  };
};

const MARGINS = { marginLeft: 55, marginRight: 35, marginBottom: 28 };

const CHARTS = {
  roc: curve("taken", "found", ["False positive rate", "True positive rate"], [{ taken: 0, found: 0 }]),
  recall: curve("found", "precision", ["True positive rate", "Precision"], []),
  calibration: (figure, width) => ({
    height: Math.min(width, TALLEST),
    x: share("Mean score"),
    y: share(titleOf(figure, 4)),
    marks: [
      chance(),
      ...measured(binsOf(figure), Plot.ruleX, { x: "score" }, "y"),
      tips(binsOf(figure), Plot.pointerX, { x: "score", y: "value" }),
    ],
  }),
  scores: (figure, width) => {
    const rows = binsOf(figure);
    const bar = { x1: "from", x2: "to", insetLeft: 0.5, insetRight: 0.5 };
    return {
      height: Math.min(width, TALLEST),
      marginLeft: 55,
      x: { ...share("Score"), grid: false },
      y: { label: `${titleOf(figure, 2)} (up), ${titleOf(figure, 3).toLowerCase()}`, grid: true, tickFormat: whole },
      marks: [
        Plot.rect(rows, { ...bar, y1: 0, y2: "positive", fill: ACCENT }),
        Plot.rect(rows, { ...bar, y1: 0, y2: ({ negative }) => -negative, fill: MUTED }),
        Plot.ruleY([0]),
        tips(rows, Plot.pointerX, { x: "middle", y: "positive" }),
      ],
    };
  },
  actual: (figure, width) => {
    const rows = predictedOf(figure.dataset.number);
    const [across, up] = [span("predicted"), span("value", "low", "high")];
    const [low, high] = [Math.max(across[0], up[0]), Math.min(across[1], up[1])];
    return {
      height: Math.min(width, TALLEST),
      marginLeft: 55,
      x: numeric("Mean predicted", across),
      y: numeric("Mean actual", up),
      marks: [
        low < high ? Plot.line([[low, low], [high, high]], { stroke: MUTED, strokeDasharray: "3 3" }) : null,
        ...measured(rows, Plot.ruleX, { x: "predicted" }, "y"),
        tips(rows, Plot.pointerX, { x: "predicted", y: "value" }),
      ],
    };
  },
  residuals: (figure, width) => {
    const rows = predictedOf(figure.dataset.number);
    const [least, most] = span("q5", "q95");
    const box = { x1: "left", x2: "right", stroke: ACCENT, strokeOpacity: 0.35, fill: ACCENT };
    return {
      height: Math.min(width, TALLEST),
      marginLeft: 55,
      x: numeric("Predicted", span("left", "right")),
      y: numeric("Residual", [Math.min(least, 0), Math.max(most, 0)]),
      marks: [
        Plot.rect(rows, { ...box, y1: "q5", y2: "q95", fillOpacity: 0.15 }),
        Plot.rect(rows, { ...box, y1: "q25", y2: "q75", fillOpacity: 0.35 }),
        Plot.ruleY(rows, { x1: "left", x2: "right", y: "q50", stroke: ACCENT, strokeWidth: 2.5 }),
        Plot.ruleY([0], { stroke: MUTED, strokeDasharray: "3 3" }),
        tips(rows, Plot.pointerX, { x: "predicted", y: "q50" }),
      ],
    };
  },
  history: (figure, width) => {
    const all = rowsOf("history", (cells) => ({
      day: plain(cells[2]),
      limits: plain(cells[5]).split(";").map(numberOf),
      ...read(cells[4]),
    }));
    const figures = Array.from(document.querySelectorAll("[data-chart=history]"));
    const count = all.length / figures.length;
    const first = count * figures.indexOf(figure);
    const rows = all.slice(first, first + count).map((row, index) => ({ ...row, index }));
    const limits = rows.flatMap((row) => row.limits).filter((limit) => !Number.isNaN(limit));
    return {
      height: Math.min(0.7 * width, TALLEST),
      ...MARGINS,
      x: byDay(rows, width),
      y: { label: null, grid: true, ticks: 5, inset: 8 },
      marks: [
        Plot.ruleY(limits, { stroke: "var(--bad)", strokeDasharray: "5 4" }),
        Plot.line(rows, { x: "index", y: "value", stroke: ACCENT }),
        ...measured(rows, Plot.ruleX, { x: "index" }, "y"),
        tips(rows, Plot.pointerX, { x: "index", y: "value" }),
      ],
    };
  },
  days: (figure, width) => {
    const rows = rowsOf("days", (cells) => {
      const [accepted, quarantined] = [2, 3].map((column) => numberOf(plain(cells[column])) || 0);
      return { day: plain(cells[0]), accepted, quarantined, isUsed: plain(cells[4]) === "yes" };
    }).map((row, index) => ({ ...row, index, all: row.accepted + row.quarantined }));
    const used = rows.filter(({ isUsed }) => isUsed);
    const most = Math.max(...used.map(({ all }) => all), 1);
    const broken = { fill: "var(--bad-soft)", stroke: "var(--bad)", strokeDasharray: "3 2" };
    const bar = { x1: ({ index }) => index - 0.4, x2: ({ index }) => index + 0.4 };
    return {
      height: 200,
      ...MARGINS,
      x: byDay(rows, width),
      y: { label: "Rows", grid: true, ticks: 4, tickFormat: whole },
      marks: [
        Plot.rect(used, { ...bar, y1: 0, y2: "accepted", fill: ACCENT, fillOpacity: 0.55 }),
        Plot.rect(used, { ...bar, y1: "accepted", y2: "all", fill: "var(--open)" }),
        Plot.rect(rows.filter(({ isUsed }) => !isUsed), { ...bar, y1: 0, y2: most, ...broken }),
        tips(rows, Plot.pointerX, { x: "index", y: ({ isUsed, all }) => (isUsed ? all : most) }),
      ],
    };
  },
};

const tables = Array.from(document.querySelectorAll("main .scroll table"), (table) => new Tools(table));
const [chosen, everyFigure] = ["#map .chosen", "#slices table"].map((one) => document.querySelector(one));
if (chosen && everyFigure) tables.push(new Chosen(chosen, everyFigure));
for (const figure of document.querySelectorAll("[data-chart]")) {
  figure.classList.add("live");
  watch(figure, (width) => CHARTS[figure.dataset.chart](figure, width));
  const size = make("button", { type: "button", textContent: "Larger" });
  size.onclick = () => {
    size.textContent = figure.classList.toggle("large") ? "Smaller" : "Larger";
  };
  if (figure.matches(".curve")) figure.querySelector("figcaption").append(" ", size);
}
let anchor = "";

/** Write what is sorted, filtered and looked for into the address. */
const remember = () => {
  const said = new URLSearchParams();
  for (const { id, state } of tables) {
    for (const [key, value] of Object.entries(state)) {
      if (value !== undefined) said.append(`${id}.${key}`, value);
    }
  }
  history.replaceState(null, "", said.size ? `#${anchor}&${said}` : `#${anchor}`);
};

const unfold = (node) => {
  const own = node.querySelector(":scope > details");
  if (own) own.open = true;
  for (let one = node.closest("details"); one; one = one.parentElement.closest("details")) {
    one.open = true;
  }
};

/** Show what the address says: a place, and the tables' states. */
const follow = () => {
  const parts = location.hash.slice(1).split("&");
  anchor = parts[0].includes("=") ? "" : parts[0];
  const said = [...new URLSearchParams(parts.filter((part) => part.includes("=")).join("&"))];
  for (const table of said.length ? tables : []) {
    const own = said.filter(([key]) => key.startsWith(`${table.id}.`));
    table.set(
      Object.fromEntries(own.map(([key, value]) => [key.slice(table.id.length + 1), value])),
    );
    if (own.length) unfold(table.table);
  }
  const target = document.getElementById(anchor);
  if (target) {
    unfold(target);
    target.scrollIntoView();
  }
  // A link of the page's own names a place alone: what was chosen stays.
  if (!said.length && tables.some(({ state }) => Object.values(state).some(Boolean))) remember();
};

const folds = Array.from(document.querySelectorAll(".fold"));
const all = make("button", { type: "button", textContent: "Unfold all" });
all.onclick = () => {
  const isOpen = folds.every((fold) => fold.open);
  for (const fold of folds) fold.open = !isOpen;
};
document.querySelector(".bar ul").append(make("li", {}, all));

addEventListener("hashchange", follow);
follow();
