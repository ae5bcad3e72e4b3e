"""The geometries by name; a new one is a file here and a line below."""

from sst_mergekit.core.geometries.activation import ACTIVATION
from sst_mergekit.core.geometries.diagonal import DIAGONAL
from sst_mergekit.core.geometries.kronecker import KRONECKER
from sst_mergekit.core.geometries.subspace import SUBSPACE

GEOMETRIES = {geometry.name: geometry for geometry in (KRONECKER, ACTIVATION, DIAGONAL, SUBSPACE)}
