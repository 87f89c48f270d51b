"""The model card that goes with a checkpoint."""

from collections.abc import Mapping, Sequence
from typing import Any

import srsly  # type: ignore[import-untyped]

from .cards import format_figures, front_matter

TEMPLATE = """\
---
{front}---

# {name}

Named entities: {types}.

A checkpoint for token classification with BIO tags, written by
[spacy-wnut](https://pypi.org/project/spacy-wnut/) from the spaCy pipeline {pipeline}.

```python
from transformers import pipeline

ner = pipeline("ner", model="{name}", aggregation_strategy="first")
ner("Pretty bad storm in New York last evening.")
```

The tag of a word is that of its first piece.

{differences}
## Figures

Of the spaCy pipeline.

{figures}
"""

DIFFERENCES = """\
## What is different from the pipeline

The pipeline decodes legal sequences of tags only, gives every entity the probability
of exactly its span and type, and reads texts of any length. transformers takes each
word's best tag, scores entities by their words, and cuts long texts off.
"""


def model_card(
    meta: Mapping[str, Any],
    name: str,
    types: Sequence[str],
    lost: Sequence[str],
    agreement: tuple[int, int] | None,
) -> str:
    """The text of a checkpoint's README.md.

    meta (Mapping[str, Any]): The pipeline's meta, with its performance if it was
        measured: fractions, written in percent.
    name (str): The checkpoint's name.
    types (Sequence[str]): Its entity types.
    lost (Sequence[str]): What the checkpoint doesn't carry, a sentence each.
    agreement (Optional[Tuple[int, int]]): Words with the same best tag, and words.
    """
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
    return TEMPLATE.format(
        front=srsly.yaml_dumps(front),
        name=name,
        types=", ".join(types),
        pipeline=f"{meta.get('lang', 'en')}_{meta.get('name', 'pipeline')} "
        f"{meta.get('version', '')}".rstrip(),
        differences=differences.strip() + "\n",
        figures=format_figures(meta.get("performance") or {}),
    )
