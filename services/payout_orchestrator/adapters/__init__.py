"""The partners that pay out."""
