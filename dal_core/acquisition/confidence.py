"""Functions of the mean prediction: how sure the model is of its own answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dal_core.acquisition.registry import AcquisitionFunction, register

if TYPE_CHECKING:
    from torch import Tensor


def margin(probs: Tensor) -> Tensor:
    """How close the two likeliest classes are (Scheffer et al. 2001): 1 - (m_(1) - m_(2)).

    m is the mean over the passes, m_(1) its largest and m_(2) its second largest probability.

    Args:
        probs: [T, N, C].

    Returns:
        [N] in [0, 1]; 1 if two classes are equally likely.
    """
    first, second = probs.mean(0).topk(2, dim=-1).values.unbind(-1)
    return 1 - (first - second)


register(
    AcquisitionFunction(
        name="margin",
        title="Margin",
        short_title="Margin",
        hint="picks images whose two likeliest classes are close",
        equation=r"1 - \big(m_{n,(1)} - m_{n,(2)}\big)",
        source="Scheffer et al. 2001",
        record_name="margin",
        bounds=lambda n_classes, n_passes: (0, 1),
        needs="marginal",
        colour="olive",
        score=margin,
    )
)
