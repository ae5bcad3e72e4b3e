"""What is tried next: brackets, lists, grids, random draws and Optuna's samplers, all of one form."""
