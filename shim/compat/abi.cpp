// Keeps the vtable symbol of the abstract class alive; see the note at its constructor.
#include "abi.hpp"

CThostFtdcMdApi::CThostFtdcMdApi() = default;

const char* CThostFtdcMdApi::GetApiVersion() { return compat::kVersionText; }
