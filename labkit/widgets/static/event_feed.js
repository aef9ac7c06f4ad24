const SIGNS = { snapshot: "≡", insert: "+", update: "Δ", delete: "−" };
const TABLES = { "": "both tables", mnist_test: "mnist_test", mnist_train: "mnist_train" };
const OPERATIONS = { "": "all changes", r: "≡ snapshots", c: "+ inserts", u: "Δ updates", d: "− deletes" };

function render({ model, el }) {
  const rows = new Map(); // Event key → row on the page: rows stay the same elements while they move down.
  let held = false; // By a hand on a row's controls.

  const pause = make("button", { type: "button", onclick: () => set("paused", !model.get("paused")) });
  const older = make("button", { type: "button", onclick: () => sendRequest(model, { action: "older" }) }, "Older");
  const table = choice("table", "of table", TABLES);
  const operation = choice("operation", "kind of change", OPERATIONS);
  const note = make("span", { class: "lk-hint" });
  const heads = ["Change", "", "Row", "Label", "Prediction", "LSN", "Committed", "Seen after", ""];
  const head = make("div", { class: "lk-feed-head", "aria-hidden": "true" },
    ...heads.map((words) => make("span", {}, words)), make("span"));
  const list = make("ol", { class: "lk-feed-list", "aria-label": "change events, newest first" });
  const scroll = make("div", { class: "lk-feed-scroll", tabindex: "0", role: "group", "aria-label": "list of changes" },
    head, list);
  const empty = make("p", { class: "lk-empty" }, "No change event of this kind yet. Draw a digit or send samples.");
  const [status, stopStatus] = statusLine(model);
  const opened = make("div", { class: "lk-opened", role: "group", "aria-label": "opened record", tabindex: "-1" });
  const root = make("section", { class: "labkit labkit-feed", "aria-label": "change events" },
    make("header", {}, make("h2", {}, "Change events"),
      make("div", { class: "lk-feed-controls" }, table, operation, pause, older), note, status),
    scroll, empty, opened);
  el.replaceChildren(root);
  keepKeys(root);

  function choice(trait, name, words) {
    return make("select", { "aria-label": name, onchange: (event) => set(trait, event.target.value) },
      ...Object.entries(words).map(([value, text]) => make("option", { value }, text)));
  }

  function set(trait, value) {
    model.set(trait, value);
    model.save_changes();
  }

  function hold(value) {
    held = value;
    draw();
  }

  function drawControls() {
    const paused = model.get("paused");
    table.value = model.get("table");
    operation.value = model.get("operation");
    pause.setAttribute("aria-pressed", String(paused));
    setText(pause, paused ? "Go on" : "Pause");
    older.disabled = isWaiting(model);
    drawNote();
  }

  function drawNote() {
    const newer = model.get("events").findIndex((event) => rows.has(event.key));
    const waiting = model.get("waiting");
    let words = "";
    if (model.get("paused")) words = `paused: ${waiting.toLocaleString()} newer wait`;
    else if (held && rows.size) words = `held while you choose${newer ? ": newer ones wait" : ""}`;
    setText(note, words);
  }

  function draw() {
    const events = model.get("events");
    drawNote();
    if (held && rows.size && !model.get("paused")) return;
    const images = bytesOf(model.get("images"));
    const keys = new Set(events.map((event) => event.key));
    for (const [key, row] of rows) {
      if (keys.has(key)) continue;
      if (row.element.contains(el.ownerDocument.activeElement)) scroll.focus({ preventScroll: true });
      row.element.remove();
      rows.delete(key);
    }
    events.forEach((event, index) => {
      if (!rows.has(event.key)) rows.set(event.key, makeRow(event, images));
      const row = rows.get(event.key);
      row.update(event);
      // Only new rows are put in: to move an element that is in place would close its menu and take its focus.
      if (list.children[index] !== row.element) list.insertBefore(row.element, list.children[index] ?? null);
    });
    empty.hidden = events.length > 0;
    scroll.hidden = events.length === 0;
  }

  function makeRow(event, images) {
    const field = (name, title, ...content) =>
      make("span", { class: `lk-${name}` }, make("span", { class: "lk-title" }, `${title} `), ...content);
    const digit = event.image === null ? null : make("canvas", {
      class: "lk-digit", role: "img", "aria-label": `digit of row ${event.row_id}`,
    });
    if (digit) paintDigit(digit, images, 784 * event.image);
    const prediction = make("span");
    const element = make("li", { "data-row-id": event.row_id, "data-operation": event.operation },
      make("span", { class: "lk-operation" },
        make("span", { "aria-hidden": "true" }, SIGNS[event.operation]), event.operation,
        event.tombstone ? make("small", { class: "lk-tombstone" }, "tombstone") : null),
      make("span", { class: "lk-thumb" }, digit),
      field("row", "row", make("b", {}, String(event.row_id)), make("small", {}, event.table)),
      field("label", "label", event.label === null ? "none" : String(event.label)),
      field("prediction", "predicted", prediction),
      field("lsn", "LSN", event.lsn),
      field("time", "committed", clock(event.committed_ms)),
      field("delay", "seen after", milliseconds(event.delay_ms)),
      make("button", {
        type: "button", class: "lk-open", "aria-label": `open the ${event.operation} of row ${event.row_id}`,
        onclick: () => sendRequest(model, { action: "open", key: event.key }),
      }, "Open"),
      event.editable
        ? rowControls(model, () => event, { name: `row ${event.row_id}`, lead: "", placeholder: "It is a …", hold })
        : make("span", { class: "lk-row-controls" }));
    const update = (now) => {
      const [sign, word, kind] = verdict(now.right);
      prediction.className = `lk-verdict lk-${kind}`;
      let text = "–"; // Rows for training, and deletes, get no prediction.
      if (!now.scored && now.editable) text = "…";
      else if (now.predicted !== null) text = `${now.predicted} ${sign} ${word} ${percent(now.probability)}`;
      setText(prediction, text);
    };
    return { element, update };
  }

  function drawOpened() {
    const record = model.get("opened");
    opened.hidden = record === null;
    if (record === null) return opened.replaceChildren();
    const facts = (pairs) => make("dl", {}, ...pairs.map(([name, text]) =>
      make("div", {}, make("dt", {}, name), make("dd", {}, text))));
    const changes = record.changes.map(([name, before, after]) => [name, `${before} → ${after}`]);
    const close = () => (set("opened", null), scroll.focus({ preventScroll: true }));
    opened.replaceChildren(
      make("header", {}, make("h3", {}, record.title), make("button", { type: "button", onclick: close }, "Close")),
      make("div", { class: "lk-opened-body" },
        make("section", { "aria-label": "before and after" }, make("h4", {}, "Before → after"), facts(changes),
          make("h4", {}, "Where it comes from"), facts(record.source)),
        make("section", { "aria-label": "record in Kafka" }, make("h4", {}, "The record as Kafka holds it"),
          facts(record.record)),
        record.value && make("section", { "aria-label": "bytes of the value" },
          make("h4", {}, "Its value, byte by byte"), make("pre", { tabindex: "0" }, record.value))));
    opened.focus({ preventScroll: true });
  }

  function clock(ms) {
    const time = new Date(ms);
    const two = (value) => String(value).padStart(2, "0");
    return `${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}.` +
      String(time.getMilliseconds()).padStart(3, "0");
  }

  const stops = [
    stopStatus,
    watch(model, ["events", "images"], draw),
    watch(model, ["table", "operation", "paused", "waiting", "busy", "outbox", "received"], drawControls),
    watch(model, ["opened"], drawOpened),
  ];
  return () => stops.forEach((stop) => stop());
}

export default { render };
