// Memory for many small arrays that are released together. Each array begins at a cache line, after the one before.
#ifndef ONNX_ROIALIGN_MEMORY_H_
#define ONNX_ROIALIGN_MEMORY_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <new>
#include <utility>

namespace roialign {

// Bytes of a cache line.
constexpr int64_t kLine = 64;

// A plan consists of a dozen arrays. A malloc for each would cost more than the geometry, and std::pmr's resource took
// 130 of the 1,820 instructions of a call that pools one value.
class Memory {
 public:
  Memory() = default;
  // Uses room first, which must begin at a cache line and hold whole lines, and then memory of its own.
  Memory(std::byte* room, size_t size) : room_(room), room_size_(size), next_(room), left_(size) {}
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  ~Memory() {
    if (newest_ != nullptr) free_blocks();
  }

  // Returns an array that is not initialised. Throws std::bad_alloc.
  template <class T>
  T* take(size_t count) {
    if (count > kMost / sizeof(T)) throw std::bad_alloc();
    const size_t size = (count * sizeof(T) + kAlignment - 1) / kAlignment * kAlignment;
    if (size > left_) grow(size);
    void* const taken = next_;
    next_ += size;
    left_ -= size;
    return static_cast<T*>(taken);
  }

  // Releases everything that was taken.
  void release() {
    if (newest_ != nullptr) free_blocks();
    next_ = room_;
    left_ = room_size_;
  }

 private:
  static constexpr size_t kAlignment = size_t{kLine};
  static constexpr size_t kMost = SIZE_MAX / 4;  // bytes of an array: no sum or doubling below can wrap around
  static constexpr size_t kFirstBlock = size_t{1} << 12;
  struct Block {
    Block* before;
    size_t size;
  };

  __attribute__((cold, noinline)) void grow(size_t size) {
    size = std::max({size, newest_ == nullptr ? 0 : 2 * newest_->size, kFirstBlock});
    std::byte* const begin = static_cast<std::byte*>(::operator new(sizeof(Block) + kAlignment + size));
    newest_ = new (begin) Block{newest_, size};
    std::byte* const end = begin + sizeof(Block) + kAlignment;
    next_ = end - reinterpret_cast<uintptr_t>(end) % kAlignment;
    left_ = size;
  }

  __attribute__((cold, noinline)) void free_blocks() {
    while (newest_ != nullptr) ::operator delete(std::exchange(newest_, newest_->before));
  }

  std::byte* room_ = nullptr;
  size_t room_size_ = 0;
  std::byte* next_ = nullptr;
  size_t left_ = 0;
  Block* newest_ = nullptr;
};

}  // namespace roialign

#endif  // ONNX_ROIALIGN_MEMORY_H_
