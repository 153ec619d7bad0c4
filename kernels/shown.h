// How messages show texts: as Python does, where the same rules have the same words.
#ifndef ONNX_ROIALIGN_SHOWN_H_
#define ONNX_ROIALIGN_SHOWN_H_

#include <string>

namespace roialign {

// As Python's repr: between quotes, with quotes, backslashes and control characters escaped; bytes from 0x80 on stay.
std::string repr(const std::string& text);

// As onnx_roialign/errors.py shows a value: its repr in one line, cut where it is long.
std::string quoted(const std::string& text);

}  // namespace roialign

#endif  // ONNX_ROIALIGN_SHOWN_H_
