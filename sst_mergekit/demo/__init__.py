"""The main job on an embedded world: really trained tiny models, offline."""
