"""Further pre-training, on an encoder so small that it learns in seconds."""

import pytest
import torch
from transformers import AutoModel, AutoTokenizer, Trainer

from spacy_wnut.errors import WnutError
from spacy_wnut.unlabelled import masked_lm
from spacy_wnut.unlabelled.masked_lm import pretrain_encoder

TEXTS = ["so Oslo rocks", "a storm in New York last evening", "lol"] * 20


def test_the_encoder_learns_and_is_an_encoder_again(tiny_encoder, tmp_path):
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


def test_an_interrupted_run_goes_on(tiny_encoder, tmp_path, monkeypatch):
    monkeypatch.setattr(masked_lm, "SAVE_STEPS", 4)
    calls = []
    training_step = Trainer.training_step

    def interrupted(self, *args, **kwargs):
        calls.append(self.state.global_step)
        if len(calls) == 7:
            raise KeyboardInterrupt
        return training_step(self, *args, **kwargs)

    monkeypatch.setattr(Trainer, "training_step", interrupted)
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        pretrain_encoder(tiny_encoder, TEXTS, out, batch_size=6)
    assert not out.exists()
    pretrain_encoder(tiny_encoder, TEXTS, out, batch_size=6)
    assert calls == [0, 1, 2, 3, 4, 5, 6, 4, 5, 6, 7, 8, 9]
    assert out.is_dir()


def test_no_posts_are_refused(tiny_encoder, tmp_path):
    with pytest.raises(WnutError, match="no posts to train on"):
        pretrain_encoder(tiny_encoder, [], tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_an_encoder_without_masks_is_refused(tiny_encoder, tmp_path):
    tokenizer = AutoTokenizer.from_pretrained(tiny_encoder)
    tokenizer.mask_token = None
    tokenizer.save_pretrained(tmp_path / "unmasked")
    AutoModel.from_pretrained(tiny_encoder).save_pretrained(tmp_path / "unmasked")
    with pytest.raises(WnutError, match="has no mask token"):
        pretrain_encoder(str(tmp_path / "unmasked"), TEXTS, tmp_path / "out")
