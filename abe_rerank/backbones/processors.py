"""Processors of pictures and texts: their part for videos asks for torchvision, is never used, and is left out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any


def load_processor(folder: Path, kind: str, **options: Any) -> Any:
    """The processor in a folder of a model of type ``kind``, as its config names it; ``options`` are transformers'.

    Raises what transformers raise.
    """
    import transformers
    from transformers.models.auto import processing_auto

    names: Mapping[str, str] = vars(processing_auto)["PROCESSOR_MAPPING_NAMES"]
    named: Any = getattr(transformers, names.get(kind) or "", None)
    parts = named.get_attributes() if hasattr(named, "get_attributes") else ()
    loader = without_videos(named) if any(map(_of_videos, parts)) else transformers.AutoProcessor
    return loader.from_pretrained(folder, trust_remote_code=False, local_files_only=True, **options)


def without_videos(kind: Any) -> Any:
    """A class like the processor ``kind`` whose parts are those for pictures and texts, which come first in it."""
    parts = kind.get_attributes()

    class OfPictures(kind):  # type: ignore[misc]
        @classmethod
        def get_attributes(cls) -> list[str]:
            return [name for name in parts if not _of_videos(name)]

        @classmethod
        def from_args_and_dict(cls, args: Any, *others: Any, **options: Any) -> Any:
            given = dict(zip(cls.get_attributes(), args, strict=True))
            return super().from_args_and_dict([given.get(name) for name in parts], *others, **options)

    OfPictures.__name__ = kind.__name__  # as it is written into the folder
    return OfPictures


def _of_videos(part: str) -> bool:
    return "video" in part
