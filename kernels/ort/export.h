// Marks the functions that ONNX Runtime looks up by name.
#ifndef ONNX_ROIALIGN_ORT_EXPORT_H_
#define ONNX_ROIALIGN_ORT_EXPORT_H_

#if defined(_WIN32)
#define ROIALIGN_EXPORT __declspec(dllexport)
#else
#define ROIALIGN_EXPORT __attribute__((visibility("default")))
#endif

#endif  // ONNX_ROIALIGN_ORT_EXPORT_H_
