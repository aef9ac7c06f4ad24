const SVG = "http://www.w3.org/2000/svg";
const PLOT = { height: 108, left: 52, right: 8, top: 10, bottom: 22 }; // In CSS pixels; as wide as there is room.

function render({ model, el }) {
  const accuracy = make("strong", { class: "lk-accuracy" });
  const counted = make("span");
  const recent = make("span");
  const plot = svg("svg", { class: "lk-plot", role: "img" });
  const table = make("table", { class: "lk-confusion" });
  const cells = makeConfusion(table);
  const root = make("section", { class: "labkit labkit-score", "aria-label": "score" },
    make("h2", {}, "Running accuracy"),
    make("div", { class: "lk-score-body" },
      make("div", {},
        make("p", { class: "lk-numbers" }, accuracy, make("span", { class: "lk-counts" }, counted, recent)), plot),
      table));
  el.replaceChildren(root);
  const line = makePlot();

  function draw() {
    const score = model.get("score");
    setText(accuracy, percent(score.accuracy));
    setText(counted, `${score.correct.toLocaleString()} right of ${score.counted.toLocaleString()} counted`);
    const window = Math.min(score.recent_window, score.counted);
    setText(recent, window ? `${percent(score.recent_accuracy)} of the last ${window}` : "nothing counted yet");
    drawPlot(score);
    drawConfusion(score.confusion);
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
    const curve = svg("polyline", { class: "lk-curve", points: "" });
    const dot = svg("circle", { class: "lk-dot", r: 3.5 });
    const first = svg("text", { x: PLOT.left, y: PLOT.height - 4 });
    const last = svg("text", { x: "100%", y: PLOT.height - 4, class: "lk-last" });
    plot.append(curve, dot, first, last);
    return { curve, dot, first, last };
  }

  function drawPlot({ history, accuracy: now }) {
    const [from, to] = [history[0]?.[0] ?? 0, history[history.length - 1]?.[0] ?? 0];
    const width = Math.max(plot.clientWidth - PLOT.left - PLOT.right, 1);
    const xOf = (count) => PLOT.left + ((count - from) / Math.max(to - from, 1)) * width;
    const points = history.map(([count, share]) => [xOf(count), yOf(share)]);
    line.curve.setAttribute("points", points.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join(" "));
    const [x, y] = points[points.length - 1] ?? [0, 0];
    line.dot.setAttribute("visibility", points.length ? "visible" : "hidden");
    line.dot.setAttribute("cx", x);
    line.dot.setAttribute("cy", y);
    setText(line.first, history.length > 1 ? from.toLocaleString() : "");
    setText(line.last, `${to.toLocaleString()} predictions`);
    plot.setAttribute("aria-label", history.length
      ? `running accuracy over ${to} predictions, now ${percent(now)}` : "running accuracy: no prediction yet");
  }

  // The confusion table

  function makeConfusion(parent) {
    const digits = [...Array(10).keys()];
    const head = make("tr", {}, make("th", { scope: "col" }, make("small", {}, "true ↓ said →")),
      ...digits.map((digit) => make("th", { scope: "col" }, String(digit))));
    const rows = digits.map((label) => {
      const row = digits.map(() => make("td"));
      return { row, element: make("tr", {}, make("th", { scope: "row" }, String(label)), ...row) };
    });
    parent.append(make("caption", {}, "Which digit was taken for which"), make("thead", {}, head),
      make("tbody", {}, ...rows.map(({ element }) => element)));
    return rows.map(({ row }) => row);
  }

  function drawConfusion(confusion) {
    confusion.forEach((counts, label) => {
      const total = counts.reduce((sum, count) => sum + count, 0);
      counts.forEach((count, predicted) => {
        const cell = cells[label][predicted];
        setText(cell, count ? String(count) : "·");
        cell.className = count ? (label === predicted ? "lk-hit" : "lk-miss") : "";
        cell.style.setProperty("--share", total ? count / total : 0);
      });
    });
  }

  const resized = new ResizeObserver(() => drawPlot(model.get("score")));
  resized.observe(plot);
  const stop = watch(model, ["score"], draw);
  return () => {
    stop();
    resized.disconnect();
  };
}

export default { render };
