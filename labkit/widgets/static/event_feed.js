const SIGNS = { snapshot: "≡", insert: "+", update: "Δ", delete: "−" };

function render({ model, el }) {
  const rows = new Map(); // Event key → row on the page: rows stay the same elements while they move down.
  let paused = false; // By the button.
  let held = false; // By a hand on a row's controls.

  const pause = make("button", { type: "button", "aria-pressed": "false", onclick: () => setPaused(!paused) }, "Pause");
  const note = make("span", { class: "lk-hint" });
  const heads = ["Change", "", "Row", "Label", "Prediction", "LSN", "Committed", "Seen after"];
  const head = make("div", { class: "lk-feed-head", "aria-hidden": "true" },
    ...heads.map((words) => make("span", {}, words)), make("span"));
  const list = make("ol", { class: "lk-feed-list", "aria-label": "change events, newest first" });
  const scroll = make("div", { class: "lk-feed-scroll", tabindex: "0" }, head, list);
  const empty = make("p", { class: "lk-empty" }, "No change event yet. Draw a digit or send samples.");
  const [status, stopStatus] = statusLine(model);
  const root = make("section", { class: "labkit labkit-feed", "aria-label": "change events" },
    make("header", {}, make("h2", {}, "Change events"), status, note, pause), scroll, empty);
  el.replaceChildren(root);
  keepKeys(root);

  function setPaused(value) {
    paused = value;
    pause.setAttribute("aria-pressed", String(paused));
    setText(pause, paused ? "Go on" : "Pause");
    draw();
  }

  function hold(value) {
    held = value;
    draw();
  }

  function draw() {
    const events = model.get("events");
    const newer = events.findIndex((event) => rows.has(event.key));
    if ((paused || held) && rows.size) {
      const count = newer === -1 ? `${events.length} and more` : newer;
      setText(note, `${paused ? "paused" : "held while you choose"}${count ? `: ${count} newer` : ""}`);
      return;
    }
    setText(note, "");
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
        make("span", { "aria-hidden": "true" }, SIGNS[event.operation]), event.operation),
      make("span", { class: "lk-thumb" }, digit),
      field("row", "row", make("b", {}, String(event.row_id)), make("small", {}, event.table)),
      field("label", "label", event.label === null ? "none" : String(event.label)),
      field("prediction", "predicted", prediction),
      field("lsn", "LSN", event.lsn),
      field("time", "committed", clock(event.committed_ms)),
      field("delay", "seen after", milliseconds(event.delay_ms)),
      event.editable
        ? rowControls(model, () => event, { name: `row ${event.row_id}`, lead: "It is a ", hold })
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

  function clock(ms) {
    const time = new Date(ms);
    const two = (value) => String(value).padStart(2, "0");
    return `${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}.` +
      String(time.getMilliseconds()).padStart(3, "0");
  }

  const stop = watch(model, ["events", "images"], draw);
  return () => {
    stop();
    stopStatus();
  };
}

export default { render };
