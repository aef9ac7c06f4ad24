const SPEAK_EVERY_MS = 5000; // A screen reader is told the newest prediction no oftener than this.

function render({ model, el }) {
  let shown = null; // The prediction on the card, which a hold keeps there.
  let held = false;
  let spokenAt = 0;
  let speaking = null; // The timer of the next thing to say.

  const digit = make("canvas", { class: "lk-digit", role: "img" });
  const facts = make("p", { class: "lk-hint" });
  const answer = make("strong", { class: "lk-answer" });
  const judged = make("span", { class: "lk-verdict" });
  const truth = make("span");
  const other = make("p", { class: "lk-hint" });
  const note = make("span", { class: "lk-hint" });
  const bars = make("table", { class: "lk-bars", "aria-label": "probability of each digit" });
  const body = make("tbody");
  bars.append(body);
  const lines = Array.from({ length: 10 }, (_, number) => {
    const fill = make("span", { class: "lk-fill" });
    const value = make("td", { class: "lk-value" });
    const line = make("tr", {}, make("th", { scope: "row" }, String(number)),
      make("td", { class: "lk-track" }, fill), value);
    body.append(line);
    return { line, fill, value };
  });
  const lead = make("span");
  const { element: controls, name } = rowControls(model, () => shown, { lead, hold });
  name("this row");
  const [status, stopStatus] = statusLine(model);
  const spoken = make("span", { class: "lk-unseen", role: "status", "aria-live": "polite" });
  const empty = make("p", { class: "lk-empty" }, "No prediction yet. Draw a digit or send samples.");
  const content = make("div", { class: "lk-card-body" },
    make("div", { class: "lk-card-digit" }, digit,
      make("div", { class: "lk-said" }, make("span", { class: "lk-hint" }, "predicted"), answer, judged, truth)),
    bars, make("div", { class: "lk-card-notes" }, other, facts));
  const root = make("section", { class: "labkit labkit-card", "aria-label": "newest prediction" },
    make("header", {}, make("h2", {}, "Newest prediction"), note),
    empty, content, controls, status, spoken);
  el.replaceChildren(root);
  keepKeys(root);

  function hold(value) {
    held = value;
    draw();
  }

  function draw() {
    const prediction = model.get("prediction");
    const another = prediction?.key !== shown?.key;
    if (held && shown && another) {
      setText(note, `held on row ${shown.row_id} while you choose`);
      return;
    }
    setText(note, model.get("scoring") ? "" : "the scorer is stopped: newer digits wait for it");
    if (another) name("this row"); // A choice that was made for the row before is none for this one.
    shown = prediction;
    empty.hidden = prediction !== null;
    content.hidden = prediction === null;
    controls.hidden = !prediction?.editable;
    const words = prediction?.right ? "Is the label wrong? It is a " : "This is wrong, it is a ";
    setText(lead, prediction?.label == null ? "It is a " : words);
    if (prediction === null) return;

    root.dataset.rowId = prediction.row_id;
    const bytes = bytesOf(model.get("image"));
    paintDigit(digit, bytes);
    digit.setAttribute("aria-label", `digit of row ${prediction.row_id}`);
    setText(facts, `row ${prediction.row_id}, ${prediction.operation}, model ${prediction.model_version}`);
    const [sign, word, kind] = verdict(prediction.right);
    setText(answer, String(prediction.predicted));
    judged.className = `lk-verdict lk-${prediction.deleted ? "unknown" : kind}`;
    setText(judged, prediction.deleted ? "row deleted since" : `${sign} ${word}`);
    setText(truth, prediction.label === null || prediction.deleted ? "" : `true label ${prediction.label}`);
    setText(other, prediction.continual === null ? "" : `the model that goes on learning said ${prediction.continual}`);
    lines.forEach(({ line, fill, value }, number) => {
      const probability = prediction.probabilities[number] ?? null;
      fill.style.width = `${100 * (probability ?? 0)}%`;
      setText(value, percent(probability));
      line.classList.toggle("lk-top", number === prediction.predicted);
      line.classList.toggle("lk-true", number === prediction.label);
    });
    speak(prediction, word);
  }

  /** Tell the newest: at once, or as soon as a screen reader has had time for the one before it. */
  function speak({ row_id, predicted, deleted }, word) {
    clearTimeout(speaking);
    const tell = () => {
      spokenAt = Date.now();
      setText(spoken, `row ${row_id}: predicted ${predicted}, ${deleted ? "deleted since" : word}`);
    };
    speaking = setTimeout(tell, Math.max(0, spokenAt + SPEAK_EVERY_MS - Date.now()));
  }

  const stop = watch(model, ["prediction", "image", "scoring"], draw);
  return () => {
    stop();
    stopStatus();
    clearTimeout(speaking);
  };
}

export default { render };
