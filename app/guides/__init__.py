"""The documentation: Markdown pages, their rendering as HTML, and the routes under /docs."""
