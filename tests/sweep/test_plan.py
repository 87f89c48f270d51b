import json
import shutil

import pytest

from spacy_wnut.errors import WnutError
from spacy_wnut.sweep.plan import digest_path, is_finished


def finish(run, **changed):
    """Write the metrics file of a finished training."""
    run.folder.mkdir(parents=True, exist_ok=True)
    metrics = dict.fromkeys(
        ("config", "encoder", "seed", "device", "seconds", "calibration"), None
    )
    made = {**metrics, "rows": [], "posts": {}, "made_of": run.made_of, **changed}
    (run.folder / "metrics.json").write_text(json.dumps(made))


def test_trainings_are_ordered_by_config_and_seed(plan, tmp_path):
    runs = plan()
    assert [run.name for run in runs] == [
        *("tutorial.cfg, seed 0", "tutorial.cfg, seed 1"),
        *("distilbert.cfg, seed 0", "distilbert.cfg, seed 1"),
    ]
    assert runs[1].folder == tmp_path / "sweep" / "tutorial" / "seed-1"
    assert runs[0].encoder == "distilbert-base-uncased"


def test_paths_and_seeds_are_set_unless_overridden(plan, corpus):
    [run, *_] = plan(seeds=[3], overrides={"paths.train": "my.spacy", "nlp.lang": "de"})
    assert run.overrides == {
        "paths.train": "my.spacy",
        "paths.dev": str(corpus / "gold" / "dev.spacy"),
        "nlp.lang": "de",
        "system.seed": 3,
        "training.seed": 3,
    }


def test_training_without_metrics_is_not_finished(plan):
    runs = plan()
    assert not any(map(is_finished, runs))
    finish(runs[0])
    assert [is_finished(run) for run in plan()] == [True, False, False, False]


def test_comments_and_locations_do_not_change_a_training(
    plan, configs, corpus, tmp_path
):
    encoder = tmp_path / "encoder"
    encoder.mkdir()
    (encoder / "weights").write_text("1")
    [run, *_] = plan(overrides={"paths.encoder": str(encoder)})
    finish(run)
    configs[0].write_text(f"# More words.\n{configs[0].read_text()}")
    shutil.move(encoder, tmp_path / "moved")
    shutil.move(corpus, tmp_path / "moved-corpus")
    changed = {"paths.encoder": str(tmp_path / "moved")}
    [run, *_] = plan(corpus=tmp_path / "moved-corpus", overrides=changed)
    assert is_finished(run)


def test_training_with_other_inputs_is_rejected(plan, configs, corpus, tmp_path):
    encoder = tmp_path / "encoder"
    encoder.mkdir()
    (encoder / "weights").write_text("1")
    overrides = {"paths.encoder": str(encoder)}

    def differing(**changed):
        [run, *_] = plan(**{"overrides": overrides, **changed})
        with pytest.raises(WnutError, match="--retrain") as err:
            is_finished(run)
        return str(err.value).split("settings: ")[1].split(" differed")[0]

    [run, *_] = plan(overrides=overrides)
    finish(run)
    assert differing(overrides={**overrides, "training.dropout": 0.2}) == "config"
    assert differing(has_bias=False) == "--bias"
    # The name of a model on the hub instead of a folder.
    assert differing(overrides={}) == "config, paths.encoder"
    (encoder / "weights").write_text("2")
    assert differing() == "paths.encoder"
    (encoder / "weights").write_text("1")
    shutil.copy(corpus / "gold" / "test.spacy", tmp_path / "before.spacy")
    (corpus / "gold" / "test.spacy").write_bytes(b"other posts")
    assert differing() == "gold/test"
    shutil.copy(tmp_path / "before.spacy", corpus / "gold" / "test.spacy")
    assert is_finished(plan(overrides=overrides)[0])
    text = configs[0].read_text()
    configs[0].write_text(text.replace("dropout = 0.1", "dropout = 0.3"))
    assert differing() == "config"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"rows": []}', '{"rows": '])
def test_file_with_other_contents_is_rejected_as_metrics(plan, text):
    [run, *_] = plan()
    run.folder.mkdir(parents=True)
    (run.folder / "metrics.json").write_text(text)
    with pytest.raises(WnutError, match="holds no metrics of a training"):
        is_finished(run)


def test_override_applies_only_to_configs_that_have_the_setting(plan, tmp_path):
    overrides = {"paths.pseudo_labelled": "x.spacy", "training.dropout": 0.3}
    runs = plan(overrides=overrides, seeds=[0])
    given = {run.config.stem: run.overrides.keys() & overrides.keys() for run in runs}
    assert given == {
        "tutorial": {"training.dropout"},
        "distilbert": {"training.dropout", "paths.pseudo_labelled"},
    }


def test_invalid_plans_are_rejected(plan, configs, corpus, tmp_path):
    with pytest.raises(WnutError, match="--seeds instead"):
        plan(overrides={"system.seed": 1})
    with pytest.raises(WnutError, match="has the setting --paths"):
        plan(overrides={"paths.typo": 1})
    (tmp_path / "other").mkdir()
    other = shutil.copy(configs[0], tmp_path / "other" / "tutorial.cfg")
    with pytest.raises(WnutError, match="two configs are called tutorial"):
        plan(configs=[configs[0], other])
    with pytest.raises(WnutError, match=r"absent\.cfg can't be used as a config"):
        plan(configs=[tmp_path / "absent.cfg"])
    (tmp_path / "bad.cfg").write_text("[nlp\n")
    with pytest.raises(WnutError, match=r"bad\.cfg can't be used as a config"):
        plan(configs=[tmp_path / "bad.cfg"])
    (corpus / "spacy" / "test.spacy").unlink()
    with pytest.raises(WnutError, match=r"no file .*spacy.test.spacy.*--tokens spacy"):
        plan()


def test_digest_of_a_folder_depends_on_names_and_contents(tmp_path):
    folder = tmp_path / "folder"
    (folder / "sub").mkdir(parents=True)
    (folder / "a").write_text("1")
    (folder / "sub" / "b").write_text("2")
    before = digest_path(folder)
    (folder / "sub" / "b").rename(folder / "b")
    assert digest_path(folder) != before
    (folder / "b").rename(folder / "sub" / "b")
    assert digest_path(folder) == before
    (folder / "a").write_text("3")
    assert digest_path(folder) != before


def test_setting_that_no_config_has_may_be_null(plan):
    """The project leaves the number of epochs to the recipe this way."""
    runs = plan(overrides={"system.rounds": None})
    assert all("system.rounds" not in run.overrides for run in runs)
    # Nothing is within a plain value.
    with pytest.raises(WnutError, match=r"no config has the setting --system\.seed\.x"):
        plan(overrides={"system.seed.x": 1})


def test_epochs_are_a_setting_of_every_recipe(plan):
    runs = plan(overrides={"system.epochs": 7})
    assert [run.overrides["system.epochs"] for run in runs] == [7] * len(runs)
    # Another number of epochs is another training.
    others = plan(overrides={"system.epochs": None})
    assert all(a.made_of != b.made_of for a, b in zip(runs, others, strict=True))
    assert [run.made_of for run in others] == [run.made_of for run in plan()]
