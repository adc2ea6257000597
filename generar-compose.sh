#!/usr/bin/env bash
# Writes the Docker Compose file: generar-compose.sh [file=docker-compose-dev.yaml] [clients=5] [more flags of gen-compose]
#
# The file .exercise has the number of the exercise. `quiniela gen-compose` does the work. This script finds quiniela in
# this order: $QUINIELA, target/release/quiniela, the PATH, cargo, a container of the image (built if it is missing).
set -euo pipefail

fail() {
  printf 'generar-compose.sh: %s\n' "$*" >&2
  exit 2
}

usage='generar-compose.sh [file=docker-compose-dev.yaml] [clients=5] [more flags of gen-compose]'
case ${1:-} in
  -h | --help)
    printf '%s\n' "Writes the Docker Compose file: $usage" "Example: ./generar-compose.sh docker-compose-dev.yaml 5 --exercise 1"
    exit
    ;;
  -*) fail "$1: the file comes first: $usage" ;;
esac
[[ ${1:-} =~ ^[0-9]+$ ]] && fail "$1: the file comes first: $usage"

file=${1:-docker-compose-dev.yaml}
clients=${2-5}
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)

# The file's path is relative to the caller's folder; the project's own paths are relative to its root.
folder=$(cd -- "$(dirname -- "$file")" 2>/dev/null && pwd -P) || fail "$file: its folder is not there or cannot be entered"
file=$folder/$(basename -- "$file")
cd -- "$root"

exercise=8
if [[ -f .exercise ]]; then
  # Without a line feed at the end, read fails although it has read the number.
  read -r exercise <.exercise || true
fi

# A program older than its sources may write an outdated file. Without cargo there is nothing better.
is_current() {
  [[ -x target/release/quiniela ]] || return 1
  command -v cargo >/dev/null || return 0
  [[ -z $(find src Cargo.toml Cargo.lock -newer target/release/quiniela -print -quit) ]]
}

if [[ -n ${QUINIELA:-} ]]; then
  command -v -- "$QUINIELA" >/dev/null || fail "QUINIELA=$QUINIELA is not a program that can be run"
  quiniela=("$QUINIELA")
elif is_current; then
  quiniela=(target/release/quiniela)
elif command -v quiniela >/dev/null; then
  quiniela=(quiniela)
elif command -v cargo >/dev/null && cargo build --quiet --release --locked; then
  quiniela=(cargo run --quiet --release --locked --)
elif docker info >/dev/null 2>&1; then
  docker image inspect quiniela:latest >/dev/null 2>&1 ||
    docker build -q -f docker/Dockerfile -t quiniela:latest . >/dev/null || fail "the image could not be built"
  # The same paths inside the container as outside, so that the relative path from the file to the project is the same.
  quiniela=(docker run --rm --user "$(id -u):$(id -g)" --mount "type=bind,source=$root,target=$root,readonly"
    --mount "type=bind,source=$folder,target=$folder" --workdir "$root" quiniela:latest)
  [[ $folder == "$root" ]] && quiniela=(docker run --rm --user "$(id -u):$(id -g)"
    --mount "type=bind,source=$root,target=$root" --workdir "$root" quiniela:latest)
else
  fail "found no quiniela: install Rust or start Docker, or set QUINIELA to the program"
fi

exec "${quiniela[@]}" gen-compose --output "$file" --exercise "$exercise" "${@:3}" -- "$clients"
