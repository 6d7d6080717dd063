#!/bin/sh
# Pins the images' packages to the versions of requirements/cpu.lock and gpu.lock; run it after
# `make lock`. Needs uv, and UV_FIND_LINKS or UV_INDEX with a CPU torch.
set -eu
cd "$(dirname "$0")/../requirements"

compile() {
    uv pip compile --quiet --python-version 3.11 --no-annotate \
        --custom-compile-command docker/lock.sh "$@"
}

compile web.in --constraint cpu.lock --output-file web.lock
compile ../pyproject.toml --extra cpu --constraint cpu.lock \
    --override overrides.txt --override images.txt --output-file models-cpu.lock
# The trainer alone: on a GPU, vLLM comes in its official image. A local CPU torch must not be found.
unset UV_FIND_LINKS UV_INDEX
compile ../pyproject.toml --constraint gpu.lock \
    --override overrides.txt --override images.txt --output-file models-gpu.lock
