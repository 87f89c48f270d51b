import copy
import json

import pytest

from spacy_wnut.corpus.formats.label_studio import read_label_studio
from spacy_wnut.corpus.formats.options import ReadOptions
from spacy_wnut.corpus.formats.registry import find_format
from spacy_wnut.corpus.posts import LabelledSpan, Post
from spacy_wnut.errors import WnutError

OSLO = LabelledSpan(10, 14, "LOC")
ADA = LabelledSpan(0, 3, "PER")


def result(start, end, text, *labels, **fields):
    return {
        "id": "Dx_aB91ISN",
        "from_name": "label",
        "to_name": "text",
        "type": "labels",
        "value": {"start": start, "end": end, "text": text, "labels": list(labels)},
        **fields,
    }


def annotation(*results, **fields):
    return {
        "id": 1001,
        "completed_by": 1,
        "result": list(results),
        "was_cancelled": False,
        "ground_truth": False,
        "created_at": "2021-03-09T22:16:08.728353Z",
        "updated_at": "2021-03-09T22:16:08.728378Z",
        "lead_time": 4.288,
        **fields,
    }


def task(*annotations, data=None, **fields):
    return {
        "id": 17,
        "annotations": list(annotations),
        "predictions": [],
        "data": data or {"tweet": "Ada is in Oslo"},
        "project": 83,
        **fields,
    }


TASK = task(annotation(result(10, 14, "Oslo", "LOC")))
MIN = {
    "tweet": "Ada is in Oslo",
    "id": 17,
    "label": [
        {"start": 0, "end": 3, "text": "Ada", "labels": ["PER"]},
        {"start": 10, "end": 14, "text": "Oslo", "labels": ["LOC"]},
    ],
    "annotator": 1,
    "annotation_id": 1001,
    "created_at": "2021-03-09T22:16:08.728353Z",
    "updated_at": "2021-03-09T22:16:08.728378Z",
    "lead_time": 4.288,
}


@pytest.fixture
def read(tmp_path):
    """Write tasks as an export does, and read them in the format that is found."""

    def read(*tasks, **options):
        path = tmp_path / "export.json"
        path.write_text(json.dumps(tasks))
        assert find_format(path).name == "label-studio"
        return list(read_label_studio(path, ReadOptions(**options)))

    return read


def test_a_task(read):
    assert read(TASK) == [
        Post("Ada is in Oslo", (OSLO,), id="17", where="record 1, line 1")
    ]


def test_json_min(read):
    assert read(MIN) == [
        Post("Ada is in Oslo", (ADA, OSLO), id="17", where="record 1, line 1")
    ]


def test_an_annotation_without_results_has_no_entities(read):
    [post, other] = read(task(annotation()), TASK)
    assert post.spans == () and other.spans == (OSLO,)
    without = {name: value for name, value in MIN.items() if name != "label"}
    [post] = read(without)
    assert (post.text, post.spans) == ("Ada is in Oslo", ())


def test_completions_of_older_versions(read):
    old = {
        "id": 1,
        "data": {"text": "Ada is in Oslo"},
        "completions": TASK["annotations"],
    }
    [post] = read(old)
    assert post.spans == (OSLO,)


@pytest.mark.parametrize(
    "annotations, spans",
    [
        # The latest.
        ([annotation(result(10, 14, "Oslo", "LOC")), annotation()], ()),
        (
            [
                annotation(created_at="2022-01-02T00:00:00Z"),
                annotation(
                    result(0, 3, "Ada", "PER"), created_at="2022-01-03T00:00:00Z"
                ),
                annotation(created_at="2022-01-01T00:00:00Z"),
            ],
            (ADA,),
        ),
        # Not the cancelled one.
        (
            [annotation(result(0, 3, "Ada", "PER")), annotation(was_cancelled=True)],
            (ADA,),
        ),
        ([annotation(result(0, 3, "Ada", "PER")), annotation(skipped=True)], (ADA,)),
        # The ground truth.
        (
            [annotation(result(0, 3, "Ada", "PER"), ground_truth=True), annotation()],
            (ADA,),
        ),
        (
            [
                annotation(ground_truth=True, was_cancelled=True),
                annotation(result(0, 3, "Ada", "PER")),
            ],
            (ADA,),
        ),
    ],
)
def test_one_of_several_annotations(read, annotations, spans):
    [post] = read(task(*annotations))
    assert post.spans == spans


def test_the_latest_of_several_records_of_json_min(read):
    older = {
        **MIN,
        "label": [],
        "annotation_id": 1,
        "created_at": "2020-01-01T00:00:00Z",
    }
    other = {**MIN, "id": 18}
    # Merged exports of two projects may have one id twice.
    project = {**older, "tweet": "lol"}
    posts = read(MIN, older, other, project)
    assert [(post.id, len(post.spans)) for post in posts] == [
        ("17", 2),
        ("18", 2),
        ("17", 0),
    ]


UNANNOTATED = [
    task(predictions=[annotation(result(10, 14, "Oslo", "LOC"))]),
    {"id": 1, "data": {"tweet": "lol"}, "predictions": []},
    task(annotation(was_cancelled=True)),
    {"tweet": "lol", "id": 3, "annotation_id": None},
]


@pytest.mark.parametrize("unannotated", UNANNOTATED)
def test_tasks_without_annotation_are_skipped(read, unannotated):
    [post] = read(unannotated, TASK, unannotated)
    assert isinstance(post, Post)


def test_file_without_annotation_is_an_error(read):
    """An export of tasks with predictions alone, for example."""
    with pytest.raises(
        WnutError, match=r"none of the 4 tasks is annotated\. Predictions"
    ):
        read(*UNANNOTATED)


def test_a_result_with_several_labels_is_several_spans(read):
    [post] = read(task(annotation(result(10, 14, "Oslo", "LOC", "GPE"))))
    assert post.spans == (OSLO, OSLO._replace(label="GPE"))


def test_other_results_are_ignored(read):
    others = [
        {"type": "relation", "from_id": "a", "to_id": "b", "direction": "right"},
        {"type": "choices", "value": {"choices": ["spam"]}, "to_name": "text"},
        {"type": "textarea", "value": {"start": 1, "end": 2, "text": ["note"]}},
    ]
    [post] = read(task(annotation(*others, result(10, 14, "Oslo", "LOC"))))
    assert post.spans == (OSLO,)


def test_offsets_of_html_are_global(read):
    span = result("/p[1]/text()[1]", "/p[1]/text()[1]", "Oslo", "LOC")
    span["type"] = "hypertextlabels"
    span["value"]["hypertextlabels"] = span["value"].pop("labels")
    span["value"] |= {"startOffset": 10, "endOffset": 14}
    span["value"]["globalOffsets"] = {"start": 10, "end": 14}
    [post] = read(task(annotation(span)))
    assert post.spans == (OSLO,)
    html = {"tweet": "<p>Ada is in Oslo</p>"}
    [rejected] = read(task(annotation(span), data=html))
    assert "has the text 'Oslo', but at its offsets the text is" in rejected.reason
    del span["value"]["globalOffsets"]
    [rejected] = read(task(annotation(span)))
    assert "the start of a span is text, not an integer" in rejected.reason


@pytest.mark.parametrize("record", [TASK, MIN])
def test_offsets_in_utf16(read, record):
    record = json.loads(json.dumps(record))
    text = "🎉 Ada is in Oslo"
    (record.get("data") or record)["tweet"] = text
    regions = record.get("label") or [
        one["value"] for one in record["annotations"][0]["result"]
    ]
    for shift in (3, 2):
        shifted = copy.deepcopy(record)
        found = shifted.get("label") or [
            one["value"] for one in shifted["annotations"][0]["result"]
        ]
        for region, original in zip(found, regions, strict=True):
            region["start"] = original["start"] + shift
            region["end"] = original["end"] + shift
        [post] = read(shifted)
        assert [text[a:b] for a, b, _ in post.spans] == [one["text"] for one in regions]


@pytest.mark.parametrize(
    "data, field",
    [
        ({"url": "https://example.org/a", "body": "Ada is in Oslo"}, "body"),
        ({"text": "longer than the tweet itself", "tweet": "Ada is in Oslo"}, "tweet"),
        # Equal texts.
        ({"tweet": "Ada is in Oslo", "text": "Ada is in Oslo"}, "text"),
    ],
)
def test_the_field_of_the_text_is_the_one_that_the_spans_fit(read, data, field):
    [post, _] = read(
        task(annotation(result(10, 14, "Oslo", "LOC")), data=data),
        # A faulty task does not change this.
        task(annotation(result(7, 14, "Oslo", "LOC")), data=data),
    )
    assert post.text == data[field]


def test_the_name_of_the_labelled_object_decides(read):
    data = {"tweet": "Ada is in Oslo", "reply": "Ada is in Oslo!"}
    [post] = read(
        task(annotation(result(0, 3, "Ada", "PER", to_name="reply")), data=data)
    )
    assert post.text == "Ada is in Oslo!"


def test_an_ambiguous_field_is_an_error(read):
    data = {"tweet": "Ada is in Oslo", "reply": "Ada is in Oslo!"}
    tasks = task(annotation(result(0, 3, "Ada", "PER")), data=data)
    with pytest.raises(WnutError) as caught:
        read(tasks)
    assert "may be in 'tweet' or 'reply': name its field with --text-field" in str(
        caught.value
    )
    for field in ("tweet", "data.tweet"):
        [post] = read(tasks, text_field=field)
        assert post.text == "Ada is in Oslo"
    [rejected] = read(tasks, text_field="body")
    assert rejected.reason == "has no field 'body' (its fields: 'tweet', 'reply')"


@pytest.mark.parametrize(
    "faulty, reason",
    [
        (
            task(annotation(result(10, 15, "Oslo", "LOC"))),
            "the span 10 to 15 (LOC) is outside",
        ),
        (
            task(annotation(result(9, 13, "Oslo", "LOC"))),
            "the span 9 to 13 (LOC) has the text",
        ),
        (
            task(annotation(result(10, 14, "Olso", "LOC"))),
            "the span 10 to 14 (LOC) has the text",
        ),
        (
            task(annotation(result(3, 4, " ", "LOC"))),
            "the span 3 to 4 (LOC) is only white",
        ),
        (task(annotation(result(4, 4, "", "LOC"))), "the span 4 to 4 (LOC) is empty"),
        (task(annotation(result("4", 6, "is", "LOC"))), "the start of a span is text"),
        (task(annotation(result(4, 6, "is"))), "the span 4 to 6 has no label"),
        (
            task(annotation(result(4, 6, "is", 7))),
            "the label of the span 4 to 6 is a number",
        ),
        (
            task(annotation({"type": "labels"})),
            "the value of a result is null, not an object",
        ),
        (
            task(annotation(), data={"tweet": None}),
            "the field 'tweet' is missing (null)",
        ),
        (task(annotation(), data={"tweet": " "}), "the field 'tweet' is empty"),
        (task(annotation(), data={"n": 1}), "has no field 'tweet'"),
        (task(17), "the field 'annotations' holds other values than objects"),
        (task({"id": 1}), "has no field 'result'"),
        (
            {"data": "Oslo", "annotations": []},
            "the field 'data' is text, not an object",
        ),
        (
            {**MIN, "label": [{"start": 0, "labels": ["PER"]}]},
            "the end of a span is null",
        ),
        ([1], "is a list, not an object with fields"),
    ],
)
def test_faulty_tasks_are_rejected(read, faulty, reason):
    first, rejected, last = read(TASK, faulty, TASK)
    assert isinstance(first, Post) and isinstance(last, Post)
    assert rejected.where == "record 2, line 1"
    assert rejected.reason.startswith(reason)
