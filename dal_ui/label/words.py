"""The labelling page's texts: pure functions of a run's state."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from statistics import median

from dal_core.data.base import ImageDataset
from dal_core.protocol import posteriors
from dal_core.protocol.presets import describe_briefly, for_people
from dal_core.results.titles import display_name, noise_name
from dal_core.run.next_task import Task, answers_itself
from dal_core.run.rows import Progress, SubmitOutcome
from dal_core.run.state import RunState
from dal_ui.label.last_batch import Revealed
from dal_ui.label.view import View
from dal_ui.shared.markdown import plain


def about(log: RunState) -> str:
    """The left half of the header: who labels, how, and on what data."""
    spec = log.run.spec
    return (
        f"**{plain(log.run.title or log.run.run_id)}** · {display_name(spec.acquisition)} · "
        f"{spec.protocol.dataset} · {describe_briefly(spec.protocol)} · seed {spec.seed} · "
        f"{log.run.mode}"
        f"{f' · {noise_name(spec.noise)}' if spec.noise else ''}"
    )


RECOMMENDED, OF_THE_REPORT = "Recommended", "As in the report"
WAYS = (RECOMMENDED, OF_THE_REPORT, "All ways")
"""How the start form lets a person choose the way of asking."""


def recommended() -> tuple[str, str]:
    """What the start form offers first: in plain words, and by its terms."""
    offer = for_people()
    entry = posteriors.get(offer.posterior)
    return (
        f"**Every batch teaches different things.** {offer.n_networks} networks learn from your "
        "labels. They ask for images that they disagree on, no two of them alike.",
        f"{display_name(offer.acquisition)}, {entry.title.lower()} of "
        f"{offer.n_networks} {entry.rows}",
    )


DROPPED = (
    "Your labels were not saved: their batch was taken back in another tab. This tab keeps them "
    "and fills them in when the same images are asked again."
)
PLACES = "The first images will appear here."


def first_fit(log: RunState) -> str:
    """What happens before there is anything to label; empty later."""
    if log.submissions or log.open_query is not None:
        return ""
    return f"The network is learning from {log.n_labelled} images that are already labelled."


def left_out(log: RunState) -> str:
    """How many images were skipped and batches taken back."""
    images, batches = len(log.skipped), log.n_retracted
    return (
        f"{images} {'image' if images == 1 else 'images'} skipped, "
        f"{batches} {'batch' if batches == 1 else 'batches'} taken back"
    )


def accuracy(view: View) -> str:
    """The newest accuracy beside random's at as many labels; empty without test images."""
    if not view.has_test_set:
        return ""
    latest, beside = view.latest, view.random_beside
    if latest is None or latest.accuracy is None:
        return "accuracy: not measured yet"
    line = f"**{latest.accuracy:.1%}** right at {latest.n_labelled} labels"
    if beside is None or beside.accuracy is None:
        return line
    return f"{line} · random {beside.accuracy:.1%}"


def working(view: View, progress: Progress | None) -> tuple[float, str]:
    """How far the work is (0 to 1), and what it is."""
    lead = _lead(view)
    if progress is None or not progress.n_epochs or progress.part == "idle":
        return 0.0, f"{lead}Starting ..."
    done = progress.epoch or 0
    share = min(1.0, done / progress.n_epochs)
    left = "" if progress.seconds_left is None else f", {progress.seconds_left:.0f} s left"
    if progress.part == "train":
        loss = "" if progress.train_loss is None else f", training loss {progress.train_loss:.3f}"
        return share, (
            f"{lead}Training on {progress.n_labelled} labels: "
            f"epoch {done} of {progress.n_epochs}{loss}{left}"
        )
    what = "Choosing the next batch" if progress.part == "score" else "Measuring on test images"
    return share, f"{lead}{what}: {done:,} of {progress.n_epochs:,} images{left}"


def _lead(view: View) -> str:
    if view.next_task.task is Task.MAKE_UP:
        return "Making up an earlier measurement. "
    if answers_itself(view.log):
        return f"The oracle answers up to {view.log.run.oracle_until} labels. "
    if not view.log.submissions:
        return ""
    # In continuous mode the next batch is on screen already.
    has_answered = view.log.open_query is None or view.log.run.mode == "continuous"
    return "Saved. " if has_answered else ""


def asked_by(log: RunState) -> str:
    """Which model chose the images on screen; empty in strict mode, where it is the newest."""
    query = log.open_query
    if query is None or log.run.mode == "strict":
        return ""
    age = query.n_labelled - query.asked_by
    if not age:
        return f"Chosen by the newest model, trained on {query.asked_by} labels."
    return f"Chosen by the model trained on {query.asked_by} labels, {age} labels ago."


def waiting(view: View) -> str:
    """What a run without work waits for: a person, or whoever can let it go on."""
    log, run = view.log, view.log.run
    if run.paused or run.kind == "oracle":
        return _held(view)
    if log.is_asked:
        return f"Label the images that {display_name(run.spec.acquisition)} has chosen."
    return "Nothing is left to do on this run."


def _held(view: View) -> str:
    """Why nobody works on the run, and what lets it go on."""
    run = view.log.run
    if view.experiments and (run.paused or run.oracle_until is None):
        return (
            f"Paused or stopped with experiment `{view.experiments[0]}`. "
            "Press *Resume* there, on the Reproduce page."
        )
    if run.kind == "person":
        return "Paused: nothing is trained and nothing is asked. Press *Go on*."
    if run.baseline and not run.paused:
        return (
            f"Done as far as it is needed: {view.log.n_labelled} labels. It goes on when a run "
            "that it is compared with has more."
        )
    return (
        f"Nobody has told the oracle to go on beyond {view.log.n_labelled} labels. "
        f"`dal run --resume {run.run_id}` continues."
    )


def failed_unstored(reason: str) -> str:
    """Work failed, and the disk takes not even that: why, and when it can be tried again."""
    return (
        f"Work on this run failed: {plain(reason)}. Nothing can be written at the moment. Once it "
        "can, *Try again* appears here."
    )


def finished(reason: str) -> str:
    """Why the run asks for nothing more, and what can be done next."""
    return f"Finished: {reason}. Download the labels below, or start a new run."


def last_batch(revealed: Sequence[Revealed], source: str) -> str:
    """One line on the batch answered last; empty where the data set knows none of its labels."""
    known = [one for one in revealed if one.given is not None and one.truth is not None]
    if not known:
        return ""
    agree = sum(one.agrees for one in known)
    judged = [one for one in known if one.predicted is not None]
    guessed = sum(one.predicted == one.truth for one in judged)
    who = "you" if source == "person" else "the oracle"
    line = f"Last {len(known)}: the data set agrees with {who} on {agree}"
    return f"{line}. The network had predicted {guessed} correctly." if judged else f"{line}."


def agreement(same: int, given: int) -> str:
    """How often the person and the data set agree, over the whole run."""
    if not given:
        return ""
    return f"You and the data set agree on {same} of the {given} labels you gave in this run."


def pace(seconds: Sequence[float]) -> str:
    """The median time a person takes per image, and the time for all of them."""
    if not seconds:
        return "no time measured yet"
    return f"{median(seconds):.1f} s per image, {sum(seconds) / 60:.1f} min in total"


def revealed(one: Revealed, source: str, dataset: ImageDataset) -> str:
    """Two or three lines under an image: the label given, the data set's, the network's."""
    who = "you" if source == "person" else "oracle"
    if one.given is None:
        lines = [f"{who} can't tell"]
    else:
        mark = "" if one.truth is None else " :green[✓]" if one.agrees else " :red[✗]"
        lines = [f"{who} **{_name(dataset, one.given)}**{mark}"]
    if one.truth is not None:
        lines.append(f"data {_name(dataset, one.truth)}")
    if one.predicted is None or one.confidence is None:
        lines.append("net –")
    else:
        lines.append(f"net {_name(dataset, one.predicted)} at {one.confidence:.0%}")
    return "  \n".join(lines)


def _name(dataset: ImageDataset, label: int) -> str:
    return plain(dataset.class_name(label))


def refused(outcome: SubmitOutcome, dataset: ImageDataset) -> str:
    """Why a submission was not stored, and the labels stored instead."""
    line = f"Your labels were not saved: {plain(str(outcome.reason))}."
    stored = outcome.submission
    if stored is None:
        return line
    labels = ", ".join(_name(dataset, label) for label in stored.labels.values())
    at = datetime.fromisoformat(stored.at).strftime("%H:%M")
    return f"{line} Stored labels: {labels}, by {plain(stored.annotator)} at {at} UTC."
