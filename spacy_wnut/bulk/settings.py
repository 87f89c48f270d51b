"""The settings of a run that determine its entities."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """The settings that determine the entities, and the names of their fields.

    model (str): The name of an installed pipeline, or its folder.
    text_field (str): The field or column of the text.
    entities_field (str): The field or column for the entities.
    threshold (Optional[float]): The least confidence of an entity. By default the
        threshold that is stored with the pipeline.
    labels (Optional[Tuple[str, ...]]): The entity types to keep, or None for all.
    batch_size (Optional[int]): Texts per batch, or None for the pipeline's own number.
    gpu_id (int): The GPU to run on, or -1 for the CPU.
    """

    model: str
    text_field: str = "text"
    entities_field: str = "entities"
    threshold: float | None = None
    labels: tuple[str, ...] | None = None
    batch_size: int | None = None
    gpu_id: int = -1
