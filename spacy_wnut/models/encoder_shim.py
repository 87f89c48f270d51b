from collections.abc import Callable, Mapping
from typing import Any, cast

import torch
from spacy_transformers.data_classes import HFObjects, WordpieceBatch
from spacy_transformers.layers.hf_shim import HFShim
from spacy_transformers.layers.transformer_model import _convert_transformer_inputs
from thinc.api import Model, Optimizer, get_torch_default_device, torch2xp, xp2torch
from thinc.types import ArgsKwargs, FloatsXd
from transformers import AutoConfig, AutoModel, AutoTokenizer

from .checkpoints import accepts, read_vocabulary, refuse_code
from .stored_encoder import read_encoder


class EncoderShim(HFShim):
    """The bridge between thinc and the encoder, with the two things that
    fine-tuning needs of an update and thinc's optimizers can't know.

    They clip the gradient of each parameter by itself. What counts in
    fine-tuning is the norm of all of them together (Pascanu et al. 2013; 1.0 is
    the default of transformers' `Trainer`): without it the large gradients of
    the first steps stay in Adam's second moment, and the steps after them are
    too short. And they know one learning rate, where a head that starts at
    random needs a higher one than a pre-trained encoder.

    max_grad_norm (float): The norm that the encoder's gradient is clipped to.
        0 switches it off.
    learn_rate_factor (float): Factor on the optimizer's learning rate.
    """

    def __init__(
        self,
        hf_model: HFObjects,
        *,
        max_grad_norm: float,
        learn_rate_factor: float,
        **settings: Any,
    ) -> None:
        super().__init__(hf_model, **settings)
        self.max_grad_norm = max_grad_norm
        self.learn_rate_factor = learn_rate_factor

    def from_bytes(self, bytes_data: bytes) -> "EncoderShim":
        """Load what `to_bytes` gave. Nothing in it is run.

        Raises WnutError if it can't be read.
        """
        self._hfmodel = read_encoder(bytes_data)
        self._model = self._hfmodel.transformer
        return self

    def finish_update(self, optimizer: Optimizer) -> None:
        """Update the encoder with the gradients collected since the last time."""
        named = [
            (name, parameter)
            for name, parameter in self._model.named_parameters()
            if parameter.grad is not None
        ]
        if not self._grad_scaler.found_inf:
            if self.max_grad_norm:
                torch.nn.utils.clip_grad_norm_(
                    [parameter for _, parameter in named], self.max_grad_norm
                )
            for name, parameter in named:
                updated, _ = optimizer(
                    (self.id, name),
                    cast(FloatsXd, torch2xp(parameter.data)),
                    cast(FloatsXd, torch2xp(parameter.grad)),
                    lr_scale=self.learn_rate_factor,
                )
                parameter.data = xp2torch(updated, device=parameter.device)
        for _, parameter in named:
            cast(Any, parameter.grad).zero_()
        self._grad_scaler.update()


def load_encoder(
    name: str,
    tokenizer_config: Mapping[str, Any],
    transformer_config: Mapping[str, Any],
) -> HFObjects:
    """Load an encoder and its tokenizer, as `AutoModel` and `AutoTokenizer` do.

    What spacy-transformers has for this also runs the tokenizer on texts, which
    those for words on pages refuse, and wants the slow tokenizer's vocabulary.

    name (str): A model on the hub or a folder.
    tokenizer_config (Mapping[str, Any]): Settings for `AutoTokenizer`.
    transformer_config (Mapping[str, Any]): Settings for `AutoConfig`.
    """
    tokenizer = AutoTokenizer.from_pretrained(name, **tokenizer_config)
    settings = {**transformer_config, "return_dict": True}
    config = AutoConfig.from_pretrained(name, **settings)
    refuse_code(vars(config))
    transformer = AutoModel.from_pretrained(name, config=config)
    transformer.to(get_torch_default_device())
    return HFObjects(tokenizer, transformer, read_vocabulary(tokenizer))


def convert_inputs(
    model: Model[Any, Any], wordpieces: WordpieceBatch, is_train: bool
) -> tuple[ArgsKwargs, Callable[[Any], Any]]:
    """A batch of pieces as the encoder's arguments, without those it doesn't take."""
    inputs, backprop = _convert_transformer_inputs(model, wordpieces, is_train)
    encoder = cast(EncoderShim, model.shims[0])._hfmodel.transformer
    kwargs = {k: v for k, v in inputs.kwargs.items() if accepts(encoder, k)}
    return ArgsKwargs(args=(), kwargs=kwargs), backprop
