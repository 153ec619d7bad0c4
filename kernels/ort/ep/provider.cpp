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

const std::vector<Node>& nodes_of(const Part& part) {
  return std::visit([](const auto& one) -> const std::vector<Node>& { return one.nodes; }, part);
}

std::string what(const Part& part) {
  const auto* const pooler = std::get_if<Pooler>(&part);
  return pooler == nullptr ? "a mask pasting" : "a pooler of " + std::to_string(pooler->levels.size()) + " levels";
}

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
    for (size_t i = 0; i < count; ++i) delete static_cast<FusedNode*>(infos[i]);
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
    std::optional<Part> part = find(graph, *node, info);
    if (!part) continue;
    const std::vector<Node>& group = nodes_of(*part);
    claimed.insert(group.begin(), group.end());
    claim_part(*std::move(part), info);
  }
  for (const Node node : nodes) {
    if (claimed.count(node) == 1 || !knows(graph, node, info) || !graph.is_unowned(node)) continue;
    require_ok(ep_api_.EpGraphSupportInfo_AddSingleNode(info, node));
  }
}

std::optional<Part> Provider::find(const Graph& graph, Node node, OrtEpGraphSupportInfo* info) const {
  if (std::optional<Pasting> pasting = find_pasting(graph, node)) return *std::move(pasting);
  std::optional<Pooler> pooler = find_pooler(graph, node);
  if (!pooler || !knows_all(graph, *pooler, info)) return std::nullopt;
  return *std::move(pooler);
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

void Provider::claim_part(Part part, OrtEpGraphSupportInfo* info) {
  const std::vector<Node>& nodes = nodes_of(part);
  // Of the constants only one is needed, if what it starts with is one.
  const bool needs_constant = std::visit([](const auto& one) { return one.start_is_constant; }, part);
  OrtNodeFusionOptions options{kNewerApiVersion, !needs_constant};
  require_ok(ep_api_.EpGraphSupportInfo_AddNodesToFuse(info, nodes.data(), nodes.size(), &options));
  std::string output = std::visit([](const auto& one) { return one.output; }, part);
  const std::string text = "onnx_roialign runs " + std::to_string(nodes.size()) + " nodes, " + what(part) +
                           " that makes " + output + ", as one node";
  const OrtApi& api = *runtime_.newer;
  succeeded(api, api.Logger_LogMessage(logger_, ORT_LOGGING_LEVEL_INFO, text.c_str(), kFile, __LINE__, "claim"));
  parts_.insert_or_assign(std::move(output), std::move(part));
}

void Provider::compile(const OrtNode** fused, size_t count, OrtNodeComputeInfo** out) const {
  const Graph graph(*runtime_.newer, nullptr);
  std::vector<std::unique_ptr<FusedNode>> made;
  for (size_t i = 0; i < count; ++i) {
    std::vector<std::string> inputs;
    for (const Value input : graph.inputs(fused[i])) inputs.push_back(graph.name(input));
    const std::string output = graph.name(graph.output(fused[i], 0));
    const auto part = parts_.find(output);
    if (part == parts_.end()) {
      throw std::invalid_argument("a fused node must be one that was claimed, got one that makes " + output);
    }
    made.push_back(std::make_unique<FusedNode>(runtime_, options().settings, part->second, inputs));
  }
  for (size_t i = 0; i < count; ++i) out[i] = made[i].release();
}

}  // namespace roialign
