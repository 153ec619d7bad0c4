// Compares ort/abi.h with the official header, at compile time, on machines that have one (libonnxruntime-dev).
#include <onnxruntime_c_api.h>

#include "ort/abi.h"
#include "ort/ep/abi.h"

#define SAME_SLOT(name) \
  static_assert(offsetof(::OrtApi, name) == offsetof(ort_abi::OrtApi, name), "OrtApi::" #name " is in another slot")
SAME_SLOT(CreateStatus);
SAME_SLOT(GetErrorMessage);
SAME_SLOT(CreateCustomOpDomain);
SAME_SLOT(CustomOpDomain_Add);
SAME_SLOT(AddCustomOpDomain);
SAME_SLOT(GetTensorMutableData);
SAME_SLOT(CastTypeInfoToTensorInfo);
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
SAME_SLOT(ReleaseValue);
SAME_SLOT(ReleaseTensorTypeAndShapeInfo);
SAME_SLOT(ReleaseCustomOpDomain);
SAME_SLOT(AddSessionConfigEntry);
SAME_SLOT(KernelInfoGetAttributeArray_float);
SAME_SLOT(KernelInfoGetAttributeArray_int64);
SAME_SLOT(KernelInfo_GetOutputName);
SAME_SLOT(HasSessionConfigEntry);
SAME_SLOT(GetSessionConfigEntry);
SAME_SLOT(KernelInfo_GetNodeName);
SAME_SLOT(Logger_LogMessage);
SAME_SLOT(ShapeInferContext_GetInputTypeShape);
SAME_SLOT(ShapeInferContext_GetAttribute);
SAME_SLOT(ShapeInferContext_SetOutputTypeShape);
SAME_SLOT(SetSymbolicDimensions);
SAME_SLOT(ReadOpAttr);
SAME_SLOT(KernelContext_ParallelFor);
#if ORT_API_VERSION >= 24
SAME_SLOT(GetValueInfoName);
SAME_SLOT(GetValueInfoTypeInfo);
SAME_SLOT(CreateKeyValuePairs);
SAME_SLOT(AddKeyValuePair);
SAME_SLOT(GetKeyValuePairs);
SAME_SLOT(ReleaseKeyValuePairs);
SAME_SLOT(HardwareDevice_Type);
SAME_SLOT(GetEpApi);
SAME_SLOT(ValueInfo_GetValueProducer);
SAME_SLOT(ValueInfo_GetValueNumConsumers);
SAME_SLOT(ValueInfo_GetValueConsumers);
SAME_SLOT(ValueInfo_GetInitializerValue);
SAME_SLOT(ValueInfo_IsGraphOutput);
SAME_SLOT(ValueInfo_IsConstantInitializer);
SAME_SLOT(Graph_GetNumInputs);
SAME_SLOT(Graph_GetInputs);
SAME_SLOT(Graph_GetNumOutputs);
SAME_SLOT(Graph_GetOutputs);
SAME_SLOT(Graph_GetNumNodes);
SAME_SLOT(Graph_GetNodes);
SAME_SLOT(Node_GetName);
SAME_SLOT(Node_GetOperatorType);
SAME_SLOT(Node_GetDomain);
SAME_SLOT(Node_GetSinceVersion);
SAME_SLOT(Node_GetNumInputs);
SAME_SLOT(Node_GetInputs);
SAME_SLOT(Node_GetNumOutputs);
SAME_SLOT(Node_GetOutputs);
SAME_SLOT(Node_GetNumImplicitInputs);
SAME_SLOT(Node_GetImplicitInputs);
SAME_SLOT(Node_GetAttributeByName);
SAME_SLOT(OpAttr_GetTensorAttributeAsOrtValue);
SAME_SLOT(OpAttr_GetType);
SAME_SLOT(Node_GetNumSubgraphs);
SAME_SLOT(Node_GetSubgraphs);
SAME_SLOT(Node_GetEpName);
SAME_SLOT(GetSessionOptionsConfigEntries);
SAME_SLOT(TensorTypeAndShape_HasShape);
SAME_SLOT(KernelInfo_GetConfigEntries);
SAME_SLOT(KernelInfo_GetOperatorSinceVersion);
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
SAME_VALUE(ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL);
SAME_VALUE(ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16);
SAME_VALUE(ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE);
SAME_VALUE(ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16);
SAME_VALUE(ORT_OP_ATTR_INT);
SAME_VALUE(ORT_OP_ATTR_INTS);
SAME_VALUE(ORT_OP_ATTR_FLOAT);
SAME_VALUE(ORT_OP_ATTR_STRING);
SAME_VALUE(ORT_LOGGING_LEVEL_INFO);
SAME_VALUE(OrtMemTypeDefault);
SAME_VALUE(INPUT_OUTPUT_REQUIRED);

#if ORT_API_VERSION >= 24
#define SAME_IN(table, name) \
  static_assert(offsetof(::table, name) == offsetof(ort_abi::table, name), #table "::" #name " is in another slot")
SAME_IN(OrtEpApi, CreateEpDevice);
SAME_IN(OrtEpApi, EpGraphSupportInfo_AddNodesToFuse);
SAME_IN(OrtEpApi, EpGraphSupportInfo_AddSingleNode);
SAME_IN(OrtEpApi, CreateKernelRegistry);
SAME_IN(OrtEpApi, ReleaseKernelRegistry);
SAME_IN(OrtEpApi, KernelRegistry_AddKernel);
SAME_IN(OrtEpApi, CreateKernelDefBuilder);
SAME_IN(OrtEpApi, ReleaseKernelDefBuilder);
SAME_IN(OrtEpApi, KernelDefBuilder_SetOperatorType);
SAME_IN(OrtEpApi, KernelDefBuilder_SetDomain);
SAME_IN(OrtEpApi, KernelDefBuilder_SetSinceVersion);
SAME_IN(OrtEpApi, KernelDefBuilder_SetExecutionProvider);
SAME_IN(OrtEpApi, KernelDefBuilder_AddTypeConstraint);
SAME_IN(OrtEpApi, KernelDefBuilder_Build);
SAME_IN(OrtEpApi, ReleaseKernelDef);
SAME_IN(OrtEpApi, GetTensorDataType);
SAME_IN(OrtEpApi, EpGraphSupportInfo_LookUpKernel);
SAME_IN(OrtEpApi, KernelInfo_GetEp);
SAME_IN(OrtEp, GetName);
SAME_IN(OrtEp, GetCapability);
SAME_IN(OrtEp, Compile);
SAME_IN(OrtEp, ReleaseNodeComputeInfos);
SAME_IN(OrtEp, GetKernelRegistry);
SAME_IN(OrtEp, IsConcurrentRunSupported);
SAME_IN(OrtEpFactory, GetName);
SAME_IN(OrtEpFactory, GetVendor);
SAME_IN(OrtEpFactory, GetSupportedDevices);
SAME_IN(OrtEpFactory, CreateEp);
SAME_IN(OrtEpFactory, ReleaseEp);
SAME_IN(OrtEpFactory, GetVendorId);
SAME_IN(OrtEpFactory, GetVersion);
SAME_IN(OrtEpFactory, CreateAllocator);
SAME_IN(OrtEpFactory, ReleaseAllocator);
SAME_IN(OrtEpFactory, CreateDataTransfer);
SAME_IN(OrtEpFactory, IsStreamAware);
SAME_IN(OrtEpFactory, GetNumCustomOpDomains);
SAME_IN(OrtEpFactory, GetCustomOpDomains);
SAME_IN(OrtKernelImpl, Compute);
SAME_IN(OrtKernelImpl, Release);
SAME_IN(OrtNodeComputeInfo, CreateState);
SAME_IN(OrtNodeComputeInfo, Compute);
SAME_IN(OrtNodeComputeInfo, ReleaseState);
SAME_IN(OrtNodeFusionOptions, drop_constant_initializers);
SAME_VALUE(OrtHardwareDeviceType_CPU);
#endif
