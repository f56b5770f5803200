"""Run folders: what they hold, how they are written whole, read and gone on with."""
