const SVG = "http://www.w3.org/2000/svg";
const PLOT = { height: 108, left: 52, right: 8, top: 10, bottom: 22 }; // In CSS pixels; as wide as there is room.
const MODELS = { frozen: "as published", continual: "goes on learning" };

function render({ model, el }) {
  const boards = Object.entries(MODELS).map(([name, words]) => {
    const accuracy = make("strong", { class: "lk-accuracy" });
    const counted = make("span");
    const recent = make("span");
    const kind = make("small", {}, words);
    const element = make("div", { class: `lk-model lk-${name}` },
      make("h3", {}, make("span", { class: "lk-key", "aria-hidden": "true" }), `${name} model`, kind),
      make("p", { class: "lk-numbers" }, accuracy, make("span", { class: "lk-counts" }, counted, recent)));
    return { name, kind, accuracy, counted, recent, element };
  });
  const plot = svg("svg", { class: "lk-plot", role: "img" });
  const table = make("table", { class: "lk-confusion" });
  const cells = makeConfusion(table);
  const digits = make("div", { class: "lk-cell-digits" });
  let drawn = null; // The cell whose digits are on the page.
  let pressed = false; // Since then: what was asked for shall be seen.
  const select = make("select", { "aria-label": "model whose digits are shown", onchange: choose },
    ...Object.keys(MODELS).map((name) => make("option", { value: name }, `${name} model`)));
  const [status, stopStatus] = statusLine(model);
  const classes = make("table", { class: "lk-classes" });
  const classRows = makeClasses(classes);
  const root = make("section", { class: "labkit labkit-score", "aria-label": "score" },
    make("h2", {}, "Running accuracy"),
    make("div", { class: "lk-score-body" },
      make("div", {}, make("div", { class: "lk-models" }, ...boards.map(({ element }) => element)), plot,
        make("label", { class: "lk-hint" }, "Digit by digit: ", select), classes),
      make("div", {}, table, status, digits)));
  el.replaceChildren(root);
  keepKeys(root);
  const line = makePlot();
  let plotWidth = 0; // Told by the browser when it changes: to ask for it while drawing would lay the page out anew.

  function draw() {
    for (const { name, kind, accuracy, counted, recent } of boards) {
      const score = model.get(name);
      // A figure over the answers of several models is none of theirs: "Reset the scores" begins with the newest.
      setText(kind, score.published > 1 ? `${MODELS[name]}: answers of ${score.published} models` : MODELS[name]);
      setText(accuracy, percent(score.accuracy));
      setText(counted, `${score.correct.toLocaleString()} right of ${score.counted.toLocaleString()} counted`);
      const window = score.recent_counted;
      setText(recent, window ? `${percent(score.recent_accuracy)} of the last ${window}` : "nothing counted yet");
    }
    drawPlot();
    const chosen = model.get("chosen");
    select.value = chosen;
    drawConfusion(model.get(chosen).confusion);
    drawClasses(model.get(chosen).classes);
    drawCell();
  }

  function choose() {
    model.set("chosen", select.value);
    model.save_changes();
  }

  // The plot

  function svg(tag, attributes, text) {
    const element = document.createElementNS(SVG, tag);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    if (text) element.textContent = text;
    return element;
  }

  function yOf(share) {
    return PLOT.height - PLOT.bottom - share * (PLOT.height - PLOT.bottom - PLOT.top);
  }

  function makePlot() {
    for (const share of [0, 0.5, 1]) {
      plot.append(
        svg("line", { x1: PLOT.left, x2: "100%", y1: yOf(share), y2: yOf(share), class: "lk-grid" }),
        svg("text", { x: PLOT.left - 6, y: yOf(share), class: "lk-y" }, `${100 * share} %`));
    }
    const curves = boards.map(({ name }) => svg("polyline", { class: `lk-curve lk-${name}`, points: "" }));
    const first = svg("text", { x: PLOT.left, y: PLOT.height - 4 });
    const last = svg("text", { x: "100%", y: PLOT.height - 4, class: "lk-last" });
    plot.append(...curves, first, last);
    return { curves, first, last };
  }

  function drawPlot() {
    const histories = boards.map(({ name }) => model.get(name).history);
    const counts = histories.flatMap((history) => history.map(([count]) => count));
    const [from, to] = counts.length ? [Math.min(...counts), Math.max(...counts)] : [0, 0];
    const width = Math.max(plotWidth - PLOT.left - PLOT.right, 1);
    const xOf = (count) => PLOT.left + ((count - from) / Math.max(to - from, 1)) * width;
    histories.forEach((history, index) => {
      const points = history.map(([count, share]) => `${xOf(count).toFixed(1)},${yOf(share).toFixed(1)}`);
      line.curves[index].setAttribute("points", points.join(" "));
    });
    setText(line.first, to > from ? from.toLocaleString() : "");
    setText(line.last, `${to.toLocaleString()} predictions`);
    const now = boards.map(({ name }) => `${name} ${percent(model.get(name).accuracy)}`).join(", ");
    plot.setAttribute("aria-label", to ? `running accuracy over ${to} predictions, now ${now}`
      : "running accuracy: no prediction yet");
  }

  // The confusion table

  function makeConfusion(parent) {
    const digits = [...Array(10).keys()];
    const head = make("tr", {}, make("th", { scope: "col" }, make("small", {}, "true ↓ said →")),
      ...digits.map((digit) => make("th", { scope: "col" }, String(digit))));
    const rows = digits.map((label) => {
      const row = digits.map((predicted) => make("button", {
        type: "button", onclick: () => press(label, predicted),
      }));
      return { row, element: make("tr", {}, make("th", { scope: "row" }, String(label)),
        ...row.map((button) => make("td", {}, button))) };
    });
    parent.append(make("caption", {}, "Which digit the model took for which. Press a number to see its digits."), make("thead", {}, head),
      make("tbody", {}, ...rows.map(({ element }) => element)));
    return rows.map(({ row }) => row);
  }

  function press(label, predicted) {
    pressed = true;
    sendRequest(model, { action: "cell", model: model.get("chosen"), label, predicted });
  }

  function drawConfusion(confusion) {
    confusion.forEach((counts, label) => {
      const total = counts.reduce((sum, count) => sum + count, 0);
      counts.forEach((count, predicted) => {
        const button = cells[label][predicted];
        const share = (total ? count / total : 0).toFixed(2);
        if (button.style.getPropertyValue("--share") !== share) button.style.setProperty("--share", share);
        const text = count ? String(count) : "·";
        if (button.textContent === text) return; // Most cells stay as they are.
        button.textContent = text;
        button.disabled = !count;
        button.classList.toggle("lk-hit", count > 0 && label === predicted);
        button.classList.toggle("lk-miss", count > 0 && label !== predicted);
        button.setAttribute("aria-label", `${count} times ${label} said to be ${predicted}`);
      });
    });
  }

  function drawCell() {
    const cell = model.get("cell");
    digits.hidden = cell === null || cell.model !== model.get("chosen");
    cells.forEach((row, label) => row.forEach((button, predicted) => {
      const shown = !digits.hidden && cell.label === label && cell.predicted === predicted;
      button.classList.toggle("lk-shown", shown);
    }));
    if (digits.hidden || cell === drawn) return;
    drawn = cell;
    const images = bytesOf(model.get("images"));
    digits.replaceChildren(...cell.rows.map((row, index) => {
      const digit = make("img", {
        class: "lk-digit", src: digitAddress(images, 784 * index), alt: `digit of row ${row}`,
      });
      return make("figure", {}, digit, make("figcaption", {}, `row ${row}`));
    }));
    if (pressed) digits.scrollIntoView({ block: "nearest" });
    pressed = false;
  }

  // Precision, recall and F1

  function makeClasses(parent) {
    const names = ["digit", "precision", "recall", "F1", "counted"];
    const rows = [...Array(10).keys()].map((digit) => {
      const row = names.slice(1).map(() => make("td"));
      return { row, element: make("tr", {}, make("th", { scope: "row" }, String(digit)), ...row) };
    });
    parent.append(make("caption", {}, "How each digit fares"),
      make("thead", {}, make("tr", {}, ...names.map((name) => make("th", { scope: "col" }, name)))),
      make("tbody", {}, ...rows.map(({ element }) => element)));
    return rows.map(({ row }) => row);
  }

  function drawClasses(scores) {
    scores.forEach(({ label, precision, recall, f1, support }) => {
      [percent(precision), percent(recall), percent(f1), support.toLocaleString()].forEach((text, column) =>
        setText(classRows[label][column], text));
    });
  }

  const resized = new ResizeObserver(([{ contentRect }]) => {
    plotWidth = contentRect.width;
    drawPlot();
  });
  resized.observe(plot);
  const stops = [
    stopStatus,
    watch(model, ["frozen", "continual", "chosen", "cell", "images"], draw),
  ];
  return () => {
    stops.forEach((stop) => stop());
    resized.disconnect();
  };
}

export default { render };
