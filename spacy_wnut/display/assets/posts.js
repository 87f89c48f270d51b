// The list of posts with marked entities, and its filters.

const KINDS = {
  right: "Right",
  missed: "Missed",
  spurious: "Spurious",
  wrong_type: "Wrong type",
  wrong_border: "Wrong border",
  none: "No entities",
};
const CHUNK = 40;
const form = document.getElementById("filters");
const list = document.getElementById("list");
const more = document.getElementById("more");
const cellButton = el("button", { type: "button", id: "cell", hidden: true });

let matching = [];
let shown = 0;
// The selected cell of the confusion matrix, { gold, predicted }, or null.
let cell = null;

// The entities of a post for the filters: gold entities, then predicted ones.
function entitiesOf(post, run) {
  const judged = post.runs[run];
  return [
    ...post.gold.map(([, , type], i) => ({ kind: judged.gold[i][0], type, partner: judged.gold[i][1], confidence: null, isGold: true })),
    ...judged.predicted.map(([, , type, kind, confidence]) => ({ kind, type, partner: -1, confidence, isGold: false })),
  ];
}

const ENTITIES = RUNS.map((_, run) => DATA.posts.map((post) => entitiesOf(post, run)));
const LOWER = DATA.posts.map((post) => post.text.toLowerCase());
const isPerfect = (post, run) => entitiesOf(post, run).every((entity) => entity.kind === "right");
const PERFECT = RUNS.map((_, run) => DATA.posts.map((post) => isPerfect(post, run)));

function checks(legend, name, entries) {
  const boxes = entries.map(([value, label, n]) =>
    el(
      "label",
      { class: "check" },
      el("input", { type: "checkbox", name, value, checked: true }),
      el("span", {}, label, n === undefined ? "" : el("span", { class: "quiet" }, ` ${count(n)}`)),
    ),
  );
  return el("fieldset", {}, el("legend", {}, legend), ...boxes);
}

function choice(label, name, options) {
  const entries = options.map(([value, text, disabled]) => el("option", { value, disabled: Boolean(disabled) }, text));
  return el("label", { class: "field" }, label, el("select", { name }, ...entries));
}

function drawFilters() {
  const fields = [
    el("label", { class: "field" }, "Words", el("input", { type: "search", name: "words", autocomplete: "off" })),
    choice("Sort by", "sort", [
      ["order", "Order in the corpus"],
      ["sure", "Confidence, highest first", !RUNS.some((run) => run.confidence)],
      ["unsure", "Confidence, lowest first", !RUNS.some((run) => run.confidence)],
    ]),
  ];
  if (TWO) {
    fields.push(
      choice("Judged by", "run", [
        ["0", "Pipeline A"],
        ["1", "Pipeline B"],
      ]),
      choice("Compare", "compare", [
        ["all", "All posts"],
        ["0", "A all right, B not"],
        ["1", "B all right, A not"],
        ["differ", "A and B differ"],
      ]),
    );
  }
  form.append(
    checks("Kind", "kind", Object.entries(KINDS)),
    checks("Type", "type", DATA.types.map((_, type) => [type, typeLabel(type)])),
    el("div", { class: "fields" }, ...fields, cellButton, el("button", { type: "reset" }, "Reset")),
  );
  // The word filter applies while typing, all other filters on change.
  form.elements.words.addEventListener("input", update);
  form.addEventListener("change", (event) => {
    if (event.target !== form.elements.words) update();
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => {
    cell = null;
    // The fields are reset after this event.
    setTimeout(update);
  });
  cellButton.addEventListener("click", () => {
    cell = null;
    form.elements.words.focus();
    update();
  });
}

function chooseCell(run, gold, predicted) {
  form.reset();
  cell = { gold, predicted };
  if (TWO) form.elements.run.value = run;
  // After the update that the reset has scheduled.
  setTimeout(() => {
    const posts = document.getElementById("posts");
    posts.focus({ preventScroll: true });
    posts.scrollIntoView();
  });
}

function readFilters() {
  const given = new FormData(form);
  return {
    kinds: new Set(given.getAll("kind")),
    types: new Set(given.getAll("type").map(Number)),
    words: given.get("words").trim().toLowerCase(),
    sort: given.get("sort"),
    run: Number(given.get("run") ?? 0),
    compare: given.get("compare") ?? "all",
  };
}

function inCell(entity) {
  if (cell.gold < 0) return !entity.isGold && entity.kind === "spurious" && entity.type === cell.predicted;
  return entity.isGold && entity.type === cell.gold && entity.partner === cell.predicted;
}

// The entities of a post that match the filters, or null to hide the post.
function match(index, filters) {
  if (!LOWER[index].includes(filters.words)) return null;
  if (TWO && filters.compare !== "all") {
    const [a, b] = PERFECT.map((posts) => posts[index]);
    if (filters.compare === "0" && !(a && !b)) return null;
    if (filters.compare === "1" && !(b && !a)) return null;
    if (filters.compare === "differ" && sameTags(DATA.posts[index])) return null;
  }
  const entities = ENTITIES[filters.run][index];
  if (!entities.length) return filters.kinds.has("none") && !cell ? [] : null;
  const chosen = entities.filter(
    (entity) => filters.kinds.has(entity.kind) && filters.types.has(entity.type) && (!cell || inCell(entity)),
  );
  return chosen.length ? chosen : null;
}

const spans = (run) => run.predicted.map(([start, end, type]) => `${start} ${end} ${type}`).join();
const sameTags = (post) => spans(post.runs[0]) === spans(post.runs[1]);

function update() {
  const filters = readFilters();
  const sign = filters.sort === "sure" ? -1 : 1;
  const found = [];
  DATA.posts.forEach((_, index) => {
    const chosen = match(index, filters);
    if (!chosen) return;
    const keys = chosen.flatMap((entity) => (entity.confidence === null ? [] : [sign * entity.confidence]));
    found.push({ index, key: keys.length ? Math.min(...keys) : Infinity });
  });
  // The sort is stable: ties keep the order of the corpus.
  if (filters.sort !== "order") found.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
  matching = found.map(({ index }) => index);
  shown = 0;
  list.replaceChildren();
  cellButton.hidden = !cell;
  if (cell) cellButton.textContent = `\u2715 gold ${typeName(cell.gold)}, predicted ${typeName(cell.predicted)}`;
  document.getElementById("status").textContent = `${count(matching.length)} of ${count(DATA.posts.length)} posts`;
  showMore();
}

function showMore() {
  const next = matching.slice(shown, shown + CHUNK);
  list.append(...next.map((index) => drawPost(DATA.posts[index], index)));
  shown += next.length;
  more.hidden = shown >= matching.length;
  // Observe the button again, to be notified even if it is still visible.
  observer.unobserve(more);
  if (!more.hidden) observer.observe(more);
}

const observer = new IntersectionObserver(
  (entries) => {
    if (entries.some((entry) => entry.isIntersecting)) showMore();
  },
  { rootMargin: "800px" },
);

function drawPost(post, index) {
  const rows = [];
  const isAnyPerfect = RUNS.some((_, run) => PERFECT[run][index]);
  if (!isAnyPerfect) rows.push(drawRow("Gold", post.text, post.gold.map(([start, end, type]) => ({ start, end, type }))));
  post.runs.forEach((run, i) => {
    const names = TWO ? [LETTERS[i], `${LETTERS[i]}, right`] : ["Predicted", "Right"];
    rows.push(drawRow(names[Number(PERFECT[i][index])], post.text, marksOf(post, run)));
  });
  return el("li", { class: "post", "data-post": index + 1 }, ...rows);
}

// The marks of a row: predicted and missed entities.
function marksOf(post, run) {
  const marks = run.predicted.map(([start, end, type, kind, confidence]) => ({ start, end, type, kind, confidence }));
  post.gold.forEach(([start, end, type], i) => {
    if (run.gold[i][0] === "missed") marks.push({ start, end, type, kind: "missed" });
  });
  return marks.sort((a, b) => a.start - b.start);
}

function drawRow(who, text, marks) {
  const parts = [];
  let offset = 0;
  for (const mark of marks) {
    parts.push(text.slice(offset, mark.start), drawMark(text.slice(mark.start, mark.end), mark));
    offset = mark.end;
  }
  parts.push(text.slice(offset));
  return el("div", { class: "row" }, el("span", { class: "who" }, who), el("span", { class: "text", dir: "auto" }, ...parts));
}

function drawMark(text, { type, kind, confidence }) {
  const isMissed = kind === "missed";
  const label = isMissed ? "" : typeName(type) + (typeof confidence === "number" ? ` ${confidence.toFixed(2)}` : "");
  const parts = [text];
  if (label) parts.push(el("small", {}, label));
  if (kind && kind !== "right") {
    parts.push(el("span", { class: "kind" }, KINDS[kind].toLowerCase() + (isMissed ? ` ${typeName(type)}` : "")));
  }
  return colored(el("mark", { class: isMissed ? "gap" : "", "data-kind": kind ?? null }, ...parts), type);
}
