// Tables: scores, entity types, confusion matrix, and seen and new names.

function drawAbout() {
  const entries = RUNS.map((run, i) => [TWO ? `Pipeline ${LETTERS[i]}` : "Pipeline", run.name]);
  entries.push(["Corpus", `${DATA.corpus}: ${count(DATA.posts.length)} posts, ${DATA.protocol}`]);
  if (DATA.train) entries.push(["Trained on", DATA.train]);
  document
    .getElementById("about")
    .append(...entries.flatMap(([term, text]) => [el("dt", {}, term), el("dd", {}, text)]));
}

function drawScores() {
  const measures = [
    ["Entity F1", (run) => run.entity.f1],
    ["Entity precision", (run) => run.entity.precision],
    ["Entity recall", (run) => run.entity.recall],
    ["Surface F1", (run) => run.surface.f1],
    ["Right tags", (run) => run.accuracy],
  ];
  if (RUNS.every((run) => run.confidence)) {
    measures.push(["Calibration error", (run) => run.confidence.ece]);
  }
  const card = ([name, read]) => {
    const [first, second] = RUNS.map(read);
    const more = TWO ? [el("dd", {}, `B ${percent(second)} (${difference(first, second)})`)] : [];
    return el("div", {}, el("dt", {}, name), el("dd", {}, TWO ? `A ${percent(first)}` : percent(first)), ...more);
  };
  content("scores").append(
    el("dl", { class: "cards" }, ...measures.map(card)),
    quiet(
      `In percent${TWO ? ", A \u2212 B in brackets" : ""}. An entity is right if its span and its type are exactly right. Surface scores: over distinct names (WNUT 2017). Right tags: share of words.`,
    ),
  );
}

function drawTypes() {
  const header = ["Type", "Gold", "Predicted", "Right", "Precision", "Recall", "F1"];
  const kinds = ["missed", "wrong_type", "wrong_border", "spurious"];
  const rows = (run) =>
    run.per_type.map((scores, type) => [
      typeLabel(type),
      ...[scores.gold, scores.predicted, scores.right].map(count),
      ...[scores.precision, scores.recall, scores.f1].map(percent),
      ...(TWO ? [difference(scores.f1, RUNS[1 - RUNS.indexOf(run)].per_type[type].f1)] : []),
      ...kinds.map((kind) => count(scores[kind])),
    ]);
  const kindTitles = ["Missed", "Wrong type", "Wrong border", "Spurious"];
  RUNS.forEach((run, i) => {
    const caption = TWO ? `Pipeline ${LETTERS[i]} by type` : "By type, scores in percent";
    const than = TWO ? [`F1 ${LETTERS[i]} \u2212 ${LETTERS[1 - i]}`] : [];
    content("types").append(table(caption, [...header, ...than, ...kindTitles], rows(run)));
  });
  content("types").append(
    quiet(
      "Each gold entity is right, missed (it overlaps no predicted entity), has the wrong type (same span) or has a wrong border (overlapping, but different spans). A predicted entity that overlaps no gold entity is spurious.",
    ),
  );
}

// Calls choose(run, gold type, predicted type) when a cell is clicked.
function drawConfusion(choose) {
  const types = [...DATA.types.keys()];
  const order = [...types, -1];
  const matrix = (run, i) => {
    const counts = new Map(run.confusion.map(([gold, predicted, n]) => [`${gold} ${predicted}`, n]));
    const total = (gold) => order.reduce((sum, other) => sum + (counts.get(`${gold} ${other}`) ?? 0), 0);
    const cell = (gold, predicted) => {
      const n = counts.get(`${gold} ${predicted}`) ?? 0;
      if (gold < 0 && predicted < 0) return el("td");
      const td = el("td", { class: gold === predicted ? "same" : "" });
      if (n && gold >= 0) td.style.setProperty("--share", n / total(gold));
      if (!n) td.append(el("span", { class: "quiet" }, "0"));
      else {
        const label = `${n}: gold ${typeName(gold)}, predicted ${typeName(predicted)}. Show these posts`;
        const button = el("button", { type: "button", "aria-label": label }, count(n));
        button.addEventListener("click", () => choose(i, gold, predicted));
        td.append(button);
      }
      return td;
    };
    const caption = `${TWO ? `Pipeline ${LETTERS[i]}: gold` : "Gold"} type in rows, predicted in columns`;
    const rows = order.map((gold) => [typeLabel(gold), ...order.map((predicted) => cell(gold, predicted))]);
    return table(caption, ["", ...order.map(typeName)], rows, "matrix");
  };
  content("confusion").append(
    ...RUNS.map(matrix),
    quiet(
      "A gold entity counts under the type of the predicted entity with the largest overlap, whatever its borders, or under O if it was missed. The last row has the spurious entities. Click a number to see its posts.",
    ),
  );
}

function drawSeen() {
  if (!DATA.train) {
    content("seen").append(quiet("Not measured: give the training data with --train TRAIN.spacy."));
    return;
  }
  const parts = [
    ["Seen in training", "seen"],
    ["New", "unseen"],
  ];
  const rows = parts.flatMap(([name, key]) =>
    RUNS.map((run, i) => [
      TWO ? `${name}, ${LETTERS[i]}` : name,
      count(run.seen[`gold_${key}`]),
      ...["precision", "recall", "f1"].map((measure) => percent(run.seen[key][measure])),
    ]),
  );
  content("seen").append(
    table("Names in the training data, and new ones", ["Name", "Gold", "Precision", "Recall", "F1"], rows),
    quiet("In percent. A name is seen if it is an entity in the training data, of any type. Upper and lower case make no difference."),
  );
}
