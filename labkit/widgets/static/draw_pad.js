const STEP = 1 / 28; // One pixel of the model's image for each press of an arrow key.
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
let views = 0;

function render({ model, el }) {
  const id = `lk-pad-${++views}-${Math.random().toString(36).slice(2, 8)}`; // Names must differ between views.
  let stroke = null; // The points of the stroke being drawn, here only; the trait has the finished ones.
  let pointer = null; // Id of the pointer that draws.
  let cursor = null; // Where the keyboard's pen is, while the keyboard draws.

  const canvas = make("canvas", {
    class: "lk-pad-canvas", tabindex: "0", role: "application", "aria-label": "drawing pad",
    "aria-describedby": `${id}-help`,
  });
  const preview = make("canvas", { class: "lk-digit", role: "img" });
  const spoken = make("span", { class: "lk-unseen", role: "status", "aria-live": "polite" });
  const help = make("details", { class: "lk-hint" }, make("summary", {}, "Draw by keyboard"),
    make("p", { id: `${id}-help` },
      "Arrow keys move the pen, with Shift faster. Space puts it down and lifts it. Backspace undoes, Escape clears. " +
      "0 to 9 set the label, N takes it away. Enter sends."));
  const undoButton = make("button", { type: "button", onclick: undo }, "Undo");
  const clearButton = make("button", { type: "button", onclick: clear }, "Clear");
  const width = make("input", {
    type: "range", min: "0.04", max: "0.16", step: "0.01", "aria-label": "brush width",
    oninput: () => (model.set("width", Number(width.value)), paint()),
    onchange: () => model.save_changes(),
  });
  const labels = make("fieldset", { class: "lk-labels" }, make("legend", {}, "True label"));
  const radios = [null, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9].map((label) => {
    const radio = make("input", { type: "radio", name: id, onchange: () => setLabel(label) });
    labels.append(make("label", {}, radio, make("span", {}, label === null ? "none yet" : String(label))));
    return radio;
  });
  const sendButton = make("button", { type: "button", class: "lk-main", onclick: send }, "Send");
  const [status, stopStatus] = statusLine(model);

  const root = make("section", { class: "labkit labkit-pad", "aria-label": "draw a digit" },
    make("h2", {}, "Draw a digit"),
    make("div", { class: "lk-pad-body" },
      canvas,
      make("div", { class: "lk-pad-side" },
        make("figure", {}, preview, make("figcaption", {}, "What the model will see: 28 × 28")),
        make("label", { class: "lk-brush" }, "Brush", width),
        make("div", { class: "lk-buttons" }, undoButton, clearButton))),
    labels, make("div", { class: "lk-pad-send" }, sendButton, status), help, spoken);
  el.replaceChildren(root);
  keepKeys(root);

  // Drawing

  function place(event) {
    const box = canvas.getBoundingClientRect();
    const unit = (value) => Math.round(Math.min(Math.max(value, 0), 1) * 1e4) / 1e4;
    return [unit((event.clientX - box.left) / box.width), unit((event.clientY - box.top) / box.height)];
  }

  function extend(point) {
    const last = stroke[stroke.length - 1];
    if (!last || Math.hypot(point[0] - last[0], point[1] - last[1]) > 0.003) stroke.push(point);
  }

  function commit() {
    if (!stroke) return;
    const finished = stroke;
    stroke = pointer = null;
    model.set("strokes", [...model.get("strokes"), finished]);
    model.save_changes();
    paint();
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (!event.isPrimary || event.button !== 0) return;
    commit(); // A stroke the keyboard left open.
    cursor = null;
    pointer = event.pointerId;
    canvas.setPointerCapture(pointer);
    stroke = [place(event)];
    paint();
  });
  canvas.addEventListener("pointermove", (event) => {
    if (event.pointerId !== pointer) return;
    const events = event.getCoalescedEvents?.() ?? [];
    for (const each of events.length ? events : [event]) extend(place(each));
    paint();
  });
  for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) {
    canvas.addEventListener(end, (event) => event.pointerId === pointer && commit());
  }

  function paint() {
    const size = canvas.clientWidth * devicePixelRatio;
    if (!size) return;
    if (canvas.width !== Math.round(size)) canvas.width = canvas.height = Math.round(size);
    const context = canvas.getContext("2d");
    context.clearRect(0, 0, size, size);
    context.strokeStyle = context.fillStyle = "white";
    context.lineCap = context.lineJoin = "round";
    context.lineWidth = model.get("width") * size;
    for (const points of [...model.get("strokes"), stroke ?? []]) {
      context.beginPath();
      for (const [x, y] of points) context.lineTo(x * size, y * size);
      if (points.length === 1) context.lineTo(points[0][0] * size, points[0][1] * size); // A dot.
      context.stroke();
    }
    if (!stroke && !cursor && model.get("strokes").length === 0) {
      context.fillStyle = "#9e9e9e";
      context.font = `${0.065 * size}px sans-serif`;
      context.textAlign = "center";
      context.fillText("draw here", size / 2, size / 2);
    }
    if (cursor) {
      context.beginPath();
      context.arc(cursor[0] * size, cursor[1] * size, 0.03 * size, 0, 2 * Math.PI);
      context.lineWidth = 2 * devicePixelRatio;
      context.strokeStyle = stroke ? "#ffb300" : "#64b5f6";
      context.stroke();
      if (stroke) {
        context.fillStyle = "#ffb300"; // Filled while the pen is down: not by colour alone.
        context.fill();
      }
    }
  }

  // Commands

  function setStrokes(strokes) {
    stroke = pointer = null;
    model.set("strokes", strokes);
    model.save_changes();
    paint();
  }

  function undo() {
    setStrokes(stroke ? [...model.get("strokes")] : model.get("strokes").slice(0, -1));
  }

  function clear() {
    setStrokes([]);
  }

  function setLabel(label) {
    model.set("label", label);
    model.save_changes();
  }

  function send() {
    if (isWaiting(model)) return;
    commit();
    sendRequest(model, { strokes: model.get("strokes"), width: model.get("width"), label: model.get("label") });
  }

  root.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (/^[0-9]$/.test(event.key)) setLabel(Number(event.key));
    else if (event.key.toLowerCase() === "n") setLabel(null);
    else if (event.key === "Enter" && (event.target === canvas || radios.includes(event.target))) send();
    else return;
    event.preventDefault();
  });

  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key in ARROWS) movePen(ARROWS[event.key], event.shiftKey ? 3 : 1);
    else if (event.key === " ") togglePen();
    else if (event.key === "Backspace") undo();
    else if (event.key === "Escape") clear();
    else return;
    event.preventDefault();
  });

  function movePen([right, down], steps) {
    const [x, y] = (cursor ??= [0.5, 0.5]);
    const unit = (value) => Math.round(Math.min(Math.max(value, 0), 1) * 1e4) / 1e4;
    cursor = [unit(x + right * steps * STEP), unit(y + down * steps * STEP)];
    if (stroke && pointer === null) extend(cursor);
    paint();
  }

  function togglePen() {
    cursor ??= [0.5, 0.5];
    if (stroke) commit();
    else stroke = [cursor];
    setText(spoken, stroke ? "pen down" : "pen up");
    paint();
  }

  canvas.addEventListener("focus", () => {
    if (canvas.matches(":focus-visible") && pointer === null) cursor ??= [0.5, 0.5];
    paint();
  });
  canvas.addEventListener("blur", () => {
    if (pointer === null) commit();
    cursor = null;
    paint();
  });

  // What the traits say

  const stops = [
    stopStatus,
    watch(model, ["strokes", "width"], () => {
      width.value = model.get("width");
      paint();
    }),
    watch(model, ["strokes"], () => {
      const blank = model.get("strokes").length === 0;
      undoButton.disabled = clearButton.disabled = blank;
    }),
    watch(model, ["preview"], () => {
      const bytes = bytesOf(model.get("preview"));
      paintDigit(preview, bytes);
      preview.setAttribute("aria-label", bytes.length ? "the drawing at 28 by 28 pixels" : "nothing drawn yet");
    }),
    watch(model, ["label"], () => {
      const label = model.get("label");
      radios.forEach((radio, index) => (radio.checked = index === (label === null ? 0 : label + 1)));
    }),
    watch(model, ["busy", "outbox", "received"], () => (sendButton.disabled = isWaiting(model))),
  ];
  const resized = new ResizeObserver(paint);
  resized.observe(canvas);

  return () => {
    stops.forEach((stop) => stop());
    resized.disconnect();
  };
}

export default { render };
