"""Merging methods of other papers, as pure functions on one tensor; a file each."""
