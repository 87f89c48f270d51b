"""The token-classification tutorial itself: transformers' `Trainer` on WNUT 17.

The yardstick for `configs/tutorial.cfg`: same encoder, data, seed and recipe
(https://huggingface.co/docs/transformers/tasks/token_classification), scored by
the same measures as `spacy-wnut evaluate`.

    python -m spacy init nlp configs/tutorial.cfg training/start --system.seed 0 \\
        --paths.train corpus/wnut17/gold/train.spacy --paths.encoder training/wnut17/encoder
    python benchmarks/trainer_baseline.py training/wnut17/encoder wnut_17 --seed 0 \\
        --start training/start

With --start the head starts from the very weights that `spacy train` starts from
with this seed. The tutorial's 426 short steps end before a small encoder has converged,
so single runs differ widely: compare means over seeds.
"""

import json
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
from spacy_wnut.scoring.measures import ScoredPost, all_scores

IGNORED = -100


def main(
    encoder: Annotated[str, typer.Argument(help="Folder or model on the hub")],
    source: Annotated[str, typer.Argument(help="As for spacy-wnut convert")],
    seed: int = 0,
    start: Annotated[
        Path | None, typer.Option(help="Untrained pipeline to take the head from")
    ] = None,
    out: Path = Path("metrics"),
) -> None:
    """Train the tutorial's recipe and write its scores on dev and test."""
    with tempfile.TemporaryDirectory() as checkpoints:
        train(encoder, source, seed, start, out / f"trainer-{seed}", checkpoints)


def train(encoder, source, seed, start, folder, checkpoints):
    rows = load_rows(source)
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

    def score(split, logits):
        posts = [
            to_post(row, words, piece_logits, tags)
            for row, words, piece_logits in zip(
                rows[split], encoded[split]["words"], logits, strict=True
            )
        ]
        return all_scores(posts)

    trainer = Trainer(
        model=model,
        args=TrainingArguments(
            output_dir=checkpoints,
            learning_rate=2e-5,
            per_device_train_batch_size=16,
            per_device_eval_batch_size=16,
            num_train_epochs=2,
            weight_decay=0.01,
            eval_strategy="epoch",
            save_strategy="epoch",
            save_total_limit=1,
            load_best_model_at_end=True,
            metric_for_best_model="f1",
            logging_steps=50,
            seed=seed,
            report_to=[],
            dataloader_pin_memory=False,
        ),
        train_dataset=encoded["train"],
        eval_dataset=encoded["validation"],
        processing_class=tokenizer,
        data_collator=DataCollatorForTokenClassification(tokenizer=tokenizer),
        # The tutorial's four numbers.
        compute_metrics=lambda p: score("validation", p.predictions)["seqeval"],
    )
    began = time.perf_counter()
    trainer.train()
    seconds = time.perf_counter() - began
    trainer.compute_metrics = None
    with replacing(folder) as beside:
        beside.mkdir()
        for name, split in {"dev": "validation", "test": "test"}.items():
            scores = score(split, trainer.predict(encoded[split]).predictions)
            print(name, scores["seqeval"])
            write_json(beside / f"{name}_gold.json", scores)
        device = str(model.device)
        write_json(beside / "training.json", {"device": device, "seconds": seconds})


def write_json(path, data):
    path.write_text(json.dumps(data, indent=2) + "\n", encoding="utf8")


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
