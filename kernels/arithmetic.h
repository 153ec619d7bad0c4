// Refuses compilers' options that break IEEE 754 arithmetic, in which each operation is rounded to its own type.
#ifndef ONNX_ROIALIGN_ARITHMETIC_H_
#define ONNX_ROIALIGN_ARITHMETIC_H_

#include <cfloat>

#if defined(__FAST_MATH__)
#error "onnx_roialign must be compiled without -ffast-math: it computes with infinities, and its rounding is defined"
#endif
static_assert(FLT_EVAL_METHOD == 0, "float and double must be computed in their own precision (x86: SSE2, not x87)");

#endif  // ONNX_ROIALIGN_ARITHMETIC_H_
