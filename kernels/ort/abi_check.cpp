// Compares ort/abi.h with the official header, at compile time, on machines that have one (libonnxruntime-dev).
#include <onnxruntime_c_api.h>

#include "ort/abi.h"

#define SAME_SLOT(name) \
  static_assert(offsetof(::OrtApi, name) == offsetof(ort_abi::OrtApi, name), "OrtApi::" #name " is in another slot")
SAME_SLOT(CreateStatus);
SAME_SLOT(GetErrorMessage);
SAME_SLOT(CreateCustomOpDomain);
SAME_SLOT(CustomOpDomain_Add);
SAME_SLOT(AddCustomOpDomain);
SAME_SLOT(GetTensorMutableData);
SAME_SLOT(CreateTensorTypeAndShapeInfo);
SAME_SLOT(SetTensorElementType);
SAME_SLOT(SetDimensions);
SAME_SLOT(GetTensorElementType);
SAME_SLOT(GetDimensionsCount);
SAME_SLOT(GetDimensions);
SAME_SLOT(GetSymbolicDimensions);
SAME_SLOT(GetTensorTypeAndShape);
SAME_SLOT(KernelInfoGetAttribute_float);
SAME_SLOT(KernelInfoGetAttribute_int64);
SAME_SLOT(KernelInfoGetAttribute_string);
SAME_SLOT(KernelContext_GetInputCount);
SAME_SLOT(KernelContext_GetInput);
SAME_SLOT(KernelContext_GetOutput);
SAME_SLOT(ReleaseStatus);
SAME_SLOT(ReleaseTensorTypeAndShapeInfo);
SAME_SLOT(ReleaseCustomOpDomain);
SAME_SLOT(AddSessionConfigEntry);
SAME_SLOT(KernelInfoGetAttributeArray_float);
SAME_SLOT(KernelInfoGetAttributeArray_int64);
SAME_SLOT(KernelInfo_GetOutputName);
SAME_SLOT(HasSessionConfigEntry);
SAME_SLOT(GetSessionConfigEntry);
SAME_SLOT(KernelInfo_GetNodeName);
SAME_SLOT(ShapeInferContext_GetInputTypeShape);
SAME_SLOT(ShapeInferContext_GetAttribute);
SAME_SLOT(ShapeInferContext_SetOutputTypeShape);
SAME_SLOT(SetSymbolicDimensions);
SAME_SLOT(ReadOpAttr);
SAME_SLOT(KernelContext_ParallelFor);
#if ORT_API_VERSION >= 24
SAME_SLOT(GetTensorElementTypeAndShapeDataReference);
#endif

#define SAME_MEMBER(name) \
  static_assert(offsetof(::OrtCustomOp, name) == offsetof(ort_abi::OrtCustomOp, name), "OrtCustomOp::" #name " moved")
SAME_MEMBER(version);
SAME_MEMBER(GetName);
SAME_MEMBER(GetExecutionProviderType);
SAME_MEMBER(GetInputType);
SAME_MEMBER(GetInputTypeCount);
SAME_MEMBER(GetOutputType);
SAME_MEMBER(GetOutputTypeCount);
SAME_MEMBER(KernelDestroy);
SAME_MEMBER(GetInputCharacteristic);
SAME_MEMBER(GetOutputCharacteristic);
SAME_MEMBER(GetInputMemoryType);
SAME_MEMBER(CreateKernelV2);
SAME_MEMBER(KernelComputeV2);
SAME_MEMBER(InferOutputShapeFn);
SAME_MEMBER(GetStartVersion);
SAME_MEMBER(GetEndVersion);

#define SAME_VALUE(name) static_assert(static_cast<int>(::name) == static_cast<int>(ort_abi::name), #name " differs")
SAME_VALUE(ORT_FAIL);
SAME_VALUE(ORT_INVALID_ARGUMENT);
SAME_VALUE(ORT_NOT_IMPLEMENTED);
SAME_VALUE(ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT);
SAME_VALUE(ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8);
SAME_VALUE(ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8);
SAME_VALUE(ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32);
SAME_VALUE(ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64);
SAME_VALUE(ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16);
SAME_VALUE(ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE);
SAME_VALUE(ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16);
SAME_VALUE(ORT_OP_ATTR_INT);
SAME_VALUE(OrtMemTypeDefault);
SAME_VALUE(INPUT_OUTPUT_REQUIRED);
