/* Prints the ticks of a running engine, without Python:
 *
 *     gcc -std=c11 -Wall -Wextra -Werror -O2 -Ishim/include examples/c/follow.c -o follow
 *     ./follow NAME [oldest|now] [TICKS]
 *
 * NAME is the engine's name (`TickEngine(name=...)`, or the first line of its status). Ends with the log or after so
 * many ticks, and says on stderr how many there were and how many were lost. */
#include "tickengine_log.h"

#include <inttypes.h>

int main(int argc, char **argv) {
    char error[256], status[3073];
    tkl_log log;
    tkl_follower follower;
    tkl_record r;
    uint64_t ticks = 0;
    int rc = TKL_OK;
    if (argc < 2 || argc > 4 || (argc > 2 && strcmp(argv[2], "now") != 0 && strcmp(argv[2], "oldest") != 0)) {
        fprintf(stderr, "usage: %s NAME [oldest|now] [TICKS]\n", argv[0]);
        return 2;
    }
    const uint64_t wanted = argc > 3 ? strtoull(argv[3], NULL, 10) : UINT64_MAX;
    if (tkl_attach(&log, argv[1], error, sizeof error) != TKL_OK) {
        fprintf(stderr, "%s\n", error);
        return 1;
    }
    if (tkl_status(&log, status, sizeof status) == TKL_OK) fprintf(stderr, "status: %s\n", status);
    tkl_follow(&follower, &log, argc > 2 && strcmp(argv[2], "oldest") == 0 ? TKL_FROM_OLDEST : TKL_FROM_NOW);
    while (ticks < wanted && (rc = tkl_next(&follower, &r, -1)) == TKL_OK) {
        if (r.Kind != TKL_TICK) continue;
        ++ticks;
        printf("%" PRIu64 " %s %.10g %" PRId32 " %s.%03" PRId32 "\n", r.Stamp - 1, r.InstrumentID, r.LastPrice, r.Volume,
               r.UpdateTime, r.UpdateMillisec);
        fflush(stdout);
    }
    fprintf(stderr, "%" PRIu64 " ticks, %" PRIu64 " lost%s\n", ticks, follower.lost,
            rc == TKL_E_ENDED ? "; the engine has stopped" : rc == TKL_E_ORPHANED ? "; the engine has died" : "");
    tkl_detach(&log);
    return rc == TKL_E_ORPHANED ? 3 : 0;
}
