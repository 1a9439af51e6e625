/* A library with the exports of a vendor library and nothing behind them: what recognition looks at.
 * SLOTS, FLAGS: of the api class and its factory. The version text comes from TK_STUB_VERSION; without
 * HAS_VERSION there is none. */
#include <stdlib.h>

#if SLOTS
void *const _ZTV15CThostFtdcMdApi[SLOTS + 2] = {0};
#endif

#if FLAGS == 3
void *_ZN15CThostFtdcMdApi15CreateFtdcMdApiEPKcbbb(const char *flow, int a, int b, int c) {
    return flow && a && b && c ? 0 : 0;
}
#elif FLAGS == 2
void *_ZN15CThostFtdcMdApi15CreateFtdcMdApiEPKcbb(const char *flow, int a, int b) { return flow && a && b ? 0 : 0; }
#endif

#if HAS_VERSION
const char *_ZN15CThostFtdcMdApi13GetApiVersionEv(void) { return getenv("TK_STUB_VERSION"); }
#endif

#if SOPT
const char *_ZN8ctp_sopt15CThostFtdcMdApi13GetApiVersionEv(void) { return "v3.7.3_20240910"; }
#endif
#if TRADER
void *const _ZTV19CThostFtdcTraderApi[120] = {0};
#endif
