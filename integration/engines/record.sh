# shellcheck shell=bash
# The command lines that engines give to their runtime; sourced by run.sh.
#
# A wrapper stands in each runtime's place and writes down what berth is called with, and by whom. `make engines` says
# which patterns tests/data/calls does not have yet; with RECORD=tests/data/calls it adds them.

make_wrappers() {
    mkdir -p "$WORK/bin" "$WORK/calls"
    # shellcheck disable=SC2016
    printf '#!/bin/sh\nread -r caller </proc/$PPID/comm\necho "$*" >>%s/calls/"$caller"\nexec %s "$@"\n' \
        "$WORK" "$BERTH" >"$WORK/bin/berth"
    printf '#!/bin/sh\nexec %s "$@"\n' "$RUNC" >"$WORK/bin/control"
    chmod 755 "$WORK"/bin/*
}

# Command lines as patterns: identifiers, paths and numbers of descriptors are those of one run.
patterns() {
    sed -E -e 's/\b[0-9a-f]{64}\b/@ID@/g' -e 's/\b(many|buildah-buildah)[0-9]+\b/@ID@/g' -e 's#(^| |=)/[^ ]+#\1@PATH@#g' \
        -e 's/ c( [0-9]+)?$/ @ID@\1/' "$1" |
        sort -u
}

# Says what is new, and adds it where RECORD says.
keep_record() {
    local kept=$HERE/../../tests/data/calls file caller new status=0
    for file in "$WORK"/calls/*; do
        [[ -e $file ]] || continue
        # buildah executes itself by another name.
        caller=$(basename "$file" | sed 's/^exe$/buildah/')
        new=$(patterns "$file" | comm -23 - <(sort -u "$kept/$caller.txt" 2>/dev/null))
        [[ $new ]] || continue
        printf 'new command lines of %s:\n%s\n' "$caller" "$new"
        [[ ${RECORD:-} ]] || { status=1; continue; }
        mkdir -p "$RECORD"
        echo "$new" >>"$RECORD/$caller.txt"
        sort -u -o "$RECORD/$caller.txt" "$RECORD/$caller.txt"
    done
    return $status
}
