import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import torch
from spacy_transformers.data_classes import HFObjects, WordpieceBatch
from spacy_transformers.layers.hf_shim import HFShim
from spacy_transformers.layers.transformer_model import _convert_transformer_inputs
from thinc.api import Model, Optimizer, get_torch_default_device, torch2xp, xp2torch
from thinc.types import ArgsKwargs, FloatsXd
from transformers import AutoModel

from .checkpoints import accepts, load_checkpoint, read_vocabulary
from .stored_encoder import read_encoder
from .wordpieces import Specials, unbounded_tokenizer

if TYPE_CHECKING:
    from tokenizers import Tokenizer  # type: ignore[import-untyped]

_IMPORTED_IN = os.getpid()


class EncoderShim(HFShim):
    """The bridge between thinc and the encoder, with what fine-tuning needs and
    thinc's optimizers and its bridge don't know.

    They clip the gradient of each parameter by itself. What counts in
    fine-tuning is the norm of all of them together (Pascanu et al. 2013; 1.0 is
    the default of transformers' `Trainer`): without it the large gradients of
    the first steps stay in Adam's second moment, and the steps after them are
    too short. And they know one learning rate, where a head that starts at
    random needs a higher one than a pre-trained encoder. Averages of the weights
    (`use_averages`) are looked for under names that they aren't stored under. And
    mixed precision means CUDA alone, where many CPUs multiply bfloat16 faster too.

    Threads may call `predict` at the same time. The encoder is in evaluation mode but
    for `begin_update`, and its tokenizer is configured when it is set or loaded.

    max_grad_norm (float): The norm that the encoder's gradient is clipped to.
        0 switches it off.
    learn_rate_factor (float): Factor on the optimizer's learning rate.
    freeze_embeddings (bool): Leave the vectors of the vocabulary's pieces as they are.
    mixed_precision (bool): As `half_precision_dtype` says for the device.
    grad_scaler_config (Dict[str, Any]): Settings for `PyTorchGradScaler`. It is only
        on where float16 is used: bfloat16 has the range of single precision.
    """

    def __init__(
        self,
        hf_model: HFObjects,
        *,
        max_grad_norm: float,
        learn_rate_factor: float,
        freeze_embeddings: bool,
        mixed_precision: bool,
        grad_scaler_config: dict[str, Any],
    ) -> None:
        self.half = half_precision_dtype() if mixed_precision else None
        scaling = {"enabled": self.half == torch.float16, **grad_scaler_config}
        if "init_scale" in scaling:
            # thinc makes a tensor of it: of an integer it would hold integers.
            scaling["init_scale"] = float(scaling["init_scale"])
        super().__init__(
            hf_model,
            # thinc knows CUDA's alone, and warns where there is none.
            mixed_precision=self.half is not None and _device_type() != "cpu",
            grad_scaler_config=scaling,
        )
        self.max_grad_norm = max_grad_norm
        self.learn_rate_factor = learn_rate_factor
        self.freeze_embeddings = freeze_embeddings
        self.tokenizer: Tokenizer | None = None
        self.specials = Specials([], [])

    def set_encoder(self, objects: HFObjects) -> None:
        """Take an encoder and its tokenizer.

        objects (HFObjects): The encoder and a fast tokenizer.
        """
        self._hfmodel = objects
        self._model = objects.transformer
        self._model.eval()
        self.tokenizer = unbounded_tokenizer(objects.tokenizer.backend_tokenizer)
        self.specials = Specials.of(self.tokenizer)

    def predict(self, inputs: ArgsKwargs) -> Any:
        """Run the encoder without dropout and without a record for gradients."""
        protect_forked_process()
        if self._model.training:
            # Only after an update. The encoder's own flag comes last, so that other
            # threads never see it without those of its layers.
            for layer in self._model.children():
                layer.eval()
            self._model.eval()
        with torch.inference_mode(), self._autocast():
            return self._model(*inputs.args, **inputs.kwargs)

    def begin_update(
        self, inputs: ArgsKwargs
    ) -> tuple[Any, Callable[[ArgsKwargs], ArgsKwargs]]:
        """Run the encoder for training. RETURNS: Its output, and the callback that
        collects the gradients.
        """
        protect_forked_process()
        embeddings = self._model.get_input_embeddings()
        embeddings.requires_grad_(not self.freeze_embeddings)
        # On CUDA thinc switches autocast on once more, without saying to what: what
        # is set here holds.
        with self._autocast():
            output, backprop = super().begin_update(inputs)
        return output, backprop

    @contextmanager
    def use_params(self, params: dict[Any, Any]) -> Iterator[None]:
        """Put other weights in the place of the encoder's for a while: the averages
        that the optimizer keeps, under the keys that `finish_update` gives it.
        """
        weights = dict(self._model.named_parameters())
        backup = {}
        for name, parameter in weights.items():
            if (self.id, name) in params:
                backup[name] = parameter.data
                average = params[(self.id, name)]
                parameter.data = xp2torch(average, device=parameter.device)
        try:
            yield
        finally:
            for name, data in backup.items():
                weights[name].data = data

    def from_bytes(self, bytes_data: bytes) -> "EncoderShim":
        """Load what `to_bytes` gave. Nothing in it is run.

        Raises WnutError if it can't be read.
        """
        protect_forked_process()
        objects = read_encoder(bytes_data)
        if objects.transformer is None:
            # Stored before it was initialized.
            self._hfmodel, self._model = objects, None
        else:
            self.set_encoder(objects)
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

    def _autocast(self) -> Any:
        # Not thinc's default device: that is a setting of the main thread alone.
        return torch.autocast(
            self.device.type, dtype=self.half, enabled=self.half is not None
        )


def protect_forked_process() -> None:
    """Keep torch from waiting for threads that a forked process doesn't have.

    Threads that torch started before a fork don't exist in the child, and torch waits
    for them forever as soon as it divides work among more than one. So our encoders
    run with one thread in a forked process. The setting belongs to each thread.
    """
    if os.getpid() != _IMPORTED_IN and torch.get_num_threads() > 1:
        torch.set_num_threads(1)


def half_precision_dtype() -> Any:
    """What mixed precision computes in, on the device that runs: bfloat16 where it
    has instructions for it, float16 on other GPUs, and None on other CPUs, where
    either is slower than full precision.
    """
    if _device_type() != "cpu":
        is_bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if is_bf16 else torch.float16
    return torch.bfloat16 if torch.cpu._is_avx512_bf16_supported() else None


def _device_type() -> str:
    return str(get_torch_default_device().type)


def load_encoder(
    name: str,
    tokenizer_config: Mapping[str, Any],
    transformer_config: Mapping[str, Any],
) -> HFObjects:
    """Load an encoder and its tokenizer, in full precision and on thinc's device.

    name (str): A model on the hub or a folder.
    tokenizer_config (Mapping[str, Any]): Settings for `AutoTokenizer`.
    transformer_config (Mapping[str, Any]): Settings for `AutoConfig`.

    Raises WnutError if it can't be had, has no fast tokenizer, needs custom code, or
    isn't one that `AutoModel` loads.
    """
    transformer, tokenizer = load_checkpoint(
        name,
        AutoModel,
        tokenizer_config=tokenizer_config,
        model_config={**transformer_config, "return_dict": True},
    )
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
