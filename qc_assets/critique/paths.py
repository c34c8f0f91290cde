"""Files that nobody writes by hand: comments on them teach nothing about code."""

import re

# After GitHub's linguist (vendor.yml, generated.rb), reduced to what review comments meet.
_KINDS = {
    "lock": r"(^|/)(package-lock\.json|npm-shrinkwrap\.json|yarn\.lock|pnpm-lock\.yaml|poetry\.lock|uv\.lock|"
    r"pipfile\.lock|cargo\.lock|gemfile\.lock|composer\.lock|go\.sum|flake\.lock|packages\.lock\.json|mix\.lock)$",
    "vendored": r"(^|/)(vendor|vendors|third_party|third-party|3rdparty|node_modules|bower_components|"
    r"site-packages|godeps)/",
    "minified": r"\.min\.(js|css|mjs)$|(^|/)(dist|build|bundle)/.*\.(js|css)$|\.bundle\.js$|\.(js|css)\.map$",
    "generated": r"(^|/)(__generated__|generated|gen)/|_pb2(_grpc)?\.pyi?$|\.pb\.(go|cc|h)$|\.g\.(dart|cs)$|"
    r"\.designer\.cs$|\.generated\.\w+$|(^|/)(bindata|zz_generated[^/]*)\.go$|\.snap$|\.freezed\.dart$",
    "binary": r"\.(png|jpe?g|gif|ico|webp|bmp|svg|pdf|zip|gz|tgz|bz2|xz|7z|jar|war|class|so|dll|exe|dylib|a|o|"
    r"woff2?|ttf|eot|otf|mp3|mp4|wav|mov|avi|pyc|wasm|bin|dat|db|sqlite3?|parquet|pkl|npy|npz|onnx|pt)$",
    "data": r"\.(csv|tsv|jsonl|ndjson|geojson|ipynb|po|pot|xlf|lock)$",
}
_PATTERNS = {kind: re.compile(pattern, re.I) for kind, pattern in _KINDS.items()}
_LONG_LINE, _LONG_PATH = 2_000, 1_000


def machine_made(path: str, text: str = "") -> str | None:
    """What kind of file nobody writes by hand this is, or None.

    Args:
        path: within the repository.
        text: some of its lines, if they are known.
    """
    path = path[-_LONG_PATH:]  # else a pattern could begin at every folder and look to the end from each
    for kind, pattern in _PATTERNS.items():
        if pattern.search(path):
            return kind
    if any(len(line) > _LONG_LINE for line in text.splitlines()):
        return "minified"
    head = text[:2_000].lower()
    if re.search(r"(code generated .{0,60}do not edit|@generated\b|this file (is|was) auto-?generated)", head):
        return "generated"
    return None
