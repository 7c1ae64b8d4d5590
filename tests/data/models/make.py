"""Make a saved model of each method on a tiny sea: what later versions must be able to load.

``python tests/data/models/make.py METHOD…`` writes them beside this file. They are never made again: a model that a
new version writes in another way gets a folder of its own, and the old one stays. ``interpolation-uncalibrated`` and
``persistence-by-lag`` were written by the versions before std was calibrated, and before it was by the days since the
last observation.
"""

import sys
from pathlib import Path

import sereno
from sereno.config import parse_config
from sereno.synthetic import TwinSeaConfig, twin_sea

HERE = Path(__file__).parent
NETWORK = {
    "window": 3,
    "batch_size": 4,
    "steps_per_epoch": 2,
    "max_epochs": 1,
    "validation_windows": 4,
    "precision": "float32",
}
CORRECTOR = NETWORK | {"weights": "fresh", "tuning_steps": 2, "widths": [2, 4], "windows_kept": 8, "tile": [8, 8]}
SETTINGS = {
    "oi": {"covariance": "two-scale", "observations": 24},
    "oi-grid": {"terms": 2, "steps": 2},
    "dineof": {"segment": 60, "margin": 10, "most_modes": 4},
    "convlstm": NETWORK | {"hidden": 2, "layers": 1, "kernel": 3, "head": 2, "halo": 4, "tile": [8, 8]},
    "unet": CORRECTOR,
    "convlstm-unet": CORRECTOR | {"hidden": 2},
}

if __name__ == "__main__":
    cube = twin_sea(TwinSeaConfig(days=90, shape=(16, 16)))
    for name in sys.argv[1:]:
        method = name.partition("-by-")[0].removesuffix("-uncalibrated")
        model = {"method": method, "window": 7} | SETTINGS.get(method, {})
        sereno.save(sereno.fit(cube, parse_config({"model": model, "calibration_days": 8})), HERE / name)
