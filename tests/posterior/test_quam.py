"""The search of QUAM against one class at a time with plain autograd, and what it promises."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dal_core.acquisition.scores import bald
from dal_core.data.base import ImageDataset
from dal_core.explain.passes import scored_passes
from dal_core.learner.bayesian_cnn import FittedCNN
from dal_core.posterior.adversarial import Search, SearchSettings
from dal_core.posterior.quam import QuamModel
from dal_core.protocol.parameters import ProtocolError
from dal_core.protocol.randomness import Purpose
from tests import fast

N_CLASSES, N_INPUTS, N_HIDDEN, N_IMAGES = 4, 5, 6, 9
SETTINGS = SearchSettings(gamma=0.3, penalty=100.0, steps=12, learning_rate=0.01, rho=0.0)
QUAM: dict[str, Any] = {
    "posterior": "quam",
    "num_mc_samples": 10,
    "quam_steps": 5,
    "quam_shortlist": 12,
}


def tiny(seed: int) -> tuple[list[nn.Linear], Tensor, Tensor, Tensor]:
    """Two layers, their inputs for a training set, its labels, and the inputs for one image."""
    draw = torch.Generator().manual_seed(seed)
    layers = []
    for n_in, n_out in ((N_INPUTS, N_HIDDEN), (N_HIDDEN, N_CLASSES)):
        layer = nn.Linear(n_in, n_out, dtype=torch.float64)
        with torch.no_grad():
            layer.weight.copy_(torch.randn(n_out, n_in, generator=draw, dtype=torch.float64))
            layer.bias.zero_()
        layers.append(layer)
    inputs = torch.rand(N_IMAGES, N_INPUTS, generator=draw, dtype=torch.float64)
    labels = torch.randint(N_CLASSES, (N_IMAGES,), generator=draw)
    return layers, inputs, labels, torch.rand(N_INPUTS, generator=draw, dtype=torch.float64)


def slow_search(
    layers: list[nn.Linear],
    inputs: Tensor,
    labels: Tensor,
    x: Tensor,
    wanted: int,
    settings: SearchSettings,
) -> tuple[Tensor, float]:
    """The prediction and the training loss of the weights for one class; Adam written out."""

    def run(parts: list[Tensor], at: Tensor) -> Tensor:
        return F.linear(torch.relu(F.linear(at, parts[0], parts[1])), parts[2], parts[3])

    start = [part.detach().clone() for one in layers for part in (one.weight, one.bias)]
    w = [part.clone() for part in start]
    limit = float(F.cross_entropy(run(w, inputs), labels)) + settings.gamma
    first, second = ([torch.zeros_like(part) for part in w] for _ in range(2))
    best = (-float("inf"), torch.empty(0), 0.0)
    for step in range(settings.steps + 1):
        w = [part.detach().requires_grad_() for part in w]
        probs, loss = run(w, x).softmax(-1), F.cross_entropy(run(w, inputs), labels)
        if float(loss.detach()) <= limit and float(probs[wanted].detach()) > best[0]:
            best = (float(probs[wanted].detach()), probs.detach(), float(loss.detach()))
        away = sum((one - other).square().sum() for one, other in zip(w, start, strict=True))
        excess = torch.relu(loss - limit)
        total = -probs[wanted].log() + settings.penalty * excess + settings.rho * away
        for place, slope in enumerate(torch.autograd.grad(total, w)):
            first[place] = 0.9 * first[place] + 0.1 * slope
            second[place] = 0.999 * second[place] + 0.001 * slope**2
            mean = first[place] / (1 - 0.9 ** (step + 1))
            square = second[place] / (1 - 0.999 ** (step + 1))
            w[place] = w[place].detach() - settings.learning_rate * mean / (square.sqrt() + 1e-8)
    return best[1], best[2]


@pytest.mark.parametrize("rho", [0.0, 2.0])
@pytest.mark.parametrize("gamma", [0.02, 0.3])
@pytest.mark.parametrize("seed", [1, 2])
def test_all_classes_at_once_equal_one_class_at_a_time(seed: int, gamma: float, rho: float) -> None:
    layers, inputs, labels, x = tiny(seed)
    settings = SearchSettings(gamma, 100.0, 12, 0.01, rho)
    found = Search(layers, inputs, labels, settings).for_image(x)
    for wanted in range(N_CLASSES):
        probs, loss = slow_search(layers, inputs, labels, x, wanted, settings)
        torch.testing.assert_close(found.probs[wanted], probs, rtol=1e-6, atol=1e-8)
        assert abs(float(found.losses[wanted]) - loss) < 1e-7


def test_found_weights_predict_their_class_better_and_keep_the_training_loss() -> None:
    layers, inputs, labels, x = tiny(3)
    search = Search(layers, inputs, labels, SETTINGS)
    found = search.for_image(x)
    with torch.no_grad():
        trained = layers[1](torch.relu(layers[0](x))).softmax(-1)
        start = F.cross_entropy(layers[1](torch.relu(layers[0](inputs))), labels)
    assert search.highest == pytest.approx(float(start) + SETTINGS.gamma)
    assert (found.probs.diagonal() > trained + 0.01).all()
    w1, b1, w2, b2 = found.weights
    for wanted in range(N_CLASSES):
        hidden = torch.relu(F.linear(inputs, w1[wanted], b1[wanted]))
        loss = F.cross_entropy(F.linear(hidden, w2[wanted], b2[wanted]), labels)
        assert float(loss) <= search.highest
        assert float(loss) == pytest.approx(float(found.losses[wanted]))
        one = F.linear(torch.relu(F.linear(x, w1[wanted], b1[wanted])), w2[wanted], b2[wanted])
        torch.testing.assert_close(one.softmax(-1), found.probs[wanted])


def test_what_may_not_leave_the_trained_weights_stays_there() -> None:
    layers, inputs, labels, x = tiny(4)
    far = Search(layers, inputs, labels, SETTINGS).for_image(x)
    near = Search(layers, inputs, labels, SearchSettings(0.3, 100.0, 12, 0.01, 1e3)).for_image(x)
    with torch.no_grad():
        trained = layers[1](torch.relu(layers[0](x))).softmax(-1)
    assert (near.probs - trained).abs().max() < 0.2 * (far.probs - trained).abs().max()


@pytest.fixture(scope="module")
def asked(mnist5k: ImageDataset) -> fast.Run:
    run = fast.run(mnist5k, **QUAM)
    run.fit()
    return run


def chunks(run: fast.Run, purpose: Purpose) -> Tensor:
    fitted = run.fitted
    assert isinstance(fitted, FittedCNN)
    return torch.cat(list(run.learner._passes(fitted, run.step_pool(), purpose, None)), dim=1)


def test_only_the_shortlist_of_the_pool_is_searched_for(asked: fast.Run) -> None:
    model, ids = asked.fitted.model, asked.step_pool()
    assert isinstance(model, QuamModel)
    seed, images = asked.step.seed_of(Purpose.MC_DROPOUT_POOL), asked.step.dataset.images[ids]
    reference = torch.cat(list(model.sample_in_chunks(images, 10, seed)), dim=1)
    shortlist = model.shortlist(images, seed)
    best = np.sort(bald(reference).numpy())[::-1][:12]
    np.testing.assert_array_equal(bald(reference).numpy()[shortlist], best)
    rows = chunks(asked, Purpose.MC_DROPOUT_POOL)
    changed = {int(n) for n in (rows != reference).any(-1).any(0).nonzero()[:, 0]}
    assert changed == set(shortlist.tolist())
    for place in shortlist[:2]:
        found = model.search.for_image(model._inputs(images[[place]])[0])
        assert torch.equal(rows[:, place], found.probs)
        assert (found.losses <= model.search.highest).all()


def test_explain_shows_the_rows_that_the_query_was_scored_with(asked: fast.Run) -> None:
    model, ids, rows = asked.fitted.model, asked.step_pool(), chunks(asked, Purpose.MC_DROPOUT_POOL)
    assert isinstance(model, QuamModel)
    seed = asked.step.seed_of(Purpose.MC_DROPOUT_POOL)
    shortlist = model.shortlist(asked.step.dataset.images[ids], seed)
    inside = int(shortlist[0])
    outside = next(n for n in range(len(ids)) if n not in shortlist)
    for place in (inside, outside):
        for _ in range(2):  # from what the model kept, and computed for the one image
            shown = scored_passes(asked.step, int(ids[place]), 10)
            assert shown is not None and torch.equal(shown, rows[:, place])
            model._last = None


def test_progress_of_a_query_never_goes_back(asked: fast.Run) -> None:
    model, images = asked.fitted.model, asked.step.dataset.images[asked.step_pool()]
    seen: list[tuple[int, int]] = []
    model._last = None  # type: ignore[attr-defined]
    for _ in model.pool_in_chunks(images, 10, 1, progress=lambda *now: seen.append(now)):
        pass
    assert seen == sorted(seen) and seen[-1] == (2 * len(images) + 12,) * 2 and len(seen) > 12


def test_a_run_with_it_repeats_bit_for_bit(mnist5k: ImageDataset) -> None:
    once, again = (fast.steps(fast.run(mnist5k, **QUAM), 2) for _ in range(2))
    for (one, query), (other, same) in zip(once, again, strict=True):
        assert fast.measured(one) == fast.measured(other)
        assert query.ranking == same.ranking and query.scores == same.scores


REFUSED = [
    ({"num_mc_samples": 32}, "num_mc_samples is 32; allowed: a multiple of n_classes, which is 10"),
    (
        {"which_model": "gal_cnn", "quam_layers": 3},
        "quam_layers is 3; allowed: 1 to 2, since gal_cnn has 2 dense layers",
    ),
    (
        {"posterior": "mc_dropout", "quam_steps": 5, "quam_shortlist": 100},
        "quam_steps is 5; allowed: 40, since posterior mc_dropout does not read it",
    ),
]


@pytest.mark.parametrize(("changes", "message"), REFUSED)
def test_what_does_not_go_together_is_refused_in_one_line(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ProtocolError) as error:
        fast.protocol(**{**QUAM, **changes})
    assert str(error.value) == message


def test_functions_of_joint_samples_are_refused(mnist5k: ImageDataset) -> None:
    with pytest.raises(ProtocolError) as error:
        fast.learner(mnist5k, "batchbald", **QUAM)
    assert str(error.value).startswith(
        "acquisition is 'batchbald', which needs samples of several images together, and QUAM "
        "searches image by image; allowed: "
    )
    assert "epig" not in str(error.value)
