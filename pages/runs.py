"""Every run on disk: open, download, fork or delete one."""

from __future__ import annotations

from datetime import datetime

import pandas as pd
import streamlit as st

from dal_core.results.run_history import moments, resumed_elsewhere
from dal_core.results.run_rows import RunLine
from dal_core.results.titles import display_name
from dal_core.run.rows import DamagedRun
from dal_core.run.state import RunState
from dal_ui.runs import listing
from dal_ui.runs.forking import can_be_forked, fork_form
from dal_ui.shared import address, runtime, shell
from dal_ui.shared.downloads import download_buttons
from dal_ui.shared.markdown import plain, quoted

ROWS_SHOWN, ROW_HEIGHT = 12, 35
# Pixels. The first seven columns fit a window of 800; the others need a wider one.
WIDTHS = {
    **{"title": 110, "id": 160, "function": 95, "labels": 60, "accuracy": 75},
    **{"answered by": 95, "created": 125},
    **{"data set": 70, "seed": 50, "protocol": 240},
}


def render() -> None:
    """Draw the table, and the actions on the run chosen in it or named by the address."""
    runtime.workers()
    named = shell.current_run("runs")
    st.header("Runs")
    if notice := st.session_state.pop("deleted", None):
        st.success(notice, icon=":material/check:")
    lines, damaged = listing.run_lines(runtime.store())
    _damaged(damaged)
    if not lines and not damaged:
        st.write("No runs yet. Start one, and it is listed here with its labels.")
        if st.button("Start a run", type="primary", icon=":material/play_arrow:"):
            shell.go_to(None)
        return
    chosen = _table(lines, named) if lines else None
    if chosen is not None:
        _chosen(chosen)
    elif named is not None and named not in {one.run_id for one in damaged}:
        st.error(f"There is no run {quoted(named)} here. It may have been deleted.")
    elif lines:
        st.caption(
            "Choose a run in the table to open, fork or delete it, or to download its labels."
        )
    if st.button("Start a new run", icon=":material/add:"):
        shell.go_to(None)


def _damaged(runs: list[DamagedRun]) -> None:
    """List the runs that cannot be read, each with a button to delete it."""
    if not runs:
        return
    with st.expander(f"Damaged runs: {len(runs)}", icon=":material/warning:", expanded=True):
        st.caption(
            "These cannot be read; all other runs work. `dal doctor` says what can be saved."
        )
        for run in runs:
            why, delete = st.columns([5, 1], vertical_alignment="center")
            name = f"**{plain(run.title)}** · `{run.run_id}`" if run.title else f"`{run.run_id}`"
            why.markdown(f"{name}: {plain(run.why)}")
            with delete.popover("Delete", icon=":material/delete:", width="stretch"):
                st.write("Delete what is left of it? This cannot be undone.")
                if st.button("Yes, delete this run", key=f"delete-{run.run_id}"):
                    _delete_now(run.run_id, name)


def _table(lines: list[RunLine], named: str | None) -> RunLine | None:
    """Draw the table; returns the chosen row, at first the one in the address."""
    rows = [row for row, line in enumerate(lines) if line.run.run_id == named]
    event = st.dataframe(
        _frame(lines),
        hide_index=True,
        height=ROW_HEIGHT * (min(len(lines), ROWS_SHOWN) + 1) + 3,
        on_select="rerun",
        selection_mode="single-row",
        selection_default={"selection": {"rows": rows}} if rows else None,
        # Another list or another address, another selection.
        key=f"runs-{len(lines)}-{lines[0].run.run_id}-{address.n_followed()}",
        column_config={
            **{name: st.column_config.Column(width=width) for name, width in WIDTHS.items()},
            "accuracy": st.column_config.NumberColumn(width=WIDTHS["accuracy"], format="%.1f%%"),
            "created": st.column_config.DatetimeColumn(
                "created (UTC)", width=WIDTHS["created"], format="YYYY-MM-DD HH:mm"
            ),
        },
    )
    chosen = event["selection"]["rows"]
    if not chosen:
        return None
    line = lines[chosen[0]]
    if line.run.run_id != named:
        st.query_params["run"] = line.run.run_id
        shell.current_run("runs")
    return line


def _frame(lines: list[RunLine]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "title": [line.run.title for line in lines],
            "id": [line.run.run_id for line in lines],
            "function": [display_name(line.run.spec.acquisition) for line in lines],
            "labels": [line.n_labelled for line in lines],
            "accuracy": pd.array(
                [None if line.accuracy is None else 100 * line.accuracy for line in lines],
                dtype="Float64",
            ),
            "answered by": [line.answered_by for line in lines],
            "created": [_when(line.run.created_at) for line in lines],
            "data set": [line.run.spec.protocol.dataset for line in lines],
            "seed": [line.run.spec.seed for line in lines],
            "protocol": [line.protocol for line in lines],
        }
    )


def _when(created_at: str) -> datetime:
    return datetime.fromisoformat(created_at).replace(tzinfo=None)


def _chosen(line: RunLine) -> None:
    run_id, spec = line.run.run_id, line.run.spec
    st.markdown(
        f"{listing.name(line.run)} · {display_name(spec.acquisition)} on {spec.protocol.dataset}, "
        f"protocol {line.protocol}, seed {spec.seed}, {line.n_labelled} labels"
    )
    log = runtime.store().log(run_id)
    if elsewhere := resumed_elsewhere(log):
        st.caption(plain(f"Resumed {elsewhere}."))
    open_it, download, delete, _ = st.columns([1, 1, 1, 2])
    if open_it.button("Open", type="primary", icon=":material/draw:", width="stretch"):
        shell.go_to(run_id)
    with download.popover("Download", icon=":material/download:", width="stretch"):
        download_buttons(log)
    with delete.popover("Delete", icon=":material/delete:", width="stretch"):
        _delete(line)
    with st.expander("Fork: a new run that begins like this one", icon=":material/fork_right:"):
        _fork(log)


def _fork(log: RunState) -> None:
    """Fork at any step; a person's fork opens at once, an oracle's appears in the list."""
    states = {moment.n_labelled: moment for moment in moments(log)}
    if not can_be_forked(log):
        st.write("This run has no queries, so it cannot be forked.")
        return
    options = list(states)
    at = options[-1]
    if len(options) > 1:
        at = st.select_slider("At how many labels", options, key=f"fork-at-{log.run.run_id}")
    made = fork_form(runtime.store(), runtime.workers(), log, states[at])
    if made is None:
        return
    if made.kind == "person":
        shell.go_to(made.run_id)
    st.query_params["run"] = made.run_id
    st.rerun()


def _delete(line: RunLine) -> None:
    run_id, name = line.run.run_id, listing.name(line.run)
    given = f" and its {line.person_labels} labels given by people" if line.person_labels else ""
    st.write(f"Delete {name}{given}? This cannot be undone.")
    if st.button("Yes, delete this run", type="primary", key=f"delete-{run_id}"):
        _delete_now(run_id, name)


def _delete_now(run_id: str, name: str) -> None:
    problem = listing.delete_run(runtime.store(), run_id)
    if problem:
        st.warning(plain(problem))
        return
    st.query_params.pop("run", None)
    st.session_state["deleted"] = f"Deleted {name}."
    st.rerun()


if shell.is_alone():
    shell.enter()
else:
    render()
