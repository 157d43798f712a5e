"""The Runs page: the list of runs, and forking one."""
