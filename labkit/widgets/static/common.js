// What the widgets share. Python puts this text in front of each widget's own script (see assets.py).

/** An element with attributes, event listeners (keys that start with "on") and children. Text stays text. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value !== null && value !== undefined) element.setAttribute(key, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

/**
 * Call `draw` now and once a frame in which any of the traits changed: a burst costs one drawing.
 * Returns the function that ends it.
 */
function watch(model, traits, draw) {
  const events = traits.map((trait) => `change:${trait}`).join(" ");
  let frame = null;
  const schedule = () => {
    frame ??= requestAnimationFrame(() => {
      frame = null;
      draw();
    });
  };
  model.on(events, schedule);
  draw();
  return () => {
    model.off(events, schedule);
    if (frame !== null) cancelAnimationFrame(frame);
  };
}

/** Set a text only if it differs: a screen reader speaks a live region at every change of its nodes. */
function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** The bytes of a Bytes trait. */
function bytesOf(view) {
  return view ? new Uint8Array(view.buffer, view.byteOffset, view.byteLength) : new Uint8Array();
}

/** Paint one 28×28 image on a canvas of 28×28 pixels, white on black; black where there is none. */
function paintDigit(canvas, bytes, offset = 0) {
  if (canvas.width !== 28) canvas.width = canvas.height = 28; // To set a size makes a new canvas, whatever it was.
  const context = canvas.getContext("2d");
  const image = context.createImageData(28, 28);
  for (let i = 0; i < 784; i++) {
    image.data.fill(bytes[offset + i] ?? 0, 4 * i, 4 * i + 3);
    image.data[4 * i + 3] = 255;
  }
  context.putImageData(image, 0, 0);
}

/**
 * What comes before the pixels of a 28×28 picture with 256 greys in a BMP file: two headers and the table of greys, as
 * "Bitmap Storage" in the documents of Windows' GDI has them.
 */
const BMP_HEAD = (() => {
  const bytes = new Uint8Array(14 + 40 + 4 * 256);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, 0x424d); // "BM"
  view.setUint32(2, bytes.length + 784, true); // Length of the file.
  view.setUint32(10, bytes.length, true); // Where the pixels begin.
  view.setUint32(14, 40, true); // Length of the second header.
  view.setInt32(18, 28, true);
  view.setInt32(22, -28, true); // Negative: the first row is the top one.
  view.setUint16(26, 1, true); // Planes.
  view.setUint16(28, 8, true); // Bits of a pixel.
  for (let grey = 0; grey < 256; grey++) bytes.fill(grey, 54 + 4 * grey, 54 + 4 * grey + 3);
  return bytes;
})();

/**
 * One 28×28 image as the address of a picture. Each canvas on a page is a layer of its own, and parts what is around it
 * into more of them: a list of pictures is composed several times as fast as one of canvases.
 */
function digitAddress(bytes, offset) {
  const file = [...BMP_HEAD, ...bytes.subarray(offset, offset + 784)];
  return `data:image/bmp;base64,${btoa(String.fromCharCode(...file))}`;
}

/** Milliseconds for people. */
function milliseconds(value) {
  if (value === null || value === undefined) return "–";
  if (value > 0 && value < 1) return "<1 ms";
  return value < 10_000 ? `${Math.round(value)} ms` : `${(value / 1000).toFixed(1)} s`;
}

/** A share of 1 as a percentage with one decimal. */
function percent(share) {
  return share === null || share === undefined ? "–" : `${(100 * share).toFixed(1)} %`;
}

/** Right, wrong or unknown: a sign and a word, so that colour is never alone. */
function verdict(right) {
  if (right === true) return ["✓", "right", "good"];
  if (right === false) return ["✗", "wrong", "bad"];
  return ["?", "no label", "unknown"];
}

/** Keep plain keys from the notebook, which takes 1 to 6, Enter, arrows and "d d" for commands of its own. */
function keepKeys(root) {
  root.addEventListener("keydown", (event) => {
    const runsCell = event.shiftKey && event.key === "Enter";
    if (!(event.ctrlKey || event.metaKey || event.altKey || runsCell)) event.stopPropagation();
  });
}

/** Write a request. The clock keeps numbers of two pages on one kernel apart. */
function sendRequest(model, fields) {
  const last = model.get("outbox")?.seq ?? 0;
  model.set("outbox", { seq: Math.max(Date.now(), last + 1), ...fields });
  model.save_changes();
}

/** Whether the newest request still waits for the kernel, or for its end. */
function isWaiting(model) {
  const sent = model.get("outbox")?.seq ?? 0;
  return model.get("busy") || sent > model.get("received");
}

/** The status line: what came of the newest request. Returns [element, stop]. */
function statusLine(model) {
  const line = make("p", { class: "lk-status", role: "status", "aria-live": "polite" });
  let timer = null;
  const draw = () => {
    clearTimeout(timer);
    const untaken = (model.get("outbox")?.seq ?? 0) > model.get("received");
    // A kernel that runs a cell takes no request until the cell ends; one that was restarted never does.
    const late = () => show("info", line.closest(".jupyter-widgets-disconnected")
      ? "the kernel was restarted, or has ended: run the cells from the top"
      : "waiting for the kernel: it may be busy with a cell");
    if (untaken) timer = setTimeout(late, 600);
    else show(model.get("status_kind"), model.get("status"));
  };
  const show = (kind, text) => {
    const sign = { ok: "✓ ", error: "! ", info: "" }[kind];
    line.dataset.kind = kind;
    setText(line, text ? sign + text : "");
  };
  const stop = watch(model, ["outbox", "received", "status", "status_kind"], draw);
  return [line, () => (clearTimeout(timer), stop())];
}

let quietUntil = 0; // Till then the mouse holds nothing.

/**
 * Controls to relabel and to delete the row that `rowNow()` returns. While somebody moves the mouse over them
 * or has the focus in them, `hold(true)` asks that nothing moves away under the hand. Sending lets go, so that
 * one sees what came of it, and so does a mouse that rests.
 * Returns { element, name }: `name(words)` says whose controls they are from now on, and that no label is chosen yet.
 */
function rowControls(model, rowNow, { lead, placeholder = "…", hold }) {
  const hands = new Set(); // "mouse" and "focus": an open menu keeps the focus while the mouse leaves.
  let resting = null;
  const on = (hand) => (hands.add(hand), hold(true));
  const off = (hand) => hands.delete(hand) && hold(hands.size > 0);
  const moved = (event) => {
    // Rows that move under a still mouse bring events too, but no movement.
    const movement = event.movementX || event.movementY;
    if (event.pointerType !== "mouse" || !movement || Date.now() < quietUntil) return;
    clearTimeout(resting);
    resting = setTimeout(() => off("mouse"), 5000);
    on("mouse");
  };
  const send = (fields) => {
    const { table, row_id } = rowNow();
    sendRequest(model, { table, row_id, ...fields });
    quietUntil = Date.now() + 2000;
    hands.clear();
    hold(false);
  };
  const select = make("select", { onchange: () => select.setCustomValidity("") });
  select.append(make("option", { value: "" }, placeholder));
  for (let digit = 0; digit < 10; digit++) select.append(make("option", { value: digit }, String(digit)));
  const relabel = () => {
    if (select.value === "") {
      select.setCustomValidity("Choose a digit first.");
      select.reportValidity(); // The browser says it, and takes the focus there.
      return;
    }
    send({ action: "relabel", label: Number(select.value) });
    select.value = "";
  };
  const remove = () => send({ action: "delete" });
  const left = (event) => event.currentTarget.contains(event.relatedTarget) || off("focus");
  const relabels = make("button", { type: "button", onclick: relabel }, "Relabel");
  const removes = make("button", { type: "button", onclick: remove }, "Delete");
  const element = make("div", {
    class: "lk-row-controls",
    onpointermove: moved, onpointerleave: () => off("mouse"), onfocusin: () => on("focus"), onfocusout: left,
  }, make("label", {}, lead, select), relabels, removes);
  const name = (words) => {
    select.setAttribute("aria-label", `new label for ${words}`);
    relabels.setAttribute("aria-label", `relabel ${words}`);
    removes.setAttribute("aria-label", `delete ${words}`);
    select.value = "";
    select.setCustomValidity("");
  };
  return { element, name };
}
