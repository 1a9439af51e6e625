// The trader tables as JSON. What is printed is what the code reads: the same objects, through the same look-ups.
#include <string>

#include "td_abi.hpp"

namespace tk::td {
namespace {

std::string quoted(const std::string& text) { return '"' + text + '"'; }

template <std::size_t N>
std::string generations(Span<TdGeneration<N>> rows, const char* const (&names)[N], const char* what) {
    std::string t;
    for (const TdGeneration<N>& g : rows) {
        t += (t.empty() ? "" : ",\n") + quoted(g.name) + ": {\"slots\": " + std::to_string(g.slots) + ", " + quoted(what) + ": {";
        const char* comma = "";
        for (std::size_t i = 0; i < N; ++i) {
            if (g.slot[i] < 0) continue;
            t += comma + quoted(names[i]) + ": " + std::to_string(g.slot[i]);
            comma = ", ";
        }
        t += "}}";
    }
    return t;
}

std::string version(const TdVersion& v) {
    std::string t = "{\"version\": " + quoted(v.version) + ", \"api\": " + quoted(api::kGenerations[v.api].name) +
                    ", \"spi\": " + quoted(spi::kGenerations[v.spi].name) +
                    ", \"factory_flags\": " + std::to_string(v.factory_flags) + ", \"structs\": {";
    for (std::uint16_t n = 1; n < kStructEnd; ++n) {
        const auto s = static_cast<Struct>(n);
        t += (n > 1 ? ",\n" : "") + quoted(struct_table(s).name) + ": {\"size\": " + std::to_string(vendor_size(v, s)) + ", \"fields\": {";
        const char* comma = "";
        for (const StructField& f : struct_table(s).fields) {
            const Place p = place_of(f, layout_of(v, s));
            if (p.size == 0) continue;
            t += comma + quoted(f.name) + ": [" + std::to_string(p.offset) + ", " + std::to_string(p.size) + "]";
            comma = ", ";
        }
        t += "}}";
    }
    return t + "}}";
}

std::string make_tables() {
    std::string t = "{\"api\": {" + generations(table(api::kGenerations), api::kNames, "methods") + "},\n\"spi\": {" +
                    generations(table(spi::kGenerations), spi::kNames, "callbacks") + "},\n\"versions\": [\n";
    const char* comma = "";
    for (const TdVersion& v : kVersions) {
        t += comma + version(v);
        comma = ",\n";
    }
    return t + "]}\n";
}

std::string make_structs() {
    constexpr const char* types[] = {"text", "char", "int", "double"};
    std::string t = "{";
    for (std::uint16_t n = 1; n < kStructEnd; ++n) {
        const StructTable& s = struct_table(static_cast<Struct>(n));
        t += (n > 1 ? ",\n" : "") + quoted(s.name) + ": {\"number\": " + std::to_string(n) + ", \"size\": " + std::to_string(s.size) + ", \"fields\": [";
        const char* comma = "";
        for (const StructField& f : s.fields) {
            t += std::string(comma) + "[" + quoted(f.name) + ", " + quoted(types[static_cast<int>(f.type)]) + ", " +
                 std::to_string(f.offset) + ", " + std::to_string(f.size) + "]";
            comma = ", ";
        }
        t += "]}";
    }
    return t + "}\n";
}

}  // namespace

const char* tables_text() {
    static const std::string text = make_tables();
    return text.c_str();
}

const char* structs_text() {
    static const std::string text = make_structs();
    return text.c_str();
}

}  // namespace tk::td
