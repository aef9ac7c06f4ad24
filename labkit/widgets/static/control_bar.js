function render({ model, el }) {
  const number = make("input", {
    type: "number", min: "1", max: "200", step: "1", "aria-label": "digits a second",
    onchange: () => setRate(number.value),
    onkeydown: (event) => event.key === "Enter" && setRate(number.value),
  });
  const slider = make("input", {
    type: "range", min: "0", max: "100", step: "1", "aria-label": "digits a second, slider",
    oninput: () => (number.value = rateAt(slider.value)),
    onchange: () => setRate(rateAt(slider.value)),
  });
  const toggle = make("button", { type: "button", class: "lk-main", onclick: startOrStop });
  const [status, stopStatus] = statusLine(model);
  const health = make("p", { class: "lk-health", role: "status", "aria-live": "polite" });
  const counts = ["events seen", "predictions seen", "median latency"].map((name) => {
    const value = make("dd");
    return { value, element: make("div", {}, make("dt", {}, name), value) };
  });
  const root = make("section", { class: "labkit labkit-bar", "aria-label": "samples and health" },
    make("div", { class: "lk-bar-line" },
      make("div", { class: "lk-sending" }, toggle, number, make("span", {}, "a second"), slider, status),
      make("dl", { class: "lk-counts" }, ...counts.map(({ element }) => element))),
    health);
  el.replaceChildren(root);
  keepKeys(root);

  // A slider from 1 to 200 in equal ratios: the low rates, which one can follow by eye, need room.
  function rateAt(position) {
    return Math.round(200 ** (position / 100));
  }

  function positionOf(rate) {
    return (100 * Math.log(rate)) / Math.log(200);
  }

  function setRate(value) {
    const rate = Math.min(Math.max(Number(value) || 1, 1), 200);
    if (rate === model.get("rate")) return drawRate();
    model.set("rate", rate);
    model.save_changes();
    drawRate();
    if (model.get("sending")) sendRequest(model, { action: "start", rate });
  }

  function startOrStop() {
    if (isWaiting(model)) return;
    if (model.get("sending")) return sendRequest(model, { action: "stop" });
    setRate(number.value);
    sendRequest(model, { action: "start", rate: model.get("rate") });
  }

  function drawRate() {
    number.value = model.get("rate");
    slider.value = positionOf(model.get("rate"));
    slider.setAttribute("aria-valuetext", `${model.get("rate")} a second`);
  }

  const stops = [
    stopStatus,
    watch(model, ["rate"], drawRate),
    watch(model, ["sending"], () => setText(toggle, model.get("sending") ? "Stop samples" : "Send samples")),
    watch(model, ["busy", "outbox", "received"], () => (toggle.disabled = isWaiting(model))),
    watch(model, ["problem"], () => {
      const problem = model.get("problem");
      health.dataset.kind = problem ? "error" : "ok";
      setText(health, problem ? `! ${problem}` : "");
    }),
    watch(model, ["events_seen", "predictions_seen", "latency_ms"], () => {
      setText(counts[0].value, model.get("events_seen").toLocaleString());
      setText(counts[1].value, model.get("predictions_seen").toLocaleString());
      setText(counts[2].value, milliseconds(model.get("latency_ms")));
    }),
  ];
  return () => stops.forEach((stop) => stop());
}

export default { render };
