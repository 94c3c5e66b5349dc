"""Tables that the chapters write to ``book/results``."""

from spicemix_core.runs.stored_tasks import write_table

__all__ = ["write_table"]
