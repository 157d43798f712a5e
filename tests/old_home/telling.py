"""What a home and its runs say, as plain values, for comparing the present code with an older one.

Owns: what is told. It imports nothing of dal: whoever asks passes the names in (`Dal`), so that
`make_home.py`, which ran on commit aeee030, and `test_old_home.py`, which runs on the present
code, tell the same things through the same lines.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import platform
from collections.abc import Iterator, Mapping
from contextlib import closing, redirect_stdout
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import safetensors.numpy


@dataclass(frozen=True)
class Dal:
    """The names of dal that are used here."""

    main: Any
    Store: Any
    Answer: Any
    Workbench: Any
    advance: Any
    agenda: Any
    load_beliefs: Any
    read_record: Any
    describe: Any

    # -- the command line ----------------------------------------------------------------------

    def says(self, home: Path, *arguments: str) -> str:
        """What a command that succeeds prints; the home's own path is told as HOME."""
        out = io.TextIOWrapper(io.BytesIO(), "utf-8", newline="")
        with redirect_stdout(out):
            code = self.main([*arguments, "--home", str(home)])
            out.flush()
        assert code == 0, arguments
        printed = out.buffer
        assert isinstance(printed, io.BytesIO)
        return printed.getvalue().decode().replace(str(home), "HOME")

    def says_json(self, home: Path, *arguments: str) -> Any:
        return json.loads(self.says(home, *arguments, "--json"))

    # -- what stands in a home -----------------------------------------------------------------

    def run(self, home: Path, run_id: str) -> dict[str, Any]:
        """All that the store says of a run."""
        with closing(self.Store(home, create=False)) as store:
            log, progress = store.log(run_id), store.progress(run_id)
            row, asked, failure = log.run, log.open_query, log.failure
            # Then, a run that had failed was known by its progress alone, and its task went on.
            todo = self.agenda(dataclasses.replace(log, failure=None))
            probs = None if asked is None else store.shown_probs(asked.query_id)
            summary = store.summaries([run_id])[0]
            return {
                "title": row.title,
                "kind": row.kind,
                "baseline": row.baseline,
                "mode": row.mode,
                "spec": row.spec.key,
                "acquisition": row.spec.acquisition,
                "seed": row.spec.seed,
                "noise": row.spec.noise,
                "protocol": self.describe(row.spec.protocol),
                "created_at": row.created_at,
                "oracle_until": row.oracle_until,
                "paused": row.paused,
                "forked": [row.forked_from, row.forked_after, row.forked_labels],
                "n_labelled": log.n_labelled,
                "skipped": sorted(log.skipped),
                "after": log.after,
                "corrected": log.corrected,
                "revision": log.revision,
                "n_retracted": log.n_retracted,
                "is_ranked": log.is_ranked,
                "summary": [
                    *(summary.n_labelled, summary.n_skipped, summary.n_submissions),
                    *(summary.is_asked, summary.after, summary.revision, summary.corrected),
                    *(summary.is_ranked, len(summary.steps)),
                ],
                "task": todo.task.name,
                "finished": todo.finished,
                "progress": ["failed", failure.reason]
                if failure
                else None
                if progress is None
                else [progress.part, ""],
                "labels": [list(pair) for pair in log.labels()],
                "submissions": [
                    [one.submission_id, one.query_id, one.annotator, one.source, one.at]
                    for one in log.submissions
                ],
                "corrections": [
                    [one.submission_id, one.image_id, one.before, one.label, one.annotator, one.at]
                    for one in log.corrections
                ],
                "asked": [_digest(query) for query in log.queries.values()],
                "open": None if asked is None else {"id": asked.query_id} | _query(asked),
                "open_probs": None if probs is None else _array(probs),
                "steps": [
                    _step(one)
                    | {"seconds": dict(one.seconds), "outdated": log.is_before_correction(one)}
                    for one in log.steps
                ],
                "beliefs": self._beliefs(home / run_id),
            }

    def _beliefs(self, folder: Path) -> dict[str, Any] | None:
        found = self.load_beliefs(folder)
        if found is None:
            return None
        model = [found.n_labelled, found.after, found.corrected]
        return {"model": model, "ids": found.image_ids.tolist(), "mean": _array(found.mean)}

    def model(self, home: Path, run_id: str) -> dict[str, Any]:
        """The run's newest model as `dal export` gives it."""
        content = self._export(home, run_id)
        size = int.from_bytes(content[:8], "little")
        about = json.loads(content[8 : 8 + size])["__metadata__"]
        weights = safetensors.numpy.load(content)
        return {"about": about, "weights": {name: _array(weights[name]) for name in weights}}

    def _export(self, home: Path, run_id: str) -> bytes:
        out = home.with_name(f"{home.name}-{run_id}.safetensors")
        line = ("export", run_id, "--format", "safetensors", "--out", str(out), "--force")
        self.says(home, *line)
        return out.read_bytes()

    def record(self, path: Path) -> dict[str, Any]:
        """A record's numbers."""
        record = self.read_record(path)
        return {"params": record.params, "results": record.results}

    # -- going on ------------------------------------------------------------------------------

    def outcome(self, home: Path, run_id: str) -> dict[str, Any]:
        """What was asked, said and measured in a run, without ids and times."""
        with closing(self.Store(home, create=False)) as store:
            log = store.log(run_id)
            todo = self.agenda(log)
            queries = [*(log.queries[one.query_id] for one in log.submissions)]
            queries += [] if log.open_query is None else [log.open_query]
            return {
                "n_labelled": log.n_labelled,
                "task": todo.task.name,
                "finished": todo.finished,
                "labels": [list(pair) for pair in log.labels()],
                "queries": [_query(one) for one in queries],
                "steps": [_step(one, ids=False) for one in log.steps],
                "train_seconds": [one.seconds["train"] for one in log.steps],
            }

    def go_on(self, home: Path, run_id: str, answers: int) -> dict[str, Any]:
        """Work on a person's run, who answers as often rightly and skips the first image asked."""
        with closing(self.Store(home, create=False)) as store:
            bench = self.Workbench(store)
            list(self.advance(bench, run_id))
            for _ in range(answers):
                self.answer(store, bench, run_id, "ann", skip=1)
                list(self.advance(bench, run_id))
        return self.outcome(home, run_id)

    def answer(
        self,
        store: Any,
        bench: Any,
        run_id: str,
        annotator: str,
        skip: int = 0,
        wrong: int = 0,
    ) -> None:
        """The open query is answered: the first `skip` images not at all, `wrong` ones wrongly."""
        log = store.log(run_id)
        query, truth = log.open_query, bench.dataset(log.run.spec.protocol.dataset).labels
        skipped = list(query.ranking[:skip])
        given = [self.Answer(image_id, None, 2.5) for image_id in skipped]
        for place, image_id in enumerate(query.shown(skipped)):
            label = (int(truth[image_id]) + (place < wrong)) % 10
            given.append(self.Answer(image_id, label, 1.0 + place))
        outcome = store.submit(query.query_id, given, annotator=annotator, source="person")
        assert outcome.status == "saved", outcome

    def anew(self, home: Path, *arguments: str) -> dict[str, Any]:
        """The run that a command makes and brings to its end."""
        return self.outcome(home, self.says(home, *arguments).splitlines()[0])


def machine() -> dict[str, str]:
    """What the bits of a fit depend on: the processor, and who calculates on it."""
    import torch

    names = [line for line in _lines(Path("/proc/cpuinfo")) if line.startswith("model name")]
    return {
        "machine": platform.machine(),
        "processor": names[0].partition(":")[2].strip() if names else platform.processor(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "torch": version("torch"),
        "numpy": version("numpy"),
    }


def differences(expected: Any, found: Any, path: str = "") -> Iterator[str]:
    """Where something expected is not there, a line each; keys that are new do not matter.

    Floats are equal to the last bit: JSON has as many digits as that takes.
    """
    if isinstance(expected, Mapping) and isinstance(found, Mapping):
        for key, value in expected.items():
            if key not in found:
                yield f"{path}/{key} is missing"
            else:
                yield from differences(value, found[key], f"{path}/{key}")
    elif isinstance(expected, list) and isinstance(found, list):
        if len(expected) != len(found):
            yield f"{path} has {len(found)} entries; expected {len(expected)}"
        for place, (one, other) in enumerate(zip(expected, found, strict=False)):
            yield from differences(one, other, f"{path}/{place}")
    elif type(expected) is not type(found) or expected != found:
        yield f"{path} is {found!r}; expected {expected!r}"


def _step(step: Any, ids: bool = True) -> dict[str, Any]:
    told = {
        "step": step.step,
        "n_labelled": step.n_labelled,
        "accuracy": step.accuracy,
        "mutual_information": step.mutual_information,
        "train_loss": step.train_loss,
        "val_loss": step.val_loss,
        "best_epoch": step.best_epoch,
        "confusion": None if step.confusion is None else [list(row) for row in step.confusion],
    }
    return told | ({"after": step.after, "corrected": step.corrected} if ids else {})


def _query(query: Any) -> dict[str, Any]:
    return {
        "n_labelled": query.n_labelled,
        "asked_by": query.asked_by,
        "batch_size": query.batch_size,
        "ranking": list(query.ranking),
        "scores": list(query.scores),
    }


def _digest(query: Any) -> list[Any]:
    content = repr((query.ranking, query.scores))
    numbers = [query.n_labelled, query.asked_by, query.batch_size, query.after, query.corrected]
    return [query.query_id, *numbers, hashlib.sha256(content.encode()).hexdigest()]


def _array(array: Any) -> list[Any]:
    return [str(array.dtype), list(array.shape), hashlib.sha256(array.tobytes()).hexdigest()]


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []
