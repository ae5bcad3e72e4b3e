"""What a merge would keep of each patch, before it is run."""
