"""Look for known vulnerabilities of the packages of an environment, by pip-audit.

Usage: ``python tools/audit.py PYTHON``, the interpreter of the environment; `make audit` runs it. Exit status 0 if
every package was looked up and none is known to be vulnerable, 1 if some are, 2 if the look-up was not possible: that
is no pass.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys


def main() -> int:
    """Print what is known, and return the status."""
    command = [sys.executable, "-m", "pip_audit", "--format", "json", "--progress-spinner", "off", "--skip-editable"]
    environment = {**os.environ, "PIPAPI_PYTHON_LOCATION": sys.argv[1]}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    try:
        packages = json.loads(run.stdout)["dependencies"]
    except (ValueError, KeyError):
        reason = (run.stderr.strip() or "it said nothing").splitlines()[-1]
        print(f"NOT CHECKED: pip-audit could not look the packages up ({reason[:200]})")
        return 2
    skipped = [each for each in packages if "skip_reason" in each and each["name"] != "sereno"]
    vulnerable = [each for each in packages if each.get("vulns")]
    for each in vulnerable:
        known = ", ".join(
            f"{v['id']} (mended in {', '.join(v['fix_versions']) or 'no version'})" for v in each["vulns"]
        )
        print(f"{each['name']} {each['version']}: {known}")
    if skipped:
        names = ", ".join(each["name"] for each in skipped[:5]) + (", …" if len(skipped) > 5 else "")
        print(
            f"NOT CHECKED: {len(skipped)} packages, which the service does not know or does not answer for: {names}"
        )
    print(f"{len(packages) - len(skipped)} packages looked up, {len(vulnerable)} of them vulnerable")
    return 1 if vulnerable else 2 if skipped else 0


if __name__ == "__main__":
    sys.exit(main())
