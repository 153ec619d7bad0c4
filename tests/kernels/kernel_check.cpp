// A program: makes the calls of a file on one library and writes what it answered, where there is no Python to do it.
//
//   kernel_check LIBRARY CALLS ANSWERS ISA THREADS
//
// CALLS holds per call an onnx_roialign_args whose pointers are null, then X, rois and batch_indices; ANSWERS each
// call's Y. Each call is made twice, with arrays that end where a page begins that nobody may touch, and that begin
// where one ends: a vector that reaches past either ends the process. Prints how many calls it made and the instruction
// set that ran; ISA "" leaves the choice to the library.
#if defined(_WIN32)
#include <windows.h>
#else
#include <dlfcn.h>
#include <sys/mman.h>
#include <unistd.h>
#endif

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <initializer_list>
#include <string>
#include <vector>

#include "onnx_roialign.h"

namespace {

constexpr unsigned char kUnwritten = 0xa5;

[[noreturn]] void fail(const std::string& text) {
  std::fprintf(stderr, "%s\n", text.c_str());
  std::exit(1);
}

#if defined(_WIN32)
constexpr size_t kPage = 4096;

unsigned char* map_forbidden(size_t bytes) {
  return static_cast<unsigned char*>(VirtualAlloc(nullptr, bytes, MEM_RESERVE | MEM_COMMIT, PAGE_NOACCESS));
}

bool allow(void* begin, size_t bytes) {
  DWORD before;
  return VirtualProtect(begin, bytes, PAGE_READWRITE, &before) != 0;
}

void unmap(void* begin, size_t) { VirtualFree(begin, 0, MEM_RELEASE); }

void* find(const char* path, const char* name) {
  const HMODULE library = LoadLibraryA(path);
  if (library == nullptr) fail("LoadLibrary failed");
  return reinterpret_cast<void*>(GetProcAddress(library, name));
}
#else
const size_t kPage = static_cast<size_t>(sysconf(_SC_PAGESIZE));

unsigned char* map_forbidden(size_t bytes) {
  void* const mapped = mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return mapped == MAP_FAILED ? nullptr : static_cast<unsigned char*>(mapped);
}

bool allow(void* begin, size_t bytes) { return mprotect(begin, bytes, PROT_READ | PROT_WRITE) == 0; }

void unmap(void* begin, size_t bytes) { munmap(begin, bytes); }

void* find(const char* path, const char* name) {
  void* const library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) fail(dlerror());
  return dlsym(library, name);
}
#endif

enum class Side { kBegin, kEnd };

// Bytes between two forbidden pages that touch one of them; what lies between them and the other must keep its value.
class Fenced {
 public:
  Fenced(size_t bytes, Side side) : bytes_(bytes) {
    usable_ = (bytes + kPage - 1) / kPage * kPage;
    mapped_ = usable_ + 2 * kPage;
    unsigned char* const mapped = map_forbidden(mapped_);
    if (mapped == nullptr) fail("memory cannot be mapped");
    begin_ = mapped + kPage;
    if (usable_ > 0 && !allow(begin_, usable_)) fail("memory cannot be made writable");
    std::fill(begin_, begin_ + usable_, kUnwritten);
    data_ = side == Side::kBegin ? begin_ : begin_ + (usable_ - bytes);
  }
  Fenced(const Fenced&) = delete;
  Fenced& operator=(const Fenced&) = delete;
  ~Fenced() { unmap(begin_ - kPage, mapped_); }

  void* data() { return data_; }
  void fill(const std::vector<char>& bytes) { std::copy(bytes.begin(), bytes.end(), reinterpret_cast<char*>(data_)); }
  std::vector<char> copy() const { return std::vector<char>(data_, data_ + bytes_); }
  void check() const {
    const auto written = [](unsigned char byte) { return byte != kUnwritten; };
    if (std::any_of(begin_, data_, written) || std::any_of(data_ + bytes_, begin_ + usable_, written)) {
      fail("something was written beside an array");
    }
  }

 private:
  size_t bytes_;
  size_t usable_;
  size_t mapped_;
  unsigned char* begin_;
  unsigned char* data_;
};

size_t item_size(int32_t type) {
  switch (type) {
    case ONNX_ROIALIGN_FLOAT32:
      return 4;
    case ONNX_ROIALIGN_FLOAT64:
      return 8;
    case ONNX_ROIALIGN_FLOAT16:
    case ONNX_ROIALIGN_BFLOAT16:
      return 2;
  }
  fail("CALLS names an unknown type");
}

size_t product(std::initializer_list<int64_t> sizes) {
  int64_t result = 1;
  for (const int64_t size : sizes) result *= size;
  return static_cast<size_t>(result);
}

using Call = decltype(&onnx_roialign_call);

Call load(const char* path) {
  void* const symbol = find(path, "onnx_roialign_call");
  if (symbol == nullptr) fail("the library has no onnx_roialign_call");
  Call call;
  std::memcpy(&call, &symbol, sizeof call);
  return call;
}

struct Inputs {
  std::vector<char> X, rois, batch_indices;
};

std::vector<char> read(std::istream& from, size_t bytes) {
  std::vector<char> read(bytes);
  if (!from.read(read.data(), static_cast<std::streamsize>(bytes))) fail("CALLS ends in a call");
  return read;
}

std::vector<char> answer(Call call, onnx_roialign_args args, const Inputs& inputs, size_t y_bytes, Side side) {
  Fenced X(inputs.X.size(), side), rois(inputs.rois.size(), side), batch_indices(inputs.batch_indices.size(), side);
  Fenced Y(y_bytes, side);
  X.fill(inputs.X);
  rois.fill(inputs.rois);
  batch_indices.fill(inputs.batch_indices);
  args.X = X.data();
  args.rois = rois.data();
  args.batch_indices = static_cast<const int64_t*>(batch_indices.data());
  args.Y = Y.data();
  char message[512];
  if (call(&args, message, sizeof message) != ONNX_ROIALIGN_OK) fail(message);
  if (args.isa != nullptr && std::strcmp(args.ran, args.isa) != 0) fail(std::string("ran ") + args.ran);
  for (const Fenced* array : {&X, &rois, &batch_indices, &Y}) array->check();
  return Y.copy();
}

void make_call(Call call, const onnx_roialign_args& args, std::istream& calls, std::ostream& answers) {
  const size_t size = item_size(args.type);
  Inputs inputs;
  inputs.X = read(calls, product({args.N, args.C, args.H, args.W}) * size);
  inputs.rois = read(calls, product({args.num_rois, 4}) * size);
  inputs.batch_indices = read(calls, product({args.num_rois}) * sizeof(int64_t));
  const size_t y_bytes = product({args.num_rois, args.C, args.output_height, args.output_width}) * size;
  const std::vector<char> at_end = answer(call, args, inputs, y_bytes, Side::kEnd);
  if (answer(call, args, inputs, y_bytes, Side::kBegin) != at_end) fail("the same call twice has two answers");
  answers.write(at_end.data(), static_cast<std::streamsize>(y_bytes));
}

const char* default_isa(Call call) {
  onnx_roialign_args args{};
  args.struct_size = sizeof args;
  args.type = ONNX_ROIALIGN_FLOAT32;
  args.output_height = args.output_width = 1;
  args.spatial_scale = 1;
  char message[512];
  if (call(&args, message, sizeof message) != ONNX_ROIALIGN_OK) fail(message);
  return args.ran;
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 6) fail("usage: kernel_check LIBRARY CALLS ANSWERS ISA THREADS");
  const Call call = load(arguments[1]);
  std::ifstream calls(arguments[2], std::ios::binary);
  std::ofstream answers(arguments[3], std::ios::binary);
  if (!calls || !answers) fail("CALLS or ANSWERS cannot be opened");
  const std::string isa = arguments[4];
  const int threads = std::atoi(arguments[5]);
  int made = 0;
  onnx_roialign_args args;
  while (calls.read(reinterpret_cast<char*>(&args), sizeof args)) {
    args.isa = isa.empty() ? nullptr : isa.c_str();
    args.threads = threads;
    make_call(call, args, calls, answers);
    ++made;
  }
  if (calls.gcount() != 0 || !answers.flush()) fail("CALLS ends in a call, or ANSWERS cannot be written");
  std::printf("%d calls on %s\n", made, isa.empty() ? default_isa(call) : isa.c_str());
}
