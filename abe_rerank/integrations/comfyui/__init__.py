"""Nodes for ComfyUI: load a backbone, score the pictures of a batch, pick the best of them with their latents.

ComfyUI finds them where a folder of its ``custom_nodes`` holds this one: README.md beside this file says how.
"""

from abe_rerank.integrations.comfyui.nodes import NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS

__all__ = ["NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS"]
