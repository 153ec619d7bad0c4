// A group of nodes that became one node of a session: what ONNX Runtime calls for it.
#include "ort/ep/fused.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <utility>

#include "element.h"
#include "ort/ops.h"
#include "ort/paste_masks.h"
#include "ort/status.h"
#include "ort/tensors.h"
#include "problem.h"

namespace roialign {
namespace {

using namespace ort_abi;  // NOLINT: this file is ONNX Runtime's side of the library

size_t index_of(const std::vector<std::string>& names, const std::string& name) {
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end()) throw std::invalid_argument("a fused node must have the input " + name + ", got none");
  return static_cast<size_t>(found - names.begin());
}

// A pooler whose inputs are those of a node, by their number.
struct FusedPlan {
  struct Level {
    size_t map;
    int64_t number;
    Attributes attributes;
    std::string node;
  };

  Runtime runtime;
  const Isa* isa;
  int threads;
  ElementType type;
  std::vector<Level> levels;
  size_t boxes;
  size_t level_numbers;
  size_t start;
  bool start_is_zero;
};

// As Cast to int64; a number that int64 does not have becomes one that no image has.
template <class T>
int64_t image_of(T number) {
  constexpr T kMost = static_cast<T>(int64_t{1} << 62);
  return number > -kMost && number < kMost ? static_cast<int64_t>(number) : std::numeric_limits<int64_t>::min();
}

// One run of a fused pooler. It checks what the nodes that it replaces check, each level by itself.
template <class T>
class Run {
 public:
  Run(const FusedPlan& plan, OrtKernelContext* context)
      : plan_(plan),
        context_(context),
        boxes_(read_input(plan.runtime, context, plan.boxes)),
        numbers_(read_input(plan.runtime, context, plan.level_numbers)),
        start_(read_input(plan.runtime, context, plan.start)) {}

  void operator()() {
    take_boxes();
    for (const FusedPlan::Level& level : plan_.levels) check(level);
    const std::array<int64_t, 4> shape = output_shape();
    Y_ = make_output(*plan_.runtime.newer, context_, shape);
    row_bytes_ = static_cast<size_t>(shape[1] * shape[2] * shape[3]) * sizeof(T);
    begin(static_cast<size_t>(shape[0]));
    if (shape[1] == 0) return;
    for (size_t i = 0; i < members_.size(); ++i) pool(i);
  }

 private:
  // Copies the boxes as RoIAlign takes them.
  void take_boxes() {
    const bool fits = boxes_.shape.size() == 2 && boxes_.shape[1] >= 5 && numbers_.shape.size() == 1 &&
                      numbers_.shape[0] == boxes_.shape[0];
    if (!fits) {
      refuse("boxes must have shape (K, 5) and their levels (K,), got shapes " + shape_text(boxes_.shape) + " and " +
             shape_text(numbers_.shape));
    }
    const auto rows = static_cast<size_t>(boxes_.shape[0]), columns = static_cast<size_t>(boxes_.shape[1]);
    const auto* box = static_cast<const T*>(boxes_.data);
    for (size_t row = 0; row < rows; ++row, box += columns) {
      batch_indices_.push_back(image_of(to_compute(box[0])));
      rois_.insert(rois_.end(), box + 1, box + 5);
    }
  }

  // Finds the rows of a level, and makes the checks of its RoiAlign.
  void check(const FusedPlan::Level& level) {
    std::vector<int64_t> rows;
    const auto* numbers = static_cast<const int64_t*>(numbers_.data);
    for (int64_t row = 0; row < numbers_.shape[0]; ++row) {
      if (numbers[row] == level.number) rows.push_back(row);
    }
    std::vector<T> rois;
    std::vector<int64_t> batch_indices;
    for (const int64_t row : rows) {
      const auto first = rois_.begin() + row * 4;
      rois.insert(rois.end(), first, first + 4);
      batch_indices.push_back(batch_indices_[static_cast<size_t>(row)]);
    }
    const auto count = static_cast<int64_t>(rows.size());
    const std::array<int64_t, 2> shape{count, 4};
    const Tensor X = read_input(plan_.runtime, context_, level.map);
    const Tensor own_rois{Dimensions(shape.data(), 2), rois.data()};
    const Tensor own_indices{Dimensions(shape.data(), 1), batch_indices.data()};
    require_none(check_shapes(X, own_rois, own_indices), level.node);
    const Arrays arrays = arrays_of(plan_.type, plan_.type, X, own_rois, own_indices);
    require_none(check_sizes(level.attributes, arrays), level.node);
    require_none(check_values(level.attributes, arrays), level.node);
    maps_.push_back(arrays);
    members_.push_back(std::move(rows));
  }

  std::array<int64_t, 4> output_shape() const {
    const Arrays& first = maps_.front();
    Arrays all = first;
    const bool is_number = start_.shape.size() == 0 || (start_.shape.size() == 1 && start_.shape[0] == 1);
    all.num_rois = -1;
    if (plan_.start_is_zero && is_number) all.num_rois = *static_cast<const int64_t*>(start_.data);
    if (!plan_.start_is_zero && start_.shape.size() == 4) all.num_rois = start_.shape[0];
    const std::array<int64_t, 4> shape = pooled_shape(plan_.levels.front().attributes, all);
    bool fits = all.num_rois >= 0;
    for (size_t axis = 0; axis < 4 && fits && !plan_.start_is_zero; ++axis) fits = start_.shape[axis] == shape[axis];
    for (const Arrays& map : maps_) fits = fits && map.C == first.C;
    for (const std::vector<int64_t>& rows : members_) fits = fits && (rows.empty() || rows.back() < all.num_rois);
    if (!fits) {
      refuse("pooled rows must fit into (rows, C, output_height, output_width), got maps of " +
             std::to_string(first.C) + " channels, " + std::to_string(boxes_.shape[0]) +
             " rows and a tensor of shape " +
             (plan_.start_is_zero ? "(" + std::to_string(all.num_rois) + ", ...)" : shape_text(start_.shape)));
    }
    require_none(check_sizes(plan_.levels.front().attributes, all), plan_.levels.front().node);
    return shape;
  }

  // Writes the rows that no level has.
  void begin(size_t rows) {
    std::vector<char> has_level(rows, 0);
    for (const std::vector<int64_t>& members : members_) {
      for (const int64_t row : members) has_level[static_cast<size_t>(row)] = 1;
    }
    for (size_t row = 0; row < rows; ++row) {
      if (has_level[row] || row_bytes_ == 0) continue;
      char* const to = static_cast<char*>(Y_) + row * row_bytes_;
      if (plan_.start_is_zero) {
        std::memset(to, 0, row_bytes_);
      } else {
        std::memcpy(to, static_cast<const char*>(start_.data) + row * row_bytes_, row_bytes_);
      }
    }
  }

  void pool(size_t level) {
    Arrays arrays = maps_[level];
    arrays.rois = rois_.data();
    arrays.batch_indices = batch_indices_.data();
    arrays.Y = Y_;
    arrays.rows = members_[level].data();
    if (arrays.num_rois == 0) return;
    SessionPool threads{*plan_.runtime.newer, context_};
    roi_align(plan_.levels[level].attributes, arrays, *plan_.isa, {SessionPool::parallel_for, &threads, plan_.threads});
  }

  [[noreturn]] void refuse(const std::string& problem) const {
    throw std::invalid_argument(problem + plan_.levels.back().node);
  }

  const FusedPlan& plan_;
  OrtKernelContext* const context_;
  const Tensor boxes_, numbers_, start_;
  std::vector<T> rois_;
  std::vector<int64_t> batch_indices_;
  std::vector<Arrays> maps_;                   // of each level
  std::vector<std::vector<int64_t>> members_;  // the rows of each level's RoIs
  void* Y_ = nullptr;
  size_t row_bytes_ = 0;
};

using RunPart = std::function<void(OrtKernelContext*)>;

RunPart run_of(const Runtime& runtime, const Settings& settings, const Pooler& pooler,
               const std::vector<std::string>& inputs) {
  FusedPlan plan{runtime,
                 &isa_of(settings),
                 settings.threads,
                 pooler.type,
                 {},
                 index_of(inputs, pooler.boxes),
                 index_of(inputs, pooler.level_numbers),
                 index_of(inputs, pooler.start),
                 pooler.start_is_zero};
  for (const PoolerLevel& level : pooler.levels) {
    plan.levels.push_back({index_of(inputs, level.map), level.number, level.attributes, level.node});
  }
  return [plan = std::move(plan)](OrtKernelContext* context) {
    switch (plan.type) {
      case ElementType::kFloat64:
        return Run<double>(plan, context)();
      case ElementType::kFloat32:
        return Run<float>(plan, context)();
      case ElementType::kFloat16:
        return Run<Half>(plan, context)();
      case ElementType::kBFloat16:
        return Run<BFloat16>(plan, context)();
    }
  };
}

RunPart run_of(const Runtime& runtime, const Settings& settings, const Pasting& pasting,
               const std::vector<std::string>& inputs) {
  const PasteSettings paste{ElementType::kFloat32, ElementType::kFloat32, pasting.node, settings.threads};
  const size_t masks = index_of(inputs, pasting.masks), boxes = index_of(inputs, pasting.boxes),
               start = index_of(inputs, pasting.start);
  return [=](OrtKernelContext* context) {
    const Tensor none = read_input(runtime, context, start);
    if (none.shape.size() != 3) {
      throw std::invalid_argument("images must start as shape (0, height, width), got shape " + shape_text(none.shape) +
                                  paste.node);
    }
    run_paste_masks(runtime, context, paste, read_input(runtime, context, masks), read_input(runtime, context, boxes),
                    none.shape[1], none.shape[2]);
  };
}

}  // namespace

FusedNode::FusedNode(const Runtime& made_in, const Settings& settings, const Part& part,
                     const std::vector<std::string>& inputs)
    : OrtNodeComputeInfo{},
      runtime(made_in),
      run(std::visit([&](const auto& one) { return run_of(made_in, settings, one, inputs); }, part)) {
  ort_version_supported = kNewerApiVersion;
  CreateState = [](OrtNodeComputeInfo*, OrtNodeComputeContext*, void** out) -> OrtStatus* {
    *out = nullptr;  // nothing changes from run to run
    return nullptr;
  };
  Compute = [](OrtNodeComputeInfo* self, void*, OrtKernelContext* context) {
    const auto& node = *static_cast<const FusedNode*>(self);
    return guarded(*node.runtime.newer, [&] { node.run(context); });
  };
  ReleaseState = [](OrtNodeComputeInfo*, void*) {};
}

}  // namespace roialign
