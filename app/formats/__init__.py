"""Pure readers of other formats, each with a mapping page."""
