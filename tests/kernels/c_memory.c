/* A program in C99: memory runs out somewhere in a call, at every place in turn and for good or once, on the caller's
 * thread or on another. The call says so, or does without; nothing crashes, and what it has left over is freed.
 *
 * Built by test_c_call.py. glibc only: the program brings a malloc that fails when it is told to. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "onnx_roialign.h"

enum { CHANNELS = 33, HEIGHT = 40, WIDTH = 50, ROIS = 300, BINS = 5, MOST_PLACES = 20000 };

extern void* __libc_malloc(size_t size);
extern void __libc_free(void* pointer);

static long left = -1; /* allocations until one fails; < 0: none does */
static int for_good;   /* whether all later ones fail too */
static long held;      /* allocated and not freed */

void* malloc(size_t size) {
  void* pointer;
  if (__atomic_load_n(&left, __ATOMIC_SEQ_CST) >= 0) {
    const long now = __atomic_fetch_sub(&left, 1, __ATOMIC_SEQ_CST);
    if (now == 0 && for_good) __atomic_store_n(&left, 0, __ATOMIC_SEQ_CST);
    if (now == 0) return NULL;
  }
  pointer = __libc_malloc(size);
  if (pointer != NULL) __atomic_fetch_add(&held, 1, __ATOMIC_SEQ_CST);
  return pointer;
}

void free(void* pointer) {
  if (pointer != NULL) __atomic_fetch_sub(&held, 1, __ATOMIC_SEQ_CST);
  __libc_free(pointer);
}

static float X[2 * CHANNELS * HEIGHT * WIDTH], rois[ROIS * 4];
static int64_t batch_indices[ROIS];
static float Y[ROIS * CHANNELS * BINS * BINS], want[ROIS * CHANNELS * BINS * BINS];

static int call(int32_t mode_max, int32_t threads, char* message, size_t message_size) {
  onnx_roialign_args args;
  args.struct_size = sizeof args;
  if (onnx_roialign_defaults(&args) != ONNX_ROIALIGN_OK) return -1;
  args.X = X;
  args.rois = rois;
  args.batch_indices = batch_indices;
  args.Y = Y;
  args.N = 2;
  args.C = CHANNELS;
  args.H = HEIGHT;
  args.W = WIDTH;
  args.num_rois = ROIS;
  args.output_height = args.output_width = BINS;
  args.mode_max = mode_max;
  args.threads = threads;
  return onnx_roialign_call(&args, message, message_size);
}

/* Returns how many places memory ran out at. */
static long run_out_everywhere(int32_t mode_max, int32_t threads) {
  long place, failed = 0, without_failure = 0;
  if (call(mode_max, threads, NULL, 0) != ONNX_ROIALIGN_OK) exit(2);
  memcpy(want, Y, sizeof Y);
  /* One more than a call asks for: threads ask in another order each time. */
  for (place = 0; without_failure < 20; ++place) {
    char message[64];
    const long before = held;
    int status;
    if (place > MOST_PLACES) exit(3);
    __atomic_store_n(&left, place, __ATOMIC_SEQ_CST);
    status = call(mode_max, threads, message, sizeof message);
    __atomic_store_n(&left, -1, __ATOMIC_SEQ_CST);
    if (status == ONNX_ROIALIGN_FAILED && strcmp(message, "memory ran out") == 0) {
      ++failed;
      without_failure = 0;
    } else if (status == ONNX_ROIALIGN_OK && message[0] == '\0' && memcmp(Y, want, sizeof Y) == 0) {
      ++without_failure; /* fewer threads than were asked for, or the call asks for less */
    } else {
      fprintf(stderr, "place %ld: status %d, message '%s'\n", place, status, message);
      exit(1);
    }
    if (held != before) {
      fprintf(stderr, "place %ld: %ld allocations were not freed\n", place, held - before);
      exit(1);
    }
  }
  return failed;
}

int main(void) {
  int i;
  int32_t threads;
  for (i = 0; i < (int)(sizeof X / sizeof X[0]); ++i) X[i] = (float)((i * 7919L) % 1013) / 1013 - 0.5F;
  for (i = 0; i < 20; ++i) X[i * 1237] = NAN; /* whose bins are pooled again, with memory of their own */
  for (i = 0; i < ROIS; ++i) {
    batch_indices[i] = i % 2;
    rois[4 * i] = (float)(i % 37);
    rois[4 * i + 1] = (float)(i % 29);
    rois[4 * i + 2] = rois[4 * i] + (float)(i % 11) + 0.25F;
    rois[4 * i + 3] = rois[4 * i + 1] + (float)(i % 7) + 0.75F;
  }
  for (for_good = 0; for_good < 2; ++for_good) {
    for (threads = 1; threads <= 4; threads += 3) {
      const long failed = run_out_everywhere(for_good, threads); /* once: the mean, for good: the maximum */
      printf("%d threads: memory ran out at %ld places\n", (int)threads, failed);
      if (failed < 10) return 1;
    }
  }
  puts("the call survived all of them");
  return 0;
}
