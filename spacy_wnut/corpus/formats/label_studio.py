"""Label Studio: the exports JSON and JSON-MIN."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ...errors import WnutError
from ..json_values import kind_of
from ..posts import Post, Rejection
from .json_file import JsonRecord, read_json
from .options import ReadOptions
from .records import (
    RawSpan,
    RecordError,
    check_object,
    get_field,
    get_id,
    get_list,
    get_text,
    make_spans,
)

# The lists of annotations in a task. Versions before 1.0 named them completions.
ANNOTATION_FIELDS = ("annotations", "completions")
# The types of results that are labelled spans of a text.
LABEL_TYPES = ("labels", "hypertextlabels")
# The fields of JSON-MIN that are not data of the task.
MIN_FIELDS = (
    "id",
    "annotator",
    "annotation_id",
    "created_at",
    "updated_at",
    "lead_time",
)
USUAL_FIELD = "text"


class _Task(NamedTuple):
    """An annotated task.

    where (str): Its place in the file.
    record (Dict[str, Any]): Its JSON.
    data (Dict[str, Any]): The data of the task, among them the text.
    spans (List[RawSpan]): The spans of its annotation.
    names (FrozenSet[str]): The names of the labelled objects (`to_name`).
    id (str): The id of the task, for an annotation of JSON-MIN.
    created (str): The time of this annotation.
    """

    where: str
    record: dict[str, Any]
    data: dict[str, Any]
    spans: list[RawSpan]
    names: frozenset[str] = frozenset()
    id: str = ""
    created: str = ""


def read_label_studio(path: Path, options: ReadOptions) -> Iterator[Post | Rejection]:
    """Read an export of Label Studio, in JSON or JSON-MIN.

    The spans are the results of type `labels`. A result with several labels is several
    spans. Relations, choices and other results are ignored.

    If a task has several annotations, one is used: the one marked as ground truth, or
    else the latest by `created_at`, as Label Studio's converter sorts them. Cancelled
    (skipped) annotations and predictions are never used. A task with no other ones is
    skipped, since it is not known whether it has entities. In JSON-MIN, several
    annotations of a task are several records with the same id and text.

    The text may have any name in the data of the task. If there are several texts, it is
    the one in which most results have their `text` at their offsets, and among equals
    the field "text", or the name of the labelled object.

    Offsets are in code points, or in UTF-16 code units if the `text` of the results
    proves it: older versions count as JavaScript does.

    path (Path): The file. It is read as a whole.
    options (ReadOptions): `text_field` names the field of the text.
    YIELDS (Post | Rejection): The posts.

    Raises WnutError if the file cannot be read, if no task is annotated, or if several
    fields may be the text.
    """
    records = [_parse(record) for record in read_json(path)]
    tasks = [task for task in records if task is not None]
    if records and not tasks:
        raise WnutError(
            f"{path}: none of the {len(records):,} tasks is annotated. Predictions and "
            "cancelled annotations are not used"
        )
    parsed = [task for task in tasks if isinstance(task, _Task)]
    field = options.text_field or _find_text_field(path, parsed)
    # The annotations of one task are several records of JSON-MIN.
    latest = {
        (task.id, str(task.data.get(field))): task
        for task in sorted(parsed, key=lambda task: task.created)
        if task.id
    }
    for task in tasks:
        if isinstance(task, Rejection):
            yield task
            continue
        if latest.get((task.id, str(task.data.get(field))), task) is not task:
            continue
        try:
            text = _get_text(task, field)
            spans = make_spans(text, task.spans)
        except RecordError as err:
            yield Rejection(task.where, str(err), task.record)
        else:
            yield Post(text, spans, id=get_id(task.record), where=task.where)


def is_label_studio(record: Any) -> bool:
    """Return whether a record has the form of Label Studio's JSON or JSON-MIN.

    >>> span = {"start": 3, "end": 7, "text": "Oslo", "labels": ["location"]}
    >>> is_label_studio({"id": 1, "tweet": "in Oslo", "label": [span]})
    True
    """
    if not isinstance(record, dict):
        return False
    if _is_task(record):
        return True
    return "annotation_id" in record or any(map(_is_regions, record.values()))


def _is_task(record: dict[str, Any]) -> bool:
    fields = (*ANNOTATION_FIELDS, "predictions")
    return isinstance(record.get("data"), dict) and any(
        isinstance(record.get(name), list) for name in fields
    )


def _is_regions(value: Any) -> bool:
    """Return whether a value of JSON-MIN is a list of labelled spans."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(one, dict) for one in value)
        and any(name in one for one in value for name in LABEL_TYPES)
    )


def _parse(record: JsonRecord | Rejection) -> _Task | Rejection | None:
    """Parse a record. None if it is a task without annotation."""
    if isinstance(record, Rejection):
        return record
    where, value = record
    try:
        fields = check_object(value)
        if "data" in fields or any(name in fields for name in ANNOTATION_FIELDS):
            return _parse_task(where, fields)
        return _parse_min(where, fields)
    except RecordError as err:
        return Rejection(where, str(err), value)


def _parse_task(where: str, record: dict[str, Any]) -> _Task | None:
    data = get_field(record, "data")
    if not isinstance(data, dict):
        raise RecordError(f"the field 'data' is {kind_of(data)}, not an object")
    field = next((name for name in ANNOTATION_FIELDS if name in record), None)
    annotations = get_list(record, field) if field else []
    if not all(isinstance(one, dict) for one in annotations):
        raise RecordError(f"the field {field!r} holds other values than objects")
    kept = [
        one
        for one in annotations
        if not one.get("was_cancelled") and not one.get("skipped")
    ]
    if not kept:
        return None
    kept.sort(key=lambda one: (bool(one.get("ground_truth")), _created(one)))
    spans: list[RawSpan] = []
    names = set()
    for result in get_list(kept[-1], "result"):
        if isinstance(result, dict) and result.get("type") in LABEL_TYPES:
            spans += _parse_region(result.get("value"))
            names.add(str(result.get("to_name")))
    return _Task(where, record, data, spans, frozenset(names))


def _parse_min(where: str, record: dict[str, Any]) -> _Task | None:
    data = {name: value for name, value in record.items() if name not in MIN_FIELDS}
    regions = [value for value in data.values() if _is_regions(value)]
    annotation = record.get("annotation_id")
    if annotation is None and not regions and not isinstance(data.get("label"), list):
        return None
    spans = [span for value in regions for one in value for span in _parse_region(one)]
    id_ = "" if annotation is None else get_id(record)
    return _Task(where, record, data, spans, id=id_, created=_created(record))


def _created(annotation: dict[str, Any]) -> str:
    """Return the time of an annotation: in ISO 8601, or seconds in older versions."""
    return str(annotation.get("created_at") or "")


def _parse_region(value: Any) -> Iterator[RawSpan]:
    """Yield the span of a result, once for each of its labels."""
    if not isinstance(value, dict):
        raise RecordError(f"the value of a result is {kind_of(value)}, not an object")
    start, end = value.get("start"), value.get("end")
    # Results in HTML have paths as `start` and `end`.
    places = value.get("globalOffsets")
    if isinstance(places, dict):
        start, end = places.get("start"), places.get("end")
    labels = next((value[name] for name in LABEL_TYPES if name in value), None)
    if not isinstance(labels, list) or not labels:
        raise RecordError(f"the span {start} to {end} has no label")
    for label in labels:
        yield RawSpan(start, end, label, value.get("text"))


def _get_text(task: _Task, field: str) -> str:
    try:
        return get_text(task.data, field)
    except RecordError:
        # "data.text" is the field as seen from the task.
        if not field.startswith("data."):
            raise
        return get_text(task.record, field)


def _find_text_field(path: Path, tasks: Sequence[_Task]) -> str:
    """Find the field of the text in the data of the tasks."""
    fields = dict.fromkeys(
        name
        for task in tasks
        for name, value in task.data.items()
        if isinstance(value, str)
    )
    if len(fields) < 2:
        return next(iter(fields), USUAL_FIELD)
    counts = Counter(
        name
        for task in tasks
        for name in fields
        if task.spans and _fits(task.data.get(name), task.spans)
    )
    most = max(counts.values(), default=0)
    best = [name for name in fields if counts[name] == most]
    names = frozenset().union(*(task.names for task in tasks))
    for found in (best, [USUAL_FIELD], sorted(names)):
        shared = [name for name in found if name in best]
        if len(shared) == 1:
            return shared[0]
    raise WnutError(
        f"{path}: the text of a task may be in {' or '.join(map(repr, best))}: name its "
        "field with --text-field"
    )


def _fits(text: Any, spans: Sequence[RawSpan]) -> bool:
    """Return whether a value is a text that the spans fit."""
    try:
        return isinstance(text, str) and bool(make_spans(text, spans))
    except RecordError:
        return False
