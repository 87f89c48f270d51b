from typing import Any, cast

import torch
from spacy_transformers.data_classes import HFObjects
from spacy_transformers.layers.hf_shim import HFShim
from thinc.api import Optimizer, torch2xp, xp2torch
from thinc.types import FloatsXd


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
