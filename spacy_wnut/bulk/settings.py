"""The settings of a run that determine its records and entities."""

from dataclasses import dataclass

from ..errors import WnutError
from .offsets import CODE_POINTS

ENTITIES_FIELD = "entities"


@dataclass(frozen=True)
class Settings:
    """The settings that determine the entities, the names of their fields, and the
    records to write.

    model (str): The name of an installed pipeline, or its folder.
    text_field (str): The field or column of the text, or the path to a nested field.
    entities_field (str): The field or column for the entities.
    threshold (Optional[float]): The least confidence of an entity. By default the
        threshold that is stored with the pipeline.
    labels (Optional[Tuple[str, ...]]): The entity types to keep, or None for all.
    batch_size (Optional[int]): Texts per batch, or None for the pipeline's own number.
    gpu_id (int): The GPU to run on, or -1 for the CPU.
    offsets (str): The unit of the entities' offsets, CODE_POINTS or UTF16.
    unescape (bool): Whether the pipeline gets the text without HTML escapes. Offsets
        refer to the text of the record in any case.
    only_doubtful (Optional[Tuple[float, float]]): If set, only records are written that
        have an entity with a confidence in this interval, bounds included.
    """

    model: str
    text_field: str = "text"
    entities_field: str = ENTITIES_FIELD
    threshold: float | None = None
    labels: tuple[str, ...] | None = None
    batch_size: int | None = None
    gpu_id: int = -1
    offsets: str = CODE_POINTS
    unescape: bool = False
    only_doubtful: tuple[float, float] | None = None


def parse_interval(given: str) -> tuple[float, float]:
    """Return the bounds of an interval of confidences.

    given (str): The value of --only-doubtful.

    Raises WnutError if it is not two numbers from 0 to 1 in ascending order.

    >>> parse_interval("0.3,0.7")
    (0.3, 0.7)
    """
    try:
        low, high = map(float, given.split(","))
    except ValueError:
        low, high = 1.0, 0.0
    # False for NaN, too.
    if not 0.0 <= low <= high <= 1.0:
        raise WnutError(
            f"--only-doubtful {given!r} can't be used: give two confidences between 0 "
            "and 1, the lower one first, as 0.3,0.7"
        )
    return low, high
