// The instruction sets that exist, each in its own file; dispatch.cpp orders them. They are defined constexpr:
// code to fill them in would run when the library is loaded, compiled for a CPU that this one may not be.
#ifndef ONNX_ROIALIGN_ISAS_H_
#define ONNX_ROIALIGN_ISAS_H_

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

#endif  // ONNX_ROIALIGN_ISAS_H_
