"""What the lm-eval tasks call: data loading, refusal detection, code execution, metrics."""
