#!/bin/bash
# programs.sh DIR - compile the helper programs into DIR: against musl, so that they have no start-up work of their own.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

mkdir -p "$1"
# musl-gcc sees no kernel headers.
headers=$(mktemp -d)
trap 'rm -r "$headers"' EXIT
ln -s /usr/include/linux /usr/include/asm-generic "$headers/"
ln -s "/usr/include/$(gcc -print-multiarch)/asm" "$headers/asm"
for program in floor payload peak; do
    musl-gcc -std=gnu11 -Wall -Wextra -Werror -O2 -static -fno-pie -no-pie -s -idirafter "$headers" \
        "$here/$program.c" -o "$1/$program"
done
