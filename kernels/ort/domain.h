// A domain of custom ops, as ONNX Runtime takes it.
#ifndef ONNX_ROIALIGN_ORT_DOMAIN_H_
#define ONNX_ROIALIGN_ORT_DOMAIN_H_

#include <memory>
#include <optional>
#include <vector>

#include "ort/abi.h"
#include "ort/ops.h"
#include "ort/runtime.h"

namespace roialign {

// ONNX Runtime keeps pointers to the domain and to its ops.
class Domain {
 public:
  Domain(const ort_abi::OrtApi& api, const char* name, std::vector<Op> ops);
  ~Domain() { api_.ReleaseCustomOpDomain(domain_); }
  Domain(const Domain&) = delete;
  Domain& operator=(const Domain&) = delete;

  const ort_abi::OrtApi& api() const { return api_; }
  const std::vector<Op>& ops() const { return ops_; }
  ort_abi::OrtCustomOpDomain* get() const { return domain_; }
  void add_to(ort_abi::OrtSessionOptions* options) const;

 private:
  const ort_abi::OrtApi& api_;
  const std::vector<Op> ops_;
  ort_abi::OrtCustomOpDomain* domain_ = nullptr;
};

// Makes the domain onnx_roialign, whose kernels have these settings.
std::unique_ptr<Domain> make_private_domain(const Runtime& runtime, const std::optional<Settings>& settings);

}  // namespace roialign

#endif  // ONNX_ROIALIGN_ORT_DOMAIN_H_
