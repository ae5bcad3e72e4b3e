"""What testbeds of real models share: how they are loaded, trained, measured and asked."""
