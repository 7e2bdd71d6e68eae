"""POT's exact solver without the rest of POT."""

import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, module_from_spec
from typing import Any

_ALIAS = "wdist.transport._pot"


@cache
def load_emd2() -> Callable[..., Any]:
    """`ot.emd2`, from `ot.lp` alone if nobody has imported `ot` yet.

    `import ot` imports every part of POT, and scikit-learn and networkx if they are installed: 0.95 s, of which `ot.lp`
    takes 0.15. A subpackage cannot be imported without its parent, so POT's folder gets a second name for it.
    """
    if "ot" not in sys.modules and (pot := find_spec("ot")) is not None:
        spec = ModuleSpec(_ALIAS, None, is_package=True)
        spec.submodule_search_locations = pot.submodule_search_locations
        sys.modules[_ALIAS] = module_from_spec(spec)
        with suppress(ImportError, AttributeError):  # a release of POT whose parts need the whole
            emd2: Callable[..., Any] = import_module(f"{_ALIAS}.lp").emd2
            sys.modules.pop("ot.lp.emd_wrap", None)  # which the compiled module has entered itself, without its parent
            return emd2
    whole: Callable[..., Any] = import_module("ot").emd2
    return whole
