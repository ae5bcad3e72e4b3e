"""Pure tensor maths: tensors in, tensors out; no paths, models, logging or global random state."""
