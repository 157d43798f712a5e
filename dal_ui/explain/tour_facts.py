"""What the network on the page shows at the tour's stops, in numbers."""

from __future__ import annotations

from dal_core.explain.batches import Asked
from dal_core.explain.pool import PoolScores, ambiguous_image, disagreement, disputed_image
from dal_core.results.titles import display_name
from dal_ui.explain import batches, model
from dal_ui.explain.batches import Judged
from dal_ui.explain.model import Step
from dal_ui.shared.markdown import plain

TOP, COVER = "bald", "bald_coverage"


def of_passes(step: Step) -> str:
    """How much of the two examples' entropy is disagreement."""
    pool = model.pool_scores(step)
    return f"Here: {_split(pool, ambiguous_image(pool))} for *Ambiguous*, " + (
        f"{_split(pool, disputed_image(pool))} for *Quarrel*. "
    )


def _split(pool: PoolScores, image_id: int) -> str:
    entropy = pool.score_of("max_entropy", image_id) or 0.0
    return f"{disagreement(pool, image_id):.0%} of {entropy:.2f} nats"


def of_functions(step: Step) -> str:
    """How many images two of the functions share."""
    one, other = batches.batch(step, TOP), batches.batch(step, "max_entropy")
    if not isinstance(one, Asked) or not isinstance(other, Asked):
        return ""
    n = len({*one.image_ids} & {*other.image_ids})
    return (
        f"Here {n} of {display_name(TOP)}'s {len(one.image_ids)} are also in "
        f"{display_name('max_entropy')}'s. "
    )


def of_coverage(step: Step) -> str:
    """How the top of the list repeats itself, and how coverage's batch does."""
    top, cover = (batches.judged(step, name) for name in (TOP, COVER))
    if top is None or cover is None:
        return ""
    noun = plain(step.dataset.noun)
    said = " ".join((_said(TOP, top, noun), _said(COVER, cover, noun)))
    return f"Here, with {step.model.n_labelled} labels: {said} "


def _said(name: str, one: Judged, noun: str) -> str:
    kinds, share = one.alike.n_predicted, one.information.share
    told = (
        ""
        if share is None
        else f" Together their labels tell {share:.0%} of the sum of the scores."
    )
    return (
        f"{display_name(name)}'s {len(one.asked.image_ids)} cover **{one.covered:.1%}** of the "
        f"weight and are predicted to be {kinds} different {noun}{'' if kinds == 1 else 's'}.{told}"
    )
