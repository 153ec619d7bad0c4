// Shows values in messages as onnx_roialign/errors.py does, so that both engines' messages have the same words.
#ifndef ONNX_ROIALIGN_SHOWN_H_
#define ONNX_ROIALIGN_SHOWN_H_

#include <string>

namespace roialign {

// Returns a text as Python's repr shows it: between quotes, with quotes, backslashes and control characters escaped.
// Bytes from 0x80 on stay as they are.
std::string repr(const std::string& text);

// Return a value as messages show it; a text as its repr, in one line, shortened where it is long.
std::string shown(const std::string& text);
std::string shown(double value);

}  // namespace roialign

#endif  // ONNX_ROIALIGN_SHOWN_H_
