// Finds mask pasting in a graph.
#include "ort/ep/paste.h"

#include <algorithm>
#include <array>
#include <memory>
#include <set>
#include <stdexcept>

#include "ort/attributes.h"
#include "ort/ep/meaning.h"
#include "ort/ep/node_attributes.h"
#include "ort/ep/terms.h"
#include "ort/status.h"

namespace roialign {
namespace {

using namespace ort_abi;  // NOLINT: this file is ONNX Runtime's side of the library

// One axis of an image and of the box in it: the first and the last pixel of the box, both inside.
struct Axis {
  Term first, last, length;
};

// Returns a box's first and last pixel along one axis, enlarged as the mask was by its border.
// torchvision.models.detection.roi_heads.expand_boxes and expand_masks_tracing_scale.
Axis enlarged(Terms& terms, Term low, Term high, Term side, Term length) {
  const Term half = terms.real(0.5F);
  const Term growth = terms.divide(terms.to_real(terms.add(side, terms.integer(2))), terms.to_real(side));
  const Term radius = terms.multiply(terms.multiply(terms.subtract(high, low), half), growth);
  const Term center = terms.multiply(terms.add(high, low), half);
  return {terms.to_integer(terms.subtract(center, radius)), terms.to_integer(terms.add(center, radius)), length};
}

// Returns one image with its mask: torchvision.models.detection.roi_heads._onnx_paste_mask_in_image.
Image pasted(Terms& terms, const Image& mask, const Axis& x, const Axis& y) {
  const Term zero = terms.integer(0), one = terms.integer(1);
  const auto size_of = [&](const Axis& axis) {
    return terms.largest(terms.add(terms.subtract(axis.last, axis.first), one), one);
  };
  Image image = terms.resize(mask, size_of(y), size_of(x));
  const std::array<Axis, 2> axes{y, x};
  std::array<Term, 2> begin{}, end{};
  for (size_t i = 0; i < 2; ++i) {
    begin[i] = terms.largest(axes[i].first, zero);
    end[i] = terms.smallest(terms.add(axes[i].last, one), axes[i].length);
    image = terms.slice(image, i, terms.subtract(begin[i], axes[i].first), terms.subtract(end[i], axes[i].first));
  }
  for (size_t i = 0; i < 2; ++i) {
    std::vector<Term> before = image.sizes, after = image.sizes;
    before[i] = begin[i];
    after[i] = terms.subtract(axes[i].length, end[i]);
    image = terms.join({terms.zeros(before), image, terms.zeros(after)}, i);
    image = terms.slice(image, i, zero, axes[i].length);
  }
  image.sizes.insert(image.sizes.begin(), one);
  return image;
}

class PastingFinder {
 public:
  PastingFinder(const Graph& graph, Node loop) : graph_(graph), loop_(loop), outer_(graph, terms_) {}

  std::optional<Pasting> find() {
    const std::vector<Value> inputs = graph_.inputs(loop_), outputs = graph_.outputs(loop_);
    std::vector<Graph> bodies = graph_.bodies(loop_);
    if (inputs.size() != 3 || outputs.size() != 1 || bodies.size() != 1 || !is_float32(inputs[2])) return std::nullopt;
    const Value masks = padded_masks();
    if (masks == nullptr || !computes_pasting(bodies[0], inputs, masks)) return std::nullopt;
    return describe(inputs[2], outputs[0], masks, *outer_.tables().begin());
  }

 private:
  bool is_float32(Value value) const { return graph_.element_type(value) == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT; }

  // Returns the masks, of which the Loop reads what one Pad makes of them.
  Value padded_masks() {
    Value padded = nullptr;
    for (const Value value : graph_.captured(loop_)) {
      if (!graph_.is(graph_.producer(value), "Pad")) continue;
      if (padded != nullptr) return nullptr;
      padded = value;
    }
    const std::optional<Image> image = outer_.image(padded);
    return image && is_float32(padded) ? graph_.input(graph_.producer(padded), 0) : nullptr;
  }

  // Height and width of what the Loop starts with: no image.
  std::optional<std::array<Term, 2>> image_size(Value start) {
    const std::optional<std::vector<int64_t>> known = graph_.sizes(start);
    if (!known || known->size() != 3) return std::nullopt;
    if (graph_.is_constant(start)) {
      if ((*known)[0] != 0) return std::nullopt;
      return std::array<Term, 2>{terms_.integer((*known)[1]), terms_.integer((*known)[2])};
    }
    const std::optional<Image> image = outer_.image(start);
    if (!image || image->sizes.size() != 3 || terms_.integer_of(image->sizes[0]) != 0) return std::nullopt;
    return std::array<Term, 2>{image->sizes[1], image->sizes[2]};
  }

  // Whether each turn of the Loop appends the image of the mask and the box of that turn, for all masks.
  bool computes_pasting(const Graph& body, const std::vector<Value>& inputs, Value masks) {
    const std::vector<Node> nodes = body.nodes();
    if (!std::all_of(nodes.begin(), nodes.end(), [&body](Node node) { return body.is_unowned(node); })) return false;
    const std::vector<Value> in = body.inputs(), out = body.outputs();
    if (in.size() != 3 || out.size() != 2) return false;
    Meanings inner(body, outer_, graph_.captured(loop_));
    const bool always =
        (graph_.name(inputs[1]).empty() || outer_.integer(inputs[1]) == 1) && inner.integer(out[0]) == 1;
    const std::optional<Term> turns = outer_.number(inputs[0]);
    if (!always || turns != outer_.size(masks, 0)) return false;
    const Node append = body.producer(out[1]);
    const std::vector<Value> appended = body.inputs(append);
    if (!body.is(append, "Concat") || appended.size() != 2 || body.integer(append, "axis", 1) != 0) return false;
    if (body.name(appended[0]) != body.name(in[2])) return false;
    const std::optional<Image> image = inner.image(appended[1]);
    const std::optional<std::array<Term, 2>> size = image_size(inputs[2]);
    if (!image || !size || outer_.tables().size() != 1) return false;
    return *image == expected(masks, *outer_.tables().begin(), *size);
  }

  Image expected(Value masks, Value boxes, const std::array<Term, 2>& size) {
    std::vector<Term> sizes;
    for (size_t axis = 0; axis < 4; ++axis) sizes.push_back(outer_.size(masks, axis));
    const Image mask =
        terms_.at(terms_.at(terms_.with_border(graph_.name(masks), sizes), terms_.turn()), terms_.integer(0));
    std::array<Term, 4> corner{};
    for (size_t column = 0; column < 4; ++column) corner[column] = outer_.column(boxes, column);
    return pasted(terms_, mask, enlarged(terms_, corner[0], corner[2], sizes[3], size[1]),
                  enlarged(terms_, corner[1], corner[3], sizes[3], size[0]));
  }

  // Returns the Unsqueeze that gives the images a channel, and nothing else reads them.
  Node channel(Value images) const {
    const std::vector<Reader> readers = graph_.readers(images);
    if (graph_.is_output(images) || readers.size() != 1 || readers[0].in_body) return nullptr;
    const Node node = readers[0].node;
    return graph_.is(node, "Unsqueeze") && graph_.axes(node) == std::vector<int64_t>{1} ? node : nullptr;
  }

  // Adds the nodes that are only there for those of the group.
  void add_what_only_they_read(std::set<Node>& group, const std::set<Node>& outside) const {
    const std::vector<Node> nodes = graph_.nodes();
    for (auto node = nodes.rbegin(); node != nodes.rend(); ++node) {
      const std::vector<Value> outputs = graph_.outputs(*node);
      const bool joins = std::all_of(outputs.begin(), outputs.end(), [&](Value output) {
        if (output == nullptr || graph_.name(output).empty()) return true;
        const std::vector<Reader> readers = graph_.readers(output);
        return !graph_.is_output(output) && !readers.empty() &&
               std::all_of(readers.begin(), readers.end(),
                           [&group](const Reader& reader) { return group.count(reader.node) == 1; });
      });
      if (joins && outside.count(*node) == 0 && graph_.is_unowned(*node) && graph_.bodies(*node).empty()) {
        group.insert(*node);
      }
    }
  }

  std::optional<Pasting> describe(Value start, Value images, Value masks, Value boxes) const {
    const Node last = channel(images);
    const Value output = graph_.output(last, 0);
    if (output == nullptr || !graph_.is_unowned(last) || !graph_.is_unowned(loop_)) return std::nullopt;
    std::set<Node> group{loop_, last};
    add_what_only_they_read(group, {graph_.producer(masks), graph_.producer(boxes), graph_.producer(start)});
    for (const Value value : {masks, boxes, start}) {
      if (!graph_.comes_into(group, value)) return std::nullopt;
    }
    return Pasting{{group.begin(), group.end()},
                   graph_.name(output),
                   graph_.name(masks),
                   graph_.name(boxes),
                   graph_.name(start),
                   graph_.is_constant(start),
                   AttributeReader(std::make_unique<NodeAttributes>(graph_, loop_)).node()};
  }

  const Graph& graph_;
  const Node loop_;
  Terms terms_;
  Meanings outer_;
};

}  // namespace

std::optional<Pasting> find_pasting(const Graph& graph, Node loop) {
  if (!graph.is(loop, "Loop")) return std::nullopt;
  return found_or_nothing(graph.api(), [&] { return PastingFinder(graph, loop).find(); });
}

}  // namespace roialign
