"""Make the synthetic twins in this folder again from the measured data (``SPICEMIX_DATA``).

Run ``python data/make_twins.py`` from the root of the repository.
"""

from pathlib import Path

from twin_fitting import measured_twin

from spicemix_core.datasets.fallback import LAYERED_TWIN, TWINS
from spicemix_core.datasets.twin import save_twin
from spicemix_core.datasets.visium import fit_layered_twin, load_visium_dlpfc, save_layered_twin

if __name__ == "__main__":
    for name, file in TWINS.items():
        path = Path(__file__).with_name(file)
        save_twin(measured_twin(name), path)
        print(f"{path}: {path.stat().st_size:,} bytes")
    path = Path(__file__).with_name(LAYERED_TWIN)
    save_layered_twin(fit_layered_twin(load_visium_dlpfc(raw=True)), path)
    print(f"{path}: {path.stat().st_size:,} bytes")
