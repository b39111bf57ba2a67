"""Write the suite's own HTML index for results that several of its processes left in one folder.

This file runs in the suite's environment and is the only one of ours that imports the suite; it
does not know how the results came about.

    .autobahn/venv/bin/python tests/autobahn/report.py FOLDER
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path


def main() -> None:
    warnings.simplefilter("ignore")
    from autobahntestsuite import case  # type: ignore[import-not-found]
    from autobahntestsuite.caseset import CaseSet  # type: ignore[import-not-found]
    from autobahntestsuite.fuzzing import FuzzingFactory  # type: ignore[import-not-found]

    [folder] = map(Path, sys.argv[1:])
    factory = FuzzingFactory(str(folder))
    factory.CaseSet = CaseSet(
        case.CaseSetname,
        case.CaseBasename,
        case.Cases,
        case.CaseCategories,
        case.CaseSubCategories,
    )
    for path in folder.glob("*_case_*.json"):
        factory.logCase(json.loads(path.read_text(encoding="utf-8")))
    factory.createMasterReportHTML(str(folder))


if __name__ == "__main__":
    main()
