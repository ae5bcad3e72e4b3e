"""The card of Fisher statistics: what was measured, on what, with which hashes."""

from __future__ import annotations

from pathlib import Path

from sst_mergekit.files import sha256
from sst_mergekit.metrics.text import table
from sst_mergekit.sharing.block import add_tags, metadata, read_card, with_part
from sst_mergekit.sharing.names import shown
from sst_mergekit.statistics.manifest import FILE_NAME, Manifest, read_manifest

TAGS = ("sst-mergekit", "fisher-information")


def statistics_card(directory: Path, name: str) -> str:
    """Return README.md of a directory of statistics; what a README there says beside our part is kept.

    Args:
        directory: of `sst-mergekit fisher`.
        name: how recipes will name it, for the example.

    Raises:
        StatisticsError: the manifest is missing or damaged.
        SharingError: the metadata of the README there cannot be read.
    """
    manifest = read_manifest(directory)
    readme = directory / "README.md"
    text = readme.read_text(encoding="utf-8") if readme.is_file() else f"# {name}\n"
    card = read_card(text, readme)
    metadata(card).library_name = "sst-mergekit"
    add_tags(card, *TAGS)
    card.text = with_part(card.text, _part(directory, manifest, name))
    return str(card)


def _part(directory: Path, manifest: Manifest, name: str) -> str:
    files = table(
        ("file", "SHA-256"), [[f"`{n}`", f"`{digest}`"] for n, digest in sorted(manifest.files.items())]
    )
    return f"""\
Fisher statistics ({manifest.kind}) of {len(manifest.layers)} layers, for merges with
`sst-mergekit`. No weights of the model and no rows of the data are
in here; what the data were can in part be inferred from second moments, so share no statistics of data that
are secret.

```yaml
models:
  - model: …
    parameters: {{role: …, fisher: {name}}}    # {name}@COMMIT to fix the version
```

{_measured(manifest)}
{files}
SHA-256 of `{FILE_NAME}`: `{sha256(directory / FILE_NAME)}`. Every file is checked against the manifest when
it is read.
"""


def _measured(manifest: Manifest) -> str:
    data = manifest.data
    part = f", configuration `{data['config']}`" if data.get("config") else ""
    rows = [
        ["model", _thing(manifest.model)],
        ["adapter", _thing(manifest.adapter) if manifest.adapter else "none"],
        ["data", f"{shown(data['location'])}{part}, split `{data['split']}`"],
        ["conversations, tokens of responses", f"{data['sequences']}, {data['tokens']}"],
        ["SHA-256 of the data", f"`{data['sha256']}`"],
        ["labels, seed, dtype", f"{manifest.labels}, {manifest.seed}, {manifest.dtype}"],
        ["versions", ", ".join(f"{name} {version}" for name, version in sorted(manifest.versions.items()))],
    ]
    return table(("", "measured"), rows)


def _thing(entry: dict) -> str:
    revision = f" at `{entry['revision']}`" if entry.get("revision") else ""
    weights = f", weights fingerprint `{entry['weights']}`" if entry.get("weights") else ""
    return f"{shown(entry['id'])}{revision}{weights}"
