/* A program in C99: eight threads call at once, each with all instruction sets, shapes and types that there are, on
 * inputs that they share. Every answer is, bit for bit, that of one thread alone. Under ThreadSanitizer it says too
 * whether any two of them touched the same memory.
 *
 * Built by test_c_call.py, and for ThreadSanitizer by test_sanitizers.py. */
#define _POSIX_C_SOURCE 200112L
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "onnx_roialign.h"

enum { THREADS = 8, ROUNDS = 3, SHAPES = 5, MOST_ROIS = 1200, MOST_ISAS = 8, PIXELS = 2 * 33 * 40 * 50 };

typedef struct {
  int32_t type;
  int64_t C, H, W, num_rois, output, sampling_ratio;
  int32_t mode_max;
  int32_t threads;
} shape;

/* Points, columns, a tile, many small RoIs, and double: each of the ways in which RoIs are pooled. */
static const shape shapes[SHAPES] = {
    {ONNX_ROIALIGN_FLOAT32, 1, 40, 50, 1, 1, 2, 0, 1},   {ONNX_ROIALIGN_FLOAT32, 3, 40, 50, 40, 7, 2, 1, 2},
    {ONNX_ROIALIGN_FLOAT32, 33, 40, 50, 60, 7, 0, 0, 3}, {ONNX_ROIALIGN_FLOAT32, 16, 40, 50, MOST_ROIS, 1, 2, 0, 4},
    {ONNX_ROIALIGN_FLOAT64, 5, 20, 30, 30, 5, 2, 1, 0},
};

static float X32[PIXELS], rois32[MOST_ROIS * 4];
static double X64[PIXELS], rois64[MOST_ROIS * 4];
static int64_t batch_indices[MOST_ROIS];

static size_t answer_size(const shape* of) {
  const size_t item = of->type == ONNX_ROIALIGN_FLOAT64 ? sizeof(double) : sizeof(float);
  return (size_t)(of->num_rois * of->C * of->output * of->output) * item;
}

static void* new_answer(const shape* of, const char* isa) {
  onnx_roialign_args args;
  char message[256];
  void* const Y = malloc(answer_size(of));
  args.struct_size = sizeof args;
  if (Y == NULL || onnx_roialign_defaults(&args) != ONNX_ROIALIGN_OK) exit(2);
  args.type = of->type;
  args.X = of->type == ONNX_ROIALIGN_FLOAT64 ? (const void*)X64 : (const void*)X32;
  args.rois = of->type == ONNX_ROIALIGN_FLOAT64 ? (const void*)rois64 : (const void*)rois32;
  args.batch_indices = batch_indices;
  args.Y = Y;
  args.N = 2;
  args.C = of->C;
  args.H = of->H;
  args.W = of->W;
  args.num_rois = of->num_rois;
  args.output_height = args.output_width = of->output;
  args.sampling_ratio = of->sampling_ratio;
  args.mode_max = of->mode_max;
  args.threads = of->threads;
  args.isa = isa;
  if (onnx_roialign_call(&args, message, sizeof message) != ONNX_ROIALIGN_OK) {
    fprintf(stderr, "%s\n", message);
    exit(1);
  }
  return Y;
}

typedef struct {
  int number;
  const void* (*want)[SHAPES]; /* by instruction set and shape; null: the first time, nothing to compare with */
} worker;

static void* work(void* given) {
  const worker* const self = given;
  const char* const* const isas = onnx_roialign_isas();
  int i, round, isa;
  for (round = 0; round < ROUNDS; ++round) {
    for (isa = 0; isas[isa] != NULL; ++isa) {
      for (i = 0; i < SHAPES; ++i) {
        const int s = (i + self->number) % SHAPES; /* not all the same at the same time */
        void* const Y = new_answer(&shapes[s], isas[isa]);
        if (self->want != NULL && memcmp(Y, self->want[isa][s], answer_size(&shapes[s])) != 0) {
          fprintf(stderr, "thread %d has another answer for shape %d on %s\n", self->number, s, isas[isa]);
          exit(1);
        }
        free(Y);
      }
    }
  }
  return NULL;
}

static void run_at_once(const void* (*want)[SHAPES]) {
  pthread_t threads[THREADS];
  worker workers[THREADS];
  int i;
  for (i = 0; i < THREADS; ++i) {
    workers[i].number = i;
    workers[i].want = want;
    if (pthread_create(&threads[i], NULL, work, &workers[i]) != 0) exit(2);
  }
  for (i = 0; i < THREADS; ++i) pthread_join(threads[i], NULL);
}

int main(void) {
  static const void* want[MOST_ISAS][SHAPES];
  const char* const* isas;
  int i, isa;
  for (i = 0; i < PIXELS; ++i) X64[i] = X32[i] = (float)((i * 7919L) % 1013) / 1013 - 0.5F;
  X32[777] = NAN;
  for (i = 0; i < MOST_ROIS; ++i) {
    batch_indices[i] = i % 2;
    rois32[4 * i] = (float)(i % 37);
    rois32[4 * i + 1] = (float)(i % 29);
    rois32[4 * i + 2] = rois32[4 * i] + (float)(i % 11) / 2 + 0.25F;
    rois32[4 * i + 3] = rois32[4 * i + 1] + (float)(i % 7) + 0.75F;
  }
  for (i = 0; i < 4 * MOST_ROIS; ++i) rois64[i] = rois32[i];
  run_at_once(NULL); /* what the library makes once is made here, by all of them */
  isas = onnx_roialign_isas();
  for (isa = 0; isas[isa] != NULL && isa < MOST_ISAS; ++isa) {
    for (i = 0; i < SHAPES; ++i) want[isa][i] = new_answer(&shapes[i], isas[isa]);
  }
  run_at_once(want);
  for (isa = 0; isas[isa] != NULL && isa < MOST_ISAS; ++isa) {
    for (i = 0; i < SHAPES; ++i) free((void*)want[isa][i]);
  }
  puts("every answer is that of one thread");
  return 0;
}
