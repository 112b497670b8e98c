# Functions of `.ci/run` that run commands, and run the few tests that failed once more. The caller sets `work`, a
# directory for their output, and reads `failed` and `closing`.
failed=()   # the names of what failed for good
closing=()  # the closing lines

most_reruns=5  # if more tests of a suite fail, it is not the load of the machine

timed() {  # timed NAME COMMAND…: runs the command; stores its output, exit code and duration
    local name=$1 started=$SECONDS; shift
    "$@" 2>&1 | tee "$work/$name.log"
    echo "${PIPESTATUS[0]} $((SECONDS - started))" >"$work/$name.end"
}

evaluate() {  # evaluate NAME PYTEST…: adds its closing line; if few tests failed, runs them again with PYTEST
    local code took name=$1; shift
    read -r code took <"$work/$name.end"
    closing+=("$name: $(summary "$name") ($took s)")
    [ "$code" = 0 ] && return
    if few_failed "$name"; then rerun_failed "$name" "$@"; else failed+=("$name"); fi
}

summary() {  # summary NAME: prints the closing line of each pytest in its output
    grep -E '(passed|failed|error).* in [0-9.]+s|planted faults were noticed$' "$work/$1.log" | tr -d '=' | paste -sd ';'
}

failed_tests() {  # failed_tests NAME: prints each test that failed, or whose fixtures did, and each file that cannot be imported
    sed -nE '/^(FAILED|ERROR) [^ ]+\.py/{ s/^(FAILED|ERROR) //; s/ - .*//; p }' "$work/$1.log" | sort -u
}

few_failed() {  # few_failed NAME: true if all its tests were executed, and few of them failed
    local tests
    tests=$(failed_tests "$1")
    [ -n "$tests" ] && [ "$(wc -l <<<"$tests")" -le "$most_reruns" ] && ! grep -qv '::' <<<"$tests" &&
        ! grep -qE '^(INTERNALERROR|!+ )' "$work/$1.log"
}

rerun_failed() {  # rerun_failed NAME PYTEST…: runs the failed tests once more
    local code _ name=$1; shift
    echo "== $name: the failed tests once more"
    timed "$name rerun" "$@" --last-failed --last-failed-no-failures none
    read -r code _ <"$work/$name rerun.end"
    [ "$code" = 0 ] || failed+=("$name")
    closing+=("$name, failed tests once more: $(summary "$name rerun") $(failed_tests "$name" | paste -sd ' ')")
}
