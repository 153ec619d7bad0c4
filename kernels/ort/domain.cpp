// A domain of custom ops, as ONNX Runtime takes it.
#include "ort/domain.h"

#include <utility>

#include "ort/status.h"

namespace roialign {

using namespace ort_abi;  // NOLINT: this file is ONNX Runtime's side of the library

Domain::Domain(const OrtApi& api, const char* name, std::vector<Op> ops) : api_(api), ops_(std::move(ops)) {
  require_ok(api.CreateCustomOpDomain(name, &domain_));
  for (const Op& op : ops_) {
    if (OrtStatus* status = api.CustomOpDomain_Add(domain_, &op)) {
      api.ReleaseCustomOpDomain(domain_);
      throw OrtFailure(status);
    }
  }
}

void Domain::add_to(OrtSessionOptions* options) const { require_ok(api_.AddCustomOpDomain(options, domain_)); }

std::unique_ptr<Domain> make_private_domain(const Runtime& runtime, const std::optional<Settings>& settings) {
  std::vector<Op> ops;
  for (const ElementType type : kElementTypes) {
    for (const ElementType rois_type : kElementTypes) {
      for (const char* name : kPrivateNames) ops.push_back(make_any_roi_align(runtime, name, type, rois_type));
      ops.push_back(make_multiscale_roi_align(runtime, type, rois_type));
      ops.push_back(make_paste_masks(runtime, type, rois_type));
    }
  }
  for (const auto type : kQuantizedTypes) ops.push_back(make_qlinear_roi_align(runtime, type));
  for (Op& op : ops) op.settings = settings;
  return std::make_unique<Domain>(*runtime.api, "onnx_roialign", std::move(ops));
}

}  // namespace roialign
