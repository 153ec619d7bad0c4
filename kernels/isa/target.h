// Marks target regions: code between BEGIN and END is compiled for an instruction set, and all other code for the
// baseline.
#ifndef ONNX_ROIALIGN_ISA_TARGET_H_
#define ONNX_ROIALIGN_ISA_TARGET_H_

#define ROIALIGN_PRAGMA(text) _Pragma(#text)

#if defined(__clang__)
#define ROIALIGN_TARGET_BEGIN(features) \
  ROIALIGN_PRAGMA(clang attribute push(__attribute__((target(features))), apply_to = function))
#define ROIALIGN_TARGET_END ROIALIGN_PRAGMA(clang attribute pop)
#else
#define ROIALIGN_TARGET_BEGIN(features) ROIALIGN_PRAGMA(GCC push_options) ROIALIGN_PRAGMA(GCC target(features))
#define ROIALIGN_TARGET_END ROIALIGN_PRAGMA(GCC pop_options)
#endif

#endif  // ONNX_ROIALIGN_ISA_TARGET_H_
