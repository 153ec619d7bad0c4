// The direct C call of onnx_roialign.h: arguments in, checks, and threads of its own.
#include <atomic>
#include <cstdio>
#include <exception>
#include <system_error>
#include <thread>
#include <vector>

#include "cpu_features.h"
#include "dispatch.h"
#include "onnx_roialign.h"
#include "problem.h"

namespace roialign {
namespace {

// The caller's thread works too; a thread that cannot be started leaves its share to the others.
void run_on_threads(void* context, void (*task)(void* user, size_t i), size_t count, void* user) {
  const size_t threads = std::min(static_cast<size_t>(*static_cast<const int*>(context)), count);
  std::atomic<size_t> next{0};
  const auto work = [&] {
    for (size_t i = next++; i < count; i = next++) task(user, i);
  };
  std::vector<std::thread> helpers;
  helpers.reserve(threads - 1);
  try {
    while (helpers.size() + 1 < threads) helpers.emplace_back(work);
  } catch (const std::system_error&) {
  }
  work();
  for (auto& helper : helpers) helper.join();
}

int answer(int status, const std::string& text, char* message, size_t message_size) {
  if (message != nullptr && message_size > 0) std::snprintf(message, message_size, "%s", text.c_str());
  return status;
}

int call(onnx_roialign_args& args, char* message, size_t message_size) {
  if (args.struct_size != sizeof(onnx_roialign_args)) {
    return answer(ONNX_ROIALIGN_INVALID_ARGUMENT, "struct_size must be sizeof(onnx_roialign_args)", message,
                  message_size);
  }
  const Attributes attributes{
      args.output_height,
      args.output_width,
      args.sampling_ratio,
      args.spatial_scale,
      args.mode_max != 0,
      {args.offset, args.min_size, args.start_shift, args.end_shift, args.max_start, args.adaptive_floor != 0,
       args.empty_nan != 0, args.max_samples != 0, args.border_exclusive != 0}};
  const Arrays arrays{static_cast<ElementType>(args.type),
                      static_cast<ElementType>(args.rois_type == 0 ? args.type : args.rois_type),
                      args.X,
                      args.rois,
                      args.batch_indices,
                      args.Y,
                      args.N,
                      args.C,
                      args.H,
                      args.W,
                      args.num_rois};
  std::string error = check_attributes(attributes);
  if (error.empty()) error = check_arrays(attributes, arrays);
  if (error.empty() && args.threads < 0) error = "threads must be at least 0, got " + std::to_string(args.threads);
  if (!error.empty()) return answer(ONNX_ROIALIGN_INVALID_ARGUMENT, error, message, message_size);
  const Isa* isa = choose_isa(args.isa, error);
  if (isa == nullptr) return answer(ONNX_ROIALIGN_NOT_SUPPORTED, error, message, message_size);
  int threads = args.threads == 0 ? usable_cores() : args.threads;
  roi_align(attributes, arrays, *isa, Workers{run_on_threads, &threads, threads});
  args.ran = isa_name(*isa);
  return answer(ONNX_ROIALIGN_OK, "", message, message_size);
}

}  // namespace
}  // namespace roialign

extern "C" int onnx_roialign_call(onnx_roialign_args* args, char* message, size_t message_size) {
  if (args == nullptr) {
    return roialign::answer(ONNX_ROIALIGN_INVALID_ARGUMENT, "args must not be null", message, message_size);
  }
  try {
    return roialign::call(*args, message, message_size);
  } catch (const std::bad_alloc&) {
    return roialign::answer(ONNX_ROIALIGN_FAILED, "memory ran out", message, message_size);
  } catch (const std::exception& failure) {
    return roialign::answer(ONNX_ROIALIGN_FAILED, failure.what(), message, message_size);
  } catch (...) {
    return roialign::answer(ONNX_ROIALIGN_FAILED, "an unknown failure", message, message_size);
  }
}
