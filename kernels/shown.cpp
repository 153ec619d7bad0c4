// Shows values in messages.
#include "shown.h"

#include <cmath>
#include <cstdio>

namespace roialign {
namespace {

// A message shows at most this many characters of a value; onnx_roialign/errors.py has the same number.
constexpr size_t kMostShown = 64;

// Returns how many bytes the first characters of a UTF-8 text take.
size_t bytes_of(const std::string& text, size_t characters) {
  size_t at = 0;
  for (; at < text.size(); ++at) {
    const bool begins = (text[at] & 0xc0) != 0x80;
    if (begins && characters-- == 0) break;
  }
  return at;
}

}  // namespace

std::string repr(const std::string& text) {
  const bool doubled = text.find('\'') != std::string::npos && text.find('"') == std::string::npos;
  const char quote = doubled ? '"' : '\'';
  std::string result(1, quote);
  for (const char c : text) {
    if (c == quote || c == '\\') {
      result += {'\\', c};
    } else if (c == '\n' || c == '\r' || c == '\t') {
      result += {'\\', c == '\n' ? 'n' : c == '\r' ? 'r' : 't'};
    } else if (static_cast<unsigned char>(c) < ' ' || c == '\x7f') {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\x%02x", static_cast<unsigned>(static_cast<unsigned char>(c)));
      result += escape;
    } else {
      result += c;
    }
  }
  return result += quote;
}

std::string shown(const std::string& text) {
  std::string result;
  for (const char c : repr(text)) {
    if (c != ' ' || result.back() != ' ') result += c;
  }
  const size_t kept = bytes_of(result, kMostShown);
  return kept == result.size() ? result : result.substr(0, kept) + "..." + result.front();
}

std::string shown(double value) {
  if (std::isnan(value)) return "nan";  // printf would also show its sign
  char text[32];
  std::snprintf(text, sizeof text, "%.9g", value);
  return text;
}

}  // namespace roialign
