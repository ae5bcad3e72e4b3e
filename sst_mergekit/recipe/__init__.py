"""mergekit recipes: reading them, and finding what mergekit would silently ignore."""
