"""The user's own base, experts, data and lm-eval tasks."""
