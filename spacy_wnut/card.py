"""Model cards, in the format of the Hugging Face hub, made from what was measured."""

from collections.abc import Mapping, Sequence
from typing import Any

import srsly  # type: ignore[import-untyped]

PROTOCOLS = {"gold": "gold tokens", "spacy": "spaCy tokens"}

PIPELINE = """\
---
{front}---

# {name}

{description}

| | |
| --- | --- |
| version | {version} |
| spaCy | {spacy_version} |
| components | {components} |
| entity types | {types} |
| licence | {license} |

## Use

```python
import spacy

nlp = spacy.load("{name}")
doc = nlp("Pretty bad storm in New York last evening.")
for ent in doc.ents:
    print(ent.text, ent.label_, ent._.confidence)
```

`ent._.confidence` is the probability of exactly this span with this type;
`nlp.get_pipe("{component}").threshold = 0.8` leaves out what is less sure.

## Intended use

Finding names in short, informal texts: to search and count them, to study what is
talked about, to prepare texts for people who annotate or read them. It is not made for
decisions about single people, nor for finding out who somebody is.

## Data

{sources}

## Figures

{figures}

## Limits

{limits}

## Licence

{license} for the pipeline. {rights}
"""


def pipeline_card(meta: Mapping[str, Any]) -> str:
    """The README.md of a packaged pipeline.

    meta (Mapping[str, Any]): The pipeline's meta as it is packaged: with its sources,
        and what `spacy-wnut evaluate` measured in its performance.
    RETURNS (str): Markdown with a head in YAML.
    """
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
    return PIPELINE.format(
        front=srsly.yaml_dumps(front, indent_mapping=2, indent_sequence=4),
        name=name,
        description=meta.get("description", ""),
        version=meta.get("version", ""),
        spacy_version=meta.get("spacy_version", ""),
        components=", ".join(f"`{pipe}`" for pipe in meta.get("pipeline", [])),
        types=", ".join(f"`{label}`" for label in types),
        license=meta.get("license") or "none given",
        component=component,
        sources="\n".join(_source(source) for source in sources) or "Not said.",
        figures=format_figures(meta.get("performance") or {}),
        limits=_limits(meta),
        rights=" ".join(licenses),
    )


def front_matter(
    meta: Mapping[str, Any], library: str, tags: Sequence[str]
) -> dict[str, Any]:
    """What every card's head says, for the hub to sort it by.

    meta (Mapping[str, Any]): The pipeline's meta.
    library (str): The library that loads it.
    tags (Sequence[str]): The tags, "spacy-wnut" aside.
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
    """The figures as tables in percent: each corpus's, then by type; or, if it
    holds no scores of `spacy-wnut evaluate`, what spaCy measured in training.

    performance (Mapping[str, Any]): As meta.json holds it, fractions.
    """
    measured = _measured(performance)
    if not measured:
        return _flat_figures(performance)
    lines = [
        "In percent. Entity: exact span and type, micro-averaged. Surface: over distinct "
        "names, as WNUT 2017 has it. Gold tokens are the corpus's own, spaCy tokens the "
        "pipeline's on plain text.",
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
    # What is nested is per type, or all of it once more.
    rows = [
        _row(key, [value])
        for key, value in performance.items()
        # Losses are no fractions.
        if isinstance(value, float) and "loss" not in key
    ]
    if not rows:
        return "None were measured."
    return "In percent.\n\n| measure | % |\n| --- | ---: |\n" + "\n".join(rows)


def _row(name: str, fractions: Sequence[float]) -> str:
    return " | ".join([f"| {name}", *(f"{100 * x:.1f}" for x in fractions)]) + " |"


def _measured(performance: Mapping[str, Any]) -> dict[str, Any]:
    """The corpora on which `spacy-wnut evaluate` measured, by their names."""
    return {stem: scores for stem, scores in performance.items() if is_scores(scores)}


def is_scores(figures: Any) -> bool:
    """Whether figures are scores as `spacy-wnut evaluate --json` writes them."""
    return isinstance(figures, Mapping) and {"entity", "surface"} <= figures.keys()


def _main(measured: Mapping[str, Any]) -> str:
    """The corpus that tells most of unseen texts: the first one called test."""
    return next((stem for stem in measured if stem.startswith("test")), [*measured][-1])


def _corpus(stem: str) -> str:
    """ "test_gold" as people say it: "test, gold tokens"."""
    split, _, protocol = stem.rpartition("_")
    is_known = split and protocol in PROTOCOLS
    return f"{split}, {PROTOCOLS[protocol]}" if is_known else stem


def _results(
    name: str, performance: Mapping[str, Any], data: str, is_on_hub: bool
) -> list[dict[str, Any]]:
    """The hub's model-index: a result for each corpus."""
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
    """The dataset's id on the hub, of a source that is one."""
    return source.get("dataset")


def _link(source: Mapping[str, Any]) -> str:
    name = str(source.get("name", ""))
    return f"[{name}]({source['url']})" if source.get("url") else name


def _source(source: Mapping[str, Any]) -> str:
    notes = [source[key] for key in ("author", "license") if source.get(key)]
    return f"- {_link(source)}" + (f" ({'; '.join(notes)})" if notes else "")


def _limits(meta: Mapping[str, Any]) -> str:
    limits = [
        "It knows the kinds of texts, and the years, that its data are from. On others, "
        "measure first: `spacy-wnut evaluate` and `spacy-wnut report` do.",
        "Who writes such texts, and whom they name, is no fair sample of anybody: names "
        "from some places may be found less often than those from others.",
        "Confidences hold for texts like those they were calibrated on, if they were.",
    ]
    measured = _measured(meta.get("performance") or {})
    if measured:
        stem = _main(measured)
        entity = measured[stem]["entity"]
        limits.insert(
            0,
            f"On {_corpus(stem)}, it finds {100 * entity['recall']:.0f} of 100 entities, "
            f"and of 100 that it finds {100 * entity['precision']:.0f} are right.",
        )
        worst = min(
            measured[stem].get("per_type", {}).items(),
            key=lambda item: item[1]["f1"],
            default=None,
        )
        if worst is not None:
            label, prf = worst
            limits[0] += (
                f" It is worst at `{label}`, with an F1 of {100 * prf['f1']:.1f}."
            )
    return "\n".join(f"- {limit}" for limit in limits)
