"""Units of work made once, by processes of this machine or of a cluster; knows nothing of merging."""
