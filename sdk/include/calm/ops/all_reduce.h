/* all_reduce/1 (program rule 20): x real of any shape
 *   -> y same type = sum of x over the ranks of `calm.comm/1` (calm/comm.h); x itself where there
 * is none. All ranks get the same bits. y normally `updates` x: a flat group of gradients.
 *
 * Every rank runs programs with the same all_reduce nodes in the same order; shapes outside them
 * may differ (each rank has its own bucket). A backend may start to reduce a part of x as soon as
 * that part is final: x is written by the nodes that write its views (`view_of`), so a bucket of
 * parameters can travel while the backward pass still computes the gradients of earlier layers. How
 * x is cut must then follow from the layout of x alone, which is the same on every rank. Only what
 * reads y has to wait. */
#pragma once

#define CALM_OP_ALL_REDUCE "all_reduce"
#define CALM_ALL_REDUCE_X 0
