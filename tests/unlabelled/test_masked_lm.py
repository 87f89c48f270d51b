"""Further pre-training of a tiny encoder, which takes seconds."""

import shutil

import pytest
import torch
from transformers import AutoModel, AutoTokenizer, Trainer

from spacy_wnut.errors import WnutError
from spacy_wnut.unlabelled import masked_lm
from spacy_wnut.unlabelled.masked_lm import pretrain_encoder

TEXTS = ["so Oslo rocks", "a storm in New York last evening", "lol"] * 20


def test_output_is_an_encoder_with_other_weights(tiny_encoder, tmp_path):
    before = AutoModel.from_pretrained(tiny_encoder).state_dict()
    out = tmp_path / "out"
    first = pretrain_encoder(tiny_encoder, TEXTS, out, learn_rate=1e-2, batch_size=6)
    assert first.posts == 60 and 0 < first.loss < 20
    after = AutoModel.from_pretrained(out).state_dict()
    assert before.keys() == after.keys()
    assert not torch.equal(
        before["embeddings.word_embeddings.weight"],
        after["embeddings.word_embeddings.weight"],
    )
    assert (
        AutoTokenizer.from_pretrained(out).get_vocab()
        == AutoTokenizer.from_pretrained(tiny_encoder).get_vocab()
    )
    assert not list(tmp_path.glob("*checkpoints*"))


@pytest.fixture
def interrupted(tiny_encoder, tmp_path, monkeypatch):
    """A run that was interrupted in its seventh step, with a checkpoint of the fourth.
    Returns the list of steps that later runs take, and the output folder.
    """
    monkeypatch.setattr(masked_lm, "SAVE_STEPS", 4)
    calls = []
    training_step = Trainer.training_step

    def step(self, *args, **kwargs):
        calls.append(self.state.global_step)
        if len(calls) == 7:
            raise KeyboardInterrupt
        return training_step(self, *args, **kwargs)

    monkeypatch.setattr(Trainer, "training_step", step)
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        pretrain_encoder(tiny_encoder, TEXTS, out, batch_size=6)
    assert not out.exists() and calls == [0, 1, 2, 3, 4, 5, 6]
    calls.clear()
    # Later runs only record their steps.
    monkeypatch.setattr(
        Trainer,
        "training_step",
        lambda self, *args, **kwargs: (
            calls.append(self.state.global_step) or training_step(self, *args, **kwargs)
        ),
    )
    return calls, out


def test_interrupted_run_resumes(tiny_encoder, interrupted):
    calls, out = interrupted
    pretrain_encoder(tiny_encoder, TEXTS, out, batch_size=6)
    assert calls == [4, 5, 6, 7, 8, 9]
    assert [path.name for path in out.parent.iterdir()] == ["out"]


@pytest.mark.parametrize(
    "changed, differed",
    [
        ({"texts": TEXTS[:-1]}, "texts"),
        ({"texts": TEXTS[::-1]}, "texts"),
        ({"learn_rate": 2e-4}, "settings"),
        ({"epochs": 2.0}, "settings"),
        ({"seed": 1}, "settings"),
        ({"batch_size": 5}, "settings"),
    ],
)
def test_checkpoint_of_another_run_is_rejected(
    tiny_encoder, interrupted, changed, differed
):
    calls, out = interrupted
    settings = {"texts": TEXTS, "batch_size": 6, **changed}
    texts = settings.pop("texts")
    before = sorted(out.parent.rglob("*"))
    with pytest.raises(WnutError, match=rf"of another run \({differed} differed\)"):
        pretrain_encoder(tiny_encoder, texts, out, **settings)
    assert calls == [] and sorted(out.parent.rglob("*")) == before


def test_checkpoint_of_another_encoder_is_rejected(tiny_encoder, interrupted, tmp_path):
    calls, out = interrupted
    other = tmp_path / "other"
    shutil.copytree(tiny_encoder, other)
    encoder = AutoModel.from_pretrained(tiny_encoder)
    torch.nn.init.zeros_(encoder.embeddings.LayerNorm.bias)
    encoder.embeddings.LayerNorm.bias.data[0] += 1
    encoder.save_pretrained(other)
    with pytest.raises(WnutError, match=r"of another run \(encoder differed\)"):
        pretrain_encoder(str(other), TEXTS, out, batch_size=6)
    assert calls == []


@pytest.mark.parametrize(
    "name", ["model.safetensors", "optimizer.pt", "scheduler.pt", "trainer_state.json"]
)
@pytest.mark.parametrize("is_missing", [True, False])
def test_damaged_checkpoint_is_skipped(
    tiny_encoder, interrupted, name, is_missing, capsys
):
    calls, out = interrupted
    [checkpoint] = (out.parent / "out.checkpoints").glob("checkpoint-*")
    # A later checkpoint, whose writing was killed.
    later = checkpoint.with_name("checkpoint-12")
    shutil.copytree(checkpoint, later)
    if is_missing:
        (later / name).unlink()
    else:
        data = (later / name).read_bytes()
        (later / name).write_bytes(data[: len(data) // 2])
    pretrain_encoder(tiny_encoder, TEXTS, out, batch_size=6)
    assert calls == [4, 5, 6, 7, 8, 9]
    assert f"{name} is missing or damaged" in capsys.readouterr().out.replace("\n", " ")


def test_input_without_posts_is_rejected(tiny_encoder, tmp_path):
    with pytest.raises(WnutError, match="no posts to train on"):
        pretrain_encoder(tiny_encoder, [], tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_encoder_without_a_mask_token_is_rejected(tiny_encoder, tmp_path):
    tokenizer = AutoTokenizer.from_pretrained(tiny_encoder)
    tokenizer.mask_token = None
    tokenizer.save_pretrained(tmp_path / "unmasked")
    AutoModel.from_pretrained(tiny_encoder).save_pretrained(tmp_path / "unmasked")
    with pytest.raises(WnutError, match="has no mask token"):
        pretrain_encoder(str(tmp_path / "unmasked"), TEXTS, tmp_path / "out")


@pytest.mark.parametrize("name", ["notes.txt", "checkpoint-old", "checkpoint-4"])
def test_folder_with_other_files_is_not_touched(tiny_encoder, tmp_path, name):
    theirs = tmp_path / "out.checkpoints"
    (theirs / name).mkdir(parents=True)
    (theirs / name / "inside").write_text("theirs")
    with pytest.raises(
        WnutError, match=r"holds no run of this command .* Move it away"
    ):
        pretrain_encoder(tiny_encoder, TEXTS, tmp_path / "out", batch_size=6)
    assert (theirs / name / "inside").read_text() == "theirs"
    assert not (tmp_path / "out").exists()


def test_checkpoint_with_another_name_is_ignored(tiny_encoder, interrupted):
    calls, out = interrupted
    (out.parent / "out.checkpoints" / "checkpoint-old").mkdir()
    pretrain_encoder(tiny_encoder, TEXTS, out, batch_size=6)
    assert calls == [4, 5, 6, 7, 8, 9]
