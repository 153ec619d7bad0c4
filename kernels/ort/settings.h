// What session config entries say: the instruction set, the number of threads, the opset.
#ifndef ONNX_ROIALIGN_ORT_SETTINGS_H_
#define ONNX_ROIALIGN_ORT_SETTINGS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "ort/abi.h"

namespace roialign {

struct Isa;

// The name of the execution provider, and of the options under which ONNX Runtime stores what a session gives it.
constexpr char kProviderName[] = "RoiAlignExecutionProvider";
constexpr char kProviderEntries[] = "ep.roialignexecutionprovider.";
// The option that the provider sets itself, so that RegisterCustomOps sees that the session options have it.
constexpr char kProviderMarker[] = "registration";

// The settings that session config entries make, but for the opset.
struct Settings {
  const Isa* isa;  // null for the one that $ONNX_ROIALIGN_ISA names, or else the widest
  int threads;     // the session's threads; the work is cut for that many

  bool operator==(const Settings& other) const { return isa == other.isa && threads == other.threads; }
};

// Returns the value of the entry called key, or nothing where there is none.
using Entries = std::function<std::optional<std::string>(const std::string& key)>;

// Returns the entries of session options, which must outlive it.
Entries entries_of(const ort_abi::OrtApi& api, const ort_abi::OrtSessionOptions* options);

Settings read_settings(const Entries& entries);

// All entries of the session that a kernel is made for, or of session options, which API version kNewerApiVersion
// lists.
using AllEntries = std::map<std::string, std::string>;
AllEntries all_entries(const ort_abi::OrtApi& newer, const ort_abi::OrtKernelInfo* info);
AllEntries all_entries(const ort_abi::OrtApi& newer, const ort_abi::OrtSessionOptions* options);
// Returns the entries of a map, which must outlive it.
Entries entries_of(const AllEntries& all);

// What a session gives the provider.
struct ProviderOptions {
  Settings settings;
  bool fuses;  // whether a pooler becomes one node
};
// Throws where there is an option that the provider does not have.
ProviderOptions read_provider_options(const AllEntries& all);

// Returns whether RegisterCustomOps leaves ONNX's RoiAlign alone, for a session in which the provider runs it.
bool read_only_private(const Entries& entries);

// Returns 0 where there is no such entry.
int64_t read_opset(const Entries& entries);

}  // namespace roialign

#endif  // ONNX_ROIALIGN_ORT_SETTINGS_H_
