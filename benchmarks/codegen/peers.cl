/* The kernels of kernels.py as an author of OpenCL C writes them: 32-bit indices, restrict pointers, one guard. */
#pragma OPENCL FP_CONTRACT OFF

#define TILE 32
#define STEPS 64

__kernel void add_one(__global const float *restrict a, __global float *restrict b, int n)
{
    int i = get_global_id(0);
    if (i < n)
        b[i] = a[i] + 1.0f;
}

__kernel void saxpy(float alpha, __global const float *restrict x, __global float *restrict y, int n)
{
    int i = get_global_id(0);
    if (i < n)
        y[i] = alpha * x[i] + y[i];
}

__kernel void stencil3(__global const float *restrict a, __global float *restrict b, int n)
{
    int i = get_global_id(0);
    if (i > 0 && i < n - 1)
        b[i] = 0.25f * a[i - 1] + 0.5f * a[i] + 0.25f * a[i + 1];
}

__kernel void stencil5(__global const float *restrict a, __global float *restrict b, int m, int n)
{
    int x = get_global_id(0), y = get_global_id(1);
    if (y > 0 && y < m - 1 && x > 0 && x < n - 1)
        b[y * n + x] = 0.2f * (a[y * n + x] + a[(y - 1) * n + x] + a[(y + 1) * n + x] + a[y * n + x - 1]
                               + a[y * n + x + 1]);
}

__kernel void dot_(__global const float *restrict a, __global const float *restrict b, __global float *restrict total,
                   int n)
{
    float acc = 0;
    for (int i = 0; i < n; i++)
        acc += a[i] * b[i];
    *total = acc;
}

__kernel void sum(__global const float *restrict a, __global float *restrict total, int n)
{
    float acc = 0;
    for (int i = 0; i < n; i++)
        acc += a[i];
    *total = acc;
}

__kernel void largest(__global const float *restrict a, __global float *restrict result, int n)
{
    float best = a[0];
    for (int i = 1; i < n; i++)
        best = a[i] > best ? a[i] : best;
    *result = best;
}

__kernel void matmul_ijk(__global const float *restrict a, __global const float *restrict b,
                         __global float *restrict c, int m, int k, int n)
{
    int j = get_global_id(0), i = get_global_id(1);
    if (i >= m || j >= n)
        return;
    float acc = 0;
    for (int p = 0; p < k; p++)
        acc += a[i * k + p] * b[p * n + j];
    c[i * n + j] = acc;
}

__kernel void matmul_ikj(__global const float *restrict a, __global const float *restrict b,
                         __global float *restrict c, int m, int k, int n)
{
    int i = get_global_id(0);
    if (i >= m)
        return;
    for (int j = 0; j < n; j++)
        c[i * n + j] = 0;
    for (int p = 0; p < k; p++)
        for (int j = 0; j < n; j++)
            c[i * n + j] += a[i * k + p] * b[p * n + j];
}

__kernel void matmul_blocked(__global const float *restrict a, __global const float *restrict b,
                             __global float *restrict c, int m, int k, int n)
{
    int left = get_global_id(0) * TILE, top = get_global_id(1) * TILE;
    int bottom = min(top + TILE, m), right = min(left + TILE, n);
    for (int i = top; i < bottom; i++)
        for (int j = left; j < right; j++)
            c[i * n + j] = 0;
    for (int first = 0; first < k; first += TILE)
        for (int i = top; i < bottom; i++)
            for (int p = first; p < min(first + TILE, k); p++)
                for (int j = left; j < right; j++)
                    c[i * n + j] += a[i * k + p] * b[p * n + j];
}

__kernel void transpose(__global const float *restrict a, __global float *restrict b, int m, int n)
{
    int j = get_global_id(0), i = get_global_id(1);
    if (i < n && j < m)
        b[i * m + j] = a[j * n + i];
}

__kernel void softmax(__global const float *restrict x, __global float *restrict y, int m, int n)
{
    int row = get_global_id(0);
    if (row >= m)
        return;
    __global const float *in = x + row * n;
    __global float *out = y + row * n;
    float best = in[0], total = 0;
    for (int i = 1; i < n; i++)
        best = in[i] > best ? in[i] : best;
    for (int i = 0; i < n; i++) {
        out[i] = exp(in[i] - best);
        total += out[i];
    }
    for (int i = 0; i < n; i++)
        out[i] = out[i] / total;
}

__kernel void layernorm(__global const float *restrict x, __global const float *restrict gain,
                        __global const float *restrict shift, __global float *restrict y, int m, int n)
{
    int row = get_global_id(0);
    if (row >= m)
        return;
    __global const float *in = x + row * n;
    __global float *out = y + row * n;
    float total = 0, squares = 0;
    for (int i = 0; i < n; i++)
        total += in[i];
    float mean = total / (float)n;
    for (int i = 0; i < n; i++)
        squares += (in[i] - mean) * (in[i] - mean);
    float scale = 1.0f / sqrt(squares / (float)n + 1e-5f);
    for (int i = 0; i < n; i++)
        out[i] = (in[i] - mean) * scale * gain[i] + shift[i];
}

__kernel void grey(__global const uchar *restrict rgb, __global uchar *restrict y, int n)
{
    int i = get_global_id(0);
    if (i < n)
        y[i] = (uchar)((77 * rgb[3 * i] + 150 * rgb[3 * i + 1] + 29 * rgb[3 * i + 2]) >> 8);
}

__kernel void histogram(__global const uchar *restrict a, __global uint *restrict counts, int n)
{
    for (int i = 0; i < n; i++)
        counts[a[i]]++;
}

__kernel void scan_step(int distance, __global const float *restrict a, __global float *restrict b, int n)
{
    int i = get_global_id(0);
    if (i < n)
        b[i] = i >= distance ? a[i] + a[i - distance] : a[i];
}

__kernel void dot_i8(__global const char *restrict a, __global const char *restrict b, __global int *restrict total,
                     int n)
{
    int acc = 0;
    for (int i = 0; i < n; i++)
        acc += a[i] * b[i];
    *total = acc;
}

__kernel void mandelbrot(float left, float top, float step, __global int *restrict counts, int m, int n)
{
    int column = get_global_id(0), row = get_global_id(1);
    if (row >= m || column >= n)
        return;
    float cx = left + step * (float)column, cy = top + step * (float)row;
    float x = 0, y = 0;
    int count = 0;
    while (count < STEPS && x * x + y * y <= 4.0f) {
        float next = x * x - y * y + cx;
        y = 2.0f * x * y + cy;
        x = next;
        count++;
    }
    counts[row * n + column] = count;
}

#define EACH(name, function)                                                                                           \
    __kernel void name(__global const float *restrict x, __global float *restrict y, int n)                            \
    {                                                                                                                  \
        int i = get_global_id(0);                                                                                      \
        if (i < n)                                                                                                     \
            y[i] = function(x[i]);                                                                                     \
    }

EACH(exp_of_each, exp)
EACH(log_of_each, log)
EACH(sin_of_each, sin)
EACH(tanh_of_each, tanh)
