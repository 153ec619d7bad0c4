// What session config entries say: the instruction set, the number of threads, the opset.
#include "ort/settings.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <stdexcept>
#include <utility>

#include "isa/cpu_features.h"
#include "isa/dispatch.h"
#include "ort/status.h"
#include "problem.h"
#include "shown.h"

namespace roialign {

using namespace ort_abi;  // NOLINT: this file is ONNX Runtime's side of the library

namespace {

constexpr char kEntries[] = "onnx_roialign.";
constexpr char kIsa[] = "isa";
constexpr char kThreads[] = "threads";
constexpr char kFuse[] = "fuse";
constexpr char kOpsEntry[] = "onnx_roialign.ops";
constexpr char kOpsetEntry[] = "onnx_roialign.opset";

struct Entry {
  std::string key;
  std::string value;
};

// Finds what a session says of name: as an option of the provider, or else as an entry of its own.
std::optional<Entry> find(const Entries& entries, const char* name) {
  for (const char* prefix : {kProviderEntries, kEntries}) {
    const std::string key = std::string(prefix) + name;
    if (std::optional<std::string> value = entries(key)) return Entry{key, *std::move(value)};
  }
  return std::nullopt;
}

// Reads an integer; one beyond the range of int64 becomes the nearest that it has.
int64_t integer_of(const Entry& entry) {
  const std::string& text = entry.value;
  const size_t sign = text.rfind('-', 0) == 0 ? 1 : 0;
  if (text.size() == sign || text.find_first_not_of("0123456789", sign) != std::string::npos) {
    throw std::invalid_argument(entry.key + " must be an integer, got " + shown(text));
  }
  return std::strtoll(text.c_str(), nullptr, 10);
}

// Where no entry says how many threads a session has, the work is cut for at most this many. More gain little, and
// cutting for many more threads than there are makes a session of one thread take three times as long (64 channels).
constexpr int kMostThreadsAssumed = 8;

int read_threads(const Entries& entries) {
  const std::optional<Entry> entry = find(entries, kThreads);
  if (!entry) return std::min(usable_cores(), kMostThreadsAssumed);
  const int64_t threads = integer_of(*entry);
  const std::string problem = check_threads(threads);
  const std::string prefix = entry->key.substr(0, entry->key.size() - std::strlen(kThreads));
  if (!problem.empty()) throw std::invalid_argument(prefix + problem);
  return threads == 0 ? std::min(usable_cores(), static_cast<int>(kMaxThreads)) : static_cast<int>(threads);
}

void check_option(const std::string& key) {
  const size_t prefix = std::strlen(kProviderEntries);
  if (key.compare(0, prefix, kProviderEntries) != 0) return;
  const std::string name = key.substr(prefix);
  if (name == kIsa || name == kThreads || name == kFuse || name == kProviderMarker) return;
  throw std::invalid_argument(std::string("an option of ") + kProviderName +
                              " must be one of fuse, isa, threads, got " + shown(name));
}

bool read_fuse(const Entries& entries) {
  const std::optional<Entry> entry = find(entries, kFuse);
  if (!entry || entry->value == "0") return false;
  if (entry->value == "1") return true;
  throw std::invalid_argument(entry->key + " must be '0' or '1', got " + shown(entry->value));
}

// Copies the pairs and releases them.
AllEntries copied(const OrtApi& newer, OrtKeyValuePairs* pairs) {
  const auto release = [&newer](OrtKeyValuePairs* all) { newer.ReleaseKeyValuePairs(all); };
  const std::unique_ptr<OrtKeyValuePairs, decltype(release)> owned(pairs, release);
  const char* const* keys = nullptr;
  const char* const* values = nullptr;
  size_t count = 0;
  if (pairs != nullptr) newer.GetKeyValuePairs(pairs, &keys, &values, &count);
  AllEntries all;
  for (size_t i = 0; i < count; ++i) all.emplace(keys[i], values[i]);
  return all;
}

}  // namespace

Entries entries_of(const OrtApi& api, const OrtSessionOptions* options) {
  return [&api, options](const std::string& key) -> std::optional<std::string> {
    int present = 0;
    require_ok(api.HasSessionConfigEntry(options, key.c_str(), &present));
    if (present == 0) return std::nullopt;
    size_t size = 0;
    require_ok(api.GetSessionConfigEntry(options, key.c_str(), nullptr, &size));
    std::string value(size, '\0');
    require_ok(api.GetSessionConfigEntry(options, key.c_str(), value.data(), &size));
    value.resize(std::strlen(value.c_str()));
    return value;
  };
}

Settings read_settings(const Entries& entries) {
  const std::optional<Entry> isa = find(entries, kIsa);
  return {isa ? &choose_isa(isa->value.c_str(), isa->key.c_str()) : nullptr, read_threads(entries)};
}

AllEntries all_entries(const OrtApi& newer, const OrtKernelInfo* info) {
  OrtKeyValuePairs* pairs = nullptr;
  require_ok(newer.KernelInfo_GetConfigEntries(info, &pairs));
  return copied(newer, pairs);
}

AllEntries all_entries(const OrtApi& newer, const OrtSessionOptions* options) {
  OrtKeyValuePairs* pairs = nullptr;
  require_ok(newer.GetSessionOptionsConfigEntries(options, &pairs));
  return copied(newer, pairs);
}

Entries entries_of(const AllEntries& all) {
  return [&all](const std::string& key) -> std::optional<std::string> {
    const auto found = all.find(key);
    return found == all.end() ? std::nullopt : std::optional<std::string>(found->second);
  };
}

ProviderOptions read_provider_options(const AllEntries& all) {
  for (const auto& entry : all) check_option(entry.first);
  const Entries entries = entries_of(all);
  return {read_settings(entries), read_fuse(entries)};
}

bool read_only_private(const Entries& entries) {
  const std::string ops = entries(kOpsEntry).value_or("all");
  if (ops == "private" || ops == "all") return ops == "private";
  throw std::invalid_argument(std::string(kOpsEntry) + " must be 'all' or 'private', got " + shown(ops));
}

int64_t read_opset(const Entries& entries) {
  const std::optional<std::string> text = entries(kOpsetEntry);
  if (!text) return 0;
  const int64_t opset = integer_of({kOpsetEntry, *text});
  if (opset >= 1) return opset;
  throw std::invalid_argument(std::string(kOpsetEntry) + " must be at least 1, got " + std::to_string(opset));
}

}  // namespace roialign
