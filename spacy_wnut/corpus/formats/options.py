"""Options of the readers of annotated data."""

from dataclasses import dataclass, field

from ..layout import Columns


@dataclass(frozen=True)
class ReadOptions:
    """The options of the user. Each reader uses those of its format.

    columns (Columns): The columns of words and tags in column files.
    scheme (Optional[str]): The scheme of the tags in column files, one of
        `schemes.SCHEMES`. None to infer it.
    tokens_column (Optional[str]): The column of the words in a dataset. None for
        "tokens".
    tags_column (Optional[str]): The column of the tags in a dataset. None for
        "ner_tags".
    label_names (Optional[Tuple[str, ...]]): The names of integer tags, by number.
    text_field (Optional[str]): The field of the text. None to find it by its usual name.
    """

    columns: Columns = field(default_factory=Columns)
    scheme: str | None = None
    tokens_column: str | None = None
    tags_column: str | None = None
    label_names: tuple[str, ...] | None = None
    text_field: str | None = None
