# shellcheck shell=bash
# What the scripts here share: sourced by them, with $root set. It gives $work, a directory; $lxdeploy, the program; and
# what they time with. A private LXD whose directory they name in $bed is stopped in the end.

work=$(mktemp -d)
bed=
finish() {
    [[ -z $bed ]] || "$root/tests/bed.sh" stop "$bed"
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM

if [[ -n ${LXDEPLOY:-} ]]; then
    lxdeploy=$(realpath "$LXDEPLOY")
else
    (cd "$root" && cargo build --release --locked)
    lxdeploy=${CARGO_TARGET_DIR:-$root/target}/release/lxdeploy
fi
unset "${!LXDEPLOY@}" # its variables are flags

# Seconds that a command takes. What it says is kept for the case that it fails.
seconds() { # COMMAND…
    local from=$EPOCHREALTIME
    "$@" >"$work/output" 2>&1 </dev/null || { cat "$work/output" >&2; die "failed: $*"; }
    awk -v from="$from" -v to="$EPOCHREALTIME" 'BEGIN {printf "%.4f\n", to - from}'
}

# CPU milliseconds (user and system) of a command alone.
cpu() { # COMMAND…
    local TIMEFORMAT='%U %S'
    { time "$@" >/dev/null 2>&1 </dev/null; } 2>&1 | awk '{printf "%.0f\n", ($1 + $2) * 1000}'
}

# Its peak memory in MB.
memory() { # COMMAND…
    /usr/bin/time -o "$work/memory" -f %M "$@" >/dev/null 2>&1 </dev/null
    awk '{printf "%.1f\n", $1 / 1024}' "$work/memory"
}

median() { sort -n | awk '{v[NR] = $1} END {print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2}'; }

# Runs both N times, each first every other time, and shows all. AFTER runs after each of them.
race() { # TITLE N UNIT FACTOR OURS THEIRS [AFTER-OURS AFTER-THEIRS]
    local title=$1 rounds=$2 unit=$3 factor=$4 ours=$5 theirs=$6 after_ours=${7:-true} after_theirs=${8:-true}
    local round mine other
    : >"$work/ratios"; : >"$work/mine"; : >"$work/others"
    printf '\n%s\n  %6s %12s %12s %8s\n' "$title" pair lxdeploy other ratio
    for ((round = 1; round <= rounds; round++)); do
        if ((round % 2)); then
            mine=$("$ours"); "$after_ours"
            other=$("$theirs"); "$after_theirs"
        else
            other=$("$theirs"); "$after_theirs"
            mine=$("$ours"); "$after_ours"
        fi
        echo "$mine" >>"$work/mine"
        echo "$other" >>"$work/others"
        awk -v a="$mine" -v b="$other" 'BEGIN {printf "%.3f\n", a / b}' >>"$work/ratios"
        awk -v n="$round" -v a="$mine" -v b="$other" -v f="$factor" -v u="$unit" \
            'BEGIN {printf "  %6d %9.2f %-2s %9.2f %-2s %8.2f\n", n, a * f, u, b * f, u, a / b}'
    done
    awk -v a="$(median <"$work/mine")" -v b="$(median <"$work/others")" -v r="$(median <"$work/ratios")" -v f="$factor" -v u="$unit" \
        'BEGIN {printf "  %6s %9.2f %-2s %9.2f %-2s %8.2f\n", "median", a * f, u, b * f, u, r}'
}
