"""Run folders: what they hold, how they are written whole, read, continued and mended."""
