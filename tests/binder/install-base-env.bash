#!/bin/bash
# In place of repo2docker's script of this name, which fetches micromamba and conda's packages: here neither can be had.
# The same folders with the same owner, made of Debian's Python; a `mamba` that does what the build asks of it, and that
# a login shell can activate.
set -euo pipefail
mkdir -p "$CONDA_DIR/bin" "$CONDA_DIR/etc/profile.d"
python3 -m venv "$NB_PYTHON_PREFIX"
install -m 755 /tmp/env/mamba "$MAMBA_EXE"
ln -s "$MAMBA_EXE" /usr/local/bin/micromamba
cat >"$CONDA_DIR/etc/profile.d/conda.sh" <<'END'
mamba() { [ "$1" != activate ] || export PATH="$2/bin:$PATH"; }
END
chown -R "$NB_USER:$NB_USER" "$CONDA_DIR"
