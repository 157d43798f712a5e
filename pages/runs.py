"""Every run on disk."""

from dal_ui import shell

if shell.is_alone():
    shell.enter("runs")
