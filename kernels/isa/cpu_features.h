// Tells which instruction sets, and how many cores, this CPU and its operating system let a process use.
#ifndef ONNX_ROIALIGN_ISA_CPU_FEATURES_H_
#define ONNX_ROIALIGN_ISA_CPU_FEATURES_H_

namespace roialign {

bool cpu_has_avx2();    // with FMA and F16C, and the YMM state saved by the operating system
bool cpu_has_avx512();  // F, BW, DQ and VL, all that cpu_has_avx2() requires, and the ZMM state saved

int usable_cores();  // how many cores this process may run on, at least 1

}  // namespace roialign

#endif  // ONNX_ROIALIGN_ISA_CPU_FEATURES_H_
