#!/bin/sh
# Build the sandbox image with whichever container tool is here. Run from the repository root:
#     container/build.sh [NAME[:TAG]]
# Without a container tool or a registry: `ironclaw image build` makes the same tree.
# CONTAINER_TOOL chooses the tool, BASE the base image.
set -eu

name=${1:-ironclaw-sandbox:local}
if [ ! -f container/Dockerfile ] || [ ! -d src/ironclaw_agent ]; then
    echo "container/build.sh: run it from the repository root" >&2
    exit 2
fi

tool=${CONTAINER_TOOL:-}
if [ -z "$tool" ]; then
    for candidate in docker podman nerdctl buildah; do
        if command -v "$candidate" >/dev/null 2>&1; then
            tool=$candidate
            break
        fi
    done
fi
if [ -z "$tool" ]; then
    echo "container/build.sh: install docker, podman, nerdctl or buildah," >&2
    echo "  or build without one: ./run ironclaw image build" >&2
    exit 3
fi

set -- --file container/Dockerfile --tag "$name"
if [ -n "${BASE:-}" ]; then
    set -- "$@" --build-arg "BASE=$BASE"
fi
echo "building $name with $tool" >&2
case ${tool##*/} in
    # One fixed time for all files and for the image itself.
    docker | nerdctl) SOURCE_DATE_EPOCH=1 exec "$tool" build "$@" . ;;
    podman) exec podman build --timestamp 1 "$@" . ;;
    buildah) exec buildah build --timestamp 1 "$@" . ;;
    *) exec "$tool" build "$@" . ;;
esac
