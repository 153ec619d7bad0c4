// Declares the instruction sets that this target has; dispatch.cpp orders them. Each is defined constexpr in its own
// file, because code that fills one in would run when the library is loaded, and might be compiled for another CPU.
#ifndef ONNX_ROIALIGN_ISA_ISAS_H_
#define ONNX_ROIALIGN_ISA_ISAS_H_

#include "isa/cpu_features.h"
#include "pool/pool.h"

namespace roialign {

#if defined(__x86_64__)
extern const Isa kAvx512;
extern const Isa kAvx2;
#endif
#if defined(__aarch64__)
extern const Isa kNeon;
#endif
extern const Isa kBaseline;

}  // namespace roialign

#endif  // ONNX_ROIALIGN_ISA_ISAS_H_
