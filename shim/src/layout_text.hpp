// The record's layout as text, for a binding to compare itself with.
#pragma once

namespace tk {

// One line per field: name offset size type (numpy's letters).
const char* layout_text();
const char* trade_layout_text();

}  // namespace tk
