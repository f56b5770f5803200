"""SigLIP: read as SigLIP 2 is, on one grid for all pictures."""

from __future__ import annotations

from abe_rerank.backbones.families.registry import reads
from abe_rerank.backbones.families.siglip2 import Siglip2Reader


@reads("SiglipModel")
class SiglipReader(Siglip2Reader):
    """The readouts of SigLIP 2."""
