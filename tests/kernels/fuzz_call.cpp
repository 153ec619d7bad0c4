// A libFuzzer target: bytes become one call of onnx_roialign_call, whose arrays lie at exactly their sizes.
//
// The bytes are read field by field: a byte chooses among good values, ugly ones, and one that the bytes spell. What
// the checks let pass is bounded, so that an input takes milliseconds: it is shrunk where it asks for more.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "onnx_roialign.h"

namespace {

constexpr int64_t kMostElements = int64_t{1} << 14;
constexpr int64_t kMostSamples = 256;  // of a bin and axis, where the grid is fixed

class Bytes {
 public:
  Bytes(const uint8_t* data, size_t size) : at_(data), end_(data + size) {}

  template <class T>
  T take() {
    T value{};
    const size_t size = std::min(sizeof value, static_cast<size_t>(end_ - at_));
    if (size > 0) std::memcpy(&value, at_, size);
    at_ += size;
    return value;
  }

  size_t below(size_t count) { return take<uint8_t>() % count; }

  // One of good, mostly; one of ugly; or what the bytes spell.
  template <class T>
  T pick(const std::vector<T>& good, const std::vector<T>& ugly) {
    const size_t way = take<uint8_t>();
    if (way < 224) return good[way % good.size()];
    return way < 248 ? ugly[way % ugly.size()] : take<T>();
  }

  bool chance(size_t of_256) { return take<uint8_t>() >= 256 - of_256; }

  void fill(unsigned char* to, size_t size) {
    const size_t begin = static_cast<size_t>(end_ - at_);
    if (begin == 0) return;
    for (size_t i = 0; i < size; ++i) to[i] = at_[i % begin];
  }

 private:
  const uint8_t* at_;
  const uint8_t* end_;
};

const double kInfinity = std::numeric_limits<double>::infinity(), kNaN = std::numeric_limits<double>::quiet_NaN();
const std::vector<double> kUglyDoubles = {kNaN, kInfinity, -kInfinity, 0, -0.0, 1e-45, 1e39, -1e39, 1e300, -1, 1e9};
const std::vector<int64_t> kUglyIntegers = {0,
                                            -1,
                                            int64_t{1} << 31,
                                            int64_t{1} << 40,
                                            int64_t{1} << 62,
                                            std::numeric_limits<int64_t>::min(),
                                            std::numeric_limits<int64_t>::max(),
                                            16384,
                                            32768,
                                            32769};
const std::vector<int32_t> kUglyFlags = {-1, 2, std::numeric_limits<int32_t>::max()};

size_t size_of(int32_t type) {
  if (type == ONNX_ROIALIGN_FLOAT64) return 8;
  return type == ONNX_ROIALIGN_FLOAT16 || type == ONNX_ROIALIGN_BFLOAT16 ? 2 : 4;
}

// An array at exactly its size, begun where malloc begins it: aligned for every type.
using Array = std::unique_ptr<unsigned char[]>;

Array make(size_t size) { return Array(new unsigned char[size]()); }

int64_t at_least(int64_t size, int64_t least) { return std::max(size, least); }

// Sizes that no array here can have, but that the checks would let pass, become small.
void shrink(onnx_roialign_args& args) {
  for (int64_t* size : {&args.N, &args.C, &args.H, &args.W, &args.num_rois}) {
    if (*size > 512) *size = *size % 512 + 1;
  }
  const auto elements = [&] {
    const int64_t channels = at_least(args.C, 1);
    const int64_t y = at_least(args.num_rois, 1) * channels * std::clamp<int64_t>(args.output_height, 1, 32768);
    return std::max(at_least(args.N, 1) * channels * at_least(args.H, 1) * at_least(args.W, 1),
                    y * std::clamp<int64_t>(args.output_width, 1, 32768));
  };
  for (int64_t* size : {&args.N, &args.num_rois, &args.C, &args.H, &args.W, &args.output_height, &args.output_width}) {
    while (elements() > kMostElements && *size > 1) *size /= 2;
  }
  if (args.sampling_ratio > kMostSamples && args.sampling_ratio <= 16384) args.sampling_ratio = kMostSamples;
}

void fill_rois(Bytes& bytes, const onnx_roialign_args& args, unsigned char* rois) {
  const int32_t type = args.rois_type == 0 ? args.type : args.rois_type;
  for (int64_t i = 0; i < args.num_rois * 4; ++i) {
    const std::vector<double> good = {0, 1, 2.5, -3, 7, 12, 40.25};
    const double value = bytes.pick<double>(good, kUglyDoubles);
    const float narrow = static_cast<float>(value);
    uint32_t bits;
    std::memcpy(&bits, &narrow, sizeof bits);
    unsigned char* const to = rois + static_cast<size_t>(i) * size_of(type);
    if (type == ONNX_ROIALIGN_FLOAT64) {
      std::memcpy(to, &value, sizeof value);
    } else if (type == ONNX_ROIALIGN_FLOAT16) {
      const auto half = bytes.take<uint16_t>();
      std::memcpy(to, &half, sizeof half);
    } else if (type == ONNX_ROIALIGN_BFLOAT16) {
      const auto upper = static_cast<uint16_t>(bits >> 16);
      std::memcpy(to, &upper, sizeof upper);
    } else {
      std::memcpy(to, &narrow, sizeof narrow);
    }
  }
}

void read_attributes(Bytes& bytes, onnx_roialign_args& args) {
  args.output_height = bytes.pick<int64_t>({1, 1, 2, 3, 7, 8, 17}, kUglyIntegers);
  args.output_width = bytes.pick<int64_t>({1, 1, 2, 3, 7, 8, 17}, kUglyIntegers);
  args.sampling_ratio = bytes.pick<int64_t>({0, 0, 1, 2, 3, 33}, kUglyIntegers);
  args.spatial_scale = bytes.pick<double>({1, 0.5, 0.1, 3}, kUglyDoubles);
  args.offset = bytes.pick<double>({0.5, 0}, kUglyDoubles);
  args.min_size = bytes.pick<double>({-kInfinity, 1}, kUglyDoubles);
  args.start_shift = bytes.pick<double>({0, 0.5}, kUglyDoubles);
  args.end_shift = bytes.pick<double>({0, 1}, kUglyDoubles);
  args.max_start = bytes.pick<double>({-kInfinity, 0, -1e4}, kUglyDoubles);
  for (int32_t* flag :
       {&args.mode_max, &args.adaptive_floor, &args.empty_nan, &args.max_samples, &args.border_exclusive}) {
    *flag = bytes.pick<int32_t>({0, 1}, kUglyFlags);
  }
  args.threads = bytes.pick<int32_t>({1, 1, 1, 2}, {0, -1, 3, 1025});
}

std::string read_isa(Bytes& bytes) {
  const char* const* const isas = onnx_roialign_isas();
  size_t count = 0;
  while (isas[count] != nullptr) ++count;
  if (!bytes.chance(8)) return isas[bytes.below(count)];
  std::string name(bytes.below(200), '\0');
  bytes.fill(reinterpret_cast<unsigned char*>(name.data()), name.size());
  return name;
}

// The struct at exactly the size that it says, and the message at its own.
void call(Bytes& bytes, onnx_roialign_args& args) {
  const size_t first = offsetof(onnx_roialign_args, ran) + sizeof(const char*);
  const std::vector<size_t> sizes = {first, first + 8, sizeof args + 8, 4096, 0, first - 1, 4097};
  args.struct_size = bytes.chance(16) ? sizes[bytes.below(sizes.size())] : sizeof args;
  const bool known = args.struct_size >= first && args.struct_size <= 4096;
  const size_t size = known ? args.struct_size : sizeof args;
  const Array given = make(size);
  std::memcpy(given.get(), &args, std::min(size, sizeof args));
  if (size > sizeof args) given[size - 1] = bytes.take<uint8_t>() % 2;
  auto* const struct_of_that_size = reinterpret_cast<onnx_roialign_args*>(given.get());
  const size_t message_size = bytes.chance(32) ? bytes.below(64) : 256;
  const auto message = std::make_unique<char[]>(message_size);
  std::fill_n(message.get(), message_size, 'x');
  const int status = onnx_roialign_call(struct_of_that_size, message.get(), message_size);
  const bool ended = message_size == 0 || std::memchr(message.get(), 0, message_size) != nullptr;
  const bool says = message_size < 2 || (message[0] != '\0') == (status != ONNX_ROIALIGN_OK);
  if (status >= ONNX_ROIALIGN_OK && status <= ONNX_ROIALIGN_NOT_SUPPORTED && ended && says) return;
  std::fprintf(stderr, "status %d, message '%.*s'\n", status, static_cast<int>(message_size), message.get());
  std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Bytes bytes(data, size);
  onnx_roialign_args args;
  args.struct_size = sizeof args;
  onnx_roialign_defaults(&args);
  const std::vector<int32_t> types = {ONNX_ROIALIGN_FLOAT32, ONNX_ROIALIGN_FLOAT16, ONNX_ROIALIGN_FLOAT64,
                                      ONNX_ROIALIGN_BFLOAT16};
  args.type = bytes.pick<int32_t>(types, {0, 7, -1});
  args.rois_type = bytes.pick<int32_t>({0, 0, 0, 0, 1, 10, 11, 16}, {7, -1});
  args.N = bytes.pick<int64_t>({1, 2}, kUglyIntegers);
  args.C = bytes.pick<int64_t>({1, 2, 5, 16, 17, 33}, kUglyIntegers);
  args.H = bytes.pick<int64_t>({1, 2, 7, 16, 31}, kUglyIntegers);
  args.W = bytes.pick<int64_t>({1, 2, 8, 17, 40}, kUglyIntegers);
  args.num_rois = bytes.pick<int64_t>({1, 1, 2, 5, 40, 130}, kUglyIntegers);
  read_attributes(bytes, args);
  // Negative sizes stay: the checks refuse them before an array is looked at.
  onnx_roialign_args real = args;
  shrink(real);
  const bool refused = args.N < 0 || args.C < 0 || args.H < 0 || args.W < 0 || args.num_rois < 0;
  if (!refused) args = real;
  const auto bytes_of = [](int64_t elements, size_t item) {
    return elements > 0 ? static_cast<size_t>(elements) * item : 0;
  };
  const bool honest = !refused && args.output_height > 0 && args.output_width > 0;
  const size_t item = size_of(args.type), rois_item = size_of(args.rois_type == 0 ? args.type : args.rois_type);
  const Array X = make(honest ? bytes_of(args.N * args.C * args.H * args.W, item) : 0);
  const Array rois = make(honest ? bytes_of(args.num_rois * 4, rois_item) : 0);
  const Array indices = make(honest ? bytes_of(args.num_rois, sizeof(int64_t)) : 0);
  const Array Y = make(honest ? bytes_of(args.num_rois * args.C * args.output_height * args.output_width, item) : 0);
  const std::string isa = read_isa(bytes);
  if (!bytes.chance(64)) args.isa = isa.c_str();
  args.X = bytes.chance(4) ? nullptr : X.get();
  args.rois = bytes.chance(4) ? nullptr : rois.get();
  args.batch_indices = bytes.chance(4) ? nullptr : reinterpret_cast<const int64_t*>(indices.get());
  args.Y = bytes.chance(4) ? nullptr : Y.get();
  if (honest) {
    fill_rois(bytes, args, rois.get());
    for (int64_t i = 0; i < args.num_rois; ++i) {
      const int64_t image = bytes.pick<int64_t>({0, args.N - 1}, kUglyIntegers);
      std::memcpy(indices.get() + static_cast<size_t>(i) * sizeof image, &image, sizeof image);
    }
    bytes.fill(X.get(), bytes_of(args.N * args.C * args.H * args.W, item));
  }
  // Two maps of the same pixels, in an array of exactly two.
  const onnx_roialign_map two[] = {{args.X, args.H, args.W, bytes.pick<double>({1, 0.5}, kUglyDoubles)},
                                   {X.get(), args.H, args.W, bytes.pick<double>({0.25, 3}, kUglyDoubles)}};
  const Array maps = make(sizeof two), levels = make(honest ? bytes_of(args.num_rois, sizeof(int64_t)) : 0);
  std::memcpy(maps.get(), two, sizeof two);
  if (bytes.chance(64)) {
    args.features = reinterpret_cast<const onnx_roialign_map*>(maps.get());
    args.num_features = bytes.chance(4) ? bytes.pick<int64_t>({0, 17}, {-1}) : 1 + bytes.take<uint8_t>() % 2;
    if (args.num_features > 2 && args.num_features <= 16) args.num_features = 2;  // spelled, but there are two maps
    args.levels = bytes.chance(4) ? nullptr : reinterpret_cast<const int64_t*>(levels.get());
    for (int64_t i = 0; honest && i < args.num_rois; ++i) {
      const int64_t level = bytes.pick<int64_t>({0, 1}, kUglyIntegers);
      std::memcpy(levels.get() + static_cast<size_t>(i) * sizeof level, &level, sizeof level);
    }
  }
  call(bytes, args);
  return 0;
}
