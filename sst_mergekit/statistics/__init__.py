"""Fisher statistics: collected from a model and data, written to disk, read back tensor by tensor."""
