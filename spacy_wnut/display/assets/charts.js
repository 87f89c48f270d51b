// Charts: scores by threshold, and the reliability diagram.

const WIDTH = 440;
const HEIGHT = 300;
const LEFT = 44;
const BOTTOM = 256;
const across = (x) => LEFT + x * (WIDTH - LEFT - 14);
const up = (y) => BOTTOM - y * (BOTTOM - 12);

function axes(title, xTitle, yTitle) {
  const lines = [0, 0.2, 0.4, 0.6, 0.8, 1].flatMap((tick) => [
    svg("line", { class: "grid", x1: across(0), x2: across(1), y1: up(tick), y2: up(tick) }),
    svg("text", { x: LEFT - 8, y: up(tick) + 4, "text-anchor": "end" }, String(100 * tick)),
    svg("text", { x: across(tick), y: BOTTOM + 19, "text-anchor": "middle" }, tick.toFixed(1)),
  ]);
  return svg(
    "svg",
    { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": title },
    ...lines,
    svg("text", { x: across(0.5), y: HEIGHT - 6, "text-anchor": "middle" }, xTitle),
    svg("text", { x: -(BOTTOM + 12) / 2, y: 12, "text-anchor": "middle", transform: "rotate(-90)" }, yTitle),
  );
}

const curve = (points, name) =>
  svg("polyline", { class: `curve ${name}`, points: points.map(([x, y]) => `${across(x)},${up(y)}`).join(" ") });

const legend = (entries) =>
  el(
    "ul",
    { class: "legend" },
    ...entries.map(([title, name]) =>
      el(
        "li",
        {},
        svg(
          "svg",
          { viewBox: "0 0 32 10", "aria-hidden": "true" },
          svg("line", { class: `curve ${name}`, x1: 0, x2: 32, y1: 5, y2: 5 }),
        ),
        title,
      ),
    ),
  );

const second = (i) => (i ? " second" : "");
const letter = (i) => (TWO ? ` ${LETTERS[i]}` : "");

function drawThresholds(runs) {
  const measures = [
    ["Precision", "precision"],
    ["Recall", "recall"],
    ["F1", "f1"],
  ];
  const chart = axes("Precision, recall and F1 by threshold", "threshold", "percent");
  for (const [run, i] of runs) {
    for (const [, key] of measures) {
      // Precision is undefined without predicted entities.
      const points = run.confidence.thresholds.filter((row) => key !== "precision" || row.recall > 0);
      chart.append(curve(points.map((row) => [row.threshold, row[key]]), `c-${key}${second(i)}`));
    }
  }
  const marker = svg("line", { class: "marker", y1: up(0), y2: up(1) });
  chart.append(marker);
  const slider = el("input", { type: "range", id: "threshold", min: 0, max: 100, value: 0 });
  const output = el("output", { for: "threshold" });
  const scores = el("p", { id: "at-threshold" });
  const move = () => {
    const at = Number(slider.value);
    const lines = runs.map(([run, i]) => {
      const row = run.confidence.thresholds[at];
      return `${TWO ? `${LETTERS[i]}: ` : ""}${measures.map(([title, key]) => `${title} ${percent(row[key])}`).join(", ")}`;
    });
    output.value = (at / 100).toFixed(2);
    slider.setAttribute("aria-valuetext", `${output.value}. ${lines.join("; ")}`);
    scores.replaceChildren(...lines.flatMap((line) => [line, el("br")]));
    marker.setAttribute("x1", across(at / 100));
    marker.setAttribute("x2", across(at / 100));
  };
  slider.addEventListener("input", move);
  move();
  const entries = runs.flatMap(([, i]) => measures.map(([title, key]) => [title + letter(i), `c-${key}${second(i)}`]));
  return el(
    "figure",
    {},
    el("figcaption", {}, el("h3", {}, "Scores by threshold"), "Only entities with at least this confidence count as predicted."),
    chart,
    legend(entries),
    el("div", { class: "slider" }, el("label", { for: "threshold" }, "Threshold"), slider, output),
    scores,
  );
}

function drawReliability(runs) {
  const chart = axes("Reliability: share of right entities by confidence", "confidence", "percent right");
  chart.append(svg("line", { class: "diagonal", x1: across(0), x2: across(1), y1: up(0), y2: up(1) }));
  const names = ["c-model", "c-against second"];
  for (const [run, i] of runs) {
    const points = run.confidence.reliability.map((bin) => [bin.confidence, bin.right]);
    chart.append(
      curve(points, names[i]),
      ...points.map(([x, y]) => svg("circle", { class: `dot ${names[i]}`, cx: across(x), cy: up(y), r: 4 })),
    );
  }
  const bins = runs.flatMap(([run, i]) =>
    run.confidence.reliability.map((bin) => [
      `${percent(bin.confidence)}${letter(i)}`,
      percent(bin.right),
      count(bin.count),
    ]),
  );
  const errors = runs.map(([run, i]) => `Calibration error${letter(i)}: ${percent(run.confidence.ece)}`);
  return el(
    "figure",
    {},
    el("figcaption", {}, el("h3", {}, "Reliability"), "On the diagonal, confidence equals the share of right entities."),
    chart,
    legend([...(TWO ? runs.map(([, i]) => [`Pipeline${letter(i)}`, names[i]]) : [])]),
    el("p", {}, `${errors.join(", ")} (mean distance from the diagonal, in percent).`),
    el(
      "details",
      {},
      el("summary", {}, "The bins as a table"),
      table("Bins with equal numbers of predicted entities, in percent", ["Mean confidence", "Right", "Entities"], bins),
    ),
  );
}

function drawConfidence() {
  const runs = RUNS.map((run, i) => [run, i]).filter(([run]) => run.confidence);
  for (const [i, run] of RUNS.entries()) {
    if (!run.confidence) {
      const name = TWO ? `Pipeline ${LETTERS[i]}` : "The pipeline";
      content("confidence").append(quiet(`${name} has no confidences, so there are no charts.`));
    } else if (run.confidence.without) {
      const n = count(run.confidence.without);
      content("confidence").append(
        quiet(`${n} entities${letter(i)} have no confidence: they count as predicted at every threshold, and are in no bin.`),
      );
    }
  }
  if (runs.length) {
    content("confidence").append(el("div", { class: "side" }, drawThresholds(runs), drawReliability(runs)));
  }
}
