"""Further pre-training of an encoder on unlabelled posts, with masked language modeling."""

import json
import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import BadZipFile, ZipFile

from wasabi import msg

from ..digests import (
    differing,
    digest_chunks,
    digest_values,
    read_digests,
    write_digests,
)
from ..errors import WnutError
from ..files import replacing
from ..models.checkpoints import load_checkpoint

# Posts are truncated to this number of pieces, special tokens included.
MAX_PIECES = 128
# Save a resumable checkpoint every N steps.
SAVE_STEPS = 200
# The name of a checkpoint's folder.
STEP = re.compile(r"checkpoint-[0-9]+")
# The files of a checkpoint that torch.save writes.
TORCH_FILES = ("optimizer.pt", "scheduler.pt")


class Pretrained(NamedTuple):
    """The result of a pre-training.

    posts (int): The number of posts.
    loss (float): The mean loss in nats per masked piece over the last logged 50 steps,
        or over the whole training if it was shorter.
    """

    posts: int
    loss: float


def pretrain_encoder(
    source: str,
    texts: Iterable[str],
    out: Path,
    *,
    epochs: float = 1.0,
    learn_rate: float = 1e-4,
    batch_size: int = 32,
    seed: int = 0,
) -> Pretrained:
    """Train an encoder with masked language modeling (Devlin et al. 2019).

    This adapts the encoder to the language of the posts (Gururangan et al. 2020). In
    each epoch, a new random sample of 15 percent of the pieces is masked. The
    prediction head is tied to the embeddings of the vocabulary, and is not saved. An
    interrupted run resumes from its last undamaged checkpoint in the folder
    `OUT.checkpoints`, which is removed at the end.

    source (str): The folder of the encoder, or the name of a model on the hub.
    texts (Iterable[str]): The posts.
    out (Path): The folder for the trained encoder.
    epochs (float): The number of passes over the posts.
    learn_rate (float): The peak learning rate. It is reached after a linear warm-up
        over 6 percent of the steps, and then decays linearly to 0.
    batch_size (int): The number of posts per step.
    seed (int): The seed of the head, the order of the posts and the masks.
    RETURNS (Pretrained): The number of posts and the loss.

    Raises WnutError if the encoder can't be loaded or its tokenizer has no mask token,
    if there are no posts, or if the checkpoints belong to a run with another encoder,
    other posts or other settings.
    """
    import torch
    import transformers

    from ..models.encoder_shim import half_precision_dtype

    torch.manual_seed(seed)
    model, tokenizer = load_checkpoint(source, transformers.AutoModelForMaskedLM)
    if tokenizer.mask_token is None:
        raise WnutError(
            f"The tokenizer of the encoder {source!r} has no mask token, which masked "
            "language modeling needs. Use an encoder that was trained with one, such "
            "as distilbert-base-uncased"
        )
    texts = list(texts)
    posts = [
        {"input_ids": ids, "length": len(ids)} for ids in _encode(tokenizer, texts)
    ]
    if not posts:
        raise WnutError(
            "There are no posts to train on: give files with one post per line"
        )
    dtype = half_precision_dtype()
    checkpoints = out.with_name(f"{out.name}.checkpoints")
    made_of = {
        "encoder": _digest_encoder(model.base_model, tokenizer),
        "texts": digest_values(texts),
        "settings": digest_values([epochs, learn_rate, batch_size, seed]),
    }
    checkpoint = _last_checkpoint(checkpoints, made_of)
    # Attributes that transformers loads lazily have no types.
    lazy: Any = transformers
    trainer = lazy.Trainer(
        model=model,
        args=lazy.TrainingArguments(
            output_dir=str(checkpoints),
            num_train_epochs=epochs,
            learning_rate=learn_rate,
            warmup_ratio=0.06,
            weight_decay=0.01,
            per_device_train_batch_size=batch_size,
            group_by_length=True,
            bf16=dtype == torch.bfloat16,
            fp16=dtype == torch.float16,
            save_steps=SAVE_STEPS,
            # A second one, in case the last one is damaged.
            save_total_limit=2,
            logging_steps=SAVE_STEPS // 4,
            seed=seed,
            report_to=[],
            dataloader_pin_memory=False,
            use_cpu=not torch.cuda.is_available(),
        ),
        train_dataset=posts,
        processing_class=tokenizer,
        data_collator=lazy.DataCollatorForLanguageModeling(tokenizer),
    )
    whole = trainer.train(resume_from_checkpoint=checkpoint).training_loss
    with replacing(out) as beside:
        model.base_model.save_pretrained(beside, safe_serialization=True)
        tokenizer.save_pretrained(beside)
    shutil.rmtree(checkpoints, ignore_errors=True)
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return Pretrained(len(posts), losses[-1] if losses else whole)


def _digest_encoder(encoder: Any, tokenizer: Any) -> str:
    weights = sorted(encoder.state_dict().items())
    return digest_chunks(
        [
            tokenizer.backend_tokenizer.to_str().encode(),
            encoder.config.to_json_string().encode(),
            *(
                name.encode() + tensor.cpu().numpy().tobytes()
                for name, tensor in weights
            ),
        ]
    )


def _last_checkpoint(folder: Path, made_of: dict[str, str]) -> str | None:
    """Return the last undamaged checkpoint of a run. If there is none, create the folder
    with a record of the run's inputs and return None.

    Raises WnutError if the folder belongs to another run or to something else.
    """
    record = folder / "made-of.json"
    before = read_digests(record)
    if (
        before is None
        and folder.exists()
        and (not folder.is_dir() or any(folder.iterdir()))
    ):
        raise WnutError(
            f"{folder} exists and holds no run of this command (no {record.name}). "
            "Move it away, or name another folder for the encoder"
        )
    names = [path for path in folder.glob("checkpoint-*") if STEP.fullmatch(path.name)]
    found = sorted(names, key=lambda path: int(path.name.split("-")[1]))
    if found:
        others = differing(before or {}, made_of)
        if others:
            raise WnutError(
                f"{folder} holds checkpoints of another run ({', '.join(others)} "
                "differed). Remove the folder, or name another one for the encoder"
            )
        while found:
            fault = _find_fault(found[-1])
            if fault is None:
                return str(found[-1])
            msg.warn(f"{fault}, so the checkpoint {found[-1]} is skipped")
            # Trainer would count it as the newest checkpoint, and delete older ones.
            shutil.rmtree(found.pop())
    write_digests(record, made_of)
    return None


def _find_fault(checkpoint: Path) -> str | None:
    """Return which file of a checkpoint is missing or damaged, or None if it is whole."""
    from safetensors import SafetensorError, safe_open

    names = ("trainer_state.json", "model.safetensors", *TORCH_FILES)
    for path in (checkpoint / name for name in names):
        try:
            if path.suffix == ".json":
                json.loads(path.read_text(encoding="utf8"))
            elif path.suffix == ".safetensors":
                with safe_open(path, "numpy"):
                    pass
            else:
                # torch.save writes a zip archive.
                with ZipFile(path) as archive:
                    if archive.testzip() is not None:
                        return f"{path.name} is damaged"
        except (OSError, ValueError, BadZipFile, SafetensorError):
            return f"{path.name} is missing or damaged"
    return None


def _encode(tokenizer: Any, texts: list[str]) -> list[list[int]]:
    if not texts:
        return []
    encoded = tokenizer(texts, truncation=True, max_length=MAX_PIECES)
    return list(encoded["input_ids"])
