"""Images from any diffusers text-to-image pipeline."""
