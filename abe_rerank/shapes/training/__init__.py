"""Training of the built-in models; see ``python -m abe_rerank.shapes.training``."""
