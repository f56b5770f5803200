"""Model families, one file each: a new one is a new file here whose reader is registered with ``@reads(...)``."""

import importlib
import pkgutil

from abe_rerank.backbones.families.registry import Reader, reader_of, reads, supported

for _module in sorted(module.name for module in pkgutil.iter_modules(__path__)):
    importlib.import_module(f"{__name__}.{_module}")

__all__ = ["Reader", "reader_of", "reads", "supported"]
