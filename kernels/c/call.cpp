// Defines the functions of onnx_roialign.h: reads and checks a call's arguments, and runs the call on threads of its
// own.
#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "c/onnx_roialign.h"
#include "guard.h"
#include "isa/cpu_features.h"
#include "isa/dispatch.h"
#include "pool/pyramid.h"
#include "problem.h"

namespace roialign {
namespace {

// The struct's size in the first release, and the largest size that is accepted.
constexpr size_t kFirstSize = offsetof(onnx_roialign_args, ran) + sizeof(const char*);
constexpr size_t kMostSize = 4096;

bool is_a_size(size_t struct_size) { return struct_size >= kFirstSize && struct_size <= kMostSize; }

// Returns ONNX's defaults from opset 16 on.
onnx_roialign_args defaults() {
  onnx_roialign_args args{};
  args.type = ONNX_ROIALIGN_FLOAT32;
  args.output_height = args.output_width = 1;
  args.spatial_scale = 1;
  args.offset = 0.5;
  args.min_size = args.max_start = -std::numeric_limits<double>::infinity();
  return args;
}

// Returns the caller's fields, and the defaults for fields that the caller's struct does not have yet.
onnx_roialign_args completed(const onnx_roialign_args& given) {
  const size_t size = given.struct_size;
  if (!is_a_size(size)) {
    throw std::invalid_argument("struct_size must be in [" + std::to_string(kFirstSize) + ", " +
                                std::to_string(kMostSize) + "], got " + std::to_string(size));
  }
  onnx_roialign_args args = defaults();
  std::memcpy(&args, &given, std::min(size, sizeof args));
  const char* const bytes = reinterpret_cast<const char*>(&given);
  for (size_t i = sizeof args; i < size; ++i) {
    if (bytes[i] == 0) continue;
    throw std::invalid_argument("struct_size must be at most " + std::to_string(sizeof args) +
                                " where a field behind is not 0, got " + std::to_string(size) +
                                "; the caller needs a newer library than " ONNX_ROIALIGN_VERSION);
  }
  return args;
}

bool flag(const char* name, int32_t value) {
  if (value == 0 || value == 1) return value == 1;
  throw std::invalid_argument(std::string(name) + " must be 0 or 1, got " + std::to_string(value));
}

Attributes attributes_of(const onnx_roialign_args& args) {
  Attributes attributes{};
  attributes.output_height = args.output_height;
  attributes.output_width = args.output_width;
  attributes.sampling_ratio = args.sampling_ratio;
  attributes.spatial_scale = args.spatial_scale;
  attributes.mode_max = flag("mode_max", args.mode_max);
  attributes.semantics.offset = args.offset;
  attributes.semantics.min_size = args.min_size;
  attributes.semantics.start_shift = args.start_shift;
  attributes.semantics.end_shift = args.end_shift;
  attributes.semantics.max_start = args.max_start;
  attributes.semantics.adaptive_floor = flag("adaptive_floor", args.adaptive_floor);
  attributes.semantics.empty_nan = flag("empty_nan", args.empty_nan);
  attributes.semantics.max_samples = flag("max_samples", args.max_samples);
  attributes.semantics.border_exclusive = flag("border_exclusive", args.border_exclusive);
  return attributes;
}

Arrays arrays_of(const onnx_roialign_args& args) {
  Arrays arrays{};
  arrays.type = static_cast<ElementType>(args.type);
  arrays.rois_type = static_cast<ElementType>(args.rois_type == 0 ? args.type : args.rois_type);
  arrays.X = args.X;
  arrays.rois = args.rois;
  arrays.batch_indices = args.batch_indices;
  arrays.Y = args.Y;
  arrays.N = args.N;
  arrays.C = args.C;
  arrays.H = args.H;
  arrays.W = args.W;
  arrays.num_rois = args.num_rois;
  return arrays;
}

void require_pointer(const std::string& name, const void* pointer, bool has_elements, size_t alignment) {
  if (!has_elements) return;
  if (pointer == nullptr) throw std::invalid_argument(name + " must not be null, got null");
  const size_t beyond = reinterpret_cast<uintptr_t>(pointer) % alignment;
  if (beyond == 0) return;
  throw std::invalid_argument(name + " must be aligned to " + std::to_string(alignment) + " bytes, got an address of " +
                              std::to_string(beyond) + " more");
}

void require_map(const std::string& name, const Arrays& arrays) {
  require_pointer(name, arrays.X, arrays.N > 0 && arrays.C > 0 && arrays.H > 0 && arrays.W > 0, size_of(arrays.type));
}

// Refuses null and misaligned pointers of what all maps share; check_sizes() must have passed.
void require_pointers(const Arrays& arrays) {
  const size_t size = size_of(arrays.type);
  const bool has_rois = arrays.num_rois > 0;
  require_pointer("rois", arrays.rois, has_rois, size_of(arrays.rois_type));
  require_pointer("batch_indices", arrays.batch_indices, has_rois, sizeof(int64_t));
  require_pointer("Y", arrays.Y, has_rois && arrays.C > 0, size);
}

// Threads that are joined when this object is destroyed, also where an exception destroys it.
class Helpers {
 public:
  Helpers() = default;
  Helpers(const Helpers&) = delete;
  Helpers& operator=(const Helpers&) = delete;
  ~Helpers() {
    for (auto& thread : threads_) thread.join();
  }

  // Starts `count` threads or, where the system has no more, fewer.
  template <class Work>
  void start(size_t count, const Work& work) {
    try {
      threads_.reserve(count);
      while (threads_.size() < count) threads_.emplace_back(work);
    } catch (...) {  // no more threads or no more memory: the threads that were started do the work
    }
  }

 private:
  std::vector<std::thread> threads_;
};

// Runs the tasks on the caller's thread and on helpers.
void run_on_threads(void* context, void (*task)(void* user, size_t i), size_t count, void* user) {
  const size_t threads = std::min(static_cast<size_t>(*static_cast<const int*>(context)), count);
  std::atomic<size_t> next{0};
  const auto work = [&] {
    for (size_t i = next++; i < count; i = next++) task(user, i);
  };
  Helpers helpers;
  helpers.start(threads - 1, work);
  work();
}

int threads_of(const onnx_roialign_args& args) {
  return args.threads == 0 ? std::min(usable_cores(), static_cast<int>(kMaxThreads)) : args.threads;
}

// Returns the instruction set that ran, as does call_levels().
const Isa& call_one_map(const onnx_roialign_args& args) {
  const Attributes attributes = attributes_of(args);
  const Arrays arrays = arrays_of(args);
  require_none(check_attributes(attributes));
  require_none(check_threads(args.threads));
  require_none(check_types(attributes, arrays.type, arrays.rois_type));
  require_none(check_sizes(attributes, arrays));
  require_map("X", arrays);
  require_pointers(arrays);
  require_none(check_values(attributes, arrays));
  const Isa& isa = choose_isa(args.isa, "isa");
  int threads = threads_of(args);
  roi_align(attributes, arrays, isa, Workers{run_on_threads, &threads, threads});
  return isa;
}

const Isa& call_levels(const onnx_roialign_args& args) {
  if (args.num_features < 1 || args.num_features > kMaxLevels) {
    throw std::invalid_argument("num_features must be in [1, " + std::to_string(kMaxLevels) + "], got " +
                                std::to_string(args.num_features));
  }
  require_pointer("features", args.features, true, alignof(onnx_roialign_map));
  Pyramid pyramid{attributes_of(args), {}, {}};
  std::vector<Map> maps;
  for (const onnx_roialign_map* map = args.features; map != args.features + args.num_features; ++map) {
    maps.push_back({map->X, map->H, map->W});
    pyramid.spatial_scales.push_back(map->spatial_scale);
  }
  const Arrays arrays = arrays_of(args);
  require_none(check_level_attributes(pyramid));
  require_none(check_threads(args.threads));
  require_none(check_level_types(pyramid, arrays.type, arrays.rois_type));
  require_none(check_level_sizes(pyramid, arrays, maps));
  for (size_t level = 0; level < maps.size(); ++level) {
    require_map("features[" + std::to_string(level) + "]", maps[level].among(arrays));
  }
  require_pointers(arrays);
  require_pointer("levels", args.levels, arrays.num_rois > 0, sizeof(int64_t));
  require_none(check_level_values(pyramid, arrays));
  const Isa& isa = choose_isa(args.isa, "isa");
  int threads = threads_of(args);
  if (arrays.num_rois > 0 && arrays.C > 0) {
    pool_pyramid(pyramid, arrays, maps, args.levels, {}, isa, Workers{run_on_threads, &threads, threads});
  }
  return isa;
}

void call(onnx_roialign_args& given) {
  const onnx_roialign_args args = completed(given);
  given.ran = isa_name(args.features == nullptr ? call_one_map(args) : call_levels(args));
}

// Builds no string, as memory may have run out.
int report(int status, const char* text, char* message, size_t message_size) {
  if (message != nullptr && message_size > 0) std::snprintf(message, message_size, "%s", text);
  return status;
}

int status_of(Failure failure) {
  switch (failure) {
    case Failure::kInvalidArgument:
      return ONNX_ROIALIGN_INVALID_ARGUMENT;
    case Failure::kNotSupported:
      return ONNX_ROIALIGN_NOT_SUPPORTED;
    case Failure::kOther:
      break;
  }
  return ONNX_ROIALIGN_FAILED;
}

}  // namespace
}  // namespace roialign

extern "C" int onnx_roialign_call(onnx_roialign_args* args, char* message, size_t message_size) {
  using namespace roialign;  // NOLINT
  return guarded(
      [&] {
        if (args == nullptr) throw std::invalid_argument("args must not be null, got null");
        call(*args);
        return report(ONNX_ROIALIGN_OK, "", message, message_size);
      },
      [&](Failure failure, const char* text) { return report(status_of(failure), text, message, message_size); });
}

extern "C" int onnx_roialign_defaults(onnx_roialign_args* args) {
  if (args == nullptr || !roialign::is_a_size(args->struct_size)) return ONNX_ROIALIGN_INVALID_ARGUMENT;
  const size_t size = args->struct_size;
  onnx_roialign_args values = roialign::defaults();
  values.struct_size = size;
  std::memset(static_cast<void*>(args), 0, size);
  std::memcpy(args, &values, std::min(size, sizeof values));
  return ONNX_ROIALIGN_OK;
}

extern "C" const char* onnx_roialign_version(void) { return ONNX_ROIALIGN_VERSION; }

extern "C" const char* const* onnx_roialign_isas(void) { return roialign::isa_names(); }
