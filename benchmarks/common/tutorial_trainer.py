"""transformers' Trainer with the recipe of the token-classification tutorial.

https://huggingface.co/docs/transformers/tasks/token_classification
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy
import spacy
import torch
from transformers import (  # type: ignore[attr-defined]
    AutoModelForTokenClassification,
    AutoTokenizer,
    DataCollatorForTokenClassification,
    Trainer,
    TrainingArguments,
)

from spacy_wnut.scoring.measures import ScoredPost, seqeval_scores

# Label of pieces that the loss ignores.
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


def make_trainer(
    encoder: str,
    rows: Any,
    seed: int,
    start: Path | None,
    checkpoints: str,
    **settings: Any,
) -> tuple[Any, Any, Callable[[str, Any], list[ScoredPost]]]:
    """Create the tutorial's Trainer.

    encoder (str): Folder or hub name of the encoder.
    rows (DatasetDict): WNUT 17 in the layout of the hub, with tokens and ner_tags.
    seed (int): Seed of the head's initialization and of the batches.
    start (Optional[Path]): Pipeline whose head is copied, instead of a random head.
    checkpoints (str): Output folder of the Trainer.
    settings: Arguments of TrainingArguments that replace those of the tutorial.
    RETURNS (Tuple[Trainer, DatasetDict, Callable]): The Trainer; the tokenized rows;
        and a function from a split and its logits, of shape (posts, pieces, tags), to
        posts with gold and predicted tags.
    """
    tags = rows["train"].features["ner_tags"].feature.names
    tokenizer: Any = AutoTokenizer.from_pretrained(encoder)

    def encode(batch: Any) -> Any:
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
    model: Any = AutoModelForTokenClassification.from_pretrained(
        encoder,
        num_labels=len(tags),
        id2label=dict(enumerate(tags)),
        label2id={tag: i for i, tag in enumerate(tags)},
        torch_dtype=torch.float32,
    )

    if start is not None:
        ner: Any = spacy.load(start).get_pipe("ner")
        head = ner.model.layers[0].get_ref("output_layer")
        with torch.no_grad():
            model.classifier.weight.copy_(torch.from_numpy(head.get_param("W")))
            model.classifier.bias.copy_(torch.from_numpy(head.get_param("b")))

    def posts_of(split: str, logits: Any) -> list[ScoredPost]:
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
        # The four metrics of the tutorial.
        compute_metrics=lambda p: seqeval_scores(posts_of("validation", p.predictions)),
    )
    return trainer, encoded, posts_of


def mask_later_pieces(word_ids: Sequence[int | None]) -> list[int]:
    """Word index of the first piece of each word; IGNORED for its other pieces and for
    special tokens.
    """
    previous = [None, *word_ids[:-1]]
    return [
        IGNORED if word is None or word == before else word
        for word, before in zip(word_ids, previous, strict=True)
    ]


def to_post(
    row: Any, words: Sequence[int], piece_logits: Any, tags: Sequence[str]
) -> ScoredPost:
    """Gold and predicted tags of a post.

    row (Dict[str, Any]): Its `tokens` and `ner_tags`.
    words (Sequence[int]): Word index of each piece, IGNORED for those to skip.
    piece_logits (numpy.ndarray): Logits of shape (pieces, tags).
    tags (Sequence[str]): Names of the tags.
    RETURNS (ScoredPost): The post. A word without a piece, or truncated, gets "O".
    """
    predicted = ["O"] * len(row["tokens"])
    for word, logits in zip(words, piece_logits, strict=False):
        if word != IGNORED:
            predicted[word] = tags[int(numpy.argmax(logits))]
    gold = [tags[i] for i in row["ner_tags"]]
    return ScoredPost([f"{token} " for token in row["tokens"]], gold, predicted)
