/* y = a * x + y with the vectors of whatever processor this is compiled for, and without where it has none. */
#include <stddef.h>

#if defined(__riscv_vector)
#include <riscv_vector.h>

void saxpy(size_t n, float a, const float *x, float *restrict y)
{
    for (size_t i = 0; i < n;) {
        size_t lanes = __riscv_vsetvl_e32m8(n - i);
        vfloat32m8_t sum = __riscv_vle32_v_f32m8(y + i, lanes);
        sum = __riscv_vfmacc_vf_f32m8(sum, a, __riscv_vle32_v_f32m8(x + i, lanes), lanes);
        __riscv_vse32_v_f32m8(y + i, sum, lanes);
        i += lanes;
    }
}

#else

#if defined(__AVX2__) && defined(__FMA__)
#include <immintrin.h>
#define LANES 8
#define LOAD(p) _mm256_loadu_ps(p)
#define STORE(p, v) _mm256_storeu_ps(p, v)
#define FMA(a, x, y) _mm256_fmadd_ps(_mm256_set1_ps(a), x, y)
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#define LANES 4
#define LOAD(p) vld1q_f32(p)
#define STORE(p, v) vst1q_f32(p, v)
#define FMA(a, x, y) vmlaq_n_f32(y, x, a)
#else
#define LANES 1
#define LOAD(p) (*(p))
#define STORE(p, v) (*(p) = (v))
#define FMA(a, x, y) ((a) * (x) + (y))
#endif

void saxpy(size_t n, float a, const float *x, float *restrict y)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        STORE(y + i, FMA(a, LOAD(x + i), LOAD(y + i)));
    for (; i < n; i++)
        y[i] += a * x[i];
}

#endif

/* How many floats a vector holds; 0 where that is for the processor to say. */
int lanes(void)
{
#ifdef LANES
    return LANES;
#else
    return 0;
#endif
}
