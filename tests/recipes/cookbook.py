"""The recipes of docs/extending.md, carried out in a copy of the checkout."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_LEFT_OUT = shutil.ignore_patterns(
    ".git", ".venv", ".qc", ".*_cache", "node_modules", "dist", "*.duckdb", "*.duckdb.wal"
)
_FENCE = re.compile(r"^```(diff|python|sql|toml)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Kitchen:
    """A copy of the checkout in which a recipe is carried out.

    Args:
        folder: where to.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "checkout"
        shutil.copytree(ROOT, self.folder, ignore=_LEFT_OUT)
        self._before = self._hashes()

    def carry_out(self, heading: str) -> None:
        """Do what the code blocks under a heading of docs/extending.md say, in their order."""
        text = (self.folder / "docs" / "extending.md").read_text(encoding="utf-8")
        _, _, section = text.partition(f"## {heading}\n")
        blocks = _FENCE.findall(re.split(r"^## ", section, flags=re.MULTILINE)[0])
        assert blocks, f"docs/extending.md has no code under the heading {heading!r}"
        for kind, block in blocks:
            first, _, rest = block.partition("\n")
            if kind == "diff":
                self._change(self.folder / first.removeprefix("--- a/"), rest)
            else:
                path = self.folder / first.lstrip("-# ")
                assert not path.exists(), f"{path.name} is there already"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(block.partition("\n")[2], encoding="utf-8")

    def changed_files(self) -> list[str]:
        """Files of the copy that are new or different, but for what running things leaves."""
        after = self._hashes()
        return sorted(name for name, digest in after.items() if self._before.get(name) != digest)

    def run(self, program: str, **variables: str) -> str:
        """Run Python in the copy, on the package of the copy; returns what it printed."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("QC_")}
        environment |= {"PYTHONPATH": str(self.folder), "QC_HOME": str(self.folder.parent / "home"), **variables}
        environment |= {
            "QC_WAREHOUSE": str(self.folder.parent / "qc.duckdb"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "QC_THREADS": "1",
        }
        done = subprocess.run(
            [sys.executable, "-c", program],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=900,
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-6000:]
        return done.stdout

    def _change(self, path: Path, hunks: str) -> None:
        text = path.read_text(encoding="utf-8")
        for hunk in re.split(r"^@@.*\n", hunks, flags=re.MULTILINE):
            lines = hunk.splitlines(keepends=True)
            old = "".join(line[1:] for line in lines if line[0] in " -")
            assert text.count(old) == 1, f"{path.name} has {text.count(old)} times:\n{old}"
            text = text.replace(old, "".join(line[1:] for line in lines if line[0] in " +"))
        path.write_text(text, encoding="utf-8")

    def _hashes(self) -> dict[str, str]:
        return {
            str(path.relative_to(self.folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(self.folder.rglob("*"))
            if path.is_file() and path.suffix != ".pyc"
        }
