"""Tables that the chapters write, and long series of computations that they store and resume."""

from spicemix_core.runs.stored_tasks import run_stored, write_table

__all__ = ["run_stored", "write_table"]
