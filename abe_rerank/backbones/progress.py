"""Whether progress bars are wanted: the switches of the libraries that people know count for ours too."""

from __future__ import annotations

import sys


def bars_wanted() -> bool:
    """False where HF_HUB_DISABLE_PROGRESS_BARS is set, or ``disable_progress_bars()`` of huggingface_hub,
    ``disable_progress_bar()`` of transformers or of diffusers was called. Imports neither of these two."""
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled

    loaded = [sys.modules[name] for name in ("diffusers", "transformers") if name in sys.modules]
    return not are_progress_bars_disabled() and all(
        library.utils.logging.is_progress_bar_enabled() for library in loaded
    )
