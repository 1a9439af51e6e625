/* A library with the exports of a trader library and nothing behind them: what recognition looks at.
 * SLOTS, FLAGS: of the api class and its factory (-1: none). The version text comes from TK_STUB_VERSION;
 * without HAS_VERSION there is none. */
#include <stdlib.h>

#if SLOTS
void *const _ZTV19CThostFtdcTraderApi[SLOTS + 2] = {0};
#endif

#if FLAGS == 1
void *_ZN19CThostFtdcTraderApi19CreateFtdcTraderApiEPKcb(const char *flow, int a) { return flow && a ? 0 : 0; }
#elif FLAGS == 0
void *_ZN19CThostFtdcTraderApi19CreateFtdcTraderApiEPKc(const char *flow) { return flow ? 0 : 0; }
#endif

#if HAS_VERSION
const char *_ZN19CThostFtdcTraderApi13GetApiVersionEv(void) { return getenv("TK_STUB_VERSION"); }
#endif

#if SOPT
const char *_ZN8ctp_sopt19CThostFtdcTraderApi13GetApiVersionEv(void) { return "v3.7.3_20240910"; }
#endif
#if MD
void *const _ZTV15CThostFtdcMdApi[16] = {0};
#endif
