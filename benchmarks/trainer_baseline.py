"""The token-classification tutorial itself: transformers' `Trainer` on WNUT 17.

The yardstick for `configs/tutorial.cfg`: same encoder, data, seed and recipe
(https://huggingface.co/docs/transformers/tasks/token_classification), scored by
the same measures as `spacy-wnut evaluate`.

    python -m spacy init nlp configs/tutorial.cfg training/start --system.seed 0 \\
        --paths.train corpus/wnut17/gold/train.spacy --paths.dev corpus/wnut17/gold/dev.spacy \\
        --paths.encoder training/wnut17/encoder
    python benchmarks/trainer_baseline.py training/wnut17/encoder wnut_17 --seed 0 \\
        --start training/start --out training/wnut17/sweep

It leaves what `spacy-wnut sweep` leaves of a training: OUT/trainer/seed-SEED with
metrics.json, for `benchmarks/accuracy.py collect`.

With --start the head starts from the very weights that `spacy train` starts from
with this seed. The tutorial's 426 short steps end before a small encoder has converged,
so single runs differ widely: compare means over seeds.
"""

import tempfile
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import spacy
import torch
import typer
from transformers import (
    AutoModelForTokenClassification,
    AutoTokenizer,
    DataCollatorForTokenClassification,
    Trainer,
    TrainingArguments,
)

from spacy_wnut.corpus.sources import load_rows
from spacy_wnut.files import replacing
from spacy_wnut.scoring.measures import ScoredPost, seqeval_scores
from spacy_wnut.sweep.metrics import add_scores, write_metrics

IGNORED = -100
TUTORIAL = {
    "learning_rate": 2e-5,
    "per_device_train_batch_size": 16,
    "per_device_eval_batch_size": 16,
    "num_train_epochs": 2,
    "weight_decay": 0.01,
    "eval_strategy": "epoch",
    "save_strategy": "epoch",
    "save_total_limit": 1,
    "load_best_model_at_end": True,
    "metric_for_best_model": "f1",
    "logging_steps": 50,
    "report_to": [],
    "dataloader_pin_memory": False,
}


def main(
    encoder: Annotated[str, typer.Argument(help="Folder or model on the hub")],
    source: Annotated[str, typer.Argument(help="As for spacy-wnut convert")],
    seed: int = 0,
    start: Annotated[
        Path | None, typer.Option(help="Untrained pipeline to take the head from")
    ] = None,
    out: Path = Path("training/sweep"),
) -> None:
    """Train the tutorial's recipe and write its scores on dev and test."""
    rows = load_rows(source)
    name = "trainer" if start else "trainer (head of its own)"
    folder = out / ("trainer" if start else "trainer-own-head") / f"seed-{seed}"
    with tempfile.TemporaryDirectory() as checkpoints:
        trainer, encoded, posts_of = make_trainer(
            encoder, rows, seed, start, checkpoints
        )
        began = time.perf_counter()
        trainer.train()
        seconds = time.perf_counter() - began
        trainer.compute_metrics = None
        metrics = {
            "config": name,
            "encoder": Path(encoder).name,
            "seed": seed,
            "device": str(trainer.model.device),
            "seconds": seconds,
            "made_of": {},
            "calibration": None,
            "rows": [],
            "posts": {},
        }
        splits = {"dev": "validation", "test": "test"}

        def predict(protocol, split):
            logits = trainer.predict(encoded[splits[split]]).predictions
            return posts_of(splits[split], logits)

        add_scores(
            metrics, predict, collect_surface_forms(rows["train"]), protocols=("gold",)
        )
        with replacing(folder) as beside:
            beside.mkdir()
            write_metrics(beside, metrics)
    for row in metrics["rows"]:
        print(row["split"], row["entity"])


def collect_surface_forms(rows):
    """Of the entities of rows, casefolded."""
    tags = rows.features["ner_tags"].feature.names
    forms = set()
    for row in rows:
        gold = [tags[i] for i in row["ner_tags"]]
        post = ScoredPost([f"{token} " for token in row["tokens"]], gold, gold)
        forms |= {post.form(entity).casefold() for entity in post.gold}
    return forms


def make_trainer(encoder, rows, seed, start, checkpoints, **settings):
    """The tutorial's Trainer on rows, the encoded rows, and what makes scored posts of
    a split and logits. Settings are those of TrainingArguments to replace.
    """
    tags = rows["train"].features["ner_tags"].feature.names
    tokenizer = AutoTokenizer.from_pretrained(encoder)

    def encode(batch):
        encoded = tokenizer(batch["tokens"], truncation=True, is_split_into_words=True)
        words = [
            mask_later_pieces(encoded.word_ids(i)) for i in range(len(batch["id"]))
        ]
        encoded["words"] = words
        encoded["labels"] = [
            [IGNORED if word == IGNORED else row[word] for word in row_words]
            for row_words, row in zip(words, batch["ner_tags"], strict=True)
        ]
        return encoded

    encoded = rows.map(
        encode, batched=True, remove_columns=["id", "tokens", "ner_tags"]
    )
    torch.manual_seed(seed)
    model = AutoModelForTokenClassification.from_pretrained(
        encoder,
        num_labels=len(tags),
        id2label=dict(enumerate(tags)),
        label2id={tag: i for i, tag in enumerate(tags)},
        torch_dtype=torch.float32,
    )

    if start is not None:
        head = spacy.load(start).get_pipe("ner").model.layers[0].get_ref("output_layer")
        with torch.no_grad():
            model.classifier.weight.copy_(torch.from_numpy(head.get_param("W")))
            model.classifier.bias.copy_(torch.from_numpy(head.get_param("b")))

    def posts_of(split, logits):
        return [
            to_post(row, words, piece_logits, tags)
            for row, words, piece_logits in zip(
                rows[split], encoded[split]["words"], logits, strict=True
            )
        ]

    trainer = Trainer(
        model=model,
        args=TrainingArguments(
            output_dir=checkpoints, seed=seed, **{**TUTORIAL, **settings}
        ),
        train_dataset=encoded["train"],
        eval_dataset=encoded["validation"],
        processing_class=tokenizer,
        data_collator=DataCollatorForTokenClassification(tokenizer=tokenizer),
        # The tutorial's four numbers.
        compute_metrics=lambda p: seqeval_scores(posts_of("validation", p.predictions)),
    )
    return trainer, encoded, posts_of


def mask_later_pieces(word_ids):
    """A piece's word, or -100 for special tokens and all but the first of a word."""
    previous = [None, *word_ids[:-1]]
    return [
        IGNORED if word is None or word == before else word
        for word, before in zip(word_ids, previous, strict=True)
    ]


def to_post(row, words, piece_logits, tags):
    """A word without a piece, or beyond the truncation, is outside."""
    predicted = ["O"] * len(row["tokens"])
    for word, logits in zip(words, piece_logits, strict=False):
        if word != IGNORED:
            predicted[word] = tags[int(np.argmax(logits))]
    gold = [tags[i] for i in row["ner_tags"]]
    return ScoredPost([f"{token} " for token in row["tokens"]], gold, predicted)


if __name__ == "__main__":
    typer.run(main)
