// Keeps exceptions inside the library: catches what a function throws and reports it in the caller's way.
#ifndef ONNX_ROIALIGN_GUARD_H_
#define ONNX_ROIALIGN_GUARD_H_

#include <exception>
#include <new>
#include <stdexcept>
#include <string>
#include <utility>

namespace roialign {

enum class Failure { kInvalidArgument, kNotSupported, kOther };

// Thrown for an instruction set that the library or the CPU lacks.
class NotSupported : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Throws the problem that a check found; an empty text means that it found none.
inline void require_none(const std::string& problem, const std::string& where = {}) {
  if (!problem.empty()) throw std::invalid_argument(problem + where);
}

// Returns what body returns or, where body throws, what report(failure, text) returns. Every exported function and
// every function that ONNX Runtime calls runs inside it. report must allocate no memory, since memory may have run out.
template <class Body, class Report>
auto guarded(Body&& body, const Report& report) noexcept -> decltype(body()) {
  try {
    return std::forward<Body>(body)();
  } catch (const std::invalid_argument& problem) {
    return report(Failure::kInvalidArgument, problem.what());
  } catch (const NotSupported& problem) {
    return report(Failure::kNotSupported, problem.what());
  } catch (const std::bad_alloc&) {
    return report(Failure::kOther, "memory ran out");
  } catch (const std::exception& problem) {
    return report(Failure::kOther, problem.what());
  } catch (...) {
    return report(Failure::kOther, "an unknown failure");
  }
}

}  // namespace roialign

#endif  // ONNX_ROIALIGN_GUARD_H_
