"""thinc shim of an encoder of transformers: fine-tuning, loading, forked processes."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from spacy_transformers.data_classes import HFObjects, WordpieceBatch
from spacy_transformers.layers.hf_shim import HFShim
from spacy_transformers.layers.transformer_model import _convert_transformer_inputs
from thinc.api import Model, Optimizer, get_torch_default_device, torch2xp, xp2torch
from thinc.types import ArgsKwargs, FloatsXd
from transformers import AutoModel

from .checkpoints import accepts, load_checkpoint, read_vocabulary
from .stored_encoder import read_stored_encoder
from .wordpieces import Specials, unbounded_tokenizer

if TYPE_CHECKING:
    from tokenizers import Tokenizer  # type: ignore[import-untyped]

# Linux's description of the processor.
CPU_INFO = Path("/proc/cpuinfo")

_IMPORTED_IN = os.getpid()


class EncoderShim(HFShim):
    """Shim between thinc and an encoder, with four features for fine-tuning that thinc
    and spacy-transformers lack:

    - Gradient clipping by the norm of all parameters together (Pascanu et al. 2013; 1.0
      is the default of transformers' `Trainer`). thinc clips each parameter separately.
      Without clipping, the large gradients of the first steps stay in Adam's second
      moment, and the following steps are too short.
    - A learning rate of the encoder that differs from that of the randomly initialized
      head.
    - Averages of the weights (`use_averages`). thinc looks them up under other keys
      than it stores them under.
    - Mixed precision on CPUs where bfloat16 is faster. thinc supports CUDA only.

    Threads may call `predict` concurrently. The encoder is in evaluation mode except
    during `begin_update`, and its tokenizer is configured when it is set or loaded.

    hf_model (HFObjects): The encoder and its tokenizer, or only the settings to load
        them with.
    max_grad_norm (float): Maximum norm of the gradient of the encoder. 0 disables
        clipping.
    learn_rate_factor (float): Factor on the learning rate of the optimizer.
    freeze_embeddings (bool): Do not train the vectors of word pieces.
    mixed_precision (bool): Use the type that `half_precision_dtype` returns.
    grad_scaler_config (Dict[str, Any]): Settings for `PyTorchGradScaler`. It is enabled
        for float16 only: bfloat16 has the range of single precision.
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
            # thinc would convert an integer to a tensor of integers.
            scaling["init_scale"] = float(scaling["init_scale"])
        super().__init__(
            hf_model,
            # thinc supports mixed precision on CUDA only, and warns elsewhere.
            mixed_precision=self.half is not None and _device_type() != "cpu",
            grad_scaler_config=scaling,
        )
        self.max_grad_norm = max_grad_norm
        self.learn_rate_factor = learn_rate_factor
        self.freeze_embeddings = freeze_embeddings
        self.tokenizer: Tokenizer | None = None
        self.specials = Specials([], [])

    def set_encoder(self, objects: HFObjects) -> None:
        """Set the encoder and its tokenizer.

        objects (HFObjects): The encoder and a fast tokenizer.
        """
        self._hfmodel = objects
        self._model = objects.transformer
        self._model.eval()
        self.tokenizer = unbounded_tokenizer(objects.tokenizer.backend_tokenizer)
        self.specials = Specials.of(self.tokenizer)

    def predict(self, inputs: ArgsKwargs) -> Any:
        """Run the encoder without dropout and without recording gradients.

        inputs (ArgsKwargs): Arguments of the encoder.
        RETURNS (ModelOutput): The output of the encoder.
        """
        protect_forked_process()
        if self._model.training:
            # True only after an update. The flag of the encoder is set last: a thread
            # that sees it can rely on the flags of all layers.
            for layer in self._model.children():
                layer.eval()
            self._model.eval()
        with torch.inference_mode(), self._autocast():
            return self._model(*inputs.args, **inputs.kwargs)

    def begin_update(
        self, inputs: ArgsKwargs
    ) -> tuple[Any, Callable[[ArgsKwargs], ArgsKwargs]]:
        """Run the encoder for training.

        inputs (ArgsKwargs): Arguments of the encoder.
        RETURNS (Tuple[ModelOutput, Callable]): The output of the encoder, and the
            callback that accumulates the gradients.
        """
        protect_forked_process()
        embeddings = self._model.get_input_embeddings()
        embeddings.requires_grad_(not self.freeze_embeddings)
        # On CUDA thinc enables autocast once more, without a dtype. The dtype set here
        # stays in effect.
        with self._autocast():
            output, backprop = super().begin_update(inputs)
        return output, backprop

    @contextmanager
    def use_params(self, params: dict[Any, Any]) -> Iterator[None]:
        """Replace the weights of the encoder within the context, by the averages of the
        optimizer for example.

        params (Dict[Any, FloatsXd]): Weights by (shim id, name), the keys that
            `finish_update` passes to the optimizer. Other weights stay.
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
        """Load the output of `to_bytes`. No stored code is run.

        bytes_data (bytes): The stored encoder.
        RETURNS (EncoderShim): The shim.

        Raises WnutError if the data are damaged, incomplete or unsafe.
        """
        protect_forked_process()
        objects = read_stored_encoder(bytes_data)
        if objects.transformer is None:
            # Stored before it was initialized.
            self._hfmodel, self._model = objects, None
        else:
            self.set_encoder(objects)
        return self

    def finish_update(self, optimizer: Optimizer) -> None:
        """Update the encoder with the accumulated gradients, and set these to zero.

        optimizer (Optimizer): The optimizer. It is called once per parameter.
        """
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
        # Not thinc's default device, which is set in the main thread only.
        return torch.autocast(
            self.device.type, dtype=self.half, enabled=self.half is not None
        )


def protect_forked_process() -> None:
    """Set the number of threads of torch to one in a forked process.

    Threads that torch started before a fork do not exist in the child. With more than
    one thread, torch would wait for them forever. The setting is per thread, so this is
    called before each run.
    """
    if os.getpid() != _IMPORTED_IN and torch.get_num_threads() > 1:
        torch.set_num_threads(1)


def half_precision_dtype() -> Any:
    """Select the half precision type of thinc's device.

    RETURNS (Optional[torch.dtype]): bfloat16 on GPUs with instructions for it, CPUs with
        AMX and AMD CPUs with AVX-512 BF16, float16 on other GPUs, None on other CPUs,
        where full precision is fastest.
    """
    if _device_type() != "cpu":
        is_bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if is_bf16 else torch.float16
    is_fast = torch.cpu._is_amx_tile_supported() or _is_amd_with_bfloat16()
    return torch.bfloat16 if is_fast else None


def _is_amd_with_bfloat16() -> bool:
    """Check for an AMD CPU with AVX-512 BF16.

    On these CPUs, a training step in bfloat16 takes 0.6 to 0.7 times as long as in full
    precision. On Intel CPUs with AVX-512 BF16 but without AMX it takes 1.5 times as long:
    the conversions take more time than the products save.
    """
    try:
        properties = CPU_INFO.read_text(encoding="utf8")
    except OSError:  # Not Linux.
        return False
    return "AuthenticAMD" in properties and "avx512_bf16" in properties.split()


def _device_type() -> str:
    return str(get_torch_default_device().type)


def load_encoder(
    name: str,
    tokenizer_config: Mapping[str, Any],
    transformer_config: Mapping[str, Any],
) -> HFObjects:
    """Load an encoder and its tokenizer, in full precision, to thinc's device.

    name (str): A model on the hub or a folder.
    tokenizer_config (Mapping[str, Any]): Settings for `AutoTokenizer`.
    transformer_config (Mapping[str, Any]): Settings for `AutoConfig`.
    RETURNS (HFObjects): The encoder and its tokenizer.

    Raises WnutError if the encoder is not found, `AutoModel` cannot load it, it needs
    custom code, or it has no fast tokenizer.
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
    """Convert a batch of word pieces to arguments of the encoder.

    model (Model): The layer with an `EncoderShim`.
    wordpieces (WordpieceBatch): The ids of shape (B, L), and their mask.
    is_train (bool): Whether the gradient is needed.
    RETURNS (Tuple[ArgsKwargs, Callable]): The arguments that the encoder accepts, and
        the callback for the gradient.
    """
    inputs, backprop = _convert_transformer_inputs(model, wordpieces, is_train)
    encoder = cast(EncoderShim, model.shims[0])._hfmodel.transformer
    kwargs = {k: v for k, v in inputs.kwargs.items() if accepts(encoder, k)}
    return ArgsKwargs(args=(), kwargs=kwargs), backprop
