function render({ model, el }) {
  // Key of the digit whose painting the kernel was told of. One that was there before this view is no news: on a
  // reloaded page it would seem to have taken as long as the reader was away.
  let told = model.get("digit")?.key ?? null;
  let ending = false;

  const note = make("span", { class: "lk-hint" });
  const empty = make("p", { class: "lk-empty" }, "No prediction yet. Draw a digit or send samples.");
  const list = make("ol", { class: "lk-waterfall", "aria-label": "hops of the newest prediction" });
  const body = make("tbody");
  const caption = make("caption");
  const table = make("table", { class: "lk-percentiles" }, caption,
    make("thead", {}, make("tr", {}, ...["hop", "half are below", "95 % below", "99 % below"].map((words) =>
      make("th", { scope: "col" }, words)))), body);
  const root = make("section", { class: "labkit labkit-timeline", "aria-label": "timeline" },
    make("header", {}, make("h2", {}, "Where the milliseconds go"), note), empty,
    make("div", { class: "lk-timeline-body" }, list, table));
  el.replaceChildren(root);

  function drawDigit() {
    const digit = model.get("digit");
    empty.hidden = digit !== null;
    list.hidden = digit === null;
    let words = "";
    if (digit?.snapshot) words = ": of the snapshot, so it was there long before";
    else if (digit?.waited) words = ": it waited in Kafka for the scorer";
    setText(note, digit === null ? "" : `row ${digit.row_id}${words}`);
    if (digit === null) return;
    const total = Math.max(digit.hops.reduce((sum, [, ms]) => sum + Math.max(ms, 0), 0), 0.1);
    while (list.children.length > digit.hops.length) list.lastChild.remove();
    while (list.children.length < digit.hops.length) {
      list.append(make("li", {}, make("span", { class: "lk-hop" }), make("span", { class: "lk-track" },
        make("span", { class: "lk-fill" })), make("span", { class: "lk-value" })));
    }
    let start = 0;
    digit.hops.forEach(([name, ms], index) => {
      const [hop, track, value] = list.children[index].children;
      const long = Math.max(ms, 0);
      setText(hop, name);
      track.firstChild.style.marginInlineStart = `${(100 * start) / total}%`;
      track.firstChild.style.width = `${(100 * long) / total}%`;
      setText(value, precise(ms));
      start += long;
    });
    tellPainted(digit.key);
  }

  /** Tell the kernel once the browser has put this digit's frame on the screen, where anybody can see it. */
  function tellPainted(key) {
    if (key === told) return;
    told = key;
    // Where it stands is asked in the next frame, where that is known: now, the page would be laid out twice.
    requestAnimationFrame(() => {
      const { top, bottom, height } = el.getBoundingClientRect();
      // A browser draws what is out of sight when it likes to: that would not be the way's time.
      if (document.hidden || height === 0 || bottom < 0 || top > window.innerHeight) return;
      setTimeout(() => ending || model.send({ painted: key }));
    });
  }

  function drawPercentiles() {
    const percentiles = model.get("percentiles");
    table.hidden = percentiles === null;
    if (percentiles === null) return;
    setText(caption, `The last minute, ${percentiles.digits.toLocaleString()} ${percentiles.digits === 1 ? "digit" : "digits"}`);
    const { rows } = percentiles;
    while (body.children.length > rows.length) body.lastChild.remove();
    while (body.children.length < rows.length) {
      body.append(make("tr", {}, make("th", { scope: "row" }), make("td"), make("td"), make("td")));
    }
    rows.forEach(([name, ...values], index) => {
      const [head, ...cells] = body.children[index].children;
      setText(head, name);
      cells.forEach((cell, column) => setText(cell, precise(values[column])));
    });
  }

  function precise(ms) {
    return ms === null || ms >= 100 ? milliseconds(ms) : `${ms.toFixed(1)} ms`;
  }

  const stops = [watch(model, ["digit"], drawDigit), watch(model, ["percentiles"], drawPercentiles)];
  return () => {
    ending = true;
    stops.forEach((stop) => stop());
  };
}

export default { render };
