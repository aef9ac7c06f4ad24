const SIGNS = { snapshot: "≡", insert: "+", update: "Δ", delete: "−" };
const TABLES = { "": "both tables", mnist_test: "mnist_test", mnist_train: "mnist_train" };
const OPERATIONS = { "": "all changes", r: "≡ snapshots", c: "+ inserts", u: "Δ updates", d: "− deletes" };

function render({ model, el }) {
  // Event key → row on the page: rows stay the same elements while they move down. One whose event has left the list
  // takes the next event: to make thirty rows five times a second would cost more than all else on the screen.
  const rows = new Map();
  let held = false; // By a hand on a row's controls.
  let pressing = false; // From press to release: what is clicked shall be what was pressed.

  const pause = make("button", { type: "button", onclick: () => set("paused", !model.get("paused")) });
  const older = make("button", { type: "button", onclick: () => sendRequest(model, { action: "older" }) }, "Older");
  const table = choice("table", "of table", TABLES);
  const operation = choice("operation", "kind of change", OPERATIONS);
  const note = make("span", { class: "lk-hint" });
  const heads = ["Change", "", "Row", "Label", "Prediction", "LSN", "Committed", "Seen after", ""];
  const head = make("div", { class: "lk-feed-head", "aria-hidden": "true" },
    ...heads.map((words) => make("span", {}, words)), make("span"));
  const list = make("ol", {
    class: "lk-feed-list", "aria-label": "change events, newest first", onpointerdown: press,
  });
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

  function press() {
    pressing = true;
    const page = el.ownerDocument.defaultView;
    const release = () => setTimeout(() => { // After the click that the release makes.
      pressing = false;
      draw();
    });
    for (const end of ["pointerup", "pointercancel"]) page.addEventListener(end, release, { once: true });
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
    const chosen = model.get("table") || model.get("operation") ? " of these" : "";
    if (model.get("paused")) words = `paused: ${waiting.toLocaleString()} newer${chosen} wait`;
    else if (held && rows.size) words = `held while you choose${newer ? ": newer ones wait" : ""}`;
    setText(note, words);
  }

  function draw() {
    const events = model.get("events");
    drawNote();
    if ((held || pressing) && rows.size && !model.get("paused")) return;
    const images = bytesOf(model.get("images"));
    const keys = new Set(events.map((event) => event.key));
    const free = [];
    const focus = el.ownerDocument.activeElement;
    const orphaned = [...rows].some(([key, row]) => !keys.has(key) && row.element.contains(focus));
    for (const [key, row] of rows) {
      if (keys.has(key)) continue;
      rows.delete(key);
      free.push(row);
    }
    events.forEach((event, index) => {
      if (!rows.has(event.key)) {
        const row = free.shift() ?? makeRow();
        rows.set(event.key, row);
        row.take(event, images);
      }
      const row = rows.get(event.key);
      row.update(event);
      // Only new rows are put in: to move an element that is in place would close its menu and take its focus.
      if (list.children[index] !== row.element) list.insertBefore(row.element, list.children[index] ?? null);
    });
    free.forEach((row) => row.element.remove());
    empty.hidden = events.length > 0;
    scroll.hidden = events.length === 0;
    if (orphaned) scroll.focus({ preventScroll: true }); // Last: what loses the focus may ask to draw again.
  }

  function makeRow() {
    let shown = null; // The event that has this row now.
    const titled = (name, title, ...content) =>
      make("span", { class: `lk-${name}` }, make("span", { class: "lk-title" }, `${title} `), ...content);
    const fact = () => make("span");
    const [sign, word, label, prediction, lsn, time, delay] = Array.from({ length: 7 }, fact);
    sign.setAttribute("aria-hidden", "true");
    const tombstone = make("small", { class: "lk-tombstone" }, "tombstone");
    const digit = make("img", { class: "lk-digit", decoding: "sync" });
    const number = make("b");
    const table = make("small");
    const open = make("button", {
      type: "button", class: "lk-open", onclick: () => sendRequest(model, { action: "open", key: shown.key }),
    }, "Open");
    const controls = rowControls(model, () => shown, { lead: "", placeholder: "It is a …", hold });
    const noControls = make("span", { class: "lk-row-controls" });
    const element = make("li", {},
      make("span", { class: "lk-operation" }, sign, word, tombstone),
      make("span", { class: "lk-thumb" }, digit),
      titled("row", "row", number, table),
      titled("label", "label", label),
      titled("prediction", "predicted", prediction),
      titled("lsn", "LSN", lsn),
      titled("time", "committed", time),
      titled("delay", "seen after", delay),
      open, noControls);

    /** Show another event. */
    const take = (event, images) => {
      shown = event;
      element.dataset.rowId = event.row_id;
      element.dataset.operation = event.operation;
      setText(sign, SIGNS[event.operation]);
      setText(word, event.operation);
      tombstone.hidden = !event.tombstone;
      digit.hidden = event.image === null;
      digit.alt = `digit of row ${event.row_id}`;
      if (event.image !== null) digit.src = digitAddress(images, 784 * event.image);
      setText(number, String(event.row_id));
      setText(table, event.table);
      setText(label, event.label === null ? "none" : String(event.label));
      setText(lsn, event.lsn);
      setText(time, clock(event.committed_ms));
      setText(delay, milliseconds(event.delay_ms));
      open.setAttribute("aria-label", `open the ${event.operation} of row ${event.row_id}`);
      controls.name(`row ${event.row_id}`);
    };

    /** Show what has become of its event since. */
    const update = (now) => {
      const wanted = now.editable ? controls.element : noControls; // A row may have been deleted since.
      if (element.lastChild !== wanted) element.lastChild.replaceWith(wanted);
      const [mark, judged, kind] = verdict(now.right);
      prediction.className = `lk-verdict lk-${kind}`;
      let text = "–"; // Rows for training, and deletes, get no prediction.
      if (!now.scored && now.editable) text = "…";
      else if (now.predicted !== null) text = `${now.predicted} ${mark} ${judged} ${percent(now.probability)}`;
      setText(prediction, text);
    };
    return { element, take, update };
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
    opened.scrollIntoView({ block: "nearest" });
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
