"""Registered functions for the settings of a config that count training steps.

A recipe states its epochs. The numbers of steps that spaCy needs follow from the number
of posts in `paths.train`:

    [training.max_steps]
    @misc = "spacy-wnut.steps.v1"
    path = ${paths.train}
    batch_size = ${training.batcher.size}
    default_epochs = 5
    epochs = ${system.epochs}

The other settings refer to `${training.max_steps}`. So `--training.max_steps 1000`
replaces the number of steps in all of them.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from spacy.language import Language
from spacy.util import logger, registry
from thinc.api import ConfigValidationError

from ..errors import WnutError
from .docbin import count_posts

# Small corpora have epochs of a few steps. An evaluation takes longer than these.
STEPS_BETWEEN_EVALUATIONS = 20
# The names of the functions that return numbers.
COUNTS = (
    "spacy-wnut.steps.v1",
    "spacy-wnut.eval_frequency.v1",
    "spacy-wnut.warmup_steps.v1",
    "spacy-wnut.pseudo_labelled_limit.v1",
)


def count_steps(
    path: Path | None,
    batch_size: int,
    default_epochs: int,
    # Any: confection's message on another type would not name the setting.
    epochs: Any = None,
) -> int:
    """Compute the number of training steps of a number of epochs.

    An epoch ends with a batch of the posts that remain, as in spaCy's training.

    path (Optional[Path]): The annotated posts, as for `spacy.Corpus.v1`.
    batch_size (int): The number of posts per batch.
    default_epochs (int): The number of epochs of the recipe.
    epochs (Optional[int]): The number of epochs instead, or None for those of the
        recipe.
    RETURNS (int): The number of steps, at least 1.

    Raises ConfigValidationError if the number of epochs or of posts per batch is not
    positive, or if the posts are missing or can't be read.
    """
    name, value = ("default_epochs", default_epochs)
    if epochs is not None:
        name, value = ("system.epochs", epochs)
    _check_positive(name, value)
    return value * _count_batches(path, batch_size)


def count_eval_frequency(steps: int, path: Path | None, batch_size: int) -> int:
    """Compute the number of steps between two evaluations.

    spaCy evaluates every step whose number is a multiple of this number. To evaluate the
    last step, it has to divide the number of steps. The result is the divisor nearest to
    the steps of an epoch, or nearest to 20 if an epoch has fewer steps. If there is none
    from half of this number on, only the first and the last step are evaluated.

    steps (int): The number of training steps, usually `${training.max_steps}`.
    path (Optional[Path]): The annotated posts, as for `spacy.Corpus.v1`.
    batch_size (int): The number of posts per batch.
    RETURNS (int): The number of steps between two evaluations.

    Raises ConfigValidationError if a number is not positive, or if the posts are missing
    or can't be read.
    """
    _check_steps(steps)
    wanted = max(_count_batches(path, batch_size), STEPS_BETWEEN_EVALUATIONS)
    divisors = [n for n in range(math.ceil(wanted / 2), steps) if steps % n == 0]
    # Near by ratio: half of the number is as far away as twice the number.
    return min([*divisors, steps], key=lambda n: abs(math.log(n / wanted)))


def count_warmup_steps(steps: int, fraction: float) -> int:
    """Compute the number of steps of a warm-up, for `warmup_linear.v1`.

    A warm-up has at least one step. It leaves at least one step of training with the
    full learning rate.

    steps (int): The number of training steps, usually `${training.max_steps}`.
    fraction (float): The fraction of the steps that belong to the warm-up, from 0 to 1.
        0 is no warm-up.
    RETURNS (int): The number of steps, rounded down.

    Raises ConfigValidationError if the number of steps is not positive, or if the
    fraction is not between 0 and 1.

    Example:
        >>> from spacy_wnut.corpus.steps import count_warmup_steps
        >>> count_warmup_steps(1065, 0.1), count_warmup_steps(6, 0.1)
        (106, 1)
    """
    _check_steps(steps)
    if not 0 <= fraction <= 1:
        raise _error(f"The fraction {fraction} of warm-up steps is not between 0 and 1")
    if not fraction:
        return 0
    return min(max(1, int(fraction * steps)), steps - 1)


def count_pseudo_labelled(
    steps: int, path: Path | None, batch_size: int, repeats: int
) -> int:
    """Compute the limit of `spacy-wnut.MixedCorpus.v1`, so that all training steps are
    one pass over the mixed posts.

    The pseudo-labelled posts fill the steps that the repeated annotated posts leave. If
    these leave fewer than one epoch, the limit is the number of annotated posts.

    steps (int): The number of training steps, usually `${training.max_steps}`.
    path (Optional[Path]): The annotated posts, as for `spacy.Corpus.v1`.
    batch_size (int): The number of posts per batch.
    repeats (int): The number of times that a pass includes each annotated post.
    RETURNS (int): The maximum number of pseudo-labelled posts.

    Raises ConfigValidationError if a number is not positive, or if the posts are missing
    or can't be read.
    """
    _check_steps(steps)
    _check_positive("batch_size", batch_size)
    _check_positive("repeats", repeats)
    n_posts = _count_posts(path)
    return max(steps * batch_size - repeats * n_posts, n_posts)


def create_step_recorder() -> Callable[[Language], Language]:
    """Create a callback for `initialize.before_init`: it replaces the functions of this
    module in the config, and the variables in `training.optimizer`, by their values.

    The config of the trained pipeline then contains the numbers of its training.
    `nlp.resume_training()` needs them: it creates the optimizer of the config without
    its variables, and on a machine without the corpus.

    RETURNS (Callable[[Language], Language]): The callback. It raises
        ConfigValidationError if a number can't be computed, or if `system.epochs` is set
        in a config with a fixed number of steps.
    """
    return _record_steps


def _record_steps(nlp: Language) -> Language:
    recorded, config = nlp.config, nlp.config.interpolate()
    epochs = config.get("system", {}).get("epochs")
    if isinstance(config["training"]["max_steps"], dict):
        if "epochs" in recorded.get("system", {}):
            recorded["system"]["epochs"] = None
    elif epochs is not None:
        raise _error(
            f"system.epochs is {epochs}, but training.max_steps is a fixed number: set "
            "only one of them"
        )
    # A fixed max_steps is no block, but total_steps refers to it by a variable.
    recorded["training"]["optimizer"] = config["training"]["optimizer"]
    for section in ("training", "corpora"):
        _replace_blocks(config.get(section, {}), recorded.get(section, {}))
    training = recorded["training"]
    logger.info(
        "Training for %s steps, evaluated every %s steps",
        *(training["max_steps"], training["eval_frequency"]),
    )
    return nlp


def _replace_blocks(config: dict[str, Any], recorded: dict[str, Any]) -> None:
    """Replace the blocks of an interpolated config in the one with variables."""
    for key, value in config.items():
        if not isinstance(value, dict):
            continue
        if value.get("@misc") in COUNTS:
            recorded[key] = registry.resolve({key: value})[key]
            continue
        # A variable may stand for a whole section.
        if not isinstance(recorded[key], dict):
            recorded[key] = value
        _replace_blocks(value, recorded[key])


def _count_batches(path: Path | None, batch_size: int) -> int:
    """Count the batches of one epoch."""
    _check_positive("batch_size", batch_size)
    return math.ceil(_count_posts(path) / batch_size)


def _count_posts(path: Path | None) -> int:
    if path is None:
        raise _error(
            "paths.train is not set: give the annotated posts, or fixed numbers for "
            "training.max_steps and training.eval_frequency"
        )
    try:
        return count_posts(Path(path))
    except WnutError as err:
        raise _error(str(err)) from err


def _check_steps(steps: int) -> None:
    if not _is_positive(steps):
        raise _error(
            f"training.max_steps is {steps}, but evaluations and schedules need the number "
            "of steps, at least 1. To train for a number of epochs, set system.epochs"
        )


def _check_positive(name: str, value: int) -> None:
    if not _is_positive(value):
        raise _error(f"{name} is {value!r}, but has to be a whole number, at least 1")


def _is_positive(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _error(text: str) -> ConfigValidationError:
    """Create an error that `spacy train` prints without a traceback."""
    return ConfigValidationError(desc=text)
