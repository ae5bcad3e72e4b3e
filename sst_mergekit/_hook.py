"""The start-up hook: when mergekit loads its registry of merge methods, ours are added.

``sst_mergekit.pth`` (and ``.start``, PEP 829) call :func:`install` each time Python starts,
so this file imports nothing that a bare interpreter has not loaded already. mergekit has no
plugin entry point; the finder below is passive until ``mergekit.merge_methods.registry`` is
imported, lets the real module run, and then registers ``sst`` and the baselines. After ``mergekit.merge``
it lets a merge by ``sst`` take adapters without a cache, and tell what it did.
"""

import os
import sys

TYPE_CHECKING = False  # typing.TYPE_CHECKING without the import of typing
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

OPT_OUT = "SST_MERGEKIT_NO_HOOK"
REGISTRY = "mergekit.merge_methods.registry"
MERGE = "mergekit.merge"
PLUGIN = "sst_mergekit.plugin"


def register_or_say_why() -> None:
    """Register ``sst`` and the baselines, or print one line for what fails: mergekit must go on."""
    parts = (("register_method", "merge method 'sst' is"), ("register_baselines", "baselines are"))
    for function, what in parts:
        try:
            from sst_mergekit import registration

            getattr(registration, function)()
        except Exception as error:  # noqa: BLE001 (whatever is wrong with us, mergekit's methods must work)
            print(f"sst-mergekit: {what} not available: {reason(error)}", file=sys.stderr)


def serve_or_say_why() -> None:
    """Let a merge by ``sst`` take adapters without a cache and tell what it did, or print what fails."""
    try:
        from sst_mergekit.merging.hosting import serve

        serve()
    except Exception as error:  # noqa: BLE001 (as above)
        print(f"sst-mergekit: adapters need --lora-merge-cache: {reason(error)}", file=sys.stderr)


def reason(error: Exception) -> str:
    """Return what an error says, in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())


def load_registry() -> None:
    """Load mergekit's registry, and with it (by this hook) our whole plugin.

    Otherwise the first import of, say, ``sst_mergekit.plugin.method`` would load the registry half-way
    through its own body, and registering would find a half-made module.
    """
    import mergekit.merge_methods.registry  # noqa: F401


AFTER = {REGISTRY: register_or_say_why, MERGE: serve_or_say_why, PLUGIN: load_registry}


class ThenLoader:
    """A loader that runs the module with its own loader, leaves no trace on it, and then calls ``then``."""

    def __init__(self, loader: "object", then: "Callable[[], None]") -> None:
        self.loader = loader
        self.then = then

    def __getattr__(self, name: str) -> "object":
        return getattr(self.loader, name)

    def exec_module(self, module: "ModuleType") -> None:
        """Run the module's body, then ``then``."""
        module.__loader__ = module.__spec__.loader = self.loader  # pyright: ignore
        self.loader.exec_module(module)  # pyright: ignore
        self.then()


class RegistryFinder:
    """A meta-path finder for the modules in ``AFTER``; all others it leaves to the other finders.

    ``asked``: what these are being asked for; a finder like this one asks back.
    """

    def __init__(self) -> None:
        self.asked: set[str] = set()

    def find_spec(
        self, fullname: str, path: "Sequence[str] | None" = None, target: "ModuleType | None" = None
    ) -> "ModuleSpec | None":
        """Return the other finders' spec with a wrapped loader, or None for a module we do not wait for."""
        if fullname not in AFTER or fullname in self.asked:
            return None
        self.asked.add(fullname)
        try:
            others = (getattr(finder, "find_spec", None) for finder in sys.meta_path if finder is not self)
            for find_spec in others:
                spec = find_spec and find_spec(fullname, path, target)
                if spec:
                    spec.loader = ThenLoader(spec.loader, AFTER[fullname])  # pyright: ignore
                    return spec
            return None
        finally:
            self.asked.discard(fullname)


FINDER = RegistryFinder()


def install() -> None:
    """Put the finder first in line, once, unless ``SST_MERGEKIT_NO_HOOK`` is set."""
    if os.environ.get(OPT_OUT, "") in ("", "0") and FINDER not in sys.meta_path:
        sys.meta_path.insert(0, FINDER)  # pyright: ignore
