// How messages show values: as onnx_roialign/errors.py shows them, so that both engines' messages have the same words.
#ifndef ONNX_ROIALIGN_SHOWN_H_
#define ONNX_ROIALIGN_SHOWN_H_

#include <string>

namespace roialign {

// Returns a text as Python's repr shows it: between quotes, with quotes, backslashes and control characters escaped.
// Bytes from 0x80 on stay as they are.
std::string repr(const std::string& text);

// Return a value as messages show it: of a text its repr in one line, cut where it is long.
std::string shown(const std::string& text);
std::string shown(double value);

}  // namespace roialign

#endif  // ONNX_ROIALIGN_SHOWN_H_
