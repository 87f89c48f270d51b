import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import datasets
import huggingface_hub
import pytest
import requests

from spacy_wnut.corpus.formats.options import ReadOptions
from spacy_wnut.corpus.layout import Columns
from spacy_wnut.corpus.posts import Rejection
from spacy_wnut.corpus.sources import load_posts, load_rows
from spacy_wnut.corpus.type_map import TypeMap
from spacy_wnut.errors import WnutError

LOAD_DATASET = datasets.load_dataset
PUBLISHED = ("wnut17train.conll", "emerging.dev.conll", "emerging.test.annotated")
PLAIN = ("train.conll", "dev.conll", "test.conll")
TEXTS = (
    "Ann\tB-person\nLee\tI-person\nsings\tO\n\t\nhi\tO\n",
    "in\tO\nOslo\tB-location\n",
    "Ben\tI-person\nKyoto\tB-location\n",
)


def fill(folder, names=PLAIN, texts=TEXTS):
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in zip(names, texts, strict=True):
        (folder / name).write_text(text, encoding="utf8")
    return str(folder)


def decode(rows):
    names = rows["train"].features["ner_tags"].feature.names
    return {
        split: [(row["tokens"], [names[i] for i in row["ner_tags"]]) for row in data]
        for split, data in rows.items()
    }


EXPECTED = {
    "train": [
        (["Ann", "Lee", "sings"], ["B-person", "I-person", "O"]),
        (["hi"], ["O"]),
    ],
    "validation": [(["in", "Oslo"], ["O", "B-location"])],
    "test": [(["Ben", "Kyoto"], ["I-person", "B-location"])],
}


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A fake of the hub's client. `answers` sets whether the hub can be reached, `load`
    replaces the download. The working directory has no folder assets/wnut17.
    """

    class Hub:
        answers = True

        def get_session(self):
            return self

        def head(self, url, timeout):
            if not self.answers:
                raise requests.exceptions.ConnectionError("no route to host")

        def load(self, name, **options):
            self.calls.append((name, options))
            return self.dataset

    hub = Hub()
    hub.calls = []
    hub.dataset = load_rows(fill(tmp_path / "hub"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(huggingface_hub, "get_session", hub.get_session)
    monkeypatch.setattr(datasets, "load_dataset", hub.load)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    return hub


@pytest.mark.parametrize(
    "names",
    [PUBLISHED, PLAIN, ("train.txt", "valid.iob", "test.bio")],
)
def test_folder_of_conll_files_is_loaded(tmp_path, names):
    rows = load_rows(fill(tmp_path, names))
    assert decode(rows) == EXPECTED
    assert list(rows) == ["train", "validation", "test"]
    assert rows["train"]["id"][:] == ["0", "1"]
    for split in rows.values():
        assert split.features == datasets.Features(
            {
                "id": datasets.Value("string"),
                "tokens": datasets.Sequence(datasets.Value("string")),
                "ner_tags": datasets.Sequence(
                    datasets.ClassLabel(
                        names=[
                            "O",
                            "B-corporation",
                            "I-corporation",
                            "B-creative-work",
                            "I-creative-work",
                            "B-group",
                            "I-group",
                            "B-location",
                            "I-location",
                            "B-person",
                            "I-person",
                            "B-product",
                            "I-product",
                        ]
                    )
                ),
            }
        )


def test_changed_file_is_read_again(tmp_path):
    load_rows(fill(tmp_path))
    rows = load_rows(fill(tmp_path, texts=("new\tO\n", *TEXTS[1:])))
    assert decode(rows)["train"] == [(["new"], ["O"])]


def test_labels_come_from_the_data_or_the_setting(tmp_path):
    source = fill(tmp_path, texts=("a\tB-verb\n", "b\tB-noun\n", "c\tO\n"))

    def names(labels):
        return load_rows(source, labels)["test"].features["ner_tags"].feature.names

    assert names(None) == ["O", "B-noun", "I-noun", "B-verb", "I-verb"]
    assert names(["verb", "x", "noun"])[1::2] == ["B-verb", "B-x", "B-noun"]
    with pytest.raises(WnutError, match=r"dev\.conll, line 1: 'noun' is an unknown"):
        names(["verb"])


@pytest.mark.parametrize("labels", [[], [""], ["a", "a"], ["a\tb"]])
def test_invalid_labels_are_rejected(tmp_path, labels):
    with pytest.raises(WnutError, match="labels"):
        load_rows(fill(tmp_path), labels)


def test_files_with_published_names_may_only_have_published_labels(tmp_path):
    source = fill(tmp_path, PUBLISHED, ("a\tB-persn\n", *TEXTS[1:]))
    with pytest.raises(WnutError, match=r"wnut17train\.conll, line 1: 'persn'"):
        load_rows(source)


def test_folder_needs_exactly_one_file_per_split(tmp_path):
    source = fill(tmp_path, PUBLISHED)
    # The wrong one of the two published test files.
    (tmp_path / PUBLISHED[2]).rename(tmp_path / "emerging.test.conll")
    with pytest.raises(
        WnutError, match=r"of the split test: expected emerging\.test\.a"
    ):
        load_rows(source)
    fill(tmp_path)
    with pytest.raises(
        WnutError, match=r"2 files of the split train: keep one of wnut"
    ):
        load_rows(source)


def test_invalid_sources_are_rejected(tmp_path):
    with pytest.raises(WnutError, match="gone isn't there: give one with wnut17train"):
        load_rows(str(tmp_path / "gone"))
    path = Path(fill(tmp_path)) / "train.conll"
    with pytest.raises(WnutError, match="is a file: give the folder with wnut17train"):
        load_rows(str(path))
    (tmp_path / "empty").mkdir()
    with pytest.raises(WnutError, match=r"Folder .*empty can't be loaded: "):
        load_rows(str(tmp_path / "empty"))


def test_folders_in_formats_of_datasets_are_loaded(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    rows = load_rows(fill(tmp_path / "conll"))
    rows.save_to_disk(str(tmp_path / "disk"))
    for split, data in rows.items():
        data.to_parquet(str(tmp_path / "parquet" / f"{split}.parquet"))
    strings = tmp_path / "json"
    strings.mkdir()
    for split, data in decode(rows).items():
        datasets.Dataset.from_list(
            [{"tokens": tokens, "ner_tags": tags} for tokens, tags in data]
        ).to_json(str(strings / f"{split}.jsonl"))

    for name in ("disk", "parquet", "json"):
        loaded = load_rows(str(tmp_path / name))
        assert decode(loaded) == EXPECTED
        assert loaded["train"].features == rows["train"].features
        assert loaded["train"]["id"][:] == ["0", "1"]
    # No copy of local files is left in the cache.
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("source", ["leondz/wnut_17", "wnut_17"])
def test_wnut_17_is_loaded_from_the_hub(hub, source):
    rows = load_rows(source)
    assert decode(rows) == EXPECTED
    assert hub.calls == [("leondz/wnut_17", {"revision": "refs/convert/parquet"})]
    assert rows["test"].info.description == "Hub dataset leondz/wnut_17"


def test_wnut_17_is_loaded_from_the_assets_first(hub):
    fill(Path("assets", "wnut17"), PUBLISHED)
    assert decode(load_rows("wnut_17")) == EXPECTED
    assert hub.calls == []


def test_other_hub_dataset_is_loaded(hub):
    loaded = datasets.DatasetDict(
        {
            name: datasets.Dataset.from_dict(
                {"id": [7], "tokens": [["a"]], "ner_tags": [[1]], "pos": ["x"]}
            ).cast_column(
                "ner_tags",
                datasets.Sequence(datasets.ClassLabel(names=["O", "B-film"])),
            )
            for name in ("train", "dev", "test", "extra")
        }
    )
    hub.dataset = loaded
    rows = load_rows("somebody/films")
    assert hub.calls == [("somebody/films", {})]
    assert decode(rows) == {
        split: [(["a"], ["B-film"])] for split in ("train", "validation", "test")
    }
    assert rows["train"].column_names == ["id", "tokens", "ner_tags"]
    assert rows["train"]["id"][:] == ["7"]


def test_error_without_network_lists_all_attempts(hub, monkeypatch):
    monkeypatch.setattr(datasets, "load_dataset", LOAD_DATASET)
    hub.answers = False
    with pytest.raises(WnutError) as err:
        load_rows("wnut_17")
    for part in (
        f"Folder {Path('assets', 'wnut17')} isn't there",
        "Hub dataset leondz/wnut_17 isn't in the cache",
        "doesn't answer (ConnectionError)",
        "SPACY_WNUT_DATA or --vars.wnut17",
        *PUBLISHED,
    ):
        assert part in str(err.value)
    assert datasets.config.HF_HUB_OFFLINE is False


def test_cache_is_used_without_network(hub, tmp_path, monkeypatch):
    monkeypatch.setattr(datasets, "load_dataset", LOAD_DATASET)
    hub.answers = False
    cache = tmp_path / "cache"
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", cache)
    # Fill the cache as if the dataset had been loaded from the hub.
    for split, data in hub.dataset.items():
        data.to_parquet(str(tmp_path / "wnut_17" / f"{split}.parquet"))
    datasets.load_dataset(str(tmp_path / "wnut_17"))
    (cache / "wnut_17").rename(cache / "leondz___wnut_17")

    assert decode(load_rows("leondz/wnut_17")) == EXPECTED


def test_error_in_offline_mode_names_the_variable():
    code = (
        "from spacy_wnut.corpus.sources import load_rows; load_rows('nobody/nothing')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        encoding="utf8",
        timeout=60,
    )
    assert "nobody/nothing isn't in the cache, and the hub isn't asked" in done.stderr
    assert "HF_HUB_OFFLINE is set" in done.stderr


def test_error_of_the_hub_is_quoted(hub, monkeypatch):
    def fail(name, **options):
        raise datasets.exceptions.DatasetNotFoundError("there is no such dataset")

    monkeypatch.setattr(datasets, "load_dataset", fail)
    with pytest.raises(WnutError, match=r"there is no such dataset.*SPACY_WNUT_DATA"):
        load_rows("somebody/x")


def test_error_without_datasets_names_the_extra_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(WnutError, match=r"pip install 'spacy-wnut\[train\]'"):
        load_rows("wnut_17")


def test_import_does_not_need_datasets():
    code = "import sys, spacy_wnut.corpus.sources; sys.exit('datasets' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


DOCCANO = '{"text": "in Oslo", "label": [[3, 7, "LOC"]]}\n'


def write(folder, **files):
    """Write files whose names have two underscores for a dot."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(content, encoding="utf8")
    return str(folder)


def labelled(posts):
    return [
        [(post.text[start:end], label) for start, end, label in post.spans]
        for post in posts
    ]


def test_posts_of_conll_files_are_those_of_the_rows(tmp_path):
    source = fill(tmp_path, PUBLISHED)
    loaded = load_posts(source)
    assert loaded.origin == f"CoNLL files in {source}"
    for split, rows in EXPECTED.items():
        assert [
            [post.text[start:end] for start, end in post.words]
            for post in loaded.splits[split]
        ] == [words for words, _ in rows]
        assert not any(post.has_spaces for post in loaded.splits[split])
    assert list(loaded.splits) == list(EXPECTED)


@pytest.mark.parametrize(
    "files, splits",
    [
        ({"train__jsonl": DOCCANO}, ["train"]),
        ({"any__jsonl": DOCCANO}, ["train"]),
        (
            {"Train__json": f"[{DOCCANO}]", "valid__jsonl": DOCCANO},
            ["train", "validation"],
        ),
        ({"train__jsonl": DOCCANO, "test__rejected__jsonl": "x"}, ["train"]),
        (
            {
                "train__jsonl": DOCCANO,
                "validation__json": DOCCANO,
                "test__log": DOCCANO,
            },
            ["train", "validation", "test"],
        ),
        (
            {"train__jsonl": DOCCANO, "__train__jsonl": "x", "README__md": "x"},
            ["train"],
        ),
    ],
)
def test_folders_with_files_of_any_format(tmp_path, files, splits):
    loaded = load_posts(write(tmp_path / "data", **files))
    assert list(loaded.splits) == splits
    assert "(format: doccano)" in loaded.origin
    for posts in loaded.splits.values():
        assert labelled(posts) == [[("Oslo", "LOC")]]


def test_files_with_other_names_are_read_together(tmp_path):
    """The exports of two annotators, and a file that is no data."""
    other = '{"text": "in Rome", "spans": [{"start": 3, "end": 7, "label": "LOC"}]}\n'
    folder = write(
        tmp_path / "data",
        ben__jsonl=other,
        ada__jsonl=DOCCANO,
        README__md="x",
        notes__txt="see README",
    )
    loaded = load_posts(folder)
    assert list(loaded.splits) == ["train"]
    assert labelled(loaded.splits["train"]) == [[("Oslo", "LOC")], [("Rome", "LOC")]]
    assert "ada.jsonl" in loaded.origin and "ben.jsonl" in loaded.origin
    assert "(format: doccano, prodigy)" in loaded.origin


def test_file_has_the_training_split_only(tmp_path):
    path = tmp_path / "my posts.jsonl"
    path.write_text(DOCCANO + '{"text": "lol"}\n')
    loaded = load_posts(str(path))
    post, rejected = loaded.splits.pop("train")
    assert not loaded.splits
    assert post.where == f"{path}, line 1"
    assert isinstance(rejected, Rejection)
    assert rejected.where == f"{path}, line 2"


@pytest.mark.parametrize(
    "files, message",
    [
        (
            {"train__jsonl": DOCCANO, "train__json": DOCCANO},
            "2 files of the split train",
        ),
        ({"dev__jsonl": DOCCANO}, "no file of the split train"),
        (
            {"wnut17train__conll": "a\tO\n", "test__conll": "a\tO\n"},
            "of the split valid",
        ),
        (
            {"a__jsonl": DOCCANO, "b__jsonl": '{"a": 1}\n'},
            r"name the files train\.\*, dev\.\* and test",
        ),
        ({"train__jsonl": '{"a": 1}\n'}, "no known format"),
    ],
)
def test_folders_that_cannot_be_read(tmp_path, files, message):
    if "dev__jsonl" in files or "a__jsonl" in files:
        files = {**files, "notes__md": "x"}
    with pytest.raises(WnutError, match=message):
        load_posts(write(tmp_path / "data", **files))


@pytest.mark.parametrize(
    "options, message",
    [
        (ReadOptions(columns=Columns(1)), "--token-column and --tag-column apply only"),
        (
            ReadOptions(scheme="io"),
            "--scheme does not apply to File .*, in the format doc",
        ),
        (ReadOptions(tags_column="x"), "--tags-column does not apply"),
        (ReadOptions(tokens_column="x"), "--tokens-column does not apply"),
        (ReadOptions(label_names=("O",)), "--label-names does not apply"),
    ],
)
def test_options_of_other_formats_are_refused(tmp_path, options, message):
    path = tmp_path / "a.jsonl"
    path.write_text(DOCCANO)
    with pytest.raises(WnutError, match=message):
        load_posts(str(path), options=options)
    path = tmp_path / "a.conll"
    path.write_text("in O\nOslo B-LOC\n")
    with pytest.raises(WnutError, match="--text-field does not apply"):
        load_posts(str(path), options=ReadOptions(text_field="x"))


def test_format_of_the_user(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(DOCCANO)
    with pytest.raises(WnutError, match="--format 'x' is unknown: give one of columns"):
        load_posts(str(path), format_name="x")
    loaded = load_posts(str(path), format_name="prodigy")
    assert "(format: prodigy)" in loaded.origin


def test_names_of_columns_and_of_integer_tags(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"words": ["in", "Oslo"], "labels": [0, 2]}\n')
    options = ReadOptions(tokens_column="words", tags_column="labels")
    with pytest.raises(
        WnutError, match=r"a\.jsonl, line 1: the tag 0 is .*--label-names"
    ):
        load_posts(str(path), options=options)
    names = dataclasses.replace(options, label_names=("O", "x", "S-LOC"))
    assert labelled(load_posts(str(path), options=names).splits["train"]) == [
        [("Oslo", "LOC")]
    ]
    few = dataclasses.replace(options, label_names=("O",))
    [rejected] = load_posts(str(path), options=few).splits["train"]
    assert "the tag 2 is outside of 0..0" in rejected.reason


def test_columns_of_datasets(tmp_path):
    tags = datasets.Sequence(datasets.ClassLabel(names=["O", "U-LOC"]))
    data = datasets.Dataset.from_dict({"words": [["in", "Oslo"]], "ner": [[0, 1]]})
    named = data.cast_column("ner", tags)
    datasets.DatasetDict(train=named, dev=named).save_to_disk(str(tmp_path / "disk"))
    options = ReadOptions(tokens_column="words", tags_column="ner")
    loaded = load_posts(str(tmp_path / "disk"), options=options)
    assert list(loaded.splits) == ["train", "validation"]
    assert labelled(loaded.splits["validation"]) == [[("Oslo", "LOC")]]
    with pytest.raises(WnutError, match=r"expected tokens .*--tokens-column"):
        load_posts(str(tmp_path / "disk"))
    with pytest.raises(WnutError, match="--format doccano does not apply"):
        load_posts(str(tmp_path / "disk"), format_name="doccano")

    named.to_parquet(str(tmp_path / "named" / "train.parquet"))
    data.to_parquet(str(tmp_path / "plain.parquet"))
    loaded = load_posts(str(tmp_path / "named"), options=options)
    assert labelled(loaded.splits["train"]) == [[("Oslo", "LOC")]]
    assert loaded.splits["train"][0].where.endswith("train.parquet, row 0")
    with pytest.raises(WnutError, match="--label-names"):
        load_posts(str(tmp_path / "plain.parquet"), options=options)
    names = dataclasses.replace(options, label_names=("O", "B-PER"))
    loaded = load_posts(str(tmp_path / "plain.parquet"), options=names)
    assert labelled(loaded.splits["train"]) == [[("Oslo", "PER")]]


def test_labels_are_those_after_the_map(tmp_path):
    source = fill(tmp_path, texts=("Oslo\tB-LOC\n", "Ann\tB-PER\n", "x\tB-MISC\n"))
    types = TypeMap.parse("LOC=location,PER=person,MISC=")
    splits = load_posts(source, types=types, labels=["location", "person"]).splits
    assert [labelled(posts) for posts in splits.values()] == [
        [[("Oslo", "location")]],
        [[("Ann", "person")]],
        [[]],
    ]
    with pytest.raises(
        WnutError, match=r"dev\.conll, line 1: 'PER' is an unknown label"
    ):
        load_posts(source, labels=["LOC"])
    with pytest.raises(
        WnutError, match="the type X, but the data has the types LOC, MI"
    ):
        load_posts(source, types=TypeMap.parse("X=Y"))


def test_published_files_have_published_types(tmp_path):
    source = fill(tmp_path, PUBLISHED, ("a\tB-persn\n", *TEXTS[1:]))
    with pytest.raises(WnutError, match=r"wnut17train\.conll, line 1: 'persn'"):
        load_posts(source)


def test_posts_of_the_hub(hub):
    loaded = load_posts("leondz/wnut_17")
    assert loaded.origin == "Hub dataset leondz/wnut_17"
    assert [post.text for post in loaded.splits["train"]] == [
        " ".join(words) for words, _ in EXPECTED["train"]
    ]
    assert load_posts("wnut_17").splits == loaded.splits
    with pytest.raises(WnutError, match="--text-field does not apply to Hub dataset"):
        load_posts("leondz/wnut_17", options=ReadOptions(text_field="x"))
    with pytest.raises(WnutError, match=r"The file gone\.jsonl isn't there"):
        load_posts("gone.jsonl")
    with pytest.raises(WnutError, match="gone isn't there: give one with wnut17train"):
        load_posts("./gone")
