"""Refitting a filtered safety patch on the utility expert, with the data that statistics are measured on."""
