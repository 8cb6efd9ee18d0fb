"""Model cards and the technical file, as Markdown and HTML."""
