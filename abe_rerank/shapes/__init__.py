"""The shapes world: procedural scenes of coloured shapes with ground truth, and the built-in models trained on it."""
