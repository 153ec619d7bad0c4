// Declares the part of ONNX Runtime's C ABI that the library uses, since its wheel ships no headers. ort/ep/abi.h has
// what only the execution provider needs.
//
// OrtApi is a table of function pointers that grows only at its end, so a slot's number is part of the ABI. The gaps
// between the slots used here are padding. The static_asserts below check the number of every slot, and
// ort/abi_check.cpp compares all of them with the official header on machines that have it.
#ifndef ONNX_ROIALIGN_ORT_ABI_H_
#define ONNX_ROIALIGN_ORT_ABI_H_

#include <cstddef>
#include <cstdint>

#if defined(_WIN32)
#define ROIALIGN_ORT_CALL __stdcall
#else
#define ROIALIGN_ORT_CALL
#endif

namespace ort_abi {

#if defined(_WIN32)
using OrtPathChar = wchar_t;
#else
using OrtPathChar = char;
#endif

// KernelContext_ParallelFor and InferOutputShapeFn came with 1.17. OrtCustomOp::version carries the same number.
constexpr uint32_t kApiVersion = 17;
// From this version on the API shows a tensor's shape where it lies (before, reading a shape allocates twice), and an
// execution provider can register kernels.
constexpr uint32_t kNewerApiVersion = 24;

enum OrtErrorCode : int { ORT_FAIL = 1, ORT_INVALID_ARGUMENT = 2, ORT_NOT_IMPLEMENTED = 9 };

enum ONNXTensorElementDataType : int {
  ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT = 1,
  ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8 = 2,
  ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8 = 3,
  ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32 = 6,
  ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64 = 7,
  ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL = 9,
  ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16 = 10,
  ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE = 11,
  ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16 = 16
};

enum OrtOpAttrType : int { ORT_OP_ATTR_INT = 1, ORT_OP_ATTR_INTS = 2, ORT_OP_ATTR_FLOAT = 3, ORT_OP_ATTR_STRING = 5 };
enum OrtLoggingLevel : int { ORT_LOGGING_LEVEL_INFO = 1 };
enum OrtHardwareDeviceType : int { OrtHardwareDeviceType_CPU = 0 };
enum OrtMemType : int { OrtMemTypeDefault = 0 };
enum OrtCustomOpInputOutputCharacteristic : int {
  INPUT_OUTPUT_REQUIRED = 0,
  INPUT_OUTPUT_OPTIONAL = 1,
  INPUT_OUTPUT_VARIADIC = 2
};

struct OrtStatus;
struct OrtSessionOptions;
struct OrtCustomOpDomain;
struct OrtValue;
struct OrtTensorTypeAndShapeInfo;
struct OrtKernelInfo;
struct OrtKernelContext;
struct OrtShapeInferContext;
struct OrtOpAttr;
struct OrtCustomOp;
struct OrtKeyValuePairs;
struct OrtHardwareDevice;
struct OrtGraph;
struct OrtNode;
struct OrtEpApi;
struct OrtValueInfo;
struct OrtTypeInfo;
struct OrtLogger;

// Every function that returns an OrtStatus* returns null for success; any other status must be released. The string
// getters take a buffer and its size, and write the size needed, terminator included; with a null buffer they only
// write the size.
struct OrtApi {
  using Slot = void (*)();

  OrtStatus*(ROIALIGN_ORT_CALL* CreateStatus)(OrtErrorCode code, const char* message);  // 0
  Slot gap_1[1];
  const char*(ROIALIGN_ORT_CALL* GetErrorMessage)(const OrtStatus* status);  // 2
  Slot gap_3[23];
  OrtStatus*(ROIALIGN_ORT_CALL* CreateCustomOpDomain)(const char* domain, OrtCustomOpDomain** out);         // 26
  OrtStatus*(ROIALIGN_ORT_CALL* CustomOpDomain_Add)(OrtCustomOpDomain* domain, const OrtCustomOp* op);      // 27
  OrtStatus*(ROIALIGN_ORT_CALL* AddCustomOpDomain)(OrtSessionOptions* options, OrtCustomOpDomain* domain);  // 28
  Slot gap_29[22];
  OrtStatus*(ROIALIGN_ORT_CALL* GetTensorMutableData)(OrtValue* value, void** out);  // 51
  Slot gap_52[3];
  OrtStatus*(ROIALIGN_ORT_CALL* CastTypeInfoToTensorInfo)(const OrtTypeInfo* type,
                                                          const OrtTensorTypeAndShapeInfo** out);  // 55
  Slot gap_56[1];
  OrtStatus*(ROIALIGN_ORT_CALL* CreateTensorTypeAndShapeInfo)(OrtTensorTypeAndShapeInfo** out);  // 57
  OrtStatus*(ROIALIGN_ORT_CALL* SetTensorElementType)(OrtTensorTypeAndShapeInfo* info,
                                                      ONNXTensorElementDataType type);  // 58
  OrtStatus*(ROIALIGN_ORT_CALL* SetDimensions)(OrtTensorTypeAndShapeInfo* info, const int64_t* dims,
                                               size_t count);  // 59
  OrtStatus*(ROIALIGN_ORT_CALL* GetTensorElementType)(const OrtTensorTypeAndShapeInfo* info,
                                                      ONNXTensorElementDataType* out);                    // 60
  OrtStatus*(ROIALIGN_ORT_CALL* GetDimensionsCount)(const OrtTensorTypeAndShapeInfo* info, size_t* out);  // 61
  OrtStatus*(ROIALIGN_ORT_CALL* GetDimensions)(const OrtTensorTypeAndShapeInfo* info, int64_t* dims,
                                               size_t count);  // 62
  OrtStatus*(ROIALIGN_ORT_CALL* GetSymbolicDimensions)(const OrtTensorTypeAndShapeInfo* info, const char* dims[],
                                                       size_t count);  // 63
  Slot gap_64[1];
  OrtStatus*(ROIALIGN_ORT_CALL* GetTensorTypeAndShape)(const OrtValue* value, OrtTensorTypeAndShapeInfo** out);  // 65
  Slot gap_66[19];
  OrtStatus*(ROIALIGN_ORT_CALL* KernelInfoGetAttribute_float)(const OrtKernelInfo* info, const char* name,
                                                              float* out);  // 85
  OrtStatus*(ROIALIGN_ORT_CALL* KernelInfoGetAttribute_int64)(const OrtKernelInfo* info, const char* name,
                                                              int64_t* out);  // 86
  OrtStatus*(ROIALIGN_ORT_CALL* KernelInfoGetAttribute_string)(const OrtKernelInfo* info, const char* name, char* out,
                                                               size_t* size);                                // 87
  OrtStatus*(ROIALIGN_ORT_CALL* KernelContext_GetInputCount)(const OrtKernelContext* context, size_t* out);  // 88
  Slot gap_89[1];
  OrtStatus*(ROIALIGN_ORT_CALL* KernelContext_GetInput)(const OrtKernelContext* context, size_t index,
                                                        const OrtValue** out);  // 90
  OrtStatus*(ROIALIGN_ORT_CALL* KernelContext_GetOutput)(OrtKernelContext* context, size_t index, const int64_t* dims,
                                                         size_t count, OrtValue** out);  // 91
  Slot gap_92[1];
  void(ROIALIGN_ORT_CALL* ReleaseStatus)(OrtStatus* status);  // 93
  Slot gap_94[2];
  void(ROIALIGN_ORT_CALL* ReleaseValue)(OrtValue* value);  // 96
  Slot gap_97[2];
  void(ROIALIGN_ORT_CALL* ReleaseTensorTypeAndShapeInfo)(OrtTensorTypeAndShapeInfo* info);  // 99
  Slot gap_100[1];
  void(ROIALIGN_ORT_CALL* ReleaseCustomOpDomain)(OrtCustomOpDomain* domain);  // 101
  Slot gap_102[28];
  OrtStatus*(ROIALIGN_ORT_CALL* AddSessionConfigEntry)(OrtSessionOptions* options, const char* key,
                                                       const char* value);  // 130
  Slot gap_131[31];
  OrtStatus*(ROIALIGN_ORT_CALL* KernelInfoGetAttributeArray_float)(const OrtKernelInfo* info, const char* name,
                                                                   float* out, size_t* count);  // 162
  OrtStatus*(ROIALIGN_ORT_CALL* KernelInfoGetAttributeArray_int64)(const OrtKernelInfo* info, const char* name,
                                                                   int64_t* out, size_t* count);  // 163
  Slot gap_164[69];
  OrtStatus*(ROIALIGN_ORT_CALL* KernelInfo_GetOutputName)(const OrtKernelInfo* info, size_t index, char* out,
                                                          size_t* size);  // 233
  Slot gap_234[3];
  OrtStatus*(ROIALIGN_ORT_CALL* HasSessionConfigEntry)(const OrtSessionOptions* options, const char* key,
                                                       int* out);  // 237
  OrtStatus*(ROIALIGN_ORT_CALL* GetSessionConfigEntry)(const OrtSessionOptions* options, const char* key, char* out,
                                                       size_t* size);  // 238
  Slot gap_239[5];
  OrtStatus*(ROIALIGN_ORT_CALL* KernelInfo_GetNodeName)(const OrtKernelInfo* info, char* out, size_t* size);  // 244
  Slot gap_245[2];
  OrtStatus*(ROIALIGN_ORT_CALL* Logger_LogMessage)(const OrtLogger* logger, OrtLoggingLevel level, const char* message,
                                                   const OrtPathChar* file, int line, const char* function);  // 247
  Slot gap_248[20];
  OrtStatus*(ROIALIGN_ORT_CALL* ShapeInferContext_GetInputTypeShape)(const OrtShapeInferContext* context, size_t index,
                                                                     OrtTensorTypeAndShapeInfo** out);  // 268
  OrtStatus*(ROIALIGN_ORT_CALL* ShapeInferContext_GetAttribute)(const OrtShapeInferContext* context, const char* name,
                                                                const OrtOpAttr** out);  // 269
  OrtStatus*(ROIALIGN_ORT_CALL* ShapeInferContext_SetOutputTypeShape)(const OrtShapeInferContext* context, size_t index,
                                                                      const OrtTensorTypeAndShapeInfo* info);  // 270
  OrtStatus*(ROIALIGN_ORT_CALL* SetSymbolicDimensions)(OrtTensorTypeAndShapeInfo* info, const char* dims[],
                                                       size_t count);  // 271
  OrtStatus*(ROIALIGN_ORT_CALL* ReadOpAttr)(const OrtOpAttr* attribute, OrtOpAttrType type, void* data, size_t length,
                                            size_t* out);  // 272
  Slot gap_273[1];
  OrtStatus*(ROIALIGN_ORT_CALL* KernelContext_ParallelFor)(const OrtKernelContext* context,
                                                           void (*task)(void* user, size_t i), size_t total,
                                                           size_t num_batch, void* user);  // 274
  // What follows is there in API version kNewerApiVersion and later.
  Slot gap_275[14];
  OrtStatus*(ROIALIGN_ORT_CALL* GetValueInfoName)(const OrtValueInfo* value, const char** out);             // 289
  OrtStatus*(ROIALIGN_ORT_CALL* GetValueInfoTypeInfo)(const OrtValueInfo* value, const OrtTypeInfo** out);  // 290
  Slot gap_291[4];
  void(ROIALIGN_ORT_CALL* CreateKeyValuePairs)(OrtKeyValuePairs** out);                                   // 295
  void(ROIALIGN_ORT_CALL* AddKeyValuePair)(OrtKeyValuePairs* pairs, const char* key, const char* value);  // 296
  Slot gap_297[1];
  void(ROIALIGN_ORT_CALL* GetKeyValuePairs)(const OrtKeyValuePairs* pairs, const char* const** keys,
                                            const char* const** values, size_t* count);  // 298
  Slot gap_299[1];
  void(ROIALIGN_ORT_CALL* ReleaseKeyValuePairs)(OrtKeyValuePairs* pairs);  // 300
  Slot gap_301[6];
  OrtHardwareDeviceType(ROIALIGN_ORT_CALL* HardwareDevice_Type)(const OrtHardwareDevice* device);  // 307
  Slot gap_308[9];
  const OrtEpApi*(ROIALIGN_ORT_CALL* GetEpApi)();  // 317
  Slot gap_318[5];
  OrtStatus*(ROIALIGN_ORT_CALL* ValueInfo_GetValueProducer)(const OrtValueInfo* value, const OrtNode** out,
                                                            size_t* output);                              // 323
  OrtStatus*(ROIALIGN_ORT_CALL* ValueInfo_GetValueNumConsumers)(const OrtValueInfo* value, size_t* out);  // 324
  OrtStatus*(ROIALIGN_ORT_CALL* ValueInfo_GetValueConsumers)(const OrtValueInfo* value, const OrtNode** nodes,
                                                             int64_t* inputs, size_t count);                      // 325
  OrtStatus*(ROIALIGN_ORT_CALL* ValueInfo_GetInitializerValue)(const OrtValueInfo* value, const OrtValue** out);  // 326
  Slot gap_327[3];
  OrtStatus*(ROIALIGN_ORT_CALL* ValueInfo_IsGraphOutput)(const OrtValueInfo* value, bool* out);          // 330
  OrtStatus*(ROIALIGN_ORT_CALL* ValueInfo_IsConstantInitializer)(const OrtValueInfo* value, bool* out);  // 331
  Slot gap_332[6];
  OrtStatus*(ROIALIGN_ORT_CALL* Graph_GetNumInputs)(const OrtGraph* graph, size_t* out);                          // 338
  OrtStatus*(ROIALIGN_ORT_CALL* Graph_GetInputs)(const OrtGraph* graph, const OrtValueInfo** out, size_t count);  // 339
  OrtStatus*(ROIALIGN_ORT_CALL* Graph_GetNumOutputs)(const OrtGraph* graph, size_t* out);                         // 340
  OrtStatus*(ROIALIGN_ORT_CALL* Graph_GetOutputs)(const OrtGraph* graph, const OrtValueInfo** out,
                                                  size_t count);  // 341
  Slot gap_342[2];
  OrtStatus*(ROIALIGN_ORT_CALL* Graph_GetNumNodes)(const OrtGraph* graph, size_t* out);                       // 344
  OrtStatus*(ROIALIGN_ORT_CALL* Graph_GetNodes)(const OrtGraph* graph, const OrtNode** nodes, size_t count);  // 345
  Slot gap_346[3];
  OrtStatus*(ROIALIGN_ORT_CALL* Node_GetName)(const OrtNode* node, const char** out);                           // 349
  OrtStatus*(ROIALIGN_ORT_CALL* Node_GetOperatorType)(const OrtNode* node, const char** out);                   // 350
  OrtStatus*(ROIALIGN_ORT_CALL* Node_GetDomain)(const OrtNode* node, const char** out);                         // 351
  OrtStatus*(ROIALIGN_ORT_CALL* Node_GetSinceVersion)(const OrtNode* node, int* out);                           // 352
  OrtStatus*(ROIALIGN_ORT_CALL* Node_GetNumInputs)(const OrtNode* node, size_t* out);                           // 353
  OrtStatus*(ROIALIGN_ORT_CALL* Node_GetInputs)(const OrtNode* node, const OrtValueInfo** out, size_t count);   // 354
  OrtStatus*(ROIALIGN_ORT_CALL* Node_GetNumOutputs)(const OrtNode* node, size_t* out);                          // 355
  OrtStatus*(ROIALIGN_ORT_CALL* Node_GetOutputs)(const OrtNode* node, const OrtValueInfo** out, size_t count);  // 356
  OrtStatus*(ROIALIGN_ORT_CALL* Node_GetNumImplicitInputs)(const OrtNode* node, size_t* out);                   // 357
  OrtStatus*(ROIALIGN_ORT_CALL* Node_GetImplicitInputs)(const OrtNode* node, const OrtValueInfo** out,
                                                        size_t count);  // 358
  Slot gap_359[2];
  OrtStatus*(ROIALIGN_ORT_CALL* Node_GetAttributeByName)(const OrtNode* node, const char* name,
                                                         const OrtOpAttr** out);  // 361
  OrtStatus*(ROIALIGN_ORT_CALL* OpAttr_GetTensorAttributeAsOrtValue)(const OrtOpAttr* attribute,
                                                                     OrtValue** out);             // 362
  OrtStatus*(ROIALIGN_ORT_CALL* OpAttr_GetType)(const OrtOpAttr* attribute, OrtOpAttrType* out);  // 363
  Slot gap_364[1];
  OrtStatus*(ROIALIGN_ORT_CALL* Node_GetNumSubgraphs)(const OrtNode* node, size_t* out);  // 365
  OrtStatus*(ROIALIGN_ORT_CALL* Node_GetSubgraphs)(const OrtNode* node, const OrtGraph** out, size_t count,
                                                   const char** attribute_names);  // 366
  Slot gap_367[1];
  OrtStatus*(ROIALIGN_ORT_CALL* Node_GetEpName)(const OrtNode* node, const char** out);  // 368
  Slot gap_369[10];
  OrtStatus*(ROIALIGN_ORT_CALL* GetSessionOptionsConfigEntries)(const OrtSessionOptions* options,
                                                                OrtKeyValuePairs** out);  // 379
  Slot gap_380[10];
  bool(ROIALIGN_ORT_CALL* TensorTypeAndShape_HasShape)(const OrtTensorTypeAndShapeInfo* info);  // 390
  OrtStatus*(ROIALIGN_ORT_CALL* KernelInfo_GetConfigEntries)(const OrtKernelInfo* info,
                                                             OrtKeyValuePairs** out);  // 391
  Slot gap_392[2];
  OrtStatus*(ROIALIGN_ORT_CALL* KernelInfo_GetOperatorSinceVersion)(const OrtKernelInfo* info, int* out);  // 394
  Slot gap_395[19];
  OrtStatus*(ROIALIGN_ORT_CALL* GetTensorElementTypeAndShapeDataReference)(const OrtValue* value,
                                                                           ONNXTensorElementDataType* type,
                                                                           const int64_t** dims, size_t* count);  // 414
};

struct OrtApiBase {
  const OrtApi*(ROIALIGN_ORT_CALL* GetApi)(uint32_t version);  // null where the runtime is older than version
  const char*(ROIALIGN_ORT_CALL* GetVersionString)();
};

// Must be zeroed and then filled. Members after GetEndVersion came with API version 18, and only runtimes from 1.18 on
// read them.
struct OrtCustomOp {
  uint32_t version;
  void*(ROIALIGN_ORT_CALL* CreateKernel)(const OrtCustomOp* op, const OrtApi* api, const OrtKernelInfo* info);
  const char*(ROIALIGN_ORT_CALL* GetName)(const OrtCustomOp* op);
  const char*(ROIALIGN_ORT_CALL* GetExecutionProviderType)(const OrtCustomOp* op);  // returns null for the CPU
  ONNXTensorElementDataType(ROIALIGN_ORT_CALL* GetInputType)(const OrtCustomOp* op, size_t index);
  size_t(ROIALIGN_ORT_CALL* GetInputTypeCount)(const OrtCustomOp* op);
  ONNXTensorElementDataType(ROIALIGN_ORT_CALL* GetOutputType)(const OrtCustomOp* op, size_t index);
  size_t(ROIALIGN_ORT_CALL* GetOutputTypeCount)(const OrtCustomOp* op);
  void(ROIALIGN_ORT_CALL* KernelCompute)(void* kernel, OrtKernelContext* context);
  void(ROIALIGN_ORT_CALL* KernelDestroy)(void* kernel);
  OrtCustomOpInputOutputCharacteristic(ROIALIGN_ORT_CALL* GetInputCharacteristic)(const OrtCustomOp* op, size_t index);
  OrtCustomOpInputOutputCharacteristic(ROIALIGN_ORT_CALL* GetOutputCharacteristic)(const OrtCustomOp* op, size_t index);
  OrtMemType(ROIALIGN_ORT_CALL* GetInputMemoryType)(const OrtCustomOp* op, size_t index);
  int(ROIALIGN_ORT_CALL* GetVariadicInputMinArity)(const OrtCustomOp* op);
  int(ROIALIGN_ORT_CALL* GetVariadicInputHomogeneity)(const OrtCustomOp* op);
  int(ROIALIGN_ORT_CALL* GetVariadicOutputMinArity)(const OrtCustomOp* op);
  int(ROIALIGN_ORT_CALL* GetVariadicOutputHomogeneity)(const OrtCustomOp* op);
  OrtStatus*(ROIALIGN_ORT_CALL* CreateKernelV2)(const OrtCustomOp* op, const OrtApi* api, const OrtKernelInfo* info,
                                                void** kernel);
  OrtStatus*(ROIALIGN_ORT_CALL* KernelComputeV2)(void* kernel, OrtKernelContext* context);
  OrtStatus*(ROIALIGN_ORT_CALL* InferOutputShapeFn)(const OrtCustomOp* op, OrtShapeInferContext* context);
  int(ROIALIGN_ORT_CALL* GetStartVersion)(const OrtCustomOp* op);
  int(ROIALIGN_ORT_CALL* GetEndVersion)(const OrtCustomOp* op);
  size_t(ROIALIGN_ORT_CALL* GetMayInplace)(int** inputs, int** outputs);
  void(ROIALIGN_ORT_CALL* ReleaseMayInplace)(int* inputs, int* outputs);
  size_t(ROIALIGN_ORT_CALL* GetAliasMap)(int** inputs, int** outputs);
  void(ROIALIGN_ORT_CALL* ReleaseAliasMap)(int* inputs, int* outputs);
};

static_assert(sizeof(OrtCustomOp) == 26 * sizeof(void*), "OrtCustomOp of ONNX Runtime 1.18 and later");

#define ROIALIGN_ORT_SLOT(name, slot) \
  static_assert(offsetof(OrtApi, name) == (slot) * sizeof(void*), "OrtApi::" #name " is not in slot " #slot)
ROIALIGN_ORT_SLOT(CreateStatus, 0);
ROIALIGN_ORT_SLOT(GetErrorMessage, 2);
ROIALIGN_ORT_SLOT(CreateCustomOpDomain, 26);
ROIALIGN_ORT_SLOT(CustomOpDomain_Add, 27);
ROIALIGN_ORT_SLOT(AddCustomOpDomain, 28);
ROIALIGN_ORT_SLOT(GetTensorMutableData, 51);
ROIALIGN_ORT_SLOT(CastTypeInfoToTensorInfo, 55);
ROIALIGN_ORT_SLOT(CreateTensorTypeAndShapeInfo, 57);
ROIALIGN_ORT_SLOT(SetTensorElementType, 58);
ROIALIGN_ORT_SLOT(SetDimensions, 59);
ROIALIGN_ORT_SLOT(GetTensorElementType, 60);
ROIALIGN_ORT_SLOT(GetDimensionsCount, 61);
ROIALIGN_ORT_SLOT(GetDimensions, 62);
ROIALIGN_ORT_SLOT(GetSymbolicDimensions, 63);
ROIALIGN_ORT_SLOT(GetTensorTypeAndShape, 65);
ROIALIGN_ORT_SLOT(KernelInfoGetAttribute_float, 85);
ROIALIGN_ORT_SLOT(KernelInfoGetAttribute_int64, 86);
ROIALIGN_ORT_SLOT(KernelInfoGetAttribute_string, 87);
ROIALIGN_ORT_SLOT(KernelContext_GetInputCount, 88);
ROIALIGN_ORT_SLOT(KernelContext_GetInput, 90);
ROIALIGN_ORT_SLOT(KernelContext_GetOutput, 91);
ROIALIGN_ORT_SLOT(ReleaseStatus, 93);
ROIALIGN_ORT_SLOT(ReleaseValue, 96);
ROIALIGN_ORT_SLOT(ReleaseTensorTypeAndShapeInfo, 99);
ROIALIGN_ORT_SLOT(ReleaseCustomOpDomain, 101);
ROIALIGN_ORT_SLOT(AddSessionConfigEntry, 130);
ROIALIGN_ORT_SLOT(KernelInfoGetAttributeArray_float, 162);
ROIALIGN_ORT_SLOT(KernelInfoGetAttributeArray_int64, 163);
ROIALIGN_ORT_SLOT(KernelInfo_GetOutputName, 233);
ROIALIGN_ORT_SLOT(HasSessionConfigEntry, 237);
ROIALIGN_ORT_SLOT(GetSessionConfigEntry, 238);
ROIALIGN_ORT_SLOT(KernelInfo_GetNodeName, 244);
ROIALIGN_ORT_SLOT(Logger_LogMessage, 247);
ROIALIGN_ORT_SLOT(ShapeInferContext_GetInputTypeShape, 268);
ROIALIGN_ORT_SLOT(ShapeInferContext_GetAttribute, 269);
ROIALIGN_ORT_SLOT(ShapeInferContext_SetOutputTypeShape, 270);
ROIALIGN_ORT_SLOT(SetSymbolicDimensions, 271);
ROIALIGN_ORT_SLOT(ReadOpAttr, 272);
ROIALIGN_ORT_SLOT(KernelContext_ParallelFor, 274);
ROIALIGN_ORT_SLOT(GetValueInfoName, 289);
ROIALIGN_ORT_SLOT(GetValueInfoTypeInfo, 290);
ROIALIGN_ORT_SLOT(CreateKeyValuePairs, 295);
ROIALIGN_ORT_SLOT(AddKeyValuePair, 296);
ROIALIGN_ORT_SLOT(GetKeyValuePairs, 298);
ROIALIGN_ORT_SLOT(ReleaseKeyValuePairs, 300);
ROIALIGN_ORT_SLOT(HardwareDevice_Type, 307);
ROIALIGN_ORT_SLOT(GetEpApi, 317);
ROIALIGN_ORT_SLOT(ValueInfo_GetValueProducer, 323);
ROIALIGN_ORT_SLOT(ValueInfo_GetValueNumConsumers, 324);
ROIALIGN_ORT_SLOT(ValueInfo_GetValueConsumers, 325);
ROIALIGN_ORT_SLOT(ValueInfo_GetInitializerValue, 326);
ROIALIGN_ORT_SLOT(ValueInfo_IsGraphOutput, 330);
ROIALIGN_ORT_SLOT(ValueInfo_IsConstantInitializer, 331);
ROIALIGN_ORT_SLOT(Graph_GetNumInputs, 338);
ROIALIGN_ORT_SLOT(Graph_GetInputs, 339);
ROIALIGN_ORT_SLOT(Graph_GetNumOutputs, 340);
ROIALIGN_ORT_SLOT(Graph_GetOutputs, 341);
ROIALIGN_ORT_SLOT(Graph_GetNumNodes, 344);
ROIALIGN_ORT_SLOT(Graph_GetNodes, 345);
ROIALIGN_ORT_SLOT(Node_GetName, 349);
ROIALIGN_ORT_SLOT(Node_GetOperatorType, 350);
ROIALIGN_ORT_SLOT(Node_GetDomain, 351);
ROIALIGN_ORT_SLOT(Node_GetSinceVersion, 352);
ROIALIGN_ORT_SLOT(Node_GetNumInputs, 353);
ROIALIGN_ORT_SLOT(Node_GetInputs, 354);
ROIALIGN_ORT_SLOT(Node_GetNumOutputs, 355);
ROIALIGN_ORT_SLOT(Node_GetOutputs, 356);
ROIALIGN_ORT_SLOT(Node_GetNumImplicitInputs, 357);
ROIALIGN_ORT_SLOT(Node_GetImplicitInputs, 358);
ROIALIGN_ORT_SLOT(Node_GetAttributeByName, 361);
ROIALIGN_ORT_SLOT(OpAttr_GetTensorAttributeAsOrtValue, 362);
ROIALIGN_ORT_SLOT(OpAttr_GetType, 363);
ROIALIGN_ORT_SLOT(Node_GetNumSubgraphs, 365);
ROIALIGN_ORT_SLOT(Node_GetSubgraphs, 366);
ROIALIGN_ORT_SLOT(Node_GetEpName, 368);
ROIALIGN_ORT_SLOT(GetSessionOptionsConfigEntries, 379);
ROIALIGN_ORT_SLOT(TensorTypeAndShape_HasShape, 390);
ROIALIGN_ORT_SLOT(KernelInfo_GetConfigEntries, 391);
ROIALIGN_ORT_SLOT(KernelInfo_GetOperatorSinceVersion, 394);
ROIALIGN_ORT_SLOT(GetTensorElementTypeAndShapeDataReference, 414);
#undef ROIALIGN_ORT_SLOT

}  // namespace ort_abi

#endif  // ONNX_ROIALIGN_ORT_ABI_H_
