// Finds mask pasting in a graph, as torchvision's TorchScript exporter writes it: a Loop that resizes each mask to its
// box, cuts it at the image's edges and puts zeros around it.
#ifndef ONNX_ROIALIGN_ORT_EP_PASTE_H_
#define ONNX_ROIALIGN_ORT_EP_PASTE_H_

#include <optional>
#include <string>
#include <vector>

#include "ort/ep/graph.h"

namespace roialign {

// What a group of nodes computes: PasteMasks, all in float32. All names are those of values that come into the group.
struct Pasting {
  std::vector<Node> nodes;
  std::string output;  // (N, 1, height, width)
  std::string masks;   // (N, 1, M, M)
  std::string boxes;   // (N, 4)
  std::string start;   // (0, height, width)
  bool start_is_constant;
  std::string node;  // the Loop, as messages name it: " (node 'NAME')"
};

// Returns the pasting whose Loop this is. It is strict: what the Loop computes is read as a formula of the masks, the
// boxes and the size of the image, and must be the one formula.
std::optional<Pasting> find_pasting(const Graph& graph, Node loop);

}  // namespace roialign

#endif  // ONNX_ROIALIGN_ORT_EP_PASTE_H_
