"""Scenes that no part of this package is trained or tuned on: other renderers, other colours, other proportions.

``flat``: clip art drawn with Pillow. ``solids``: a small ray caster in the manner of CLEVR (arXiv 1612.06890). Neither
shares code with :mod:`abe_rerank.shapes.render`, and both have seeds of their own, of two splits: ``report`` is what is
reported, ``choose`` is there to choose between ways of reading a picture that hold for every model, such as the size
of its input; never for weights and never for numbers that suit these renderers.
"""
