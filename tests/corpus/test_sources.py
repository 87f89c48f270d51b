import os
import subprocess
import sys
from pathlib import Path

import datasets
import huggingface_hub
import pytest
import requests

from spacy_wnut.corpus.sources import load_rows
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
