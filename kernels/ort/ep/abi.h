// Declares the part of ONNX Runtime's C ABI that an execution provider needs, since 1.24: the functions that it calls,
// and the structs of functions that it fills. None of them has moved since; ort/abi_check.cpp compares them with the
// official header on machines that have it.
#ifndef ONNX_ROIALIGN_ORT_EP_ABI_H_
#define ONNX_ROIALIGN_ORT_EP_ABI_H_

#include <cstddef>
#include <cstdint>

#include "ort/abi.h"

namespace ort_abi {

struct OrtEpDevice;
struct OrtEpGraphSupportInfo;
struct OrtKernelRegistry;
struct OrtKernelDef;
struct OrtKernelDefBuilder;
struct OrtDataType;
struct OrtAllocator;
struct OrtMemoryInfo;
struct OrtDataTransferImpl;
struct OrtEp;
struct OrtEpFactory;
struct OrtKernelImpl;
struct OrtNodeComputeContext;
struct OrtNodeComputeInfo;
struct OrtNodeFusionOptions;

using OrtKernelCreateFunc = OrtStatus*(ROIALIGN_ORT_CALL*)(void* state, const OrtKernelInfo* info, OrtKernelImpl** out);

// A table that grows only at its end, as OrtApi does.
struct OrtEpApi {
  using Slot = void (*)();

  OrtStatus*(ROIALIGN_ORT_CALL* CreateEpDevice)(OrtEpFactory* factory, const OrtHardwareDevice* device,
                                                const OrtKeyValuePairs* metadata, const OrtKeyValuePairs* options,
                                                OrtEpDevice** out);  // 0
  Slot gap_1[1];
  OrtStatus*(ROIALIGN_ORT_CALL* EpGraphSupportInfo_AddNodesToFuse)(OrtEpGraphSupportInfo* info,
                                                                   const OrtNode* const* nodes, size_t count,
                                                                   const OrtNodeFusionOptions* options);  // 2
  OrtStatus*(ROIALIGN_ORT_CALL* EpGraphSupportInfo_AddSingleNode)(OrtEpGraphSupportInfo* info,
                                                                  const OrtNode* node);  // 3
  Slot gap_4[14];
  OrtStatus*(ROIALIGN_ORT_CALL* CreateKernelRegistry)(OrtKernelRegistry** out);  // 18
  void(ROIALIGN_ORT_CALL* ReleaseKernelRegistry)(OrtKernelRegistry* registry);   // 19
  OrtStatus*(ROIALIGN_ORT_CALL* KernelRegistry_AddKernel)(OrtKernelRegistry* registry, const OrtKernelDef* def,
                                                          OrtKernelCreateFunc create, void* state);  // 20
  OrtStatus*(ROIALIGN_ORT_CALL* CreateKernelDefBuilder)(OrtKernelDefBuilder** out);                  // 21
  void(ROIALIGN_ORT_CALL* ReleaseKernelDefBuilder)(OrtKernelDefBuilder* builder);                    // 22
  OrtStatus*(ROIALIGN_ORT_CALL* KernelDefBuilder_SetOperatorType)(OrtKernelDefBuilder* builder,
                                                                  const char* type);                            // 23
  OrtStatus*(ROIALIGN_ORT_CALL* KernelDefBuilder_SetDomain)(OrtKernelDefBuilder* builder, const char* domain);  // 24
  OrtStatus*(ROIALIGN_ORT_CALL* KernelDefBuilder_SetSinceVersion)(OrtKernelDefBuilder* builder, int first,
                                                                  int last);  // 25
  OrtStatus*(ROIALIGN_ORT_CALL* KernelDefBuilder_SetExecutionProvider)(OrtKernelDefBuilder* builder,
                                                                       const char* name);  // 26
  Slot gap_27[2];
  OrtStatus*(ROIALIGN_ORT_CALL* KernelDefBuilder_AddTypeConstraint)(OrtKernelDefBuilder* builder, const char* parameter,
                                                                    const OrtDataType* const* types,
                                                                    size_t count);  // 29
  Slot gap_30[2];
  OrtStatus*(ROIALIGN_ORT_CALL* KernelDefBuilder_Build)(OrtKernelDefBuilder* builder, OrtKernelDef** out);  // 32
  void(ROIALIGN_ORT_CALL* ReleaseKernelDef)(OrtKernelDef* def);                                             // 33
  Slot gap_34[6];
  OrtStatus*(ROIALIGN_ORT_CALL* GetTensorDataType)(ONNXTensorElementDataType element, const OrtDataType** out);  // 40
  OrtStatus*(ROIALIGN_ORT_CALL* EpGraphSupportInfo_LookUpKernel)(OrtEpGraphSupportInfo* info, const OrtNode* node,
                                                                 const OrtKernelDef** out);  // 41
  Slot gap_42[1];
  OrtStatus*(ROIALIGN_ORT_CALL* KernelInfo_GetEp)(const OrtKernelInfo* info, const OrtEp** out);  // 43
};

// The structs that the library fills. ort_version_supported is the version whose members are filled: ONNX Runtime reads
// no later ones. A null member is a function that the library does not have.

struct OrtEp {
  using Slot = void (*)();

  uint32_t ort_version_supported;
  const char*(ROIALIGN_ORT_CALL* GetName)(const OrtEp* self);
  OrtStatus*(ROIALIGN_ORT_CALL* GetCapability)(OrtEp* self, const OrtGraph* graph, OrtEpGraphSupportInfo* info);
  OrtStatus*(ROIALIGN_ORT_CALL* Compile)(OrtEp* self, const OrtGraph** graphs, const OrtNode** fused, size_t count,
                                         OrtNodeComputeInfo** infos, OrtNode** context_nodes);
  void(ROIALIGN_ORT_CALL* ReleaseNodeComputeInfos)(OrtEp* self, OrtNodeComputeInfo** infos, size_t count);
  Slot gap_5[8];
  OrtStatus*(ROIALIGN_ORT_CALL* GetKernelRegistry)(OrtEp* self, const OrtKernelRegistry** out);
  OrtStatus*(ROIALIGN_ORT_CALL* IsConcurrentRunSupported)(OrtEp* self, bool* out);
};

struct OrtEpFactory {
  using Slot = void (*)();

  uint32_t ort_version_supported;
  const char*(ROIALIGN_ORT_CALL* GetName)(const OrtEpFactory* self);
  const char*(ROIALIGN_ORT_CALL* GetVendor)(const OrtEpFactory* self);
  OrtStatus*(ROIALIGN_ORT_CALL* GetSupportedDevices)(OrtEpFactory* self, const OrtHardwareDevice* const* devices,
                                                     size_t count, OrtEpDevice** out, size_t room, size_t* made);
  OrtStatus*(ROIALIGN_ORT_CALL* CreateEp)(OrtEpFactory* self, const OrtHardwareDevice* const* devices,
                                          const OrtKeyValuePairs* const* metadata, size_t count,
                                          const OrtSessionOptions* options, const OrtLogger* logger, OrtEp** out);
  void(ROIALIGN_ORT_CALL* ReleaseEp)(OrtEpFactory* self, OrtEp* ep);
  uint32_t(ROIALIGN_ORT_CALL* GetVendorId)(const OrtEpFactory* self);
  const char*(ROIALIGN_ORT_CALL* GetVersion)(const OrtEpFactory* self);
  Slot gap_8[1];
  OrtStatus*(ROIALIGN_ORT_CALL* CreateAllocator)(OrtEpFactory* self, const OrtMemoryInfo* info,
                                                 const OrtKeyValuePairs* options, OrtAllocator** out);
  void(ROIALIGN_ORT_CALL* ReleaseAllocator)(OrtEpFactory* self, OrtAllocator* allocator);
  OrtStatus*(ROIALIGN_ORT_CALL* CreateDataTransfer)(OrtEpFactory* self, OrtDataTransferImpl** out);
  bool(ROIALIGN_ORT_CALL* IsStreamAware)(const OrtEpFactory* self);
  Slot gap_13[3];
  OrtStatus*(ROIALIGN_ORT_CALL* GetNumCustomOpDomains)(OrtEpFactory* self, size_t* out);
  OrtStatus*(ROIALIGN_ORT_CALL* GetCustomOpDomains)(OrtEpFactory* self, OrtCustomOpDomain** out, size_t count);
};

struct OrtKernelImpl {
  using Slot = void (*)();

  uint32_t ort_version_supported;
  uint32_t flags;
  OrtStatus*(ROIALIGN_ORT_CALL* Compute)(OrtKernelImpl* self, OrtKernelContext* context);
  void(ROIALIGN_ORT_CALL* Release)(OrtKernelImpl* self);
  Slot gap_3[2];
};

struct OrtNodeComputeInfo {
  uint32_t ort_version_supported;
  OrtStatus*(ROIALIGN_ORT_CALL* CreateState)(OrtNodeComputeInfo* self, OrtNodeComputeContext* context, void** out);
  OrtStatus*(ROIALIGN_ORT_CALL* Compute)(OrtNodeComputeInfo* self, void* state, OrtKernelContext* context);
  void(ROIALIGN_ORT_CALL* ReleaseState)(OrtNodeComputeInfo* self, void* state);
};

struct OrtNodeFusionOptions {
  uint32_t ort_version_supported;
  bool drop_constant_initializers;
};

#define ROIALIGN_ORT_MEMBER(table, name, slot) \
  static_assert(offsetof(table, name) == (slot) * sizeof(void*), #table "::" #name " is not in slot " #slot)
ROIALIGN_ORT_MEMBER(OrtEpApi, CreateEpDevice, 0);
ROIALIGN_ORT_MEMBER(OrtEpApi, EpGraphSupportInfo_AddNodesToFuse, 2);
ROIALIGN_ORT_MEMBER(OrtEpApi, EpGraphSupportInfo_AddSingleNode, 3);
ROIALIGN_ORT_MEMBER(OrtEpApi, CreateKernelRegistry, 18);
ROIALIGN_ORT_MEMBER(OrtEpApi, ReleaseKernelRegistry, 19);
ROIALIGN_ORT_MEMBER(OrtEpApi, KernelRegistry_AddKernel, 20);
ROIALIGN_ORT_MEMBER(OrtEpApi, CreateKernelDefBuilder, 21);
ROIALIGN_ORT_MEMBER(OrtEpApi, ReleaseKernelDefBuilder, 22);
ROIALIGN_ORT_MEMBER(OrtEpApi, KernelDefBuilder_SetOperatorType, 23);
ROIALIGN_ORT_MEMBER(OrtEpApi, KernelDefBuilder_SetDomain, 24);
ROIALIGN_ORT_MEMBER(OrtEpApi, KernelDefBuilder_SetSinceVersion, 25);
ROIALIGN_ORT_MEMBER(OrtEpApi, KernelDefBuilder_SetExecutionProvider, 26);
ROIALIGN_ORT_MEMBER(OrtEpApi, KernelDefBuilder_AddTypeConstraint, 29);
ROIALIGN_ORT_MEMBER(OrtEpApi, KernelDefBuilder_Build, 32);
ROIALIGN_ORT_MEMBER(OrtEpApi, ReleaseKernelDef, 33);
ROIALIGN_ORT_MEMBER(OrtEpApi, GetTensorDataType, 40);
ROIALIGN_ORT_MEMBER(OrtEpApi, EpGraphSupportInfo_LookUpKernel, 41);
ROIALIGN_ORT_MEMBER(OrtEpApi, KernelInfo_GetEp, 43);
ROIALIGN_ORT_MEMBER(OrtEp, GetName, 1);
ROIALIGN_ORT_MEMBER(OrtEp, GetCapability, 2);
ROIALIGN_ORT_MEMBER(OrtEp, Compile, 3);
ROIALIGN_ORT_MEMBER(OrtEp, ReleaseNodeComputeInfos, 4);
ROIALIGN_ORT_MEMBER(OrtEp, GetKernelRegistry, 13);
ROIALIGN_ORT_MEMBER(OrtEp, IsConcurrentRunSupported, 14);
ROIALIGN_ORT_MEMBER(OrtEpFactory, GetName, 1);
ROIALIGN_ORT_MEMBER(OrtEpFactory, GetVendor, 2);
ROIALIGN_ORT_MEMBER(OrtEpFactory, GetSupportedDevices, 3);
ROIALIGN_ORT_MEMBER(OrtEpFactory, CreateEp, 4);
ROIALIGN_ORT_MEMBER(OrtEpFactory, ReleaseEp, 5);
ROIALIGN_ORT_MEMBER(OrtEpFactory, GetVendorId, 6);
ROIALIGN_ORT_MEMBER(OrtEpFactory, GetVersion, 7);
ROIALIGN_ORT_MEMBER(OrtEpFactory, CreateAllocator, 9);
ROIALIGN_ORT_MEMBER(OrtEpFactory, ReleaseAllocator, 10);
ROIALIGN_ORT_MEMBER(OrtEpFactory, CreateDataTransfer, 11);
ROIALIGN_ORT_MEMBER(OrtEpFactory, IsStreamAware, 12);
ROIALIGN_ORT_MEMBER(OrtEpFactory, GetNumCustomOpDomains, 16);
ROIALIGN_ORT_MEMBER(OrtEpFactory, GetCustomOpDomains, 17);
ROIALIGN_ORT_MEMBER(OrtKernelImpl, Compute, 1);
ROIALIGN_ORT_MEMBER(OrtKernelImpl, Release, 2);
ROIALIGN_ORT_MEMBER(OrtNodeComputeInfo, CreateState, 1);
ROIALIGN_ORT_MEMBER(OrtNodeComputeInfo, Compute, 2);
ROIALIGN_ORT_MEMBER(OrtNodeComputeInfo, ReleaseState, 3);
#undef ROIALIGN_ORT_MEMBER
static_assert(sizeof(OrtEp) == 15 * sizeof(void*), "OrtEp of ONNX Runtime 1.24");
static_assert(sizeof(OrtEpFactory) == 18 * sizeof(void*), "OrtEpFactory of ONNX Runtime 1.24");
static_assert(sizeof(OrtKernelImpl) == 5 * sizeof(void*), "OrtKernelImpl of ONNX Runtime 1.24");
static_assert(sizeof(OrtNodeComputeInfo) == 4 * sizeof(void*), "OrtNodeComputeInfo of ONNX Runtime 1.24");
static_assert(offsetof(OrtNodeFusionOptions, drop_constant_initializers) == sizeof(uint32_t),
              "OrtNodeFusionOptions::drop_constant_initializers follows the version");
static_assert(offsetof(OrtKernelImpl, flags) == sizeof(uint32_t), "OrtKernelImpl::flags follows the version");

}  // namespace ort_abi

#endif  // ONNX_ROIALIGN_ORT_EP_ABI_H_
