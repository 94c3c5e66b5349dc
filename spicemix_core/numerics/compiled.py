"""numba's ``njit``, whose cache of compiled code a fit can do without."""

import warnings
from collections.abc import Callable
from typing import Any

import numba
from numba.core.caching import FunctionCache


class _Cache(FunctionCache):
    """The cache of one function. If it cannot be read or written, a warning says so, and every process compiles."""

    def load_overload(self, *arguments):
        return self._try("read", super().load_overload, *arguments)

    def save_overload(self, *arguments):
        return self._try("written", super().save_overload, *arguments)

    def _try(self, what, method, *arguments):
        try:
            return method(*arguments)
        except Exception as error:  # of the disk, or any that a damaged file causes
            _warn(f"{what} in {self.cache_path}", error)


def njit(**options: Any) -> Callable[[Callable], Any]:
    """Decorator: ``numba.njit`` with such a cache."""
    return lambda function: cached(numba.njit(**options)(function))


def cached(dispatcher: Any) -> Any:
    """A compiled function, which is returned, with such a cache; also for functions of other packages without one."""
    is_compiled = hasattr(dispatcher, "py_func")  # not if the compiler is switched off
    if is_compiled and not isinstance(dispatcher._cache, _Cache):
        try:
            dispatcher._cache = _Cache(dispatcher.py_func)
        except RuntimeError as error:  # no folder is writable
            _warn("written anywhere", error)
    return dispatcher


def _warn(what, error):
    reason = getattr(error, "strerror", None) or type(error).__name__
    warnings.warn(f"Compiled code cannot be {what} ({reason}), so every process compiles it again. Free some space, or "
                  "name another folder in the environment variable NUMBA_CACHE_DIR.", stacklevel=2)
