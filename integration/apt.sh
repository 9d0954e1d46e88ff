# shellcheck shell=bash
# apt.sh - sourced: reach another Debian suite than this machine's, without touching the machine's own apt configuration.
#
#   private_apt DIR SUITE    set the array APT to an apt-get that knows SUITE alone (packages and sources), its state in DIR
#   debian_mirror            print the mirror that this machine's apt uses

# The address comes from the machine's own sources, so it works behind a local mirror too.
debian_mirror() {
    local mirror
    # shellcheck disable=SC2016  # apt expands it
    mirror=$(apt-get indextargets --format '$(LABEL) $(REPO_URI)' 'Created-By: Packages' 'Component: main' |
        awk '$1 == "Debian" { print $2; exit }')
    if [ -z "$mirror" ]; then
        # Before the first `apt-get update` apt does not know the labels yet.
        # shellcheck disable=SC2016
        mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Component: main' |
            awk '!/security/ { print; exit }')
    fi
    if [ -z "$mirror" ]; then
        echo "error: apt on this machine has no Debian mirror configured (component main)" >&2
        return 1
    fi
    echo "$mirror"
}

private_apt() {
    local dir=$1 suite=$2 keyring=/usr/share/keyrings/debian-archive-keyring.gpg mirror
    mirror=$(debian_mirror)
    mkdir -p "$dir"/{state/lists/partial,cache/archives/partial}
    printf '%s [signed-by=%s] %s %s main\n' deb "$keyring" "$mirror" "$suite" deb-src "$keyring" "$mirror" "$suite" \
        >"$dir/sources.list"
    APT=(apt-get -q -o "Dir::Etc::SourceList=$dir/sources.list" -o Dir::Etc::SourceParts=/dev/null
        -o "Dir::State=$dir/state" -o "Dir::Cache=$dir/cache" -o APT::Sandbox::User=root
        -o Acquire::Retries=3 -o Acquire::Languages=none)
    # Without the option a list that cannot be read is a warning.
    if ! "${APT[@]}" update --error-on=any >"$dir/update.log" 2>&1; then
        cat "$dir/update.log" >&2
        echo "error: Debian's suite $suite cannot be read from $mirror" >&2
        return 1
    fi
}
