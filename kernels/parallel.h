// Runs work that is cut into tasks on a call's workers.
#ifndef ONNX_ROIALIGN_PARALLEL_H_
#define ONNX_ROIALIGN_PARALLEL_H_

#include <atomic>
#include <cstddef>
#include <exception>

#include "problem.h"

namespace roialign {

// Runs body(i) for i in [0, count) on the workers. Where a task throws, its exception (the first, where several do) is
// thrown here after all tasks have ended; tasks that had not begun when it was thrown do nothing.
template <class Body>
void parallel(const Workers& workers, size_t count, const Body& body) {
  if (count <= 1 || workers.threads <= 1) {
    for (size_t i = 0; i < count; ++i) body(i);
    return;
  }
  struct Shared {
    const Body& body;
    std::atomic<bool> failed{false};
    std::exception_ptr failure{};  // written only by the task that sets failed first
  } shared{body};
  workers.parallel_for(
      workers.context,
      [](void* user, size_t i) {
        auto& work = *static_cast<Shared*>(user);
        if (work.failed.load(std::memory_order_relaxed)) return;
        try {
          work.body(i);
        } catch (...) {  // no exception may pass through the workers, which can be ONNX Runtime's
          if (!work.failed.exchange(true)) work.failure = std::current_exception();
        }
      },
      count, &shared);
  if (shared.failure) std::rethrow_exception(shared.failure);
}

}  // namespace roialign

#endif  // ONNX_ROIALIGN_PARALLEL_H_
