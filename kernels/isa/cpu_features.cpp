// Asks CPUID what the CPU can do and XGETBV which registers the operating system saves at a task switch: an instruction
// needs both.
#include "isa/cpu_features.h"

#include <cstdint>
#include <thread>

#if defined(__linux__)
#include <sched.h>
#endif

namespace roialign {

int usable_cores() {
#if defined(__linux__)
  cpu_set_t cores;
  if (sched_getaffinity(0, sizeof cores, &cores) == 0) return CPU_COUNT(&cores);
#endif
  const unsigned reported = std::thread::hardware_concurrency();  // 0 where it is unknown
  return reported == 0 ? 1 : static_cast<int>(reported);
}

}  // namespace roialign

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>

namespace roialign {
namespace {

struct Features {
  bool avx2 = false;
  bool avx512 = false;
};

uint64_t read_xcr0() {
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return uint64_t{high} << 32 | low;
}

bool all(uint32_t word, uint32_t bits) { return (word & bits) == bits; }

Features detect() {
  Features features;
  uint32_t a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d)) return features;
  if (!all(c, bit_OSXSAVE | bit_AVX | bit_FMA | bit_F16C)) return features;
  const uint64_t saved = read_xcr0();
  constexpr uint64_t kYmm = 0x6, kZmm = 0xe6;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return features;  // also where leaf 7 does not exist
  features.avx2 = (saved & kYmm) == kYmm && all(b, bit_AVX2);
  features.avx512 =
      features.avx2 && (saved & kZmm) == kZmm && all(b, bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL);
  return features;
}

const Features& features() {
  static const Features detected = detect();
  return detected;
}

}  // namespace

bool cpu_has_avx2() { return features().avx2; }
bool cpu_has_avx512() { return features().avx512; }

}  // namespace roialign

#else

namespace roialign {
bool cpu_has_avx2() { return false; }
bool cpu_has_avx512() { return false; }
}  // namespace roialign

#endif
