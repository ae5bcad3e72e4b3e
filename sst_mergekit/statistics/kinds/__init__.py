"""The kinds of statistics by name; a new one is a file here and a line below."""

from sst_mergekit.statistics.kinds.activation import Activation
from sst_mergekit.statistics.kinds.diagonal import Diagonal
from sst_mergekit.statistics.kinds.ekfac import EkFac
from sst_mergekit.statistics.kinds.kronecker import Kronecker
from sst_mergekit.statistics.kinds.subspace import Subspace

KINDS = {kind.name: kind for kind in (Kronecker, Activation, Diagonal, EkFac, Subspace)}
