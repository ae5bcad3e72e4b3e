"""Build steps that setup.cfg cannot say; everything else is declared there."""

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

# Python reads these two when it starts; they make stock mergekit know our merge method.
STARTUP_FILES = ["sst_mergekit.pth", "sst_mergekit.start"]

# Folders of data at the top of the repository, by the package that each becomes in the wheel.
DATA_FOLDERS = {
    "sst_mergekit.lm_eval_tasks": "lm_eval_tasks",
    "sst_mergekit.merge_configs": "merge_configs",
}
# lm-eval's template files have no ending, lest they be taken for tasks: `_*` finds them.
DATA_PATTERNS = ["**/*.yaml", "**/*.yml", "**/*.md", "**/*.jsonl", "**/*.py", "**/_*"]


class BuildWithStartupFiles(build_py):
    """Put the start-up files beside the package, in wheels, in editable wheels and in the sdist."""

    def run(self) -> None:
        """Build, then copy to the folder that becomes the top of site-packages."""
        super().run()
        editable_top = self.get_finalized_command("install").install_lib
        for name in STARTUP_FILES:
            self.copy_file(name, editable_top if self.editable_mode else self.build_lib)

    def get_source_files(self) -> list[str]:
        """Return the files that an sdist must hold."""
        return [*super().get_source_files(), *STARTUP_FILES]


setup(
    packages=[*find_packages(include=["sst_mergekit", "sst_mergekit.*"]), *DATA_FOLDERS],
    package_dir=DATA_FOLDERS,
    package_data={
        "sst_mergekit": ["py.typed"],
        "sst_mergekit.reporting": ["templates/*"],
        **dict.fromkeys(DATA_FOLDERS, DATA_PATTERNS),
    },
    exclude_package_data=dict.fromkeys(DATA_FOLDERS, ["**/*.pyc"]),
    cmdclass={"build_py": BuildWithStartupFiles},
)
