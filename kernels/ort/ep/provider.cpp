// The execution provider in one session: which nodes it claims, and what runs them.
#include "ort/ep/provider.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <set>
#include <stdexcept>
#include <utility>
#include <vector>

#include "ort/ep/fused.h"
#include "ort/status.h"

namespace roialign {

using namespace ort_abi;  // NOLINT: this file is ONNX Runtime's side of the library

namespace {

constexpr char kRoiAlign[] = "RoiAlign";

// What ONNX Runtime's log names as the file.
constexpr OrtPathChar kFile[] = {'o', 'n', 'n', 'x', '_', 'r', 'o', 'i', 'a', 'l', 'i', 'g', 'n', 0};

}  // namespace

Provider::Provider(const Runtime& runtime, const OrtKernelRegistry* registry, const OrtSessionOptions* options,
                   const OrtLogger* logger)
    : OrtEp{}, runtime_(runtime), ep_api_(*runtime.newer->GetEpApi()), registry_(registry), logger_(logger) {
  ort_version_supported = kNewerApiVersion;
  GetName = [](const OrtEp*) { return kProviderName; };
  GetCapability = [](OrtEp* self, const OrtGraph* graph, OrtEpGraphSupportInfo* info) {
    auto& provider = *static_cast<Provider*>(self);
    return guarded(*provider.runtime_.newer, [&] { provider.claim(graph, info); });
  };
  Compile = [](OrtEp* self, const OrtGraph**, const OrtNode** fused, size_t count, OrtNodeComputeInfo** out,
               OrtNode**) {
    const auto& provider = *static_cast<const Provider*>(self);
    return guarded(*provider.runtime_.newer, [&] { provider.compile(fused, count, out); });
  };
  ReleaseNodeComputeInfos = [](OrtEp*, OrtNodeComputeInfo** infos, size_t count) {
    for (size_t i = 0; i < count; ++i) delete static_cast<FusedPooler*>(infos[i]);
  };
  GetKernelRegistry = [](OrtEp* self, const OrtKernelRegistry** out) -> OrtStatus* {
    *out = static_cast<Provider*>(self)->registry_;
    return nullptr;
  };
  IsConcurrentRunSupported = [](OrtEp*, bool* out) -> OrtStatus* {
    *out = true;
    return nullptr;
  };
  try {
    options_ = read_provider_options(all_entries(*runtime.newer, options));
  } catch (const std::runtime_error& wrong) {
    wrong_options_ = wrong.what();
  } catch (const std::invalid_argument& wrong) {
    wrong_options_ = wrong.what();
  }
}

const ProviderOptions& Provider::options() const {
  if (!wrong_options_.empty()) throw std::invalid_argument(wrong_options_);
  return options_;
}

void Provider::claim(const OrtGraph* ort_graph, OrtEpGraphSupportInfo* info) {
  const Graph graph(*runtime_.newer, ort_graph);
  const std::vector<Node> nodes = graph.nodes();
  std::set<Node> claimed;
  for (auto node = nodes.rbegin(); node != nodes.rend() && options_.fuses; ++node) {
    if (claimed.count(*node) == 1) continue;
    std::optional<Pooler> pooler = find_pooler(graph, *node);
    if (!pooler || !knows_all(graph, *pooler, info)) continue;
    claimed.insert(pooler->nodes.begin(), pooler->nodes.end());
    claim_pooler(*std::move(pooler), info);
  }
  for (const Node node : nodes) {
    if (claimed.count(node) == 1 || !knows(graph, node, info) || !graph.is_unowned(node)) continue;
    require_ok(ep_api_.EpGraphSupportInfo_AddSingleNode(info, node));
  }
}

bool Provider::knows(const Graph& graph, Node node, OrtEpGraphSupportInfo* info) const {
  const OrtKernelDef* known = nullptr;
  if (graph.is(node, kRoiAlign)) require_ok(ep_api_.EpGraphSupportInfo_LookUpKernel(info, node, &known));
  return known != nullptr;
}

bool Provider::knows_all(const Graph& graph, const Pooler& pooler, OrtEpGraphSupportInfo* info) const {
  return std::all_of(pooler.nodes.begin(), pooler.nodes.end(),
                     [&](Node node) { return !graph.is(node, kRoiAlign) || knows(graph, node, info); });
}

void Provider::claim_pooler(Pooler pooler, OrtEpGraphSupportInfo* info) {
  // Of the constants only one is needed, if rows are written into it.
  OrtNodeFusionOptions options{kNewerApiVersion, !pooler.start_is_constant};
  require_ok(ep_api_.EpGraphSupportInfo_AddNodesToFuse(info, pooler.nodes.data(), pooler.nodes.size(), &options));
  const std::string text = "onnx_roialign runs " + std::to_string(pooler.nodes.size()) + " nodes, a pooler of " +
                           std::to_string(pooler.levels.size()) + " levels that makes " + pooler.output +
                           ", as one node";
  const OrtApi& api = *runtime_.newer;
  succeeded(api, api.Logger_LogMessage(logger_, ORT_LOGGING_LEVEL_INFO, text.c_str(), kFile, __LINE__, "claim"));
  std::string output = pooler.output;
  poolers_.insert_or_assign(std::move(output), std::move(pooler));
}

void Provider::compile(const OrtNode** fused, size_t count, OrtNodeComputeInfo** out) const {
  const Graph graph(*runtime_.newer, nullptr);
  std::vector<std::unique_ptr<FusedPooler>> made;
  for (size_t i = 0; i < count; ++i) {
    std::vector<std::string> inputs;
    for (const Value input : graph.inputs(fused[i])) inputs.push_back(graph.name(input));
    const std::string output = graph.name(graph.output(fused[i], 0));
    const auto pooler = poolers_.find(output);
    if (pooler == poolers_.end()) {
      throw std::invalid_argument("a fused node must be a pooler that was claimed, got one that makes " + output);
    }
    made.push_back(std::make_unique<FusedPooler>(runtime_, options().settings, pooler->second, inputs));
  }
  for (size_t i = 0; i < count; ++i) out[i] = made[i].release();
}

}  // namespace roialign
