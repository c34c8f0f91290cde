"""What is wrong with a lake's place for good, by the words of DuckDB and PostgreSQL: asking again would not help."""

import re

from qc_assets.lake_place import quoted_data

_NO_ENTRY = re.compile(
    r"password authentication failed|no password supplied|(?:database|role) \"[^\"]*\" does not exist|"
    r"invalid connection option \"[^\"]*\"|no pg_hba.conf entry|permission denied for [^.:]*|invalid port number[^.]*|"
    r"definition of service \"[^\"]*\" not found"
)


def refusal_in(text: str) -> str:
    """Why a server lets nobody in; empty if it may do so later."""
    refusal = _NO_ENTRY.search(text)
    return refusal[0] if refusal else ""


def wrong_place(text: str) -> str:
    """What QC_WAREHOUSE names wrongly, or what its catalogue has come to; empty if it is something else."""
    if folder := re.search(r'does not match existing data path in the catalog "(.*)"', text):
        return f"the files of this catalogue are in {folder[1]}: write ?data={quoted_data(folder[1])}"
    if kind := re.search(r'Extension "(\w+?)(?:_scanner)?" is an existing extension', text):
        return f"its catalogue is no file of this kind, but perhaps one of {kind[1]}: write ducklake:{kind[1]}:…"
    if versions := re.search(r"catalog version is (\S+), but the extension requires version (\d[\d.]*\d)", text):
        return (
            f"its catalogue is of DuckLake {versions[1]}, and this qc-assets reads {versions[2]}: install the version "
            "that wrote it, and carry it into a file there (`qc warehouse copy --to FILE`)"
        )
    if damage := re.search(r"Failed to probe DuckLake metadata:.*?([^:]+)$", text, re.DOTALL):
        return (
            f"its catalogue cannot be read ({damage[1].strip()}): put it back from a copy of its own, or name another; "
            "its Parquet files are as they were"
        )
    if gone := re.search(r'Cannot open file "([^"]*/ducklake-[^"]*\.parquet)": No such file', text):
        return (
            f"its catalogue knows of {gone[1]}, which is not there: is the disk mounted? Else put folder and catalogue "
            "back from copies of one time"
        )
    return ""
