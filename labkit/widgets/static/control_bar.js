const MOST = 1000; // Digits a second.
const STYLES = { clean: "clean", noisy: "noisy", rotated: "rotated", thick: "thicker", hand: "in another hand" };

function render({ model, el }) {
  const number = make("input", {
    type: "number", min: "1", max: MOST, step: "any", required: "", "aria-label": "digits a second",
    onchange: () => setSamples({ rate: number.value }),
    onkeydown: (event) => event.key === "Enter" && setSamples({ rate: number.value }),
  });
  const slider = make("input", {
    type: "range", min: "0", max: "100", step: "1", "aria-label": "digits a second, slider",
    oninput: () => (number.value = rateAt(slider.value)),
    onchange: () => setSamples({ rate: rateAt(slider.value) }),
  });
  const how = make("select", { "aria-label": "samples are", onchange: () => setSamples({ how: how.value }) },
    ...Object.entries(STYLES).map(([value, words]) => make("option", { value }, words)));
  const strength = make("input", {
    type: "range", min: "0", max: "100", step: "5", "aria-label": "how much of it",
    oninput: () => drawStrength(Number(strength.value)),
    onchange: () => setSamples({ strength: Number(strength.value) / 100 }),
  });
  const strengthWords = make("span", { class: "lk-strength" });
  const strengthField = make("span", { class: "lk-sending" }, strength, strengthWords);
  const toggle = make("button", { type: "button", class: "lk-main", onclick: startOrStop });
  const scorer = make("button", { type: "button", onclick: startOrStopScorer });
  const reset = make("button", { type: "button", onclick: () => request({ action: "reset" }) }, "Reset the scores");
  const [status, stopStatus] = statusLine(model);
  const health = make("p", { class: "lk-health", role: "status", "aria-live": "polite" });
  const counts = ["changes of mnist_test", "predictions", "commit to kernel, median"].map((name) => {
    const value = make("dd");
    return { value, element: make("div", {}, make("dt", {}, name), value) };
  });
  const root = make("section", { class: "labkit labkit-bar", "aria-label": "samples and health" },
    make("div", { class: "lk-bar-line" },
      make("div", { class: "lk-sending" }, toggle, number, make("span", {}, "a second"), slider,
        make("label", {}, "samples ", how), strengthField)),
    make("div", { class: "lk-bar-line" },
      make("div", { class: "lk-sending" }, scorer, reset),
      make("dl", { class: "lk-counts" }, ...counts.map(({ element }) => element))),
    status, health); // On lines of their own: however long their words, the counts stay where they are.
  el.replaceChildren(root);
  keepKeys(root);

  // A slider from 1 to 1000 in equal ratios: the low rates, which one can follow by eye, need room.
  function rateAt(position) {
    return Math.round(MOST ** (position / 100));
  }

  function positionOf(rate) {
    return (100 * Math.log(rate)) / Math.log(MOST);
  }

  function request(fields) {
    if (!isWaiting(model)) sendRequest(model, fields);
  }

  function samples() {
    return { action: "start", rate: model.get("rate"), how: model.get("how"), strength: model.get("strength") };
  }

  function setSamples(wish) {
    if ("rate" in wish && wish.rate === number.value) {
      if (!number.reportValidity()) return false; // The browser says what is wrong with it.
      wish.rate = Number(wish.rate);
    }
    const changed = Object.keys(wish).some((key) => wish[key] !== model.get(key));
    model.set(wish);
    model.save_changes();
    drawSamples();
    if (changed && model.get("sending")) sendRequest(model, samples());
    return true;
  }

  function startOrStop() {
    if (isWaiting(model)) return;
    if (model.get("sending")) return sendRequest(model, { action: "stop" });
    if (setSamples({ rate: number.value })) sendRequest(model, samples());
  }

  function startOrStopScorer() {
    request({ action: model.get("scoring") ? "stop-scorer" : "start-scorer" });
  }

  function drawSamples() {
    const rate = model.get("rate");
    number.value = rate;
    slider.value = positionOf(rate);
    slider.setAttribute("aria-valuetext", `${rate} a second`);
    how.value = model.get("how");
    strengthField.style.visibility = how.value === "clean" ? "hidden" : "visible"; // It keeps its place: nothing jumps.
    strength.value = Math.round(100 * model.get("strength"));
    drawStrength(Number(strength.value));
  }

  function drawStrength(hundredths) {
    const words = how.value === "rotated" ? `${Math.round(0.9 * hundredths)}°` : `${hundredths} %`;
    setText(strengthWords, words);
    strength.setAttribute("aria-valuetext", words);
  }

  const stops = [
    stopStatus,
    watch(model, ["rate", "how", "strength"], drawSamples),
    watch(model, ["sending"], () => setText(toggle, model.get("sending") ? "Stop samples" : "Send samples")),
    watch(model, ["scoring"], () => setText(scorer, model.get("scoring") ? "Stop the scorer" : "Start the scorer")),
    watch(model, ["busy", "outbox", "received"], () => {
      for (const button of [toggle, scorer, reset]) button.disabled = isWaiting(model);
    }),
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
