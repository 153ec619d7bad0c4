// Times the same calls in several builds of the library, in turns, one JSON object a call, for try_constant.py.
//
//   time_calls ROUNDS LIBRARY...
#include <dlfcn.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <random>
#include <vector>

#include "c/onnx_roialign.h"

namespace {

struct CallShape {
  const char* name;
  int64_t channels, height, width;
  int64_t rois;
  float size;  // pixels of the map along each axis of a RoI, at most; at least half of that
  int64_t output, sampling_ratio;
  int32_t threads;
};

// Each constant by which a call chooses has calls on both sides of it.
constexpr CallShape kShapes[] = {
    {"1 value", 1, 20, 30, 1, 8, 1, 1, 1},
    {"32 samples of 1 RoI", 8, 20, 30, 1, 8, 1, 2, 1},
    {"128 samples of 1 RoI", 32, 20, 30, 1, 8, 1, 2, 1},
    {"4 samples of each of 100 RoIs", 1, 20, 30, 100, 8, 1, 2, 1},
    {"16 samples of each of 100 RoIs", 4, 20, 30, 100, 8, 1, 2, 1},
    {"1,568 values, 2 threads", 32, 50, 84, 1, 20, 7, 2, 2},
    {"6,272 values, 2 threads", 32, 50, 84, 4, 20, 7, 2, 2},
    {"25,088 values, 2 threads", 32, 50, 84, 16, 20, 7, 2, 2},
    {"1 value of 4 channels, 2,000 RoIs", 4, 20, 30, 2000, 8, 1, 2, 1},
    {"1 value of 12 channels, 2,000 RoIs", 12, 20, 30, 2000, 8, 1, 2, 1},
    {"1 value of 16 channels, 2,000 RoIs", 16, 20, 30, 2000, 8, 1, 2, 1},
    {"1 value of 32 channels, 2,000 RoIs", 32, 20, 30, 2000, 8, 1, 2, 1},
    {"1 value of 32 channels, 2,000 RoIs, 2 threads", 32, 20, 30, 2000, 8, 1, 2, 2},
    {"2 x 2 of 6 channels, 8,000 RoIs, large map", 6, 400, 600, 8000, 8, 2, 2, 1},
    {"2 x 2 of 12 channels, 8,000 RoIs, large map", 12, 400, 600, 8000, 8, 2, 2, 1},
    {"7 x 7 of 64 channels, 20 RoIs", 64, 50, 84, 20, 20, 7, 2, 1},
    {"7 x 7 of 64 channels, 100 RoIs, 1.2 MB", 64, 50, 84, 100, 20, 7, 2, 1},
    {"7 x 7 of 256 channels, 50 RoIs, 2.5 MB", 256, 50, 84, 50, 20, 7, 2, 1},
    {"7 x 7 of 256 channels, 200 RoIs, 10 MB", 256, 50, 84, 200, 20, 7, 2, 1},
    {"7 x 7 of 256 channels, 200 RoIs, 2 threads", 256, 50, 84, 200, 20, 7, 2, 2},
    {"7 x 7 of 64 channels, 2,000 RoIs", 64, 50, 84, 2000, 20, 7, 2, 1},
    {"7 x 7 of 64 channels, 500 RoIs, large map", 64, 200, 304, 500, 40, 7, 2, 1},
    {"14 x 14 of 256 channels, 4 RoIs, large map", 256, 200, 304, 4, 200, 14, 1, 1},
    {"28 x 28 of 64 channels, 50 RoIs", 64, 50, 84, 50, 40, 28, 2, 1},
    {"48 x 48 of 64 channels, 10 RoIs", 64, 50, 84, 10, 48, 48, 1, 1},
};

struct Library {
  decltype(&onnx_roialign_defaults) defaults;
  decltype(&onnx_roialign_call) call;
};

Library load(const char* path) {
  void* const library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    std::fprintf(stderr, "%s\n", dlerror());
    std::exit(1);
  }
  return {reinterpret_cast<decltype(&onnx_roialign_defaults)>(dlsym(library, "onnx_roialign_defaults")),
          reinterpret_cast<decltype(&onnx_roialign_call)>(dlsym(library, "onnx_roialign_call"))};
}

class Call {
 public:
  explicit Call(const CallShape& shape)
      : shape_(shape),
        X_(static_cast<size_t>(shape.channels * shape.height * shape.width)),
        batch_indices_(static_cast<size_t>(shape.rois)),
        Y_(static_cast<size_t>(shape.rois * shape.channels * shape.output * shape.output)) {
    std::minstd_rand random(1);
    const auto uniform = [&](float least, float most) {
      return least + (most - least) * static_cast<float>(random()) / static_cast<float>(random.max());
    };
    for (float& feature : X_) feature = uniform(0, 1);
    for (int64_t roi = 0; roi < shape.rois; ++roi) {
      const float width = uniform(shape.size / 2, shape.size), height = uniform(shape.size / 2, shape.size);
      const float x1 = uniform(0, static_cast<float>(shape.width) - width);
      const float y1 = uniform(0, static_cast<float>(shape.height) - height);
      rois_.insert(rois_.end(), {x1, y1, x1 + width, y1 + height});
    }
  }

  // Returns the nanoseconds of one call, from as many calls as take 0.2 ms.
  double time(const Library& library) {
    using Clock = std::chrono::steady_clock;
    onnx_roialign_args args = arguments(library);
    const auto begin = Clock::now();
    for (int64_t calls = 1;; ++calls) {
      char message[512];
      if (library.call(&args, message, sizeof message) != ONNX_ROIALIGN_OK) {
        std::fprintf(stderr, "%s: %s\n", shape_.name, message);
        std::exit(1);
      }
      const double spent = std::chrono::duration<double, std::nano>(Clock::now() - begin).count();
      if (spent > 2e5) return spent / static_cast<double>(calls);
    }
  }

 private:
  onnx_roialign_args arguments(const Library& library) {
    onnx_roialign_args args;
    args.struct_size = sizeof args;
    library.defaults(&args);
    args.X = X_.data();
    args.rois = rois_.data();
    args.batch_indices = batch_indices_.data();
    args.Y = Y_.data();
    args.N = 1;
    args.C = shape_.channels;
    args.H = shape_.height;
    args.W = shape_.width;
    args.num_rois = shape_.rois;
    args.output_height = args.output_width = shape_.output;
    args.sampling_ratio = shape_.sampling_ratio;
    args.threads = shape_.threads;
    return args;
  }

  const CallShape& shape_;
  std::vector<float> X_, rois_;
  std::vector<int64_t> batch_indices_;
  std::vector<float> Y_;
};

}  // namespace

int main(int count, char** arguments) {
  if (count < 3) {
    std::fprintf(stderr, "usage: time_calls ROUNDS LIBRARY...\n");
    return 2;
  }
  const int rounds = std::max(std::atoi(arguments[1]), 1);
  std::vector<Library> libraries;
  for (int i = 2; i < count; ++i) libraries.push_back(load(arguments[i]));
  for (const CallShape& shape : kShapes) {
    Call call(shape);
    // The least of the times: what else a machine does only adds to them.
    std::vector<double> least(libraries.size(), std::numeric_limits<double>::infinity());
    for (int round = 0; round < rounds; ++round) {
      for (size_t i = 0; i < libraries.size(); ++i) least[i] = std::min(least[i], call.time(libraries[i]));
    }
    std::printf("{\"call\": \"%s\", \"ns\": [", shape.name);
    for (size_t i = 0; i < least.size(); ++i) std::printf("%s%.1f", i == 0 ? "" : ", ", least[i]);
    std::printf("]}\n");
    std::fflush(stdout);
  }
}
