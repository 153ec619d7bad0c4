// What this CPU and its operating system let a process use.
#ifndef ONNX_ROIALIGN_CPU_FEATURES_H_
#define ONNX_ROIALIGN_CPU_FEATURES_H_

namespace roialign {

bool cpu_has_avx2();    // with FMA and F16C, and the YMM state saved by the operating system
bool cpu_has_avx512();  // F, BW, DQ, VL, all of the above, and the ZMM state saved

int usable_cores();  // that this process may run on

}  // namespace roialign

#endif  // ONNX_ROIALIGN_CPU_FEATURES_H_
