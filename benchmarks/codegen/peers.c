/* The kernels of kernels.py as a C author writes them: restrict pointers, bounds hoisted, one entry each. */
#include <math.h>
#include <stdint.h>

enum { TILE = 32, STEPS = 64 };

static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

void add_one(const float *restrict a, float *restrict b, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        b[i] = a[i] + 1.0f;
}

void saxpy(float alpha, const float *restrict x, float *restrict y, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = alpha * x[i] + y[i];
}

void stencil3(const float *restrict a, float *restrict b, int64_t n)
{
    for (int64_t i = 1; i < n - 1; i++)
        b[i] = 0.25f * a[i - 1] + 0.5f * a[i] + 0.25f * a[i + 1];
}

void stencil5(const float *restrict a, float *restrict b, int64_t m, int64_t n)
{
    for (int64_t y = 1; y < m - 1; y++)
        for (int64_t x = 1; x < n - 1; x++)
            b[y * n + x] = 0.2f * (a[y * n + x] + a[(y - 1) * n + x] + a[(y + 1) * n + x] + a[y * n + x - 1]
                                   + a[y * n + x + 1]);
}

void dot(const float *restrict a, const float *restrict b, float *restrict total, int64_t n)
{
    float acc = 0;
    for (int64_t i = 0; i < n; i++)
        acc += a[i] * b[i];
    *total = acc;
}

void sum(const float *restrict a, float *restrict total, int64_t n)
{
    float acc = 0;
    for (int64_t i = 0; i < n; i++)
        acc += a[i];
    *total = acc;
}

void largest(const float *restrict a, float *restrict result, int64_t n)
{
    float best = a[0];
    for (int64_t i = 1; i < n; i++)
        best = a[i] > best ? a[i] : best;
    *result = best;
}

void matmul_ijk(const float *restrict a, const float *restrict b, float *restrict c, int64_t m, int64_t k, int64_t n)
{
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            float acc = 0;
            for (int64_t p = 0; p < k; p++)
                acc += a[i * k + p] * b[p * n + j];
            c[i * n + j] = acc;
        }
}

void matmul_ikj(const float *restrict a, const float *restrict b, float *restrict c, int64_t m, int64_t k, int64_t n)
{
    for (int64_t i = 0; i < m; i++) {
        for (int64_t j = 0; j < n; j++)
            c[i * n + j] = 0;
        for (int64_t p = 0; p < k; p++)
            for (int64_t j = 0; j < n; j++)
                c[i * n + j] += a[i * k + p] * b[p * n + j];
    }
}

void matmul_blocked(const float *restrict a, const float *restrict b, float *restrict c, int64_t m, int64_t k,
                    int64_t n)
{
    for (int64_t top = 0; top < m; top += TILE)
        for (int64_t left = 0; left < n; left += TILE) {
            int64_t bottom = smaller(top + TILE, m), right = smaller(left + TILE, n);
            for (int64_t i = top; i < bottom; i++)
                for (int64_t j = left; j < right; j++)
                    c[i * n + j] = 0;
            for (int64_t first = 0; first < k; first += TILE)
                for (int64_t i = top; i < bottom; i++)
                    for (int64_t p = first; p < smaller(first + TILE, k); p++)
                        for (int64_t j = left; j < right; j++)
                            c[i * n + j] += a[i * k + p] * b[p * n + j];
        }
}

void transpose(const float *restrict a, float *restrict b, int64_t m, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < m; j++)
            b[i * m + j] = a[j * n + i];
}

void softmax(const float *restrict x, float *restrict y, int64_t m, int64_t n)
{
    for (int64_t row = 0; row < m; row++) {
        const float *restrict in = x + row * n;
        float *restrict out = y + row * n;
        float best = in[0], total = 0;
        for (int64_t i = 1; i < n; i++)
            best = in[i] > best ? in[i] : best;
        for (int64_t i = 0; i < n; i++) {
            out[i] = expf(in[i] - best);
            total += out[i];
        }
        for (int64_t i = 0; i < n; i++)
            out[i] = out[i] / total;
    }
}

void layernorm(const float *restrict x, const float *restrict gain, const float *restrict shift, float *restrict y,
               int64_t m, int64_t n)
{
    for (int64_t row = 0; row < m; row++) {
        const float *restrict in = x + row * n;
        float *restrict out = y + row * n;
        float total = 0, squares = 0;
        for (int64_t i = 0; i < n; i++)
            total += in[i];
        float mean = total / (float)n;
        for (int64_t i = 0; i < n; i++)
            squares += (in[i] - mean) * (in[i] - mean);
        float scale = 1.0f / sqrtf(squares / (float)n + 1e-5f);
        for (int64_t i = 0; i < n; i++)
            out[i] = (in[i] - mean) * scale * gain[i] + shift[i];
    }
}

void grey(const uint8_t *restrict rgb, uint8_t *restrict y, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = (uint8_t)((77 * rgb[3 * i] + 150 * rgb[3 * i + 1] + 29 * rgb[3 * i + 2]) >> 8);
}

void histogram(const uint8_t *restrict a, uint32_t *restrict counts, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        counts[a[i]]++;
}

void scan_step(int64_t distance, const float *restrict a, float *restrict b, int64_t n)
{
    int64_t first = smaller(distance < 0 ? 0 : distance, n);
    for (int64_t i = 0; i < first; i++)
        b[i] = a[i];
    for (int64_t i = first; i < n; i++)
        b[i] = a[i] + a[i - distance];
}

void dot_i8(const int8_t *restrict a, const int8_t *restrict b, int32_t *restrict total, int64_t n)
{
    int32_t acc = 0;
    for (int64_t i = 0; i < n; i++)
        acc += a[i] * b[i];
    *total = acc;
}

void mandelbrot(float left, float top, float step, int32_t *restrict counts, int64_t m, int64_t n)
{
    for (int64_t row = 0; row < m; row++)
        for (int64_t column = 0; column < n; column++) {
            float cx = left + step * (float)(int32_t)column, cy = top + step * (float)(int32_t)row;
            float x = 0, y = 0;
            int32_t count = 0;
            while (count < STEPS && x * x + y * y <= 4.0f) {
                float next = x * x - y * y + cx;
                y = 2.0f * x * y + cy;
                x = next;
                count++;
            }
            counts[row * n + column] = count;
        }
}

#define EACH(name, function)                                                                                           \
    void name(const float *restrict x, float *restrict y, int64_t n)                                                   \
    {                                                                                                                  \
        for (int64_t i = 0; i < n; i++)                                                                                \
            y[i] = function(x[i]);                                                                                     \
    }

EACH(exp_of_each, expf)
EACH(log_of_each, logf)
EACH(sin_of_each, sinf)
EACH(tanh_of_each, tanhf)

/* Entries as our kernels have them: one pointer a parameter, then one a dim in the order of first use. */
#define VALUE(type, position) (*(type *)args[position])
#define ENTRY(name, ...)                                                                                               \
    int64_t c_##name(void **args)                                                                                      \
    {                                                                                                                  \
        name(__VA_ARGS__);                                                                                             \
        return 0;                                                                                                      \
    }
#define DIM(position) VALUE(int64_t, position)

ENTRY(add_one, args[0], args[1], DIM(2))
ENTRY(saxpy, VALUE(float, 0), args[1], args[2], DIM(3))
ENTRY(stencil3, args[0], args[1], DIM(2))
ENTRY(stencil5, args[0], args[1], DIM(2), DIM(3))
ENTRY(dot, args[0], args[1], args[2], DIM(3))
ENTRY(sum, args[0], args[1], DIM(2))
ENTRY(largest, args[0], args[1], DIM(2))
ENTRY(matmul_ijk, args[0], args[1], args[2], DIM(3), DIM(4), DIM(5))
ENTRY(matmul_ikj, args[0], args[1], args[2], DIM(3), DIM(4), DIM(5))
ENTRY(matmul_blocked, args[0], args[1], args[2], DIM(3), DIM(4), DIM(5))
ENTRY(transpose, args[0], args[1], DIM(2), DIM(3))
ENTRY(softmax, args[0], args[1], DIM(2), DIM(3))
ENTRY(exp_of_each, args[0], args[1], DIM(2))
ENTRY(log_of_each, args[0], args[1], DIM(2))
ENTRY(sin_of_each, args[0], args[1], DIM(2))
ENTRY(tanh_of_each, args[0], args[1], DIM(2))
ENTRY(layernorm, args[0], args[1], args[2], args[3], DIM(4), DIM(5))
ENTRY(grey, args[0], args[1], DIM(2))
ENTRY(histogram, args[0], args[1], DIM(2))
ENTRY(scan_step, VALUE(int64_t, 0), args[1], args[2], DIM(3))
ENTRY(dot_i8, args[0], args[1], args[2], DIM(3))
ENTRY(mandelbrot, VALUE(float, 0), VALUE(float, 1), VALUE(float, 2), args[3], DIM(4), DIM(5))
