"""Model cards of wheels and checkpoints, in the format of the Hugging Face hub."""

from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

DIFFERENCES = """\
## Differences from the pipeline

The pipeline decodes legal sequences of tags only, gives every entity the probability
of exactly its span and type, and reads texts of any length. transformers takes each
word's best tag, scores entities by their words, and cuts long texts off.
"""

PROTOCOLS = {"gold": "gold tokens", "spacy": "spaCy tokens"}


def pipeline_card(meta: Mapping[str, Any]) -> str:
    """Return the README.md of a packaged pipeline.

    meta (Mapping[str, Any]): The meta of the pipeline as it is packaged, with its sources
        and, as its performance, the scores of `spacy-wnut evaluate`.
    RETURNS (str): Markdown with a header in YAML.
    """
    import srsly  # type: ignore[import-untyped]

    name = f"{meta['lang']}_{meta['name']}"
    labels = meta.get("labels", {})
    component = next((pipe for pipe in ("ner", *labels) if labels.get(pipe)), "ner")
    types = sorted(labels.get(component, []))
    sources = meta.get("sources") or []
    front = front_matter(meta, "spacy", ["spacy", "token-classification", "ner"])
    datasets = [dataset for dataset in map(_dataset, sources) if dataset]
    if datasets:
        front["datasets"] = datasets
    data = datasets[0] if datasets else str(sources[0]["name"] if sources else name)
    results = _results(name, meta.get("performance") or {}, data, bool(datasets))
    if results:
        front["model-index"] = results
    licenses = [
        f"{_link(source)} is {source['license']}."
        for source in sources
        if source.get("license")
    ]
    return _template("pipeline").format(
        front=srsly.yaml_dumps(front, indent_mapping=2, indent_sequence=4),
        name=name,
        description=meta.get("description", ""),
        version=meta.get("version", ""),
        spacy_version=meta.get("spacy_version", ""),
        components=", ".join(f"`{pipe}`" for pipe in meta.get("pipeline", [])),
        types=", ".join(f"`{label}`" for label in types),
        license=meta.get("license") or "none given",
        component=component,
        sources="\n".join(_source(source) for source in sources) or "Not stated.",
        figures=format_figures(meta.get("performance") or {}),
        limits=_limits(meta),
        rights=" ".join(licenses),
    )


def checkpoint_card(
    meta: Mapping[str, Any],
    name: str,
    types: Sequence[str],
    lost: Sequence[str],
    agreement: tuple[int, int] | None,
) -> str:
    """Return the README.md of a checkpoint for token classification.

    meta (Mapping[str, Any]): The meta of the pipeline, with its performance if it was
        measured (fractions between 0 and 1, written in percent).
    name (str): The name of the checkpoint.
    types (Sequence[str]): Its entity types.
    lost (Sequence[str]): Features of the pipeline that the checkpoint lacks, one sentence
        each.
    agreement (Optional[Tuple[int, int]]): The number of words with the same best tag, and
        the number of words.
    RETURNS (str): Markdown with a header in YAML.
    """
    import srsly

    differences = DIFFERENCES
    if lost:
        differences += "\n" + "".join(f"- {sentence}\n" for sentence in lost)
    if agreement is not None:
        same, words = agreement
        differences += (
            f"\nThe best tag is the same for {same:,} of the {words:,} words "
            "it was measured on.\n"
        )
    front = front_matter(meta, "transformers", ["token-classification", "ner"])
    return _template("checkpoint").format(
        front=srsly.yaml_dumps(front),
        name=name,
        types=", ".join(types),
        pipeline=f"{meta.get('lang', 'en')}_{meta.get('name', 'pipeline')} "
        f"{meta.get('version', '')}".rstrip(),
        differences=differences.strip() + "\n",
        figures=format_figures(meta.get("performance") or {}),
    )


def front_matter(
    meta: Mapping[str, Any], library: str, tags: Sequence[str]
) -> dict[str, Any]:
    """Return the header of a card, by which the hub classifies it.

    meta (Mapping[str, Any]): The pipeline's meta.
    library (str): The library that loads it.
    tags (Sequence[str]): The tags besides "spacy-wnut".
    """
    front: dict[str, Any] = {
        "language": meta.get("lang", "en"),
        "library_name": library,
        "pipeline_tag": "token-classification",
        "tags": [*tags, "spacy-wnut"],
    }
    if meta.get("license"):
        front["license"] = str(meta["license"]).lower()
    return front


def format_figures(performance: Mapping[str, Any]) -> str:
    """Return the scores as tables in percent: one row per corpus, then one row per type.
    Without scores of `spacy-wnut evaluate`, those that spaCy measured in training.

    performance (Mapping[str, Any]): The performance in meta.json, fractions between 0
        and 1.
    """
    measured = _measured(performance)
    if not measured:
        return _flat_figures(performance)
    lines = [
        "In percent. Entity: exact span and type, micro-averaged. Surface: over distinct "
        "names, as in WNUT 2017. Gold tokens are those of the corpus, spaCy tokens those of "
        "the pipeline for plain text.",
        "",
        "| corpus | P | R | entity F1 | surface F1 |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for stem, scores in measured.items():
        entity = [scores["entity"][key] for key in ("precision", "recall", "f1")]
        lines.append(_row(_corpus(stem), [*entity, scores["surface"]["f1"]]))
    stem = _main(measured)
    lines += ["", f"By type, {_corpus(stem)}:", ""]
    lines += ["| type | P | R | F1 |", "| --- | ---: | ---: | ---: |"]
    for label, prf in measured[stem].get("per_type", {}).items():
        lines.append(_row(label, [prf[key] for key in ("precision", "recall", "f1")]))
    return "\n".join(lines)


def _flat_figures(performance: Mapping[str, Any]) -> str:
    # Nested scores are per type, or repeat the others.
    rows = [
        _row(key, [value])
        for key, value in performance.items()
        # Losses are not fractions.
        if isinstance(value, float) and "loss" not in key
    ]
    if not rows:
        return "Not measured."
    return "In percent.\n\n| measure | % |\n| --- | ---: |\n" + "\n".join(rows)


def _row(name: str, fractions: Sequence[float]) -> str:
    return " | ".join([f"| {name}", *(f"{100 * x:.1f}" for x in fractions)]) + " |"


def _measured(performance: Mapping[str, Any]) -> dict[str, Any]:
    """Return the scores of `spacy-wnut evaluate` by the names of their corpora."""
    return {stem: scores for stem, scores in performance.items() if is_scores(scores)}


def is_scores(figures: Any) -> bool:
    """Return whether figures are scores as `spacy-wnut evaluate --json` writes them."""
    return isinstance(figures, Mapping) and {"entity", "surface"} <= figures.keys()


def _main(measured: Mapping[str, Any]) -> str:
    """Return the main corpus: the first test set, otherwise the last corpus."""
    return next((stem for stem in measured if stem.startswith("test")), [*measured][-1])


def _corpus(stem: str) -> str:
    """Return the title of a corpus: "test, gold tokens" for "test_gold"."""
    split, _, protocol = stem.rpartition("_")
    is_known = split and protocol in PROTOCOLS
    return f"{split}, {PROTOCOLS[protocol]}" if is_known else stem


def _results(
    name: str, performance: Mapping[str, Any], data: str, is_on_hub: bool
) -> list[dict[str, Any]]:
    """Return the hub's model-index, with one result per corpus."""
    results = []
    for stem, scores in _measured(performance).items():
        metrics = [
            {"name": f"Entity {key}", "type": key, "value": round(value, 4)}
            for key, value in scores["entity"].items()
        ]
        surface = round(scores["surface"]["f1"], 4)
        metrics.append({"name": "Surface f1", "type": "f1", "value": surface})
        dataset = {
            "name": f"{data}, {_corpus(stem)}",
            "type": data if is_on_hub else "custom",
            "split": stem.partition("_")[0],
        }
        task = {"type": "token-classification", "name": "NER"}
        results.append({"task": task, "dataset": dataset, "metrics": metrics})
    return [{"name": name, "results": results}] if results else []


def _dataset(source: Mapping[str, Any]) -> str | None:
    """Return the id of a source that is a dataset on the hub."""
    return source.get("dataset")


def _link(source: Mapping[str, Any]) -> str:
    name = str(source.get("name", ""))
    return f"[{name}]({source['url']})" if source.get("url") else name


def _source(source: Mapping[str, Any]) -> str:
    notes = [source[key] for key in ("author", "license") if source.get(key)]
    return f"- {_link(source)}" + (f" ({'; '.join(notes)})" if notes else "")


def _limits(meta: Mapping[str, Any]) -> str:
    limits = [
        "The training data are from certain platforms and years. Evaluate it on other texts "
        "before use, with `spacy-wnut evaluate` and `spacy-wnut report`.",
        "The authors of such texts, and the names in them, are not a representative "
        "sample: names from some regions may be found less often than others.",
        "Confidences are calibrated, if at all, for texts like the calibration data.",
    ]
    measured = _measured(meta.get("performance") or {})
    if measured:
        stem = _main(measured)
        entity = measured[stem]["entity"]
        limits.insert(
            0,
            f"On {_corpus(stem)}, it finds {100 * entity['recall']:.0f} of 100 entities, "
            f"and {100 * entity['precision']:.0f} of 100 predicted entities are correct.",
        )
        worst = min(
            measured[stem].get("per_type", {}).items(),
            key=lambda item: item[1]["f1"],
            default=None,
        )
        if worst is not None:
            label, prf = worst
            limits[0] += (
                f" The worst type is `{label}`, with an F1 of {100 * prf['f1']:.1f}."
            )
    return "\n".join(f"- {limit}" for limit in limits)


def _template(name: str) -> str:
    return (files(__package__) / "templates" / f"{name}.md").read_text(encoding="utf8")
