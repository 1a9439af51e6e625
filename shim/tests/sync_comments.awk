# Every ordered access names its pair: an acquire, a release, a seq_cst or a fence carries a comment
# "SYNC name (side...)" on its own line or within the 4 lines above it, and each name is there for both
# sides: one (release...) and one (acquire...), or (seq_cst, writer side) and (seq_cst, reader side).
#
# Left alone: plain .load(), .store(), exchange and compare_exchange without a named order. They are
# seq_cst by default and are used where a claim is taken or given up (a reader slot, a process's mark,
# Closed), which needs an atomic word, not an order.
FNR == 1 { delete recent; recent_count = 0 }
{
    line[FNR] = $0
    text = $0
    code = $0
    sub(/\/\/.*/, "", code)
    while (match(text, /SYNC [a-z]+( [a-z]+)* \((acquire|release|seq_cst)[^)]*\)/)) {
        mark = substr(text, RSTART, RLENGTH)
        text = substr(text, RSTART + RLENGTH)
        name = mark
        sub(/^SYNC /, "", name)
        sub(/ \(.*/, "", name)
        side = mark
        sub(/^[^(]*\(/, "", side)
        sub(/\)$/, "", side)
        names[name] = FILENAME ":" FNR
        if (side ~ /^release/ || side ~ /writer side/) writes[name] = 1
        if (side ~ /^acquire/ || side ~ /reader side/) reads[name] = 1
        last_mark = FNR
        last_file = FILENAME
    }
    if (code ~ /memory_order_(acquire|release|acq_rel|seq_cst|consume)|__ATOMIC_(ACQUIRE|RELEASE|ACQ_REL|SEQ_CST)|atomic_thread_fence/) {
        ++accesses
        if (last_file != FILENAME || FNR - last_mark > 4) {
            # A comment may be longer than 4 lines: it counts when it ends right above.
            above = FNR - 1
            while (above > 0 && line[above] ~ /^[ \t]*\/\//) --above
            if (last_file != FILENAME || last_mark <= above) {
                printf "%s:%d: ordered access without a SYNC comment: %s\n", FILENAME, FNR, $0
                ++bad
            }
        }
    }
}
END {
    for (name in names) {
        if (!(name in writes)) { printf "%s: SYNC %s has no release or writer side\n", names[name], name; ++bad }
        if (!(name in reads)) { printf "%s: SYNC %s has no acquire or reader side\n", names[name], name; ++bad }
        ++pairs
    }
    printf "%d ordered accesses, %d pairs, %d faults\n", accesses, pairs, bad
    exit bad != 0
}
