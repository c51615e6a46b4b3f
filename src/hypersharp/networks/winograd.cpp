// 3 x 3 convolutions of stride 1 by Winograd's minimal filtering, F(4 x 4, 3 x 3): a quarter of the multiplications.
//
// Lavin and Gray, "Fast algorithms for convolutional neural networks", CVPR 2016: Y = A' [(G g G') . (B' d B)] A for
// tiles of 6 x 6 inputs and 4 x 4 outputs. Images are (N, H, W, C) in float32, H and W multiples of 4, C of 16, zeros
// beyond the border. The transformed kernels U (36, C, K) are made, and their gradient taken back, by the caller.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>

namespace {
constexpr int LANES = 16, TILES = 64;
typedef float Vec __attribute__((vector_size(64), aligned(4), may_alias));

inline Vec load(const float *p) { return *reinterpret_cast<const Vec *>(p); }
inline void store(float *p, Vec v) { *reinterpret_cast<Vec *>(p) = v; }

// zeros on cache lines of their own: vectors that lie across two cost twice
struct Buffer {
    std::unique_ptr<float, void (*)(void *)> values;
    explicit Buffer(int64_t size) : values((float *)std::aligned_alloc(64, (size * 4 + 63) / 64 * 64), std::free) {
        std::fill_n(values.get(), size, 0.f);
    }
    float *data() const { return values.get(); }
};

// out (R, NV lanes) = sum over n of a (R, n) b (n, NV lanes), added to what is there where `add`
template <int R, int NV>
inline void block(const float *a, long a_row, long a_next, const float *b, long b_next, float *out, long out_row,
                  int n, bool add) {
    Vec sum[R][NV];
    for (int r = 0; r < R; ++r)
        for (int v = 0; v < NV; ++v) sum[r][v] = add ? load(out + r * out_row + v * LANES) : Vec{};
    for (int k = 0; k < n; ++k, a += a_next, b += b_next)
#pragma GCC unroll 8
        for (int v = 0; v < NV; ++v) {
            const Vec right = load(b + v * LANES);
#pragma GCC unroll 8
            for (int r = 0; r < R; ++r) sum[r][v] += a[r * a_row] * right;
        }
    for (int r = 0; r < R; ++r)
        for (int v = 0; v < NV; ++v) store(out + r * out_row + v * LANES, sum[r][v]);
}

template <int R, int NV>
void rows_of(const float *a, long a_row, long a_next, const float *b, long ldb, float *out, long ldo, int rows, int n,
             bool add) {
    int r = 0;
    for (; r + R <= rows; r += R) block<R, NV>(a + r * a_row, a_row, a_next, b, ldb, out + r * ldo, ldo, n, add);
    for (; r < rows; ++r) block<1, NV>(a + r * a_row, a_row, a_next, b, ldb, out + r * ldo, ldo, n, add);
}

// out (rows, columns) = a (rows, n) b (n, columns)
void product(const float *a, long a_row, long a_next, const float *b, float *out, int rows, int columns, int n,
             bool add) {
    for (int c = 0; c < columns;) {
        const int left = (columns - c) / LANES;
        if (left >= 6 && left != 7) {
            rows_of<4, 6>(a, a_row, a_next, b + c, columns, out + c, columns, rows, n, add), c += 6 * LANES;
        } else if (left >= 4) {
            rows_of<6, 4>(a, a_row, a_next, b + c, columns, out + c, columns, rows, n, add), c += 4 * LANES;
        } else if (left == 3) {
            rows_of<8, 3>(a, a_row, a_next, b + c, columns, out + c, columns, rows, n, add), c += 3 * LANES;
        } else if (left == 2) {
            rows_of<8, 2>(a, a_row, a_next, b + c, columns, out + c, columns, rows, n, add), c += 2 * LANES;
        } else {
            rows_of<8, 1>(a, a_row, a_next, b + c, columns, out + c, columns, rows, n, add), c += LANES;
        }
    }
}

inline void times_b(const Vec d[6], Vec o[6]) {  // B' d
    const Vec p = d[4] - 4.f * d[2], q = d[3] - 4.f * d[1], s = d[4] - d[2], t = 2.f * (d[3] - d[1]);
    o[0] = 4.f * d[0] - 5.f * d[2] + d[4];
    o[1] = p + q, o[2] = p - q, o[3] = s + t, o[4] = s - t;
    o[5] = 4.f * d[1] - 5.f * d[3] + d[5];
}

inline void times_at(const Vec m[6], Vec o[4]) {  // A' m
    const Vec p = m[1] + m[2], q = m[1] - m[2], s = m[3] + m[4], t = m[3] - m[4];
    o[0] = m[0] + p + s;
    o[1] = q + 2.f * t, o[2] = p + 4.f * s, o[3] = q + 8.f * t + m[5];
}

inline void times_a(const Vec y[4], Vec o[6]) {  // A y
    const Vec p = y[0] + y[2], q = y[1] + y[3], s = y[0] + 4.f * y[2], t = 2.f * y[1] + 8.f * y[3];
    o[0] = y[0], o[1] = p + q, o[2] = p - q, o[3] = s + t, o[4] = s - t, o[5] = y[3];
}

struct Shape {
    int64_t n, height, width;
    int64_t tiles() const { return n * (height / 4) * (width / 4); }
    // image, and the first output row and column of a tile
    void place(int64_t tile, int64_t &image, int64_t &y, int64_t &x) const {
        const int64_t across = width / 4, down = height / 4;
        x = tile % across * 4, y = tile / across % down * 4, image = tile / across / down;
    }
};

// v (36, TILES, channels): B' d B of some tiles
void transform_input(const float *image, const Shape &s, int channels, int64_t first, int count, float *v) {
    for (int t = 0; t < count; ++t) {
        int64_t n, y0, x0;
        s.place(first + t, n, y0, x0);
        const bool inside = y0 > 0 && x0 > 0 && y0 + 5 <= s.height && x0 + 5 <= s.width;
        const float *corner = image + ((n * s.height + y0 - 1) * s.width + x0 - 1) * channels;
        for (int c = 0; c < channels; c += LANES) {
            Vec d[6][6], e[6][6], column[6], made[6];
            for (int i = 0; i < 6; ++i)
                for (int j = 0; j < 6; ++j) {
                    const int64_t y = y0 - 1 + i, x = x0 - 1 + j;
                    const bool there = inside || (y >= 0 && x >= 0 && y < s.height && x < s.width);
                    d[i][j] = there ? load(corner + (i * s.width + j) * channels + c) : Vec{};
                }
            for (int j = 0; j < 6; ++j) {
                for (int i = 0; i < 6; ++i) column[i] = d[i][j];
                times_b(column, made);
                for (int i = 0; i < 6; ++i) e[i][j] = made[i];
            }
            for (int i = 0; i < 6; ++i) {
                times_b(e[i], made);
                for (int j = 0; j < 6; ++j) store(v + ((i * 6 + j) * TILES + t) * (int64_t)channels + c, made[j]);
            }
        }
    }
}

// What becomes of a convolution on its way into the image; null where it does not.
struct Finish {
    const float *bias;   // (K), added
    const float *added;  // an image, added
    const float *gate;   // an image: zero where it is not positive
    int64_t relu;

    Vec operator()(Vec v, int64_t place, Vec offset) const {
        v += offset;
        if (added) v += load(added + place);
        if (gate) v = load(gate + place) > 0.f ? v : Vec{};
        if (relu) v = v > 0.f ? v : Vec{};
        return v;
    }
};

// A' m A of some tiles into the image
void transform_output(const float *m, const Finish &finish, const Shape &s, int channels, int64_t first, int count,
                      float *image) {
    for (int t = 0; t < count; ++t) {
        int64_t n, y0, x0;
        s.place(first + t, n, y0, x0);
        const int64_t corner = ((n * s.height + y0) * s.width + x0) * channels;
        for (int c = 0; c < channels; c += LANES) {
            Vec e[4][6], column[6], made[4];
            for (int j = 0; j < 6; ++j) {
                for (int i = 0; i < 6; ++i) column[i] = load(m + ((i * 6 + j) * TILES + t) * (int64_t)channels + c);
                times_at(column, made);
                for (int i = 0; i < 4; ++i) e[i][j] = made[i];
            }
            const Vec offset = finish.bias ? load(finish.bias + c) : Vec{};
            for (int i = 0; i < 4; ++i) {
                times_at(e[i], made);
                for (int j = 0; j < 4; ++j) {
                    const int64_t place = corner + (i * s.width + j) * channels + c;
                    store(image + place, finish(made[j], place, offset));
                }
            }
        }
    }
}

// m (36, TILES, channels): A y A', the transpose of transform_output; sum (channels) gains the sum of y
void transform_gradient(const float *image, const Shape &s, int channels, int64_t first, int count, float *m,
                        float *sum) {
    for (int t = 0; t < count; ++t) {
        int64_t n, y0, x0;
        s.place(first + t, n, y0, x0);
        const float *corner = image + ((n * s.height + y0) * s.width + x0) * channels;
        for (int c = 0; c < channels; c += LANES) {
            Vec e[6][4], column[4], made[6], total = load(sum + c);
            for (int j = 0; j < 4; ++j) {
                for (int i = 0; i < 4; ++i) {
                    column[i] = load(corner + (i * s.width + j) * channels + c);
                    total += column[i];
                }
                times_a(column, made);
                for (int i = 0; i < 6; ++i) e[i][j] = made[i];
            }
            for (int i = 0; i < 6; ++i) {
                times_a(e[i], made);
                for (int j = 0; j < 6; ++j) store(m + ((i * 6 + j) * TILES + t) * (int64_t)channels + c, made[j]);
            }
            store(sum + c, total);
        }
    }
}
}  // namespace

extern "C" {
// y (N, H, W, K) = the convolution of x (N, H, W, C) with the kernels u (36, C, K), finished
void convolve(const float *x, const float *u, const float *bias, const float *added, const float *gate, float *y,
              int64_t relu, int64_t n, int64_t height, int64_t width, int64_t c, int64_t k) {
    const Shape shape{n, height, width};
    const Finish finish{bias, added, gate, relu};
#pragma omp parallel
    {
        const Buffer v(36 * TILES * c), m(36 * TILES * k);
#pragma omp for schedule(static)
        for (int64_t first = 0; first < shape.tiles(); first += TILES) {
            const int count = (int)std::min<int64_t>(TILES, shape.tiles() - first);
            transform_input(x, shape, (int)c, first, count, v.data());
            for (int i = 0; i < 36; ++i)
                product(v.data() + i * TILES * c, c, 1, u + i * c * k, m.data() + i * TILES * k, count, (int)k, (int)c,
                        false);
            transform_output(m.data(), finish, shape, (int)k, first, count, y);
        }
    }
}

// du (36, C, K) and db (K), zero at first: the gradients of u and the bias from x (N, H, W, C) and dy (N, H, W, K)
void kernel_gradient(const float *x, const float *dy, float *du, float *db, int64_t n, int64_t height, int64_t width,
                     int64_t c, int64_t k) {
    const Shape shape{n, height, width};
#pragma omp parallel
    {
        const Buffer v(36 * TILES * c), m(36 * TILES * k), own(36 * c * k), sum(k);
#pragma omp for schedule(static)
        for (int64_t first = 0; first < shape.tiles(); first += TILES) {
            const int count = (int)std::min<int64_t>(TILES, shape.tiles() - first);
            transform_input(x, shape, (int)c, first, count, v.data());
            transform_gradient(dy, shape, (int)k, first, count, m.data(), sum.data());
            for (int i = 0; i < 36; ++i)
                product(v.data() + i * TILES * c, 1, c, m.data() + i * TILES * k, own.data() + i * c * k, (int)c, (int)k,
                        count, true);
        }
#pragma omp critical
        {
            for (int64_t i = 0; i < 36 * c * k; ++i) du[i] += own.data()[i];
            for (int64_t i = 0; i < k; ++i) db[i] += sum.data()[i];
        }
    }
}
}
