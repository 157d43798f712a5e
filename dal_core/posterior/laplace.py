"""A Laplace approximation of the last layer (Ritter et al. 2018; Daxberger et al. 2021).

The trained weights W of the last dense layer (bias included) become the mean of a normal
distribution. Its precision is the Gauss-Newton matrix of the training loss, which equals the
Hessian for this layer, in Kronecker-factored form, plus a prior:

    W ~ N(W*, (A (x) B + precision I)^-1),   A = sum_n h_n h_n',   B = mean_n diag(p_n) - p_n p_n'

with h_n the inputs of the layer and a 1 for the bias, p_n the predicted probabilities, both
without dropout. The package laplace-torch does the same and more. It brings twelve further
packages for the few lines below, so they are written out here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from dal_core.posterior.base import LabelledImages, Posterior, Seeds, register
from dal_core.posterior.deterministic import Deterministic
from dal_core.posterior.network import NetworkModel, torch_generator
from dal_core.protocol.posteriors import PosteriorEntry
from dal_core.training.loop import Training, Watch

ENTRY = PosteriorEntry(
    name="laplace",
    title="Laplace, last layer",
    hint="one network whose last layer is drawn anew for every prediction",
    sample="the network with a last layer drawn from a normal distribution around the trained one",
    source="Daxberger et al. 2021",
    row="draw",
    rows="draws",
    origin=(
        "The weights of the network's last layer are known only roughly: others near them explain "
        "the labels about as well (a *Laplace approximation*). Each row below is the prediction "
        "with one draw of these weights"
    ),
    parameters=("prior_precision",),
)

_PREFIX = "laplace."


class Laplace(Posterior):
    """Trains the network as MC dropout does, then measures how well its last layer is known."""

    def fit(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        seeds: Seeds,
        *,
        validation: LabelledImages | None = None,
        batch_size: int | None = None,
        watch: Watch | None = None,
    ) -> LaplaceModel:
        trained = self._trainer().fit(
            images, labels, seeds, validation=validation, batch_size=batch_size, watch=watch
        )
        hidden, last = trained.hidden(images), trained.network.dense_layers()[-1]
        with torch.inference_mode():
            probs = torch.softmax(last(hidden.to(self.device)), -1).cpu()
        spread = Spread.of(*curvature(hidden, probs))
        return LaplaceModel(trained, spread, self.protocol.prior_precision)

    def load(self, arrays: Mapping[str, np.ndarray], training: Training) -> LaplaceModel:
        own = {key for key in arrays if key.startswith(_PREFIX)}
        if own != {_PREFIX + key for key in Spread.__dataclass_fields__}:
            raise ValueError("the weights lack the curvature of the last layer")
        trained = self._trainer().load({k: a for k, a in arrays.items() if k not in own}, training)
        parts = {key.removeprefix(_PREFIX): torch.from_numpy(arrays[key]) for key in own}
        return LaplaceModel(trained, Spread(**parts), self.protocol.prior_precision)

    def _trainer(self) -> Deterministic:
        return Deterministic(self.protocol, self.kind, self.device, self.helper, self.alive)


def curvature(hidden: Tensor, probs: Tensor) -> tuple[Tensor, Tensor]:
    """The Kronecker factors A and B of the Gauss-Newton matrix of the summed cross entropy.

    For one image A (x) B is the exact Hessian, for several it takes h_n and p_n as independent.

    Args:
        hidden: [n, F] inputs of the last layer.
        probs: [n, C].

    Returns:
        A [F + 1, F + 1] and B [C, C], float64.
    """
    h, p = F.pad(hidden.double(), (0, 1), value=1.0), probs.double()
    return h.T @ h, torch.diag(p.mean(0)) - p.T @ p / len(p)


@dataclass(frozen=True)
class Spread:
    """The eigenvalues and eigenvectors (in columns) of A and B, float64."""

    input_values: Tensor
    input_vectors: Tensor
    class_values: Tensor
    class_vectors: Tensor

    @classmethod
    def of(cls, inputs: Tensor, classes: Tensor) -> Spread:
        """The spread of the factors A [F + 1, F + 1] and B [C, C]."""
        return cls(*torch.linalg.eigh(inputs), *torch.linalg.eigh(classes))

    def draw(self, precision: float, generator: torch.Generator) -> Tensor:
        """A draw of W - W*: float64 [C, F + 1]; the last column belongs to the bias."""
        noise = torch.randn(
            len(self.class_values), len(self.input_values), generator=generator, dtype=torch.float64
        )
        # Rounding can leave eigenvalues of a singular matrix a little below 0.
        values = torch.outer(self.class_values.clamp_min(0), self.input_values.clamp_min(0))
        scaled = noise / (values + precision).sqrt()
        return self.class_vectors @ scaled @ self.input_vectors.T


class LaplaceModel(NetworkModel):
    """A trained network whose last layer is drawn anew for every sample."""

    def __init__(self, trained: NetworkModel, spread: Spread, precision: float) -> None:
        super().__init__(trained.network, trained.training)
        self.spread, self.precision = spread, precision

    def sample(self, images: np.ndarray, k: int, seed: int, consistent: bool = False) -> Tensor:
        """As `PosteriorModel.sample`; a draw is one last layer for all images."""
        generator, last = torch_generator(seed), self.network.dense_layers()[-1]
        with torch.inference_mode():
            hidden = self.network.hidden(self.network.trunk(self.pixels(images)))  # [N, F]
            rows = []
            for _ in range(k):
                change = self.spread.draw(self.precision, generator).to(hidden)  # [C, F + 1]
                weight, bias = last.weight + change[:, :-1], last.bias + change[:, -1]
                rows.append(torch.softmax(F.linear(hidden, weight, bias), -1))
            return torch.stack(rows)

    def arrays(self) -> dict[str, np.ndarray]:
        own = {
            _PREFIX + key: tensor.contiguous().numpy() for key, tensor in vars(self.spread).items()
        }
        return super().arrays() | own


register(ENTRY, Laplace)
