"""The adapter that makes mergekit run our core."""
